package memstore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/core/store/storetest"
)

func TestConformance(t *testing.T) {
	var mu sync.Mutex
	places := map[string]*memstore.Store{}
	storetest.Run(t, storetest.Suite{
		Place: func(t testing.TB) string { return t.TempDir() },
		Open: func(place string) (store.Store, error) {
			mu.Lock()
			defer mu.Unlock()
			if places[place] == nil {
				places[place] = memstore.New()
			}
			return places[place], nil
		},
	})
}

func TestHooksFailBeforeAndAfterTheEffect(t *testing.T) {
	away := errors.New("store is away")
	s := memstore.New()
	s.Before = func(op memstore.Op) error {
		if op.Name == "put_absent" && op.Key == "before" {
			return away
		}
		return nil
	}
	s.After = func(op memstore.Op) error {
		if op.Name == "put_absent" && op.Key == "after" {
			return away
		}
		return nil
	}
	for key, want := range map[string]error{"before": store.ErrNotFound, "after": nil} {
		if _, err := s.PutAbsent(t.Context(), key, nil); !errors.Is(err, away) {
			t.Errorf("PutAbsent(%q): error is %v, want %v", key, err, away)
		}
		if _, err := s.Get(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("Get(%q): error is %v, want %v", key, err, want)
		}
	}
}

func TestCorruptChangesTheValueAndKeepsTheVersion(t *testing.T) {
	s := memstore.New()
	version, err := s.PutAbsent(t.Context(), "a", []byte("ok"))
	if err != nil {
		t.Fatal(err)
	}
	s.Corrupt("a", func(b []byte) []byte { return b[:1] })
	it, err := s.Get(t.Context(), "a")
	if err != nil || string(it.Value) != "o" || it.Version != version {
		t.Fatalf("Get gives %q version %q, error %v", it.Value, it.Version, err)
	}
	s.Corrupt("a", func([]byte) []byte { return nil })
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get of a removed key: %v", err)
	}
}
