// Package memstore is a store in memory for tests, with faults on request.
package memstore

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

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
	// After is called once the operation was carried out; an error it returns is
	// the operation's, although the effect has happened.
	After func(Op) error

	lineage string

	mu     sync.Mutex
	keys   []string // sorted
	items  map[string]item
	last   int64
	closed bool
}

type item struct {
	value   []byte
	version string
}

var _ store.Store = (*Store)(nil)

// New is an empty store.
func New() *Store {
	return &Store{lineage: rand.Text(), items: map[string]item{}}
}

// do carries out one operation between the hooks.
func (s *Store) do(ctx context.Context, op Op, run func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.Before != nil {
		if err := s.Before(op); err != nil {
			return err
		}
	}
	s.mu.Lock()
	err := errors.New("store is closed")
	if !s.closed {
		err = run()
	}
	s.mu.Unlock()
	if err == nil && s.After != nil {
		err = s.After(op)
	}
	return err
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Item, error) {
	var out store.Item
	err := s.do(ctx, Op{Name: "get", Key: key}, func() error {
		it, ok := s.items[key]
		if !ok {
			return store.ErrNotFound
		}
		out = it.public(key)
		return nil
	})
	return out, err
}

// PutAbsent implements store.Store.
func (s *Store) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	var version string
	err := s.do(ctx, Op{"put_absent", key, value}, func() error {
		if _, ok := s.items[key]; ok {
			return store.ErrConflict
		}
		i, _ := slices.BinarySearch(s.keys, key)
		s.keys = slices.Insert(s.keys, i, key)
		version = s.set(key, value)
		return nil
	})
	return version, err
}

// PutVersion implements store.Store.
func (s *Store) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	var newVersion string
	err := s.do(ctx, Op{"put_version", key, value}, func() error {
		if it, ok := s.items[key]; !ok || it.version != version {
			return store.ErrConflict
		}
		newVersion = s.set(key, value)
		return nil
	})
	return newVersion, err
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix, startAfter string, limit int) ([]store.Item, error) {
	var out []store.Item
	err := s.do(ctx, Op{Name: "list", Key: prefix}, func() error {
		i, found := slices.BinarySearch(s.keys, max(prefix, startAfter))
		if found && startAfter >= prefix {
			i++
		}
		for ; i < len(s.keys) && len(out) < limit && strings.HasPrefix(s.keys[i], prefix); i++ {
			out = append(out, s.items[s.keys[i]].public(s.keys[i]))
		}
		return nil
	})
	return out, err
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key, version string) error {
	return s.do(ctx, Op{Name: "delete", Key: key}, func() error {
		it, ok := s.items[key]
		if !ok {
			return nil
		}
		if it.version != version {
			return store.ErrConflict
		}
		delete(s.items, key)
		i, _ := slices.BinarySearch(s.keys, key)
		s.keys = slices.Delete(s.keys, i, i+1)
		return nil
	})
}

// Lineage implements store.Store.
func (s *Store) Lineage(ctx context.Context) (string, error) { return s.lineage, ctx.Err() }

// Close implements store.Store; further operations fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Corrupt replaces the value of a key without a new version, as damage would.
// A nil result removes the key. It panics when there is no such key.
func (s *Store) Corrupt(key string, change func([]byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[key]
	if !ok {
		panic("memstore: no key " + key + " to corrupt")
	}
	if it.value = change(slices.Clone(it.value)); it.value != nil {
		s.items[key] = it
		return
	}
	delete(s.items, key)
	i, _ := slices.BinarySearch(s.keys, key)
	s.keys = slices.Delete(s.keys, i, i+1)
}

// Keys lists every key with the prefix.
func (s *Store) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, k := range s.keys {
		if strings.HasPrefix(k, prefix) {
			out = append(out, k)
		}
	}
	return out
}

func (s *Store) set(key string, value []byte) string {
	s.last++
	version := strconv.FormatInt(s.last, 10)
	s.items[key] = item{value: append([]byte{}, value...), version: version}
	return version
}

func (i item) public(key string) store.Item {
	return store.Item{Key: key, Value: append([]byte{}, i.value...), Version: i.version}
}
