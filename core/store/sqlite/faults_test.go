package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".runner", "state.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if _, err := st.PutAbsent(t.Context(), fmt.Sprintf("k/%03d", i), bytes.Repeat([]byte{byte(i)}, 500)); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileAndFolderAreForTheOwnerOnly(t *testing.T) {
	path := newFile(t)
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (error %v)", p, info.Mode().Perm(), want, err)
		}
	}
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.PutAbsent(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path + "-wal")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the write-ahead log has mode %v, want 0600 (error %v)", info.Mode().Perm(), err)
	}
}

func TestPathsWithAwkwardCharacters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "50% off?#1 é", "state.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOpenRefusesWhatItCannotRead(t *testing.T) {
	alter := func(statement string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	overwrite := func(content string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		damage func(*testing.T, string)
		want   error
		says   string
	}{
		"newer format":     {alter("PRAGMA user_version = 7"), sqlite.ErrNewer, "its format is 7, this runner knows up to 1"},
		"another program":  {alter("PRAGMA application_id = 42"), sqlite.ErrDamaged, "database of another program"},
		"text":             {overwrite(strings.Repeat("not a database\n", 100)), sqlite.ErrDamaged, "not a database"},
		"cut to one page":  {func(t *testing.T, p string) { truncate(t, p, 4096) }, sqlite.ErrDamaged, "malformed"},
		"header destroyed": {func(t *testing.T, p string) { overwriteAt(t, p, 0, 100) }, sqlite.ErrDamaged, "not a database"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			tc.damage(t, path)
			st, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_ = st.Close()
			}
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("Open: %v\nwant %q with the path and %q", err, tc.want, tc.says)
			}
		})
	}
}

func TestDamagedPagesAreReported(t *testing.T) {
	path := newFile(t)
	overwriteAt(t, path, 8192, 20*4096)
	st, err := sqlite.Open(t.Context(), path)
	if err == nil {
		_, err = st.List(t.Context(), "", "", 1000)
		_ = st.Close()
	}
	if !errors.Is(err, sqlite.ErrDamaged) {
		t.Fatalf("error is %v, want %v", err, sqlite.ErrDamaged)
	}
}

func TestOpenNamesWhatIsInTheWay(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{folder, filepath.Join(file, "state.db")} {
		_, err := sqlite.Open(t.Context(), path)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %v", path, err)
		}
	}
}

func TestALargeValueIsRefusedBeforeItIsWritten(t *testing.T) {
	st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	_, err = st.PutAbsent(t.Context(), "a", make([]byte, 65<<20))
	if err == nil || !strings.Contains(err.Error(), "more than the limit") {
		t.Fatalf("PutAbsent of 65 MiB: %v", err)
	}
	if _, err := st.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get: %v", err)
	}
}

func TestCloseMayBeCalledAgainAndWaitsForWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	st, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 50)
	for i := range 50 {
		go func() {
			_, err := st.PutAbsent(context.Background(), fmt.Sprint(i), nil)
			results <- err
		}()
	}
	if err := <-results; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	written := 1
	for range 49 {
		if <-results == nil {
			written++
		}
	}
	st, err = sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	items, err := st.List(t.Context(), "", "", 100)
	if err != nil || len(items) != written {
		t.Fatalf("%d writes returned nil, %d items are there (error %v)", written, len(items), err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func overwriteAt(t *testing.T, path string, from, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(n)), from); err != nil {
		t.Fatal(err)
	}
}
