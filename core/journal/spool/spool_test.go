package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

const run = "20261123-003405-abcd"

var at = time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)

func record(i int) []json.RawMessage {
	return []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", 10*i)))}
}

func open(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir, run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// begun is a journal with one segment in a store.
func begun(t *testing.T) (*memstore.Store, *journal.Journal) {
	t.Helper()
	st := memstore.New()
	j, err := journal.Create(t.Context(), st, run, at, record(0))
	if err != nil {
		t.Fatal(err)
	}
	return st, j
}

// divert appends n records beside the store.
func divert(t *testing.T, j *journal.Journal, s *Spool, n int) {
	t.Helper()
	j.Divert(s)
	for i := range n {
		if err := j.Append(t.Context(), at, record(i+1)); err != nil {
			t.Fatal(err)
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, st store.Store) []string {
	t.Helper()
	var out []string
	for seg, err := range journal.Read(t.Context(), st, run, journal.Head{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range seg.Records {
			out = append(out, string(r))
		}
	}
	return out
}

func records(n int) []string {
	var out []string
	for i := range n {
		out = append(out, string(record(i)[0]))
	}
	return out
}

func keys(items []store.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.Key+" "+string(it.Value))
	}
	return out
}

func TestWhatWasDivertedReachesTheJournalOfALaterProcess(t *testing.T) {
	for name, reserve := range map[string]bool{"with room reserved": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			st, j := begun(t)
			first := open(t, dir)
			if reserve {
				if err := first.Reserve(); err != nil {
					t.Fatal(err)
				}
			}
			divert(t, j, first, 3)
			// A second process, killed before it could join, adds to it.
			second := open(t, dir)
			if diff := cmp.Diff(keys(first.Items()), keys(second.Items())); diff != "" {
				t.Fatalf("items on disk (-written +read):\n%s", diff)
			}
			j2 := journal.At(st, run, j.Head())
			j2.Divert(second)
			if err := j2.Append(t.Context(), at, record(4)); err != nil || second.Err() != nil {
				t.Fatal(err, second.Err())
			}
			third := open(t, dir)
			if diff := cmp.Diff(records(5), read(t, journal.Over(st, third.Items()))); diff != "" {
				t.Errorf("read over the store (-want +got):\n%s", diff)
			}
			for range 2 { // joining again changes nothing
				head, err := journal.Join(t.Context(), st, run, third.Items())
				if err != nil || head != j2.Head() {
					t.Fatalf("joined up to %v, error %v, want %v", head, err, j2.Head())
				}
			}
			if diff := cmp.Diff(records(5), read(t, st)); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
			if err := third.Remove(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(third.Path()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the spool is still there: %v", err)
			}
			// The journal goes on in the store.
			j2.Rejoin()
			if err := j2.Append(t.Context(), at, record(5)); err != nil {
				t.Fatal(err)
			}
			if got := read(t, st); len(got) != 6 {
				t.Errorf("%d records, want 6", len(got))
			}
		})
	}
}

// The write that failed last may have reached the store after all: its segment is
// the first in the spool, byte for byte, and is not written twice.
func TestAnUncertainAppendIsNotWrittenTwice(t *testing.T) {
	st, j := begun(t)
	lost := errors.New("no answer")
	st.After = func(op memstore.Op) error {
		if op.Name == "put_absent" {
			return lost
		}
		return nil
	}
	if err := j.Append(t.Context(), at, record(1)); !errors.Is(err, lost) {
		t.Fatal(err)
	}
	st.After = nil
	s := open(t, t.TempDir())
	divert(t, j, s, 2)
	if _, err := journal.Join(t.Context(), st, run, s.Items()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records(3), read(t, st)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// Whoever takes over the run meanwhile has the journal; the spool stays as it is.
func TestAJournalThatWentOnElsewhereIsNamed(t *testing.T) {
	for name, theirs := range map[string]int{"at once": 0, "when half was joined": 1} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st, j := begun(t)
			head := j.Head()
			s := open(t, dir)
			divert(t, j, s, 3)
			for _, it := range s.Items()[:theirs] {
				if _, err := st.PutAbsent(t.Context(), it.Key, it.Value); err != nil {
					t.Fatal(err)
				}
			}
			at2, err := journal.Open(t.Context(), st, run, func(journal.Segment) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if err := at2.Append(t.Context(), at, record(9)); err != nil {
				t.Fatal(err)
			}
			_, err = journal.Join(t.Context(), st, run, s.Items())
			var fork *journal.ForkError
			if !errors.As(err, &fork) {
				t.Fatalf("error is %v, want a fork", err)
			}
			want := journal.ForkError{Run: run, Segment: head.Number + 1 + theirs, Stored: at2.Head().Hash, Diverted: fork.Diverted}
			if diff := cmp.Diff(want, *fork); diff != "" || fork.Diverted == fork.Stored {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := read(t, st); len(got) != 2+theirs {
				t.Errorf("the journal has %d records, want %d", len(got), 2+theirs)
			}
			if again := open(t, dir); len(again.Items()) != 3 {
				t.Errorf("the spool has %d segments, want 3", len(again.Items()))
			}
		})
	}
}

func TestASpoolOfAnotherStoreIsRefused(t *testing.T) {
	_, j := begun(t)
	s := open(t, t.TempDir())
	divert(t, j, s, 1)
	_, err := journal.Join(t.Context(), memstore.New(), run, s.Items())
	var fork *journal.ForkError
	if !errors.As(err, &fork) || fork.Stored != "" {
		t.Fatalf("error is %v, want a fork from a segment that is not there", err)
	}
}

// Power fails during the last write: at every byte that reached the disk, the
// records before it are there, and the next ones follow them.
func TestACutSpoolLosesOnlyWhatWasBeingWritten(t *testing.T) {
	dir := t.TempDir()
	st, j := begun(t)
	s := open(t, dir)
	divert(t, j, s, 3)
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	var ends []int
	for i := 0; i < len(whole); {
		_, size, ok := decode(whole[i:])
		if !ok {
			t.Fatalf("no record at %d", i)
		}
		i += size
		ends = append(ends, i)
	}
	cuts := 0
	for _, reserved := range []int{0, len(whole) + 100} {
		for cut := range len(whole) + 1 {
			b := append(bytes.Clone(whole[:cut]), make([]byte, max(0, reserved-cut))...)
			if err := os.WriteFile(s.Path(), b, 0o600); err != nil {
				t.Fatal(err)
			}
			want := 0
			for want < len(ends) && ends[want] <= cut {
				want++
			}
			got := open(t, dir)
			if len(got.Items()) != want {
				t.Fatalf("cut at byte %d: %d records, want %d", cut, len(got.Items()), want)
			}
			if torn := want < 3 && cut > 0 && (want == 0 || cut > ends[want-1]); got.Torn() != torn {
				t.Fatalf("cut at byte %d: torn is %v, want %v", cut, got.Torn(), torn)
			}
			cuts++
			if cut%32 != 0 { // each of the syncs below takes its time
				continue
			}
			next := journal.At(st, run, headOf(t, st, got))
			next.Divert(got)
			if err := next.Append(t.Context(), at, record(7)); err != nil || got.Err() != nil {
				t.Fatal(err, got.Err())
			}
			again := open(t, dir)
			if again.Torn() || len(again.Items()) != want+1 {
				t.Fatalf("cut at byte %d: %d records after the next write, torn %v, want %d", cut, len(again.Items()), again.Torn(), want+1)
			}
		}
	}
	figures.Record(t, "Power loss", "cuts of the record beside the state, at every byte", "%d", cuts)
}

func headOf(t *testing.T, st store.Store, s *Spool) journal.Head {
	t.Helper()
	var head journal.Head
	for seg, err := range journal.Read(t.Context(), journal.Over(st, s.Items()), run, journal.Head{}) {
		if err != nil {
			t.Fatal(err)
		}
		head = seg.Head
	}
	return head
}

// A changed byte in what was kept is never passed over in silence, but in the last
// record, which then counts as cut off.
func TestAChangedByteIsFound(t *testing.T) {
	dir := t.TempDir()
	_, j := begun(t)
	s := open(t, dir)
	divert(t, j, s, 3)
	whole, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	_, first, _ := decode(whole)
	_, second, _ := decode(whole[first:])
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x20
		if err := os.WriteFile(s.Path(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Open(dir, run)
		var damage *journal.DamageError
		switch {
		case i < first+second:
			if !errors.As(err, &damage) || damage.Key != s.Path() {
				t.Fatalf("byte %d changed: error is %v, want damage at %s", i, err, s.Path())
			}
		case err != nil || !got.Torn() || len(got.Items()) != 2:
			t.Fatalf("byte %d of the last record changed: error %v", i, err)
		}
	}
}

// What the disk does not take stays in memory and is written with the next record.
func TestWhatTheDiskDoesNotTakeIsKeptInMemory(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "spool")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way
		t.Fatal(err)
	}
	st, j := begun(t)
	s, err := Open("", run)
	if err != nil {
		t.Fatal(err)
	}
	s.path = Path(dir, run)
	j.Divert(s)
	if err := j.Append(t.Context(), at, record(1)); err != nil || s.Err() == nil {
		t.Fatalf("append: %v, spool: %v, want an error of the spool alone", err, s.Err())
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), at, record(2)); err != nil || s.Err() != nil {
		t.Fatal(err, s.Err())
	}
	got := open(t, dir)
	if _, err := journal.Join(context.Background(), st, run, got.Items()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(records(3), read(t, st)); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}
