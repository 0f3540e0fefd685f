package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/smalldisk"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

func TestAFullDiskIsNamedAndTheStoreStaysUsable(t *testing.T) {
	smalldisk.Inside(t, func(t *testing.T) {
		dir := t.TempDir()
		smalldisk.Mount(t, dir, "1m")
		st, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		written := 0
		for {
			_, err = st.PutAbsent(t.Context(), fmt.Sprintf("k/%05d", written), make([]byte, 20<<10))
			if err != nil || written > 1000 {
				break
			}
			written++
		}
		if !errors.Is(err, sqlite.ErrFull) {
			t.Fatalf("after %d writes the error is %v, want %v", written, err, sqlite.ErrFull)
		}
		items, err := st.List(t.Context(), "k/", "", 1000)
		if err != nil || len(items) != written {
			t.Fatalf("%d writes returned nil, %d items are there (error %v)", written, len(items), err)
		}
		smalldisk.Resize(t, dir, "4m")
		if _, err := st.PutAbsent(t.Context(), "after", nil); err != nil {
			t.Fatalf("write with room again: %v", err)
		}
	})
}

func TestAReadOnlyDiskIsNamed(t *testing.T) {
	smalldisk.Inside(t, func(t *testing.T) {
		dir := t.TempDir()
		smalldisk.Mount(t, dir, "4m")
		path := filepath.Join(dir, "state.db")
		st, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		smalldisk.ReadOnly(t, dir, true)
		for _, path := range []string{path, filepath.Join(dir, "new", "state.db")} {
			st, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_, err = st.PutAbsent(context.Background(), "a", nil)
				_ = st.Close()
			}
			if !errors.Is(err, sqlite.ErrReadOnly) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want %v with the path", err, sqlite.ErrReadOnly)
			}
		}
	})
}
