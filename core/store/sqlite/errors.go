package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/runner-pipelines/runner/core/store"
)

// Errors that callers explain to people; found with errors.Is.
var (
	// ErrFull means that the disk, or the quota, has no room left.
	ErrFull = errors.New("no space left for the state")
	// ErrReadOnly means that the file or its folder cannot be written.
	ErrReadOnly = errors.New("state cannot be written")
	// ErrDamaged means that the file is not a database of ours, or is damaged.
	ErrDamaged = errors.New("state file is damaged")
	// ErrNewer means that a later runner has written the file in a form that this
	// one does not know.
	ErrNewer = errors.New("state was written by a newer runner")
	// ErrBusy means that another process kept the file locked for too long.
	ErrBusy = errors.New("state is locked by another process")
)

// code is SQLite's primary result code; 0 when err is not from SQLite.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// explain adds the file and, where one fits, one of the errors above.
func explain(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		return err
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if kind := kindOf(err); kind != nil && !errors.Is(err, kind) {
		return fmt.Errorf("%s: %w (%w)", path, kind, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func kindOf(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return ErrFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	switch code(err) {
	case lib.SQLITE_FULL:
		return ErrFull
	case lib.SQLITE_IOERR:
		// There was no room for the files beside it.
		if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code() == lib.SQLITE_IOERR_SHMSIZE {
			return ErrFull
		}
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN, lib.SQLITE_AUTH:
		return ErrReadOnly
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_FORMAT:
		return ErrDamaged
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return ErrBusy
	}
	return nil
}
