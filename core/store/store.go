// Package store is where state lives: five operations that every object store
// and database can do. The journal, the inbox, locks and logs are built on it.
package store

import (
	"context"
	"errors"
)

var (
	// ErrNotFound means that the key does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that the condition of a Put or Delete did not hold.
	ErrConflict = errors.New("condition failed")
)

// Item is one key with its value. Version is opaque and differs after every Put.
type Item struct {
	Key     string
	Value   []byte
	Version string
}

// Store keeps items. A Put that returned nil is durable. All methods may be
// called at the same time, also by other processes on the same store.
//
// Operations on one key are linearizable: each takes effect at one moment between
// its call and its return, or, after an error that is neither of the two above,
// at one moment between its call and the death of its process, or never. Locks
// and journals stand on nothing else.
type Store interface {
	// Get reads one item; ErrNotFound when there is none.
	Get(ctx context.Context, key string) (Item, error)
	// PutAbsent writes a key that must not exist yet; ErrConflict when it does.
	PutAbsent(ctx context.Context, key string, value []byte) (version string, err error)
	// PutVersion replaces a key that must have this version; ErrConflict when it does not.
	PutVersion(ctx context.Context, key string, value []byte, version string) (newVersion string, err error)
	// List returns up to limit items whose keys have the prefix and come after
	// startAfter, in the order of their bytes.
	List(ctx context.Context, prefix, startAfter string, limit int) ([]Item, error)
	// Delete removes a key that must have this version; ErrConflict when it does
	// not, nil when the key is gone already.
	Delete(ctx context.Context, key, version string) error
	// Lineage names this store: made once when the store is created, never changed.
	Lineage(ctx context.Context) (string, error)
	Close() error
}

// IsLocal reports whether only processes of this machine can reach the store,
// which a store says by a method Local. Only then does the end of all processes
// here prove that nobody uses it.
func IsLocal(s Store) bool {
	l, ok := s.(interface{ Local() bool })
	return ok && l.Local()
}
