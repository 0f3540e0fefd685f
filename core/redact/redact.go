// Package redact takes secrets out of text on its way to logs, records and people.
// One Redactor serves a run: Add every secret as soon as it is known, and pass
// everything that leaves through Redact, or through a Writer for streams.
package redact

import (
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// Mark stands where a secret stood.
const Mark = "(sensitive)"

// MinLength is the least length of a secret, in bytes.
const MinLength = 4

// ErrShort means that a secret is too short to be told from ordinary text.
var ErrShort = errors.New("secret is shorter than 4 characters and cannot be kept out of logs")

// Redactor knows secrets. Its methods may be called at the same time, also on a nil
// Redactor, which knows none and takes none.
type Redactor struct {
	mu    sync.Mutex
	forms map[string]struct{}
	// matcher is for all forms; nil when it must be built, or there are none.
	matcher atomic.Pointer[matcher]
	some    atomic.Bool
}

// New knows no secrets yet.
func New() *Redactor { return &Redactor{forms: map[string]struct{}{}} }

// Add makes a secret known in all its usual forms: as it is, escaped for JSON, Go,
// URLs, HTML and shells, in base64 (also inside a longer text) and hexadecimal, and
// line by line. The empty string is no secret and no error; a shorter one than
// MinLength is ErrShort.
func (r *Redactor) Add(secret string) error {
	if secret == "" {
		return nil
	}
	if r == nil {
		return errors.New("redact: a nil Redactor takes no secrets")
	}
	if len(secret) < MinLength {
		return ErrShort
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.forms)
	for form := range formsOf(secret) {
		r.forms[form] = struct{}{}
	}
	if len(r.forms) != before {
		r.matcher.Store(nil)
		r.some.Store(true)
	}
	return nil
}

// current is nil when there are no secrets.
func (r *Redactor) current() *matcher {
	if r == nil || !r.some.Load() {
		return nil
	}
	if m := r.matcher.Load(); m != nil {
		return m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.matcher.Load()
	if m == nil {
		m = newMatcher(r.forms)
		r.matcher.Store(m)
	}
	return m
}

// cutSign stands where text was cut off.
const cutSign = "…"

// Redact replaces every secret, and what may be the beginning of one before the
// sign for a cut. Text without secrets is returned as it is.
func (r *Redactor) Redact(text string) string {
	m := r.current()
	if m == nil {
		return text
	}
	if strings.Contains(text, cutSign) {
		text = m.hideBegun(text)
	}
	var b strings.Builder
	done := 0
	for s := range spans(m, text) {
		if b.Cap() == 0 {
			b.Grow(len(text) + len(Mark))
		}
		b.WriteString(text[done:s.from])
		b.WriteString(Mark)
		done = s.to
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// Bytes is Redact for bytes; the result may be the argument.
func (r *Redactor) Bytes(b []byte) []byte {
	m := r.current()
	if m == nil {
		return b
	}
	var out []byte
	done := 0
	for s := range spans(m, b) {
		out = append(append(out, b[done:s.from]...), Mark...)
		done = s.to
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}

// maxHeld bounds what a Writer holds back; longer secrets are found by their lines
// and beginnings only as far as that.
const maxHeld = 1 << 20

// Writer redacts a stream, also secrets that are split across writes. It holds
// back only what may be the beginning of a secret. It is for one goroutine.
type Writer struct {
	redactor *Redactor
	to       io.Writer
	held     []byte
	buf      []byte
}

// NewWriter writes what it is given to w, redacted.
func (r *Redactor) NewWriter(w io.Writer) *Writer { return &Writer{redactor: r, to: w} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	m := w.redactor.current()
	if m == nil && len(w.held) == 0 {
		return w.to.Write(p)
	}
	w.held = append(w.held, p...)
	safe := len(w.held)
	if m != nil && len(w.held) < maxHeld {
		safe = m.safe(w.held)
	}
	if err := w.emit(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what was held back. It does not close the underlying writer.
func (w *Writer) Close() error { return w.emit(len(w.held)) }

// emit passes on the first n bytes that are held.
func (w *Writer) emit(n int) error {
	if n == 0 {
		return nil
	}
	w.buf = append(w.buf[:0], w.redactor.Bytes(w.held[:n])...)
	w.held = w.held[:copy(w.held, w.held[n:])]
	_, err := w.to.Write(w.buf)
	return err
}
