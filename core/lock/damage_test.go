package lock_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// Every byte of a lock is changed, it is cut at every byte, and another's is put in
// its place: it is neither free nor somebody else's, and the others are told.
func TestEveryDamagedByteOfALockIsNoticed(t *testing.T) {
	s := memstore.New()
	k := keeper(t, s, "r1", nil)
	take(t, k, "prod")
	take(t, k, "staging")
	original, err := s.Get(t.Context(), "locks/prod")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(b []byte) {
		t.Helper()
		tried++
		s.Corrupt("locks/prod", func([]byte) []byte { return b })
		if _, err := lock.Find(t.Context(), s, "prod"); !errors.As(err, new(*lock.DamagedError)) {
			t.Fatalf("%q: %v", b, err)
		}
		whole, damaged := 0, 0
		for _, err := range lock.All(t.Context(), s) {
			if err != nil {
				damaged++
			} else {
				whole++
			}
		}
		if whole != 1 || damaged != 1 {
			t.Fatalf("%q: %d whole, %d damaged", b, whole, damaged)
		}
	}
	for i := range original.Value {
		for _, flip := range []byte{1, 0x20, 0x80} {
			b := bytes.Clone(original.Value)
			b[i] ^= flip
			try(b)
		}
		try(append([]byte{}, original.Value[:i]...))
	}
	other, err := s.Get(t.Context(), "locks/staging")
	if err != nil {
		t.Fatal(err)
	}
	try(other.Value)
	figures.Record(t, "Damage", "environment locks: bytes flipped, cuts, swaps", "%d, all noticed", tried)
}
