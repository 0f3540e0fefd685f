package journal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

const run = "20261123-013405-k7q2"

var at = time.Date(2026, 11, 23, 1, 34, 5, 678, time.UTC)

func records(texts ...string) []json.RawMessage {
	out := make([]json.RawMessage, len(texts))
	for i, t := range texts {
		out[i] = json.RawMessage(t)
	}
	return out
}

// write makes a journal of n segments, segment i holding the number i.
func write(t testing.TB, s store.Store, n int) *journal.Journal {
	t.Helper()
	j, err := journal.Create(t.Context(), s, run, at, records(`1`))
	for i := 2; err == nil && i <= n; i++ {
		err = j.Append(t.Context(), at.Add(time.Duration(i)*time.Second), records(fmt.Sprint(i)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// read gives the records as text, a line for each segment, up to an error.
func read(t testing.TB, s store.Store, after journal.Head) (string, error) {
	t.Helper()
	var b strings.Builder
	for seg, err := range journal.Read(t.Context(), s, run, after) {
		if err != nil {
			return b.String(), err
		}
		fmt.Fprintf(&b, "%d %s\n", seg.Number, bytes.Join(bytesOf(seg.Records), []byte(" ")))
	}
	return b.String(), nil
}

func bytesOf(records []json.RawMessage) [][]byte {
	out := make([][]byte, len(records))
	for i, r := range records {
		out[i] = r
	}
	return out
}

func wantRead(t *testing.T, s store.Store, after journal.Head, want string) {
	t.Helper()
	got, err := read(t, s, after)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("journal differs (-want +got):\n%s", diff)
	}
}

func TestRecordsComeBackInOrder(t *testing.T) {
	s := memstore.New()
	j, err := journal.Create(t.Context(), s, run, at, records(`{"a": "b\nc"}`, `[]`))
	if err != nil {
		t.Fatal(err)
	}
	first := j.Head()
	if err := j.Append(t.Context(), at, records(`{"ü":1}`)); err != nil {
		t.Fatal(err)
	}
	wantRead(t, s, journal.Head{}, "1 {\"a\": \"b\\nc\"} []\n2 {\"ü\":1}\n")
	wantRead(t, s, first, "2 {\"ü\":1}\n")
	wantRead(t, s, j.Head(), "")
	for seg, err := range journal.Read(t.Context(), s, run, journal.Head{}) {
		if err != nil || !seg.Time.Equal(at) {
			t.Errorf("segment %d has time %v, want %v (error %v)", seg.Number, seg.Time, at, err)
		}
	}
}

func TestOpenContinuesBehindTheLastSegment(t *testing.T) {
	s := memstore.New()
	if _, err := journal.Open(t.Context(), s, run, nil); !errors.Is(err, journal.ErrNone) {
		t.Fatalf("Open without a journal: %v", err)
	}
	write(t, s, 3)
	n := 0
	j, err := journal.Open(t.Context(), s, run, func(journal.Segment) error { n++; return nil })
	if err != nil || n != 3 {
		t.Fatalf("Open gave %d segments, error %v", n, err)
	}
	if err := j.Append(t.Context(), at, records(`4`)); err != nil {
		t.Fatal(err)
	}
	wantRead(t, s, journal.Head{}, "1 1\n2 2\n3 3\n4 4\n")
	stop := errors.New("stop")
	if _, err := journal.Open(t.Context(), s, run, func(journal.Segment) error { return stop }); !errors.Is(err, stop) {
		t.Fatalf("Open with a failing callback: %v", err)
	}
}

func TestCreateRefusesASecondJournal(t *testing.T) {
	s := memstore.New()
	write(t, s, 1)
	if _, err := journal.Create(t.Context(), s, run, at, records(`1`)); !errors.Is(err, journal.ErrExists) {
		t.Fatalf("second Create: %v", err)
	}
	for _, id := range []string{"", "a/b"} {
		if _, err := journal.Create(t.Context(), s, id, at, records(`1`)); err == nil {
			t.Errorf("Create took the ID %q", id)
		}
	}
}

func TestWhoWritesASegmentFencesTheOther(t *testing.T) {
	s := memstore.New()
	old := write(t, s, 2)
	next, err := journal.Open(t.Context(), s, run, func(journal.Segment) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Append(t.Context(), at, records(`"resumed"`)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and stays fenced
		if err := old.Append(t.Context(), at, records(`"resumed"`)); !errors.Is(err, journal.ErrFenced) {
			t.Fatalf("Append of the fenced process: %v", err)
		}
	}
	if err := next.Append(t.Context(), at, records(`4`)); err != nil {
		t.Fatal(err)
	}
	wantRead(t, s, journal.Head{}, "1 1\n2 2\n3 \"resumed\"\n4 4\n")
}

func TestOneOfManyResumersWins(t *testing.T) {
	s := memstore.New()
	head := write(t, s, 5).Head()
	won := make(chan int, 16)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			// The same record, so that only the writer tells them apart.
			err := journal.At(s, run, head).Append(t.Context(), at, records(`"mine"`))
			if err == nil {
				won <- i
			} else if !errors.Is(err, journal.ErrFenced) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d resumers have won", len(won))
	}
}

func TestAppendRefusesWhatCannotBeRead(t *testing.T) {
	s := memstore.New()
	j := write(t, s, 1)
	for name, rec := range map[string][]json.RawMessage{
		"no record":      nil,
		"an empty one":   records(``),
		"no JSON":        records(`1`, `{"a":`),
		"two in one":     records(`1,2`),
		"a large record": records(`"` + strings.Repeat("x", journal.MaxRecord) + `"`),
	} {
		if err := j.Append(t.Context(), at, rec); err == nil {
			t.Errorf("Append took %s", name)
		}
	}
	wantRead(t, s, journal.Head{}, "1 1\n")
}

// The store fails before or after the effect; the caller tries again, with the same
// records or, having taken the failed ones for lost, with others.
func TestAnAppendOfUnknownFateIsWrittenOnce(t *testing.T) {
	away := errors.New("store is away")
	for _, tc := range []struct {
		name   string
		before int // failures before the effect
		after  int // failures after the effect
		again  []string
		want   string
	}{
		{"lost, then the same", 2, 0, []string{`2`}, "1 1\n2 2\n3 3\n"},
		{"written, then the same", 0, 1, []string{`2`}, "1 1\n2 2\n3 3\n"},
		{"written, conflict unread, then the same", 0, 1, []string{`2`, `2`}, "1 1\n2 2\n3 2\n4 3\n"},
		{"lost, then another", 1, 0, []string{`"x"`}, "1 1\n2 \"x\"\n3 3\n"},
		{"written, then another", 0, 1, []string{`"x"`}, "1 1\n2 2\n3 \"x\"\n4 3\n"},
		{"lost, written, then the same", 1, 1, []string{`2`, `2`}, "1 1\n2 2\n3 3\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := memstore.New()
			j := write(t, s, 1)
			before, after := tc.before, tc.after
			s.Before = func(op memstore.Op) error {
				if op.Name == "put_absent" && before > 0 {
					before--
					return away
				}
				return nil
			}
			s.After = func(op memstore.Op) error {
				if op.Name == "put_absent" && before == 0 && after > 0 {
					after--
					return away
				}
				return nil
			}
			if err := j.Append(t.Context(), at, records(`2`)); !errors.Is(err, away) {
				t.Fatalf("Append: %v", err)
			}
			for i, text := range tc.again {
				// The time differs: it is the records that count.
				err := j.Append(t.Context(), at.Add(time.Hour), records(text))
				for errors.Is(err, away) {
					err = j.Append(t.Context(), at.Add(2*time.Hour), records(text))
				}
				if err != nil {
					t.Fatalf("try %d: %v", i+1, err)
				}
				if tc.name == "lost, written, then the same" {
					break
				}
			}
			if err := j.Append(t.Context(), at, records(`3`)); err != nil {
				t.Fatal(err)
			}
			wantRead(t, s, journal.Head{}, tc.want)
		})
	}
}

func TestAFailedAppendDoesNotHideAFence(t *testing.T) {
	away := errors.New("store is away")
	s := memstore.New()
	old := write(t, s, 1)
	fail := true
	s.Before = func(op memstore.Op) error {
		if fail && op.Name == "put_absent" {
			return away
		}
		return nil
	}
	if err := old.Append(t.Context(), at, records(`2`)); !errors.Is(err, away) {
		t.Fatal(err)
	}
	fail = false
	other := journal.At(s, run, old.Head())
	if err := other.Append(t.Context(), at, records(`2`)); err != nil {
		t.Fatal(err)
	}
	if err := old.Append(t.Context(), at, records(`2`)); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("Append: %v", err)
	}
}

func TestAnEndedContextStopsReading(t *testing.T) {
	s := memstore.New()
	write(t, s, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range journal.Read(ctx, s, run, journal.Head{}) {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("Read: %v", err)
		}
	}
}
