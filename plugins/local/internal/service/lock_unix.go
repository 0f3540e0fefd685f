//go:build unix

package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Lock makes the caller the one process that may write the state. The system
// frees it when the process ends. It waits for another holder until ctx ends.
func (d Dir) Lock(ctx context.Context) (*os.File, error) {
	path := filepath.Join(string(d), lockFile)
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock service %s: %w", d.Name(), err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && d.holds(f, path) {
			return f, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("lock service %s: %w", d.Name(), err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("service %s is held by another process: %w", d.Name(), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// holds is false when the folder was removed while we waited.
func (d Dir) holds(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && err == nil && os.SameFile(mine, there)
}
