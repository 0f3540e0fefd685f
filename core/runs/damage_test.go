package runs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// Every byte of the record of a run and of the claim of its plan is changed, and both
// are cut at every byte; both are put in the place of others.
func TestEveryDamagedByteOfARecordIsNoticed(t *testing.T) {
	s := memstore.New()
	x := runs.New(s)
	rec := create(t, x, "a", nil)
	other := create(t, x, "b", func(r *runs.Record) { r.Opened = at.Add(time.Hour) })
	index, claim := runs.Keys(rec.ID, rec.PlanDigest)[0], runs.Keys(rec.ID, rec.PlanDigest)[1]
	tried := 0
	try := func(what string, want error) {
		t.Helper()
		tried++
		var damage *journal.DamageError
		if !errors.As(want, &damage) || !strings.Contains(damage.Advice(), "runner doctor") {
			t.Fatalf("%s: %v", what, want)
		}
	}
	for key, read := range map[string]func() error{
		index: func() error { _, err := x.Get(t.Context(), rec.ID); return err },
		claim: func() error { _, err := x.Claim(t.Context(), rec.PlanDigest); return err },
	} {
		it, err := s.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		put := func(b []byte) error {
			s.Corrupt(key, func([]byte) []byte { return b })
			return read()
		}
		for i := range it.Value {
			for _, flip := range []byte{1, 0x20, 0x80} {
				b := bytes.Clone(it.Value)
				b[i] ^= flip
				try(fmt.Sprintf("%s, byte %d", key, i), put(b))
			}
			try(fmt.Sprintf("%s, cut at %d", key, i), put(append([]byte{}, it.Value[:i]...)))
		}
		for _, elsewhere := range s.Keys("") {
			if elsewhere == key {
				continue
			}
			foreign, err := s.Get(t.Context(), elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			try(key+" holds "+elsewhere, put(foreign.Value))
		}
		if err := put(it.Value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Get(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	figures.Record(t, "Damage", "records of runs and claims of plans: bytes flipped, cuts, swaps", "%d, all noticed", tried)
}

func TestALostRecordIsFoundAndRestored(t *testing.T) {
	s := memstore.New()
	x := runs.New(s)
	rec := create(t, x, "a", nil)
	create(t, x, "b", nil) // killed before its first segment: no stray
	s.Corrupt(runs.Keys(rec.ID, "")[0], func([]byte) []byte { return nil })
	if _, err := s.PutAbsent(t.Context(), "runs/"+rec.ID+"/journal/0000000001", []byte("x")); err != nil {
		t.Fatal(err)
	}
	got, err := x.Strays(t.Context())
	if err != nil || len(got) != 1 || got[0] != rec.ID {
		t.Fatalf("strays are %v, error %v", got, err)
	}
	for range 2 { // also over what is there
		if err := x.Restore(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
		if back, err := x.Get(t.Context(), rec.ID); err != nil || back.Nonce != rec.Nonce {
			t.Fatalf("restored as %v, error %v", back, err)
		}
	}
	if run, err := x.Claim(t.Context(), rec.PlanDigest); err != nil || run != rec.ID {
		t.Errorf("the plan is claimed by %q, error %v", run, err)
	}
	if got, err := x.Strays(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("strays are %v, error %v", got, err)
	}
}

func TestARecordOfANewerRunnerIsNotDamage(t *testing.T) {
	s := memstore.New()
	x := runs.New(s)
	rec := create(t, x, "a", nil)
	newer := []byte(`{"id":"` + rec.ID + `","colour":"red"}`)
	s.Corrupt(runs.Keys(rec.ID, "")[0], func([]byte) []byte { return framed(newer) })
	_, err := x.Get(t.Context(), rec.ID)
	if !errors.Is(err, journal.ErrNewer) || !strings.Contains(err.Error(), `"colour"`) {
		t.Errorf("error is %v", err)
	}
}

func framed(body []byte) []byte {
	b := append(frame.New(len(body)), body...)
	frame.Close(b)
	return b
}
