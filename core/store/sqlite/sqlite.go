// Package sqlite keeps state in one SQLite file: the default store, which needs
// no plugin. Open it, and close it when the command ends.
//
// Writes of one process that arrive at the same time share a transaction;
// several processes may use the same file.
package sqlite

import (
	"context"
	"errors"

	"github.com/runner-pipelines/runner/core/store"
)

// Errors that callers explain to people; found with errors.Is.
var (
	// ErrFull means that the disk, or the quota, has no room left.
	ErrFull = errors.New("no space left for the state")
	// ErrReadOnly means that the file or its folder cannot be written.
	ErrReadOnly = errors.New("state is read-only")
	// ErrDamaged means that the file is not a database, or is damaged.
	ErrDamaged = errors.New("state file is damaged")
	// ErrNewer means that a later runner has written the file in a form that this
	// one does not know.
	ErrNewer = errors.New("state was written by a newer runner")
	// ErrBusy means that another process kept the file locked for too long.
	ErrBusy = errors.New("state is locked by another process")
)

// Store is a store.Store in one file.
type Store struct{}

var _ store.Store = (*Store)(nil)

// Open opens the file at path and makes it, and its folder, when missing: the
// file with mode 0600, the folder with 0700.
func Open(ctx context.Context, path string) (*Store, error) { return nil, errors.ErrUnsupported }

func (s *Store) Get(ctx context.Context, key string) (store.Item, error) { panic("") }
func (s *Store) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	panic("")
}
func (s *Store) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	panic("")
}
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) ([]store.Item, error) {
	panic("")
}
func (s *Store) Delete(ctx context.Context, key, version string) error { panic("") }
func (s *Store) Lineage(ctx context.Context) (string, error)           { panic("") }
func (s *Store) Close() error                                          { panic("") }
