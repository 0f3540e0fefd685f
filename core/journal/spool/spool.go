// Package spool keeps the segments of one run's journal in a file on this machine
// while the run's store cannot be written, so that the way back to the stable
// release has a record before it is taken.
//
// A process that may need one calls Open and Reserve; journal.Divert then fills
// it. Whoever drives the run next gives Items to journal.Join and calls Remove.
package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

// reserved is how much room Reserve makes: enough for the way back of some dozen
// targets, so that a full disk has a place for it.
const reserved = 128 << 10

// Spool is one run's file. It is not safe for use by more than one goroutine.
type Spool struct {
	path string
	run  string
	file *os.File
	// items are all segments; the first onDisk of them are in the file, which is
	// filled up to end.
	items  []store.Item
	onDisk int
	end    int64
	err    error
	torn   bool
}

var _ journal.Diversion = (*Spool)(nil)

// Open reads what is in the spool of a run, which need not exist; it makes
// nothing. With an empty dir the spool is in memory only. Damage is a
// *journal.DamageError.
func Open(dir, run string) (*Spool, error) {
	s := &Spool{run: run}
	if dir == "" {
		return s, nil
	}
	s.path = Path(dir, run)
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("spool of run %s: %w", run, err)
	}
	if err := s.read(b); err != nil {
		return nil, err
	}
	return s, nil
}

// Path is where the spool of a run lies in dir.
func Path(dir, run string) string { return filepath.Join(dir, run+".spool") }

// A record is a line that begins it and has its length, then a frame around the
// line with the key and the segment. Behind the last record is the end of the
// file, or a zero.
const headLen = len("S00000000\n")

func encode(it store.Item) []byte {
	b := frame.New(len(it.Key) + 1 + len(it.Value))
	b = append(append(append(b, it.Key...), '\n'), it.Value...)
	frame.Close(b)
	return append([]byte(head(len(b))), b...)
}

func head(size int) string { return fmt.Sprintf("S%08x\n", size) }

// decode reads the record that b begins with.
func decode(b []byte) (it store.Item, size int, ok bool) {
	if len(b) < headLen || b[0] != 'S' || b[headLen-1] != '\n' {
		return it, 0, false
	}
	n, err := strconv.ParseUint(string(b[1:headLen-1]), 16, 32)
	if err != nil || uint64(len(b)-headLen) < n || string(b[:headLen]) != head(int(n)) {
		return it, 0, false
	}
	size = headLen + int(n)
	body, _, err := frame.Open(b[headLen:size])
	if err != nil {
		return it, 0, false
	}
	key, value, found := bytes.Cut(body, []byte("\n"))
	return store.Item{Key: string(key), Value: value}, size, found
}

func (s *Spool) read(b []byte) error {
	for int(s.end) < len(b) && b[s.end] != 0 {
		it, size, ok := decode(b[s.end:])
		if ok {
			s.items = append(s.items, it)
			s.end += int64(size)
			continue
		}
		// The last write may have been cut off by a crash: nobody was told that it
		// was kept. Anything that follows was written after it was.
		for i := int(s.end) + 1; i < len(b); i++ {
			if _, _, ok := decode(b[i:]); ok {
				return &journal.DamageError{Run: s.run, Key: s.path, What: fmt.Sprintf("has other bytes at %d than were written", s.end)}
			}
		}
		s.torn = true
		break
	}
	s.onDisk = len(s.items)
	return nil
}

// Reserve makes room on the disk, so that there is some when nothing else can be
// written any more. An error changes nothing: Put tries for itself.
func (s *Spool) Reserve() error {
	if s.path == "" {
		return nil
	}
	if err := s.create(); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil || info.Size() >= reserved {
		return err
	}
	if _, err := s.file.WriteAt(make([]byte, reserved-info.Size()), info.Size()); err != nil {
		return fmt.Errorf("reserve room for the spool of run %s: %w", s.run, err)
	}
	return s.file.Sync()
}

// create opens the file for writing, and makes it when it is missing.
func (s *Spool) create() error {
	if s.file != nil {
		return nil
	}
	dir := filepath.Dir(s.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	syncDir(dir)
	s.file = f
	return nil
}

// syncDir makes the name of a new file durable, where the system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		_ = d.Close()
	}
}

// Put implements journal.Diversion: when Err is nil afterwards, the segment is on
// the disk; else it is in memory, and is tried again with the next one.
func (s *Spool) Put(key string, value []byte) {
	s.items = append(s.items, store.Item{Key: key, Value: value})
	s.err = s.flush()
}

func (s *Spool) flush() error {
	if s.path == "" {
		return errors.New("there is no place for it")
	}
	if err := s.create(); err != nil {
		return err
	}
	if err := s.clear(); err != nil {
		return err
	}
	// One write and one sync each, so that only the last record can be cut off.
	for _, it := range s.items[s.onDisk:] {
		b := encode(it)
		if _, err := s.file.WriteAt(b, s.end); err != nil {
			return err
		}
		if err := s.file.Sync(); err != nil {
			return err
		}
		s.end += int64(len(b))
		s.onDisk++
	}
	return nil
}

// clear overwrites what was cut off, so that nothing of it follows a new record.
func (s *Spool) clear() error {
	if !s.torn {
		return nil
	}
	info, err := s.file.Stat()
	if err == nil {
		_, err = s.file.WriteAt(make([]byte, max(0, info.Size()-s.end)), s.end)
	}
	if err == nil {
		err = s.file.Sync()
	}
	s.torn = err != nil
	return err
}

// Err says why the newest segments are in memory only; nil when all are on disk.
func (s *Spool) Err() error { return s.err }

// Items are the segments, in order, as they are to be in the store.
func (s *Spool) Items() []store.Item { return s.items }

// Torn reports whether the last write of an earlier process was cut off; what it
// held was never taken for recorded.
func (s *Spool) Torn() bool { return s.torn }

// Path is where the file is, or would be; empty for a spool in memory.
func (s *Spool) Path() string { return s.path }

// Remove deletes the file and forgets the segments.
func (s *Spool) Remove() error {
	err := s.Close()
	s.items, s.onDisk, s.end, s.err, s.torn = nil, 0, 0, nil, false
	if s.path == "" {
		return err
	}
	if gone := os.Remove(s.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// Close lets go of the file and leaves it where it is.
func (s *Spool) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
