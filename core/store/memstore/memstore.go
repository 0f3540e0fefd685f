// Package memstore is a store in memory for tests, with faults on request.
package memstore

import (
	"context"

	"github.com/runner-pipelines/runner/core/store"
)

// Op is one operation of a store, as a fault hook sees it.
type Op struct {
	// Name is get, put_absent, put_version, list or delete.
	Name string
	// Key is the prefix for list.
	Key string
	// Value is what is to be written.
	Value []byte
}

// Store is a store.Store in memory.
type Store struct {
	// Before is called ahead of every operation; an error it returns is the
	// operation's, and nothing has happened. Set it before first use.
	Before func(Op) error
	// After is called once the operation was carried out; an error it
	// returns is the operation's, although the effect has happened.
	After func(Op) error
}

var _ store.Store = (*Store)(nil)

// New is an empty store.
func New() *Store { return &Store{} }

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

// Corrupt replaces the value of a key without a new version, as damage would.
func (s *Store) Corrupt(key string, change func([]byte) []byte) { panic("") }
