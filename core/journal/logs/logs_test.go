package logs_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

func line(text string) logs.Line { return logs.Line{Message: text} }

// read gives the messages of a command and the errors between them.
func read(t *testing.T, s *memstore.Store, command string) (messages []string, errs []error) {
	t.Helper()
	for l, err := range logs.Read(t.Context(), s, "r", command) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		messages = append(messages, l.Message)
	}
	return messages, errs
}

func closeWriter(t *testing.T, w *logs.Writer) logs.Ref {
	t.Helper()
	ref, err := w.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestLinesComeBackAsWritten(t *testing.T) {
	s := memstore.New()
	want := []logs.Line{
		{Time: time.Date(2026, 11, 23, 1, 34, 5, 6, time.UTC), Level: -4, Message: "a\nb\x00ü", Attrs: map[string]string{"k": "v\n"}},
		{Time: time.Date(2026, 11, 23, 1, 34, 6, 0, time.UTC), Stream: "stderr", Message: ""},
	}
	w := logs.NewWriter(s, "r", "c1")
	for _, l := range want {
		w.Write(l)
	}
	ref := closeWriter(t, w)
	var got []logs.Line
	for l, err := range logs.Read(t.Context(), s, "r", "c1") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("lines differ (-want +got):\n%s", diff)
	}
	if ref.Chunks != 1 || ref.Lines != 2 || ref.Dropped != 0 {
		t.Errorf("ref is %+v", ref)
	}
	if err := logs.Verify(t.Context(), s, "r", "c1", ref); err != nil {
		t.Error(err)
	}
	if again := closeWriter(t, w); again != ref {
		t.Errorf("second Close gives %+v, the first gave %+v", again, ref)
	}
}

func TestNoLinesNoChunks(t *testing.T) {
	s := memstore.New()
	if ref := closeWriter(t, logs.NewWriter(s, "r", "c")); ref != (logs.Ref{}) {
		t.Errorf("ref is %+v, want none", ref)
	}
	if keys := s.Keys(""); len(keys) != 0 {
		t.Errorf("the store holds %v", keys)
	}
}

func TestManyLinesBecomeFewSmallChunks(t *testing.T) {
	s := memstore.New()
	w := logs.NewWriter(s, "r", "c")
	const n = 20_000
	for i := range n {
		w.Write(line(fmt.Sprintf("line %d of a rather talkative program", i)))
	}
	ref := closeWriter(t, w)
	messages, errs := read(t, s, "c")
	if len(messages) != n || errs != nil || messages[n-1] != fmt.Sprintf("line %d of a rather talkative program", n-1) {
		t.Fatalf("%d lines come back, errors %v", len(messages), errs)
	}
	size := 0
	for _, k := range s.Keys("") {
		it, err := s.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		size += len(it.Value)
	}
	if ref.Chunks != len(s.Keys("")) || ref.Chunks > 30 || size > 300_000 {
		t.Errorf("%d chunks of %d bytes in all", ref.Chunks, size)
	}
	if err := logs.Verify(t.Context(), s, "r", "c", ref); err != nil {
		t.Error(err)
	}
}

func TestALineIsStoredWithinASecondOrSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		w := logs.NewWriter(s, "r", "c")
		for round := 1; round <= 3; round++ {
			w.Write(line("hello"))
			time.Sleep(999 * time.Millisecond)
			if n := len(s.Keys("")); n != round-1 {
				t.Fatalf("round %d: %d chunks before a second has passed", round, n)
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if n := len(s.Keys("")); n != round {
				t.Fatalf("round %d: %d chunks after a second", round, n)
			}
		}
		closeWriter(t, w)
	})
}

func TestAResumedCommandAddsToItsLog(t *testing.T) {
	s := memstore.New()
	var refs []logs.Ref
	for _, text := range []string{"first", "second"} {
		w := logs.NewWriter(s, "r", "c")
		w.Write(line(text))
		refs = append(refs, closeWriter(t, w))
	}
	messages, errs := read(t, s, "c")
	if diff := cmp.Diff([]string{"first", "second"}, messages); diff != "" || errs != nil {
		t.Fatalf("lines differ (-want +got):\n%s%v", diff, errs)
	}
	for _, ref := range refs {
		if err := logs.Verify(t.Context(), s, "r", "c", ref); err != nil {
			t.Errorf("%+v: %v", ref, err)
		}
	}
}

func TestLinesOutliveAnOutageOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		away := true
		var mu sync.Mutex
		s.Before = func(memstore.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if away {
				return errors.New("store is away")
			}
			return nil
		}
		w := logs.NewWriter(s, "r", "c")
		w.Write(line("one"))
		time.Sleep(5 * time.Second)
		w.Write(line("two"))
		mu.Lock()
		away = false
		mu.Unlock()
		time.Sleep(1100 * time.Millisecond)
		messages, errs := read(t, s, "c")
		if diff := cmp.Diff([]string{"one", "two"}, messages); diff != "" || errs != nil {
			t.Fatalf("lines differ (-want +got):\n%s%v", diff, errs)
		}
		if ref := closeWriter(t, w); ref.Lines != 2 || ref.Dropped != 0 {
			t.Errorf("ref is %+v", ref)
		}
	})
}

func TestALongOutageDropsTheOldestAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		away := errors.New("store is away")
		fail := true
		var mu sync.Mutex
		s.Before = func(memstore.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if fail {
				return away
			}
			return nil
		}
		w := logs.NewWriter(s, "r", "c")
		const n = 50_000
		for i := range n {
			w.Write(line(fmt.Sprintf("%06d %s", i, strings.Repeat("x", 90))))
		}
		mu.Lock()
		fail = false
		mu.Unlock()
		ref := closeWriter(t, w)
		messages, errs := read(t, s, "c")
		if errs != nil {
			t.Fatal(errs)
		}
		if ref.Dropped == 0 || ref.Lines+ref.Dropped != n || len(messages) != ref.Lines+1 {
			t.Fatalf("ref is %+v, %d messages come back", ref, len(messages))
		}
		if want := fmt.Sprintf("%d lines are missing here: the state could not be written", ref.Dropped); messages[0] != want {
			t.Errorf("the first line is %q, want %q", messages[0], want)
		}
		if !strings.HasPrefix(messages[1], fmt.Sprintf("%06d ", ref.Dropped)) {
			t.Errorf("the second line is %.10q, want number %d", messages[1], ref.Dropped)
		}
	})
}

func TestCloseDuringAnOutageCountsWhatIsLost(t *testing.T) {
	s := memstore.New()
	away := errors.New("store is away")
	s.Before = func(memstore.Op) error { return away }
	w := logs.NewWriter(s, "r", "c")
	w.Write(line("lost"))
	ref, err := w.Close(t.Context())
	if !errors.Is(err, away) || ref.Dropped != 1 || ref.Lines != 0 {
		t.Fatalf("Close gives %+v, %v", ref, err)
	}
	w.Write(line("too late"))
	if again, _ := w.Close(t.Context()); again != ref {
		t.Errorf("second Close gives %+v, the first gave %+v", again, ref)
	}
}

func TestAChunkOfWhichTheStoreDidNotTellIsWrittenOnce(t *testing.T) {
	s := memstore.New()
	fail := true
	s.After = func(op memstore.Op) error {
		if op.Name == "put_absent" && fail {
			fail = false
			return errors.New("connection reset")
		}
		return nil
	}
	w := logs.NewWriter(s, "r", "c")
	const n = 3000
	for i := range n {
		w.Write(line(fmt.Sprintf("%04d %s", i, strings.Repeat("y", 60))))
	}
	ref := closeWriter(t, w)
	messages, errs := read(t, s, "c")
	if fail || len(messages) != n || errs != nil || ref.Lines != n {
		t.Fatalf("%d of %d lines come back, ref %+v, errors %v", len(messages), n, ref, errs)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	s := memstore.New()
	w := logs.NewWriter(s, "r", "c")
	attrs := map[string]string{}
	for i := range 100 {
		attrs[fmt.Sprintf("%03d%s", i, strings.Repeat("k", 300))] = strings.Repeat("\x01", 10_000)
	}
	w.Write(logs.Line{Message: strings.Repeat("é", 100_001)})
	w.Write(logs.Line{Message: "b", Attrs: attrs, Time: time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC)})
	closeWriter(t, w)
	var got []logs.Line
	for l, err := range logs.Read(t.Context(), s, "r", "c") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if len(got) != 2 || !strings.HasSuffix(got[0].Message, "é… (134466 bytes more)") {
		t.Fatalf("%d lines; the message ends with %q", len(got), got[0].Message[len(got[0].Message)-40:])
	}
	if len(got[1].Attrs) != 64 || got[1].Attrs["…"] != "(37 attributes more)" {
		t.Errorf("%d attributes are kept, the last is %q", len(got[1].Attrs), got[1].Attrs["…"])
	}
}

func TestWritersAndClosersAtTheSameTime(t *testing.T) {
	s := memstore.New()
	w := logs.NewWriter(s, "r", "c")
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				w.Write(line(strings.Repeat("z", 50)))
			}
		})
	}
	wg.Wait()
	ref := closeWriter(t, w)
	messages, _ := read(t, s, "c")
	if len(messages) != writers*each || ref.Lines != writers*each {
		t.Fatalf("%d lines come back, ref %+v", len(messages), ref)
	}
}

func TestCommandsListsEachOnce(t *testing.T) {
	s := memstore.New()
	for _, c := range []string{"b", "a", "a0", "a-1", "a/1"} {
		w := logs.NewWriter(s, "r", c)
		w.Write(line("x"))
		closeWriter(t, w)
		w = logs.NewWriter(s, "r", c)
		w.Write(line("y"))
		closeWriter(t, w)
		if messages, errs := read(t, s, c); len(messages) != 2 || errs != nil {
			t.Errorf("command %s has the lines %v, errors %v", c, messages, errs)
		}
	}
	got, err := logs.Commands(t.Context(), s, "r")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "a-1", "a/1", "a0", "b"}, slices.Sorted(slices.Values(got))); diff != "" {
		t.Errorf("commands differ (-want +got):\n%s", diff)
	}
}

func TestDamagedChunksAreNamedAndPassedOver(t *testing.T) {
	s := memstore.New()
	var refs logs.Ref
	for _, text := range []string{"one", "two", "three"} {
		w := logs.NewWriter(s, "r", "c")
		w.Write(line(text))
		refs = closeWriter(t, w)
	}
	const key = "runs/r/logs/c/000001"
	it, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range it.Value {
		s.Corrupt(key, func([]byte) []byte {
			b := bytes.Clone(it.Value)
			b[i] ^= 2
			return b
		})
		messages, errs := read(t, s, "c")
		var damage *journal.DamageError
		if len(errs) != 1 || !errors.As(errs[0], &damage) || damage.Key != key {
			t.Fatalf("with byte %d changed the errors are %v", i, errs)
		}
		if diff := cmp.Diff([]string{"one", "three"}, messages); diff != "" {
			t.Fatalf("lines differ (-want +got):\n%s", diff)
		}
	}
	if err := logs.Verify(t.Context(), s, "r", "c", refs); err != nil {
		t.Errorf("Verify of an undamaged part: %v", err)
	}
	refs.First = 0
	if err := logs.Verify(t.Context(), s, "r", "c", refs); !errors.As(err, new(*journal.DamageError)) {
		t.Errorf("Verify of other chunks than were written: %v", err)
	}
}
