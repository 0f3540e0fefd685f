package output

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	tests := []struct {
		name   string
		writes []string
		want   []string
	}{
		{"a line in pieces", []string{"he", "llo\nwor", "ld\n"}, []string{"hello", "world"}},
		{"a last line without end is kept", []string{"a\nb"}, []string{"a", "b"}},
		{"empty lines are lines", []string{"a\n\n\nb\n"}, []string{"a", "", "", "b"}},
		{"carriage returns go", []string{"a\r\nb\rc\r\n"}, []string{"a", "b\rc"}},
		{"nothing is nothing", []string{""}, nil},
		{"a line of exactly the limit is whole", []string{long + "\n"}, []string{long}},
		{"a longer line comes in pieces", []string{long + "yz\n"}, []string{long, "yz"}},
		{"the pieces split no character", []string{long[:MaxLine-1] + "é!\n"}, []string{long[:MaxLine-1], "é!"}},
		{"bytes that are no text are replaced", []string{"a\xff\xfeb\n"}, []string{"a\uFFFDb"}},
		{"a character over two writes", []string{"\xc3", "\xa9\n"}, []string{"é"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			l := &Lines{Emit: func(s string) { got = append(got, s) }}
			for _, w := range tt.writes {
				if n, err := l.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			l.Close()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinesWithoutEndAreBounded(t *testing.T) {
	var pieces, bytes int
	l := &Lines{Emit: func(s string) { pieces++; bytes += len(s) }}
	chunk := strings.Repeat("z", 10_000)
	for range 1_000 {
		fmt.Fprint(l, chunk)
		if cap(l.rest) > 4*MaxLine {
			t.Fatalf("%d bytes are held back", cap(l.rest))
		}
	}
	l.Close()
	if bytes != 10_000_000 || pieces < 10_000_000/MaxLine {
		t.Errorf("%d bytes in %d pieces", bytes, pieces)
	}
}

func TestTail(t *testing.T) {
	tail := &Tail{Limit: 10}
	fmt.Fprint(tail, "short")
	if b, whole := tail.Bytes(); string(b) != "short" || !whole {
		t.Errorf("Bytes = %q, %v", b, whole)
	}
	for i := range 1000 {
		fmt.Fprintf(tail, "%d,", i)
	}
	if b, whole := tail.Bytes(); string(b) != "7,998,999," || whole {
		t.Errorf("Bytes = %q, %v", b, whole)
	}
	if cap(tail.buf) > 100 {
		t.Errorf("%d bytes are held for a limit of 10", cap(tail.buf))
	}
	fmt.Fprint(tail, "éééééé")
	if got := tail.String(); got != "ééééé" {
		t.Errorf("String = %q", got)
	}
}

func TestLastLines(t *testing.T) {
	got := LastLines("one\n\n  two  \r\nthree", 2)
	if diff := cmp.Diff([]string{"  two", "three"}, got); diff != "" {
		t.Error(diff)
	}
	if got := LastLines(strings.Repeat("é", 1000), 1)[0]; len(got) > 510 || !strings.HasSuffix(got, "é…") {
		t.Errorf("a long line became %q", got)
	}
	if got := LastLines("", 3); len(got) != 0 {
		t.Errorf("LastLines of nothing = %q", got)
	}
}
