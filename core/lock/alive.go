package lock

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// AliveError means that processes of an earlier incarnation of the run are still there.
type AliveError struct {
	Run  string
	Path string
	// Holders are the processes that said they hold the file, where known.
	Holders []AliveHolder
}

// AliveHolder is one process that may hold a liveness lock.
type AliveHolder struct {
	PID  int
	Name string
	// Running says whether a process with that number exists now.
	Running bool
}

// Driven reports whether a runner is among the holders, and not only what an
// earlier one has left behind.
func (e *AliveError) Driven() bool {
	return slices.ContainsFunc(e.Holders, func(h AliveHolder) bool { return h.Name == driver && h.Running })
}

func (e *AliveError) Error() string {
	var names []string
	for _, h := range e.Holders {
		if h.Running {
			names = append(names, fmt.Sprintf("%s (process %d)", h.Name, h.PID))
		}
	}
	who := strings.Join(names, ", ")
	if who == "" {
		who = "processes that left no name"
	}
	return fmt.Sprintf("run %s is still being carried out by %s: they hold %s", e.Run, who, e.Path)
}

// driver is the name of the process that took the lock, in its notes.
const driver = "runner"

// Alive is a held liveness lock.
type Alive struct {
	mu   sync.Mutex
	file *os.File
	// readOnly: on a disk that cannot be written, file is what was there to lock.
	readOnly bool
}

// How often a held lock is tried again.
const (
	aliveFirstTry = 2 * time.Millisecond
	aliveLastTry  = 50 * time.Millisecond
	// lookLimit is how long a process that only looks may be in the way; one that
	// does not stand still looks for microseconds.
	lookLimit = 5 * time.Second
)

var (
	// errHeld is what openLocked returns when another process has the lock.
	errHeld = errors.New("held by another process")
	// errLookedAt is what it returns when nobody has it, but IsAlive looks at it.
	errLookedAt = errors.New("looked at by another process")
)

// AcquireAlive takes the liveness lock of a run: a file dir/<run>.lock. The lock
// is shared with every process that inherits File, and is free only once all of
// them have ended; so who acquires it knows that nobody of an earlier
// incarnation still acts. It waits up to wait, then returns an *AliveError. Who
// only looks, by IsAlive, is no holder and never the reason of that error.
func AcquireAlive(ctx context.Context, dir, run string, wait time.Duration) (*Alive, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("liveness lock of run %s: %w", run, err)
	}
	path := filepath.Join(dir, run+".lock")
	begun := time.Now()
	for pause := aliveFirstTry; ; pause = min(2*pause, aliveLastTry) {
		f, err := tryAlive(path)
		readOnly := errors.Is(err, syscall.EROFS)
		if readOnly {
			f, err = tryReadOnly(path)
		}
		if err == nil && readOnly {
			return &Alive{file: f, readOnly: true}, nil
		}
		if err == nil {
			a := &Alive{file: f}
			if err := a.begin(); err != nil {
				return nil, errors.Join(fmt.Errorf("liveness lock of run %s: %w", run, err), f.Close())
			}
			return a, nil
		}
		limit := wait
		switch {
		case errors.Is(err, errLookedAt):
			limit = max(wait, lookLimit)
		case !errors.Is(err, errHeld):
			return nil, fmt.Errorf("liveness lock of run %s: %w", run, err)
		}
		left := limit - time.Since(begun)
		if left <= 0 && errors.Is(err, errHeld) {
			return nil, &AliveError{Run: run, Path: path, Holders: readHolders(path)}
		}
		if left <= 0 {
			return nil, fmt.Errorf("liveness lock of run %s: %s is %w, which does not end", run, path, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(pause, left)):
		}
	}
}

// IsAlive reports whether a process holds the liveness lock of a run. It takes
// nothing: whoever acquires the lock at the same moment gets it.
func IsAlive(dir, run string) (bool, error) {
	held, err := isLocked(filepath.Join(dir, run+".lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("liveness lock of run %s: %w", run, err)
	}
	return held, nil
}

// tryAlive locks the file that stands at path once the lock is had: the one that
// was opened may have been removed meanwhile.
func tryAlive(path string) (*os.File, error) {
	for {
		f, err := openLocked(path)
		if err != nil {
			return nil, err
		}
		mine, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		there, err := os.Stat(path)
		if err == nil && os.SameFile(mine, there) {
			return f, nil
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

// begin replaces the notes of an earlier incarnation.
func (a *Alive) begin() error {
	if err := a.file.Truncate(0); err != nil {
		return err
	}
	if _, err := a.file.Seek(0, 0); err != nil {
		return err
	}
	// The note is for people: a full disk must not keep anyone from the way back.
	_ = a.Note(driver, os.Getpid())
	return nil
}

// Name is the run, or what else the lock was acquired for.
func (a *Alive) Name() string { return strings.TrimSuffix(filepath.Base(a.file.Name()), ".lock") }

// File is the open, locked file; give it to host.Config.Alive.
func (a *Alive) File() *os.File { return a.file }

// Note records a process that inherited the file, for AliveError.
func (a *Alive) Note(name string, pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.readOnly {
		return nil
	}
	_, err := fmt.Fprintf(a.file, "%d %s\n", pid, name)
	return err
}

// Release frees the lock and removes the file. When a process that inherited it is
// still there the file stays, locked, and an *AliveError says so.
func (a *Alive) Release() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := a.file.Name()
	if err := a.file.Close(); err != nil || a.readOnly {
		return err
	}
	f, err := tryAlive(path)
	if errors.Is(err, errHeld) {
		return &AliveError{Run: a.Name(), Path: path, Holders: readHolders(path)}
	}
	if errors.Is(err, errLookedAt) {
		return nil
	}
	if err != nil {
		return err
	}
	// Removed while it is locked, so that nobody else's file is.
	return errors.Join(removeLocked(path), f.Close())
}

func readHolders(path string) []AliveHolder {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []AliveHolder
	for lines := bufio.NewScanner(f); lines.Scan(); {
		number, name, _ := strings.Cut(lines.Text(), " ")
		if pid, err := strconv.Atoi(number); err == nil {
			out = append(out, AliveHolder{PID: pid, Name: name, Running: processExists(pid)})
		}
	}
	return out
}
