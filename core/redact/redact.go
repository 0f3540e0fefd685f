// Package redact takes secrets out of text on its way to logs, records and
// people. One Redactor serves a run: Add every secret as soon as it is known, and
// pass everything that leaves through Redact, or a Writer for streams.
package redact

import (
	"errors"
	"io"
)

// Mark stands where a secret stood.
const Mark = "(sensitive)"

// MinLength is the least length of a secret, in bytes.
const MinLength = 4

// ErrShort means that a secret is too short to be told from ordinary text.
var ErrShort = errors.New("secret is shorter than 4 characters and cannot be kept out of logs")

// Redactor knows secrets. Its methods may be called at the same time, also on a
// nil Redactor, which knows none.
type Redactor struct{}

// New knows no secrets yet.
func New() *Redactor { return &Redactor{} }

// Add makes a secret known in all its usual forms: as it is, escaped for JSON, Go,
// URLs and HTML, in base64 and hexadecimal, and line by line. The empty string is
// no secret and no error; a shorter one than MinLength is ErrShort.
func (r *Redactor) Add(secret string) error { panic("") }

// Redact replaces every secret. Text without secrets is returned as it is.
func (r *Redactor) Redact(text string) string { panic("") }

// Bytes is Redact for bytes; the result may be the argument.
func (r *Redactor) Bytes(b []byte) []byte { panic("") }

// Writer redacts a stream, also secrets that are split across writes. It holds
// back only what may be the beginning of a secret.
type Writer struct{}

// NewWriter writes what it is given to w, redacted.
func (r *Redactor) NewWriter(w io.Writer) *Writer { panic("") }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) { panic("") }

// Close writes what was held back. It does not close the underlying writer.
func (w *Writer) Close() error { panic("") }
