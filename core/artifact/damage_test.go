package artifact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/core/internal/figures"
)

// Every byte of every file is changed and cut, files change places, are missing, are
// added, and lose or get their executable bit.
func TestEveryDamagedByteOfAnArtifactIsNoticed(t *testing.T) {
	dir, source := t.TempDir(), t.TempDir()
	for name, content := range map[string]string{"shop": "#!/bin/sh\necho shop\n", "lib/a.txt": "all about a", "lib/b.txt": "all about b"} {
		path := filepath.Join(source, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	s := artifact.Open(dir)
	tree, err := s.Put(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	lone, err := s.Put(t.Context(), filepath.Join(source, "shop"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{tree.Digest, lone.Digest}
	slices.Sort(want)
	if got, err := s.All(); err != nil || !slices.Equal(got, want) {
		t.Fatalf("All gives %v, want %v (error %v)", got, want, err)
	}
	tried := 0
	noticed := func(what, digest string) {
		t.Helper()
		tried++
		var damage *artifact.DamageError
		// Another process: this one remembers what it has verified.
		_, err := artifact.Open(dir).Path(t.Context(), digest)
		if !errors.As(err, &damage) || damage.Digest != digest {
			t.Fatalf("%s: %v", what, err)
		}
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return errors.Join(err, os.Chmod(path, 0o755))
		}
		digest := tree.Digest
		if filepath.Base(path) == "content" {
			digest = lone.Digest
		}
		original, err := os.ReadFile(path)
		if err := errors.Join(err, os.Chmod(path, 0o644)); err != nil {
			return err
		}
		put := func(what string, b []byte) {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			noticed(path+": "+what, digest)
		}
		for i := range original {
			b := bytes.Clone(original)
			b[i] ^= 1
			put(fmt.Sprint("byte ", i), b)
			put(fmt.Sprint("cut at ", i), original[:i])
		}
		put("one more", append(bytes.Clone(original), 0))
		return os.WriteFile(path, original, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Verify(t.Context(), tree.Digest), s.Verify(t.Context(), lone.Digest)); err != nil {
		t.Fatal(err)
	}
	a, b, moved := filepath.Join(tree.Path, "lib", "a.txt"), filepath.Join(tree.Path, "lib", "b.txt"), filepath.Join(tree.Path, "moved")
	for _, step := range []struct {
		what     string
		do, undo func() error
	}{
		{"an executable file", func() error { return os.Chmod(a, 0o755) }, func() error { return os.Chmod(a, 0o644) }},
		{"a missing file", func() error { return os.Rename(a, filepath.Join(dir, "kept")) }, func() error { return os.Rename(filepath.Join(dir, "kept"), a) }},
		{"one more file", func() error { return os.WriteFile(moved, nil, 0o644) }, func() error { return os.Remove(moved) }},
		{"two files swapped", func() error { return errors.Join(os.Rename(a, moved), os.Rename(b, a), os.Rename(moved, b)) }, func() error { return nil }},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		noticed(step.what, tree.Digest)
		if err := step.undo(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(tree.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Path(t.Context(), tree.Digest); !errors.Is(err, artifact.ErrMissing) {
		t.Errorf("a removed artifact: %v", err)
	}
	figures.Record(t, "Damage", "artifacts: bytes flipped, cuts, files moved", "%d, all noticed", tried)
}
