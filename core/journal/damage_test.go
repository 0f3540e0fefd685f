package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

func segmentKey(n int) string { return fmt.Sprintf("runs/%s/journal/%010d", run, n) }

func wantDamage(t *testing.T, err error, segment int, says string) {
	t.Helper()
	var damage *journal.DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("error is %v, want damage", err)
	}
	if damage.Run != run || damage.Segment != segment || !strings.Contains(damage.What, says) {
		t.Fatalf("damage is %q\nwant segment %d: %q", damage, segment, says)
	}
}

// Every byte of every segment is changed, in three ways.
func TestEveryChangedByteIsNoticed(t *testing.T) {
	s := memstore.New()
	write(t, s, 4)
	for n := 1; n <= 4; n++ {
		it, err := s.Get(t.Context(), segmentKey(n))
		if err != nil {
			t.Fatal(err)
		}
		original := it.Value
		for i := range original {
			for _, change := range []func(byte) byte{
				func(b byte) byte { return b ^ 1 },
				func(b byte) byte { return b ^ 0x20 }, // case of a letter
				func(byte) byte { return 0 },
			} {
				s.Corrupt(segmentKey(n), func([]byte) []byte {
					b := bytes.Clone(original)
					b[i] = change(b[i])
					return b
				})
				_, err := read(t, s, journal.Head{})
				wantDamage(t, err, n, "")
			}
		}
		for i := range original { // cut off
			s.Corrupt(segmentKey(n), func([]byte) []byte { return bytes.Clone(original[:i]) })
			_, err := read(t, s, journal.Head{})
			wantDamage(t, err, n, "")
		}
		s.Corrupt(segmentKey(n), func([]byte) []byte { return original })
	}
	if _, err := read(t, s, journal.Head{}); err != nil {
		t.Fatal(err)
	}
}

func TestMovedSegmentsAreNoticed(t *testing.T) {
	content := func(t *testing.T, s *memstore.Store, n int) []byte {
		it, err := s.Get(t.Context(), segmentKey(n))
		if err != nil {
			t.Fatal(err)
		}
		return it.Value
	}
	for name, tc := range map[string]struct {
		damage  func(*testing.T, *memstore.Store)
		segment int
		says    string
	}{
		"missing in the middle": {func(t *testing.T, s *memstore.Store) {
			s.Corrupt(segmentKey(3), func([]byte) []byte { return nil })
		}, 3, "is missing; the next one found is 0000000004"},
		"missing first": {func(t *testing.T, s *memstore.Store) {
			s.Corrupt(segmentKey(1), func([]byte) []byte { return nil })
		}, 1, "is missing; the next one found is 0000000002"},
		"doubled": {func(t *testing.T, s *memstore.Store) {
			two := content(t, s, 2)
			s.Corrupt(segmentKey(3), func([]byte) []byte { return two })
		}, 3, "holds the content of segment 2"},
		"swapped": {func(t *testing.T, s *memstore.Store) {
			two, three := content(t, s, 2), content(t, s, 3)
			s.Corrupt(segmentKey(2), func([]byte) []byte { return three })
			s.Corrupt(segmentKey(3), func([]byte) []byte { return two })
		}, 2, "holds the content of segment 3"},
		"of another run": {func(t *testing.T, s *memstore.Store) {
			other := memstore.New()
			if _, err := journal.Create(t.Context(), other, "other", at, records(`1`)); err != nil {
				t.Fatal(err)
			}
			it, err := other.Get(t.Context(), "runs/other/journal/0000000001")
			if err != nil {
				t.Fatal(err)
			}
			s.Corrupt(segmentKey(1), func([]byte) []byte { return it.Value })
		}, 1, `belongs to run "other"`},
		"of another history": {func(t *testing.T, s *memstore.Store) {
			other := memstore.New()
			write(t, other, 5)
			three := content(t, other, 3)
			s.Corrupt(segmentKey(3), func([]byte) []byte { return three })
		}, 3, "does not follow the segment before it"},
		"a stranger's key": {func(t *testing.T, s *memstore.Store) {
			if _, err := s.PutAbsent(t.Context(), "runs/"+run+"/journal/00000x", nil); err != nil {
				t.Fatal(err)
			}
		}, 6, "is missing; the next one found is 00000x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			write(t, s, 5)
			tc.damage(t, s)
			got, err := read(t, s, journal.Head{})
			wantDamage(t, err, tc.segment, tc.says)
			if n := strings.Count(got, "\n"); n != tc.segment-1 {
				t.Errorf("%d segments were given before the damage, want %d", n, tc.segment-1)
			}
		})
	}
}

func TestReadingBehindAHeadChecksIt(t *testing.T) {
	s := memstore.New()
	write(t, s, 2)
	j := write2(t, s)
	head := j.Head()
	s.Corrupt(segmentKey(3), func([]byte) []byte { return nil })
	_, err := read(t, s, head)
	wantDamage(t, err, 3, "is missing, though it was written")
	head.Number = 2
	_, err = read(t, s, head)
	wantDamage(t, err, 2, "is another than the one that was written")
	s.Corrupt(segmentKey(2), func(b []byte) []byte { return b[:10] })
	_, err = read(t, s, head)
	wantDamage(t, err, 2, "is cut off")
}

// write2 adds a third segment.
func write2(t *testing.T, s *memstore.Store) *journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), s, run, func(journal.Segment) error { return nil })
	if err == nil {
		err = j.Append(t.Context(), at, records(`3`))
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestSnapshotsFallBack(t *testing.T) {
	snapshotKey := func(n int) string { return fmt.Sprintf("runs/%s/snapshot/%010d", run, n) }
	s := memstore.New()
	latest := func(want int, damaged int) {
		t.Helper()
		snap, damage, err := journal.Latest(t.Context(), s, run)
		if err != nil || len(damage) != damaged {
			t.Fatalf("Latest: %d damaged, want %d (error %v)", len(damage), damaged, err)
		}
		switch {
		case snap == nil && want != 0:
			t.Fatalf("Latest gives none, want %d", want)
		case snap != nil && (snap.Number != want || string(snap.State) != fmt.Sprintf("state\n%d", want)):
			t.Fatalf("Latest gives %d: %q, want %d", snap.Number, snap.State, want)
		}
	}
	latest(0, 0)
	var head journal.Head
	j := write(t, s, 1)
	for n := 1; n <= 4; n++ {
		head = j.Head()
		for range 2 { // again is no error
			if err := journal.WriteSnapshot(t.Context(), s, run, journal.Snapshot{Head: head, State: fmt.Appendf(nil, "state\n%d", n)}); err != nil {
				t.Fatal(err)
			}
		}
		latest(n, 0)
		if err := j.Append(t.Context(), at, records(fmt.Sprint(n+1))); err != nil {
			t.Fatal(err)
		}
	}
	if keys := s.Keys("runs/" + run + "/snapshot/"); len(keys) != 2 {
		t.Fatalf("snapshots kept: %v, want the last two", keys)
	}
	wantRead(t, s, head, "5 5\n")
	four, err := s.Get(t.Context(), snapshotKey(4))
	if err != nil {
		t.Fatal(err)
	}
	for i := range four.Value {
		s.Corrupt(snapshotKey(4), func([]byte) []byte {
			b := bytes.Clone(four.Value)
			b[i] ^= 4
			return b
		})
		latest(3, 1)
	}
	s.Corrupt(snapshotKey(3), func([]byte) []byte { return four.Value })
	latest(0, 2)
}

func FuzzReadingASegment(f *testing.F) {
	s := memstore.New()
	write(f, s, 2)
	it, err := s.Get(f.Context(), segmentKey(2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(it.Value)
	f.Add([]byte{})
	f.Add(bytes.ReplaceAll(it.Value, []byte(`"format":1`), []byte(`"format":2`)))
	f.Fuzz(func(t *testing.T, value []byte) {
		s := memstore.New()
		write(t, s, 1)
		if _, err := s.PutAbsent(t.Context(), segmentKey(2), value); err != nil {
			t.Fatal(err)
		}
		if got, err := read(t, s, journal.Head{}); err == nil {
			t.Fatalf("foreign bytes were read as\n%s", got)
		}
	})
}
