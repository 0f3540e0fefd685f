// Package output takes what a program prints and gives it on as lines, or
// keeps the end of it.
package output

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// MaxLine is the length in bytes at which a line is given on in pieces.
const MaxLine = 64 << 10

// Lines is a writer that calls Emit for every line, without its end, in valid
// UTF-8. It must not be used from two goroutines at once.
type Lines struct {
	Emit func(line string)
	rest []byte
}

// Write never fails.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, after, found := bytes.Cut(p, []byte("\n"))
		p = after
		l.rest = append(l.rest, line...)
		for len(l.rest) > MaxLine {
			cut := wholeRunes(l.rest, MaxLine)
			l.emit(l.rest[:cut])
			l.rest = l.rest[:copy(l.rest, l.rest[cut:])]
		}
		if found {
			l.emit(bytes.TrimSuffix(l.rest, []byte("\r")))
			l.rest = l.rest[:0]
		}
	}
	return n, nil
}

// Close gives on a last line that has no end.
func (l *Lines) Close() error {
	if len(l.rest) > 0 {
		l.emit(l.rest)
		l.rest = nil
	}
	return nil
}

func (l *Lines) emit(line []byte) { l.Emit(strings.ToValidUTF8(string(line), "\uFFFD")) }

// wholeRunes is the largest cut of at most n bytes that splits no character.
func wholeRunes(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}

// Tail is a writer that keeps the last Limit bytes. It may be written to and
// read from several goroutines.
type Tail struct {
	Limit int

	mu  sync.Mutex
	buf []byte
	cut bool
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*t.Limit {
		t.trim()
	}
	return len(p), nil
}

func (t *Tail) trim() {
	if over := len(t.buf) - t.Limit; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
		t.cut = true
	}
}

// Bytes is a copy of what was kept; whole is false when there was more.
func (t *Tail) Bytes() (kept []byte, whole bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trim()
	return bytes.Clone(t.buf), !t.cut
}

// String is what was kept, in valid UTF-8.
func (t *Tail) String() string {
	b, whole := t.Bytes()
	if !whole {
		for len(b) > 0 && !utf8.RuneStart(b[0]) {
			b = b[1:]
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// LastLines is the last n lines of a text that are not empty, each shortened
// to a length that a message can bear.
func LastLines(text string, n int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, " \t\r\n"); line != "" {
			if len(line) > 500 {
				line = strings.ToValidUTF8(line[:500], "") + "…"
			}
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}
