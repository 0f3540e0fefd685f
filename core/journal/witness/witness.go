// Package witness remembers on this machine how far a run's journal had come. A
// journal whose last segments are gone is a sound chain all the same, as after a
// state file was copied without its write-ahead log; only somebody outside can tell.
//
// The process that drives a run keeps a Witness and tells it of every segment that is
// durable. Who resumes calls Read, and compares.
package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
)

// Seen is a segment that was durable.
type Seen struct {
	Run string `json:"run"`
	journal.Head
}

// Witness writes down how far one journal has come. It is not for use by several
// goroutines at the same time.
type Witness struct {
	dir, run string
	file     *os.File
	length   int // of what the file holds
}

// New keeps its file in dir, made when first needed.
func New(dir, run string) *Witness { return &Witness{dir: dir, run: run} }

// Path of the file about a run.
func Path(dir, run string) string { return filepath.Join(dir, run) }

// Saw writes down that the segment of head is durable. It does not flush to the
// disk: the file may lag behind the journal, and is never ahead of it.
func (w *Witness) Saw(head journal.Head) error {
	if w.file == nil {
		if err := os.MkdirAll(w.dir, 0o700); err != nil {
			return fmt.Errorf("witness of run %s: %w", w.run, err)
		}
		f, err := os.OpenFile(Path(w.dir, w.run), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("witness of run %s: %w", w.run, err)
		}
		w.file = f
	}
	b, err := frame.Marshal(Seen{Run: w.run, Head: head})
	if err == nil {
		_, err = w.file.WriteAt(b, 0)
	}
	if err == nil && len(b) < w.length {
		err = w.file.Truncate(int64(len(b)))
	}
	w.length = len(b)
	if err != nil {
		return fmt.Errorf("witness of run %s: %w", w.run, err)
	}
	return nil
}

// Close leaves the file.
func (w *Witness) Close() error {
	if w.file == nil {
		return nil
	}
	return w.file.Close()
}

// Read is what was last seen of a run on this machine; the zero Head when nothing was.
// A file that is no longer what was written, as after a loss of power, is a
// *journal.DamageError: then nothing is known.
func Read(dir, run string) (journal.Head, error) {
	path := Path(dir, run)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return journal.Head{}, nil
	}
	if err != nil {
		return journal.Head{}, fmt.Errorf("witness of run %s: %w", run, err)
	}
	var s Seen
	if err := frame.Unmarshal(b, "a witness", &s); err != nil {
		return journal.Head{}, &journal.DamageError{Run: run, Key: path, What: err.Error()}
	}
	if s.Run != run {
		return journal.Head{}, &journal.DamageError{Run: run, Key: path, What: fmt.Sprintf("is about run %q", s.Run)}
	}
	return s.Head, nil
}

// Forget removes the file; a run that has ended keeps its end in its record.
func Forget(dir, run string) error {
	err := os.Remove(Path(dir, run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Runs are those that this machine remembers: they were open when it last saw them.
func Runs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}
