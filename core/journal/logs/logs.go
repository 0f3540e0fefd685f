// Package logs keeps the log lines of a run's commands beside its journal, in
// compressed chunks. A Writer per command batches lines; Read gives them back.
package logs

import (
	"context"
	"iter"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

// Line is one line of log.
type Line struct {
	Time time.Time `json:"t"`
	// Level as log/slog counts: -4 debug, 0 info, 4 warn, 8 error.
	Level int `json:"l,omitempty"`
	// Stream is stdout or stderr for the output of a child program; else empty.
	Stream  string            `json:"s,omitempty"`
	Message string            `json:"m"`
	Attrs   map[string]string `json:"a,omitempty"`
}

// Ref names everything that one writer wrote; it is small and goes into a fact.
type Ref struct {
	Chunks int `json:"chunks"`
	Lines  int `json:"lines"`
	// Dropped counts lines that could not be kept while the store was away.
	Dropped int `json:"dropped,omitempty"`
	// Digest is over all chunks in order; empty without chunks.
	Digest string `json:"digest,omitempty"`
}

// Writer takes the lines of one command. Lines are stored once 64 KiB have
// come together, or a second after the first one. While the store is slow Write
// waits; while it fails, the oldest lines are dropped beyond 1 MiB and counted.
// Its methods may be called at the same time.
type Writer struct{}

// NewWriter begins the log of a command. An earlier incarnation's chunks of the
// same command are kept; new ones are numbered after them.
func NewWriter(s store.Store, run, command string) *Writer { panic("") }

// Write adds a line.
func (w *Writer) Write(l Line) { panic("") }

// Close stores what is left and says what was written. It may be called again.
func (w *Writer) Close(ctx context.Context) (Ref, error) { panic("") }

// Read yields the lines of a command in the order of writing. A damaged chunk is
// a *journal.DamageError; the chunks after it follow.
func Read(ctx context.Context, s store.Store, run, command string) iter.Seq2[Line, error] {
	panic("")
}

// Verify checks that what is stored is what ref named.
func Verify(ctx context.Context, s store.Store, run, command string, ref Ref) error { panic("") }

// Commands lists the commands of a run that have logs, in the order of their bytes.
func Commands(ctx context.Context, s store.Store, run string) ([]string, error) { panic("") }
