package host

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

const (
	// maxLine is where a line of the process's own output is cut.
	maxLine = 64 << 10
	// maxLinesPerSecond is how many of them are logged; the rest is counted.
	maxLinesPerSecond = 2000
)

// scan calls f for every line, without its end. Of a line that is too long it
// gives the beginning, with cut set.
func scan(r *bufio.Reader, f func(line []byte, cut bool)) {
	var line []byte
	cut := false
	for {
		part, err := r.ReadSlice('\n')
		if n := min(len(part), maxLine-len(line)); n > 0 {
			line = append(line, part[:n]...)
			cut = cut || n < len(part)
		} else if len(part) > 0 {
			cut = true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if len(line) > 0 {
			for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
				line = line[:len(line)-1]
			}
			f(line, cut)
		}
		if err != nil {
			return
		}
		if cap(line) > 4<<10 {
			line = nil
		}
		line, cut = line[:0], false
	}
}

// lines logs with a limit on the rate, so that a process which does nothing
// but write costs its host neither memory nor disk.
type lines struct {
	to      *slog.Logger
	now     func() time.Time
	second  int64
	count   int
	dropped int
}

func newLines(to *slog.Logger) *lines { return &lines{to: to, now: time.Now} }

func (l *lines) admit() bool {
	if now := l.now().Unix(); now != l.second {
		l.flush()
		l.second, l.count = now, 0
	}
	l.count++
	if l.count > maxLinesPerSecond {
		l.dropped++
		return false
	}
	return true
}

// flush tells what was left out.
func (l *lines) flush() {
	if l.dropped > 0 {
		l.to.Warn(fmt.Sprintf("%d lines of the plugin's own output were dropped: more than %d in a second", l.dropped, maxLinesPerSecond))
		l.dropped = 0
	}
}

func (l *lines) log(level slog.Level, message string, args ...any) {
	if l.admit() {
		l.to.Log(context.Background(), level, message, args...)
	}
}

func (l *lines) entry(e entry) {
	if !l.admit() || !l.to.Enabled(context.Background(), e.level) {
		return
	}
	r := slog.NewRecord(e.at, e.level, e.message, 0)
	r.AddAttrs(e.attrs...)
	_ = l.to.Handler().Handle(context.Background(), r)
}

// lineText is a line as text; one that was cut ends in the sign for it.
func lineText(line []byte, cut bool) string {
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	if cut {
		text += "…"
	}
	return text
}

// entry is a log line in hclog's JSON form.
type entry struct {
	at      time.Time
	level   slog.Level
	message string
	attrs   []slog.Attr
}

func (e entry) text() string {
	s := e.message
	for _, a := range e.attrs {
		s += fmt.Sprintf(" %s=%v", a.Key, a.Value)
	}
	return s
}

func parseEntry(line []byte) (entry, bool) {
	if len(line) == 0 || line[0] != '{' {
		return entry{}, false
	}
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return entry{}, false
	}
	level, hasLevel := fields[handshake.LogLevel].(string)
	message, hasMessage := fields[handshake.LogMessage].(string)
	if !hasLevel || !hasMessage {
		return entry{}, false
	}
	e := entry{message: message, level: levelOf(level), at: time.Now()}
	if text, ok := fields[handshake.LogTime].(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			e.at = at
		}
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		if !strings.HasPrefix(k, "@") {
			e.attrs = append(e.attrs, slog.Any(k, fields[k]))
		}
	}
	return e, true
}

func levelOf(name string) slog.Level {
	switch name {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// tail remembers the end of what a process said, for the message when it is
// gone. Of a crash it keeps the beginning, which says why.
type tail struct {
	mu       sync.Mutex
	last     []string
	panicked bool
}

const (
	tailLines = 12
	tailWidth = 400
)

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.panicked && (strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ")) {
		t.panicked, t.last = true, nil
	}
	if t.panicked && len(t.last) >= tailLines {
		return
	}
	if len(line) > tailWidth {
		line = strings.ToValidUTF8(line[:tailWidth], "") + "…"
	}
	if len(t.last) >= tailLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, line)
}

func (t *tail) inPanic() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.panicked
}

// text is the remembered lines, indented; empty when nothing was said.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) == 0 {
		return ""
	}
	return "\n\nIts last lines were:\n\n    " + strings.Join(t.last, "\n    ")
}

// drainTo logs what go-plugin carries over from the process's replaced standard
// output and error.
type drainTo struct {
	mu     sync.Mutex
	out    *lines
	tail   *tail // may be nil
	stream string
	rest   []byte
	cut    bool // more than rest came
}

var _ io.Writer = (*drainTo)(nil)

func (d *drainTo) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			if len(d.rest) < maxLine {
				d.rest = append(d.rest, b)
			} else {
				d.cut = true
			}
			continue
		}
		line := lineText(d.rest, d.cut)
		if d.tail != nil {
			d.tail.add(line)
		}
		d.out.log(slog.LevelDebug, line, "stream", d.stream)
		d.rest, d.cut = d.rest[:0], false
	}
	return len(p), nil
}
