package host

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestScanCutsLinesThatAreTooLong(t *testing.T) {
	long := strings.Repeat("x", maxLine+10)
	in := "one\r\n\ntwo\n" + long + "\nlast"
	var got []string
	scan(bufio.NewReaderSize(strings.NewReader(in), 16), func(line []byte, cut bool) {
		text := string(line)
		if cut {
			text = fmt.Sprintf("%d bytes, cut", len(line))
		}
		got = append(got, text)
	})
	if d := cmp.Diff([]string{"one", "", "two", fmt.Sprintf("%d bytes, cut", maxLine), "last"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestTheTailKeepsTheEndAndTheBeginningOfACrash(t *testing.T) {
	var quiet tail
	if quiet.text() != "" {
		t.Errorf("nothing was said: %q", quiet.text())
	}
	var last tail
	for i := range 100 {
		last.add(fmt.Sprint("line ", i))
	}
	if text := last.text(); !strings.HasSuffix(text, "line 98\n    line 99") || strings.Contains(text, "line 87\n") || last.inPanic() {
		t.Errorf("%q", text)
	}
	last.add("panic: boom")
	for i := range 100 {
		last.add(fmt.Sprint("frame ", i, strings.Repeat("é", 1000)))
	}
	if text := last.text(); !strings.Contains(text, "    panic: boom\n    frame 0é") || strings.Contains(text, "frame 50") || len(text) > 10_000 || !last.inPanic() {
		t.Errorf("%q", text)
	}
}

func TestLogLinesOfAPluginAreRead(t *testing.T) {
	for line, want := range map[string]string{
		`{"@level":"warn","@message":"m","@timestamp":"2026-01-02T03:04:05Z","b":1,"a":"x","@module":"p"}`: "WARN m a=x b=1",
		`{"@level":"trace","@message":"m"}`: "DEBUG m",
		`{"@level":"loud","@message":"m"}`:  "INFO m",
		`{"@level":"error"}`:                "",
		`{"level":"error","message":"m"}`:   "",
		`{`:                                 "",
		``:                                  "",
		`plain`:                             "",
	} {
		got := ""
		if e, ok := parseEntry([]byte(line)); ok {
			got = e.level.String() + " " + e.text()
		}
		if got != want {
			t.Errorf("%s was read as %q, not %q", line, got, want)
		}
	}
}

func TestTooManyLinesAreCounted(t *testing.T) {
	var b bytes.Buffer
	l := newLines(slog.New(slog.NewTextHandler(&b, nil)))
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	for range maxLinesPerSecond + 500 {
		l.log(slog.LevelInfo, "line")
	}
	now = now.Add(time.Second)
	l.entry(entry{level: slog.LevelInfo, message: "next"})
	l.flush()
	l.flush()
	if got := strings.Count(b.String(), "msg=line"); got != maxLinesPerSecond {
		t.Errorf("%d lines", got)
	}
	if !strings.HasSuffix(b.String(), "msg=next\n") {
		t.Error("the next second begins with nothing")
	}
	if got := strings.Count(b.String(), "500 lines of the plugin's own output were dropped"); got != 1 {
		t.Errorf("%d notices", got)
	}
}

func TestDrainSplitsLinesAndCutsThem(t *testing.T) {
	var b bytes.Buffer
	d := &drainTo{out: newLines(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug}))), stream: "stdout", tail: &tail{}}
	for _, part := range []string{"one\ntw", "o\n", strings.Repeat("x", maxLine+3), "\n"} {
		if n, err := d.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	got := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(got) != 3 || !strings.Contains(got[0], "msg=one") || !strings.Contains(got[1], "msg=two") || !strings.Contains(got[2], "x…") {
		t.Errorf("%d lines", len(got))
	}
	if !strings.Contains(d.tail.text(), "two") {
		t.Errorf("tail %q", d.tail.text())
	}
}
