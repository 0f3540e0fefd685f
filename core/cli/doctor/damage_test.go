package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/dump"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// frozen are the records of runs that the command's own tests keep.
func frozen(t *testing.T, name string) []store.Item {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "frozen", "1", name, "records.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	items, err := dump.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// look is the exam of a store, without what lies beside it.
func look(ctx context.Context, s store.Store, data string) ([]Finding, error) {
	w := &workspace.Workspace{Env: &command.Env{}, Dir: data, Data: data, Store: s, Runs: runs.New(s)}
	x := &exam{w: w, opts: &Options{}, now: time.Now()}
	err := x.allRuns(ctx)
	if err == nil {
		err = x.locks(ctx)
	}
	return x.findings, err
}

// usual is what is found in a state that is not damaged, such as a run that stands
// half way.
func usual(t *testing.T, items []store.Item) (*memstore.Store, string, map[string]bool) {
	t.Helper()
	s, data := memstore.New(), t.TempDir()
	if err := dump.Load(t.Context(), s, items); err != nil {
		t.Fatal(err)
	}
	found, err := look(t.Context(), s, data)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, f := range found {
		known[f.Record+" "+f.Problem] = true
	}
	return s, data, known
}

// unusual are the findings that an undamaged state does not have.
func unusual(found []Finding, known map[string]bool) (out []Finding) {
	for _, f := range found {
		if !known[f.Record+" "+f.Problem] {
			out = append(out, f)
		}
	}
	return out
}

// Records of every kind are changed, cut, lost, and put in the place of others of
// their kind, in the same run and in another.
func TestEveryDamagedRecordIsFound(t *testing.T) {
	var tried atomic.Int64
	for _, name := range []string{"rolled_back", "approved"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items := frozen(t, name)
			s, data, known := usual(t, items)
			try := func(what string, it store.Item, value []byte) {
				t.Helper()
				tried.Add(1)
				s.Corrupt(it.Key, func([]byte) []byte { return value })
				found, err := look(t.Context(), s, data)
				if err != nil {
					t.Fatalf("%s of %s: %v", what, it.Key, err)
				}
				got := unusual(found, known)
				if len(got) == 0 {
					t.Errorf("%s of %s is not found", what, it.Key)
				}
				for _, f := range got {
					if f.Record == "" || f.Problem == "" || f.Saved == "" && f.Commands == nil {
						t.Errorf("%s of %s: the finding does not say what is wrong and what to do: %+v", what, it.Key, f)
					}
				}
				if value == nil {
					if _, err := s.PutAbsent(t.Context(), it.Key, it.Value); err != nil {
						t.Fatal(err)
					}
					return
				}
				s.Corrupt(it.Key, func([]byte) []byte { return it.Value })
			}
			previous := map[string]store.Item{}
			for _, it := range items {
				kind, _, _ := strings.Cut(it.Key, "/")
				if parts := strings.Split(it.Key, "/"); parts[0] == "runs" {
					kind = parts[2]
				}
				b := bytes.Clone(it.Value)
				i := rand.IntN(len(b))
				b[i] ^= 1 << rand.IntN(8)
				try(fmt.Sprintf("a flip at byte %d", i), it, b)
				try("a cut", it, it.Value[:rand.IntN(len(it.Value))])
				if p, ok := previous[kind]; ok && !bytes.Equal(p.Value, it.Value) {
					try("a copy of "+p.Key+" in the place", it, p.Value)
				}
				// A message, a lock or the chunks that no fact names may be gone.
				if kind != "inbox" && kind != "logs" && kind != "locks" && kind != "driver" && !last(items, it) {
					try("the loss", it, nil)
				}
				previous[kind] = it
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		figures.Record(t, "Damage", "records of a state: bytes flipped, cuts, losses, swaps, found by runner doctor", "%d, all found", tried.Load())
	})
}

// last reports whether no segment follows: only the machine that drove the run knows.
func last(items []store.Item, it store.Item) bool {
	dir := it.Key[:strings.LastIndex(it.Key, "/")+1]
	for _, other := range items {
		if strings.HasPrefix(other.Key, dir) && other.Key > it.Key {
			return false
		}
	}
	return strings.HasSuffix(dir, "/journal/")
}

// A state file is changed on every page, and cut at and between pages. Either that is
// found, or every record is what it was: SQLite alone does not notice most of it.
func TestEveryDamagedPageIsFoundOrHarmless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	items := frozen(t, "approved")
	path := filepath.Join(dir, "whole.db")
	s, err := sqlite.Open(t.Context(), path)
	if err == nil {
		err = errors.Join(dump.Load(t.Context(), s, items), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, _, known := usual(t, items)
	tried, bySQLite, byRecords := 0, 0, 0
	try := func(what string, b []byte) {
		t.Helper()
		tried++
		path := filepath.Join(t.TempDir(), "state.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			bySQLite++
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%s: the error does not name the file: %v", what, err)
			}
			return
		}
		defer s.Close()
		if problems, err := s.Check(t.Context()); err != nil || len(problems) > 0 {
			bySQLite++
			return
		}
		found, err := look(t.Context(), s, filepath.Dir(path))
		if err != nil || len(unusual(found, known)) > 0 {
			byRecords++
			return
		}
		for _, it := range items {
			if got, err := s.Get(t.Context(), it.Key); err != nil || !bytes.Equal(got.Value, it.Value) {
				t.Errorf("%s: %s is another, and nobody has noticed (error %v)", what, it.Key, err)
			}
		}
	}
	const page, each = 4096, 2
	for at := 0; at < len(whole); at += page {
		if at > 0 { // an empty file is a new state to SQLite: see workspace.OpenState
			try(fmt.Sprintf("a cut at page %d", at/page), whole[:at])
		}
		for range each {
			b := bytes.Clone(whole)
			i := at + rand.IntN(page)
			b[i] ^= 1 << rand.IntN(8)
			try(fmt.Sprintf("a flip at byte %d", i), b)
		}
		try(fmt.Sprintf("a cut at byte %d", at+page/3), whole[:at+page/3])
		if at/page%2 == 0 {
			b := bytes.Clone(whole)
			clear(b[at : at+page])
			try(fmt.Sprintf("page %d of zeros", at/page), b)
		}
	}
	figures.Record(t, "Damage", "state file: flips on every page, cuts, pages of zeros", "%d: %d found by SQLite, %d by the hashes of records, the others harmless", tried, bySQLite, byRecords)
}
