package witness_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/witness"
)

func head(n int) journal.Head { return journal.Head{Number: n, Hash: strings.Repeat("ab", 32)} }

func TestTheLastSegmentIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "heads")
	if got, err := witness.Read(dir, "r"); err != nil || got != (journal.Head{}) {
		t.Fatalf("of a run never seen: %v, %v", got, err)
	}
	w := witness.New(dir, "r")
	for _, n := range []int{1, 999, 1000, 7} { // shorter again: a repaired journal
		if err := w.Saw(head(n)); err != nil {
			t.Fatal(err)
		}
		if got, err := witness.Read(dir, "r"); err != nil || got != head(n) {
			t.Fatalf("after segment %d: %v, %v", n, got, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(witness.Path(dir, "r")); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
	for range 2 {
		if err := witness.Forget(dir, "r"); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := witness.Read(dir, "r"); err != nil || got != (journal.Head{}) {
		t.Fatalf("after Forget: %v, %v", got, err)
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	dir := t.TempDir()
	w := witness.New(dir, "r")
	if err := errors.Join(w.Saw(head(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	path := witness.Path(dir, "r")
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(what string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := witness.Read(dir, "r")
		if !errors.As(err, new(*journal.DamageError)) || got != (journal.Head{}) {
			t.Fatalf("%s: %v, %v", what, got, err)
		}
	}
	for i := range original {
		b := bytes.Clone(original)
		b[i] ^= 1
		damaged("a changed byte", b)
		damaged("a cut", original[:i])
	}
	if err := os.WriteFile(witness.Path(dir, "other"), original, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := witness.Read(dir, "other"); err == nil || !strings.Contains(err.Error(), `is about run "r"`) {
		t.Errorf("of another run: %v", err)
	}
}
