// Package storetest is the conformance suite of store.Store. A store adopts it by
// calling Run in a test, and Main in TestMain when other processes can open
// the same store: the suite then runs the test binary again as competing processes.
package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/store"
)

// Suite says how to reach the store under test.
type Suite struct {
	// Place makes the name of an empty store.
	Place func(t testing.TB) string
	// Open opens the store at a place; two Opens of one place see the same items.
	Open func(place string) (store.Store, error)
	// Processes: other processes can open the same place, and TestMain calls Main.
	Processes bool
	// Durable: items are still there when all have closed the store.
	Durable bool
}

// Run checks every promise of the interface, each in a subtest that stands alone.
func Run(t *testing.T, s Suite) {
	for name, check := range map[string]func(*testing.T, Suite){
		"AMissingKeyIsNotFound":               missingKey,
		"PutAbsentWritesOnlyOnce":             putAbsentOnce,
		"PutVersionNeedsTheVersion":           putVersion,
		"AVersionNeverComesBack":              versionsNeverComeBack,
		"DeleteNeedsTheVersion":               deleteVersion,
		"ListIsInTheOrderOfBytes":             listOrder,
		"ListPagesMeetWithoutGaps":            listPages,
		"ValuesComeBackAsTheyWere":            values,
		"ValuesBelongToTheirCaller":           ownership,
		"AnEndedContextWritesNothing":         endedContext,
		"ItemsSurviveReopening":               reopen,
		"TheLineageStays":                     lineage,
		"AClosedStoreGivesErrors":             closed,
		"OneOfManyGoroutinesWinsAKey":         raceAbsent,
		"CompareAndSwapLosesNoUpdate":         raceVersion,
		"OneOfManyProcessesWinsAKey":          processesAbsent,
		"NoUpdateIsLostBetweenProcesses":      processesVersion,
		"WhatAKilledProcessWasToldIsWritten":  killedProcess,
		"ManyProcessesCanCreateTheSameStore":  processesCreate,
		"WhatManyProcessesSeeIsLinearizable":  processesCrowd,
		"AReaderSeesEveryWriteThatReturned":   readYourWrites,
		"AListNeverShowsAGapInAnAppendedList": noGaps,
	} {
		t.Run(name, func(t *testing.T) { check(t, s) })
	}
}

func (s Suite) open(t *testing.T) store.Store {
	t.Helper()
	return s.openAt(t, s.Place(t))
}

func (s Suite) openAt(t *testing.T, place string) store.Store {
	t.Helper()
	st, err := s.Open(place)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func put(t *testing.T, st store.Store, key, value string) string {
	t.Helper()
	v, err := st.PutAbsent(t.Context(), key, []byte(value))
	if err != nil {
		t.Fatalf("PutAbsent(%q): %v", key, err)
	}
	return v
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: error is %v, want %v", what, got, want)
	}
}

func wantValue(t *testing.T, st store.Store, key, want string) store.Item {
	t.Helper()
	it, err := st.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if it.Key != key || string(it.Value) != want {
		t.Fatalf("Get(%q) = %q: %q, want %q", key, it.Key, it.Value, want)
	}
	return it
}

func missingKey(t *testing.T, s Suite) {
	st := s.open(t)
	_, err := st.Get(t.Context(), "a")
	wantErr(t, "Get", err, store.ErrNotFound)
	put(t, st, "ab", "x")
	_, err = st.Get(t.Context(), "a")
	wantErr(t, "Get of a prefix of another key", err, store.ErrNotFound)
}

func putAbsentOnce(t *testing.T, s Suite) {
	st := s.open(t)
	v := put(t, st, "a", "first")
	if v == "" {
		t.Fatal("PutAbsent gave an empty version")
	}
	_, err := st.PutAbsent(t.Context(), "a", []byte("second"))
	wantErr(t, "second PutAbsent", err, store.ErrConflict)
	if it := wantValue(t, st, "a", "first"); it.Version != v {
		t.Fatalf("Get gives version %q, PutAbsent gave %q", it.Version, v)
	}
}

func putVersion(t *testing.T, s Suite) {
	st := s.open(t)
	_, err := st.PutVersion(t.Context(), "a", []byte("x"), "1")
	wantErr(t, "PutVersion of a missing key", err, store.ErrConflict)
	v1 := put(t, st, "a", "one")
	v2, err := st.PutVersion(t.Context(), "a", []byte("two"), v1)
	if err != nil {
		t.Fatal(err)
	}
	if v1 == v2 {
		t.Fatalf("version stayed %q", v1)
	}
	_, err = st.PutVersion(t.Context(), "a", []byte("three"), v1)
	wantErr(t, "PutVersion with an old version", err, store.ErrConflict)
	_, err = st.PutVersion(t.Context(), "a", []byte("three"), "not a version")
	wantErr(t, "PutVersion with nonsense", err, store.ErrConflict)
	_, err = st.PutVersion(t.Context(), "a", []byte("three"), "")
	wantErr(t, "PutVersion with an empty version", err, store.ErrConflict)
	if it := wantValue(t, st, "a", "two"); it.Version != v2 {
		t.Fatalf("Get gives version %q, PutVersion gave %q", it.Version, v2)
	}
}

func versionsNeverComeBack(t *testing.T, s Suite) {
	st := s.open(t)
	seen := map[string]bool{}
	for range 20 {
		v := put(t, st, "a", "same value")
		if seen[v] {
			t.Fatalf("version %q was given twice", v)
		}
		seen[v] = true
		if err := st.Delete(t.Context(), "a", v); err != nil {
			t.Fatal(err)
		}
	}
	put(t, st, "a", "same value")
	for v := range seen {
		_, err := st.PutVersion(t.Context(), "a", []byte("late"), v)
		wantErr(t, "PutVersion from before a delete", err, store.ErrConflict)
		wantErr(t, "Delete from before a delete", st.Delete(t.Context(), "a", v), store.ErrConflict)
	}
	wantValue(t, st, "a", "same value")
}

func deleteVersion(t *testing.T, s Suite) {
	st := s.open(t)
	if err := st.Delete(t.Context(), "a", "1"); err != nil {
		t.Fatalf("Delete of a missing key: %v", err)
	}
	v1 := put(t, st, "a", "one")
	v2, err := st.PutVersion(t.Context(), "a", []byte("two"), v1)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Delete with an old version", st.Delete(t.Context(), "a", v1), store.ErrConflict)
	wantErr(t, "Delete with nonsense", st.Delete(t.Context(), "a", "not a version"), store.ErrConflict)
	wantValue(t, st, "a", "two")
	if err := st.Delete(t.Context(), "a", v2); err != nil {
		t.Fatal(err)
	}
	_, err = st.Get(t.Context(), "a")
	wantErr(t, "Get after Delete", err, store.ErrNotFound)
	if err := st.Delete(t.Context(), "a", v2); err != nil {
		t.Fatalf("second Delete: %v", err)
	}
}

// awkward keys: what pattern matching, collation and text decoding get wrong.
var awkward = []string{
	"A", "a", "a/", "a/1", "a/10", "a/2", "a%", "a_b", "a[b]", "a*", "a b", "a'b", `a"b`, `a\b`,
	"aé", "a\u65e5\u672c", "a\U0001F680", "b", "Ä", "ä", "a\x7f", "a-", "a.",
}

func listOrder(t *testing.T, s Suite) {
	st := s.open(t)
	for _, k := range awkward {
		put(t, st, k, "value of "+k)
	}
	for _, prefix := range append([]string{"", "a/1", "c", "zz"}, awkward...) {
		for _, after := range append([]string{"", "a/15", "a/zz", "\U0001F680"}, awkward...) {
			var want []string
			for _, k := range awkward {
				if len(k) >= len(prefix) && k[:len(prefix)] == prefix && k > after {
					want = append(want, k)
				}
			}
			slices.Sort(want)
			items, err := st.List(t.Context(), prefix, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, it := range items {
				got = append(got, it.Key)
				if string(it.Value) != "value of "+it.Key || it.Version == "" {
					t.Fatalf("List gives %q = %q, version %q", it.Key, it.Value, it.Version)
				}
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("List(prefix %q, after %q) differs (-want +got):\n%s", prefix, after, diff)
			}
		}
	}
}

func listPages(t *testing.T, s Suite) {
	st := s.open(t)
	var want []string
	for i := range 600 { // more than two pages of Scan
		want = append(want, fmt.Sprintf("p/%04d", i))
		put(t, st, want[i], "x")
	}
	put(t, st, "o", "before")
	put(t, st, "q", "behind")
	for _, limit := range []int{0, 1, 7, 599, 600, 601} {
		items, err := st.List(t.Context(), "p/", "", limit)
		if err != nil || len(items) != min(limit, 600) {
			t.Fatalf("List with limit %d gives %d items, error %v", limit, len(items), err)
		}
	}
	var got []string
	for it, err := range store.Scan(t.Context(), st, "p/", "") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, it.Key)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Fatalf("Scan differs (-want +got):\n%s", diff)
	}
}

func values(t *testing.T, s Suite) {
	st := s.open(t)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, v := range [][]byte{nil, {}, {0}, all, bytes.Repeat(all, 8<<10), []byte("123"), []byte("1e5")} {
		key := "v/" + strconv.Itoa(i)
		if _, err := st.PutAbsent(t.Context(), key, v); err != nil {
			t.Fatal(err)
		}
		it, err := st.Get(t.Context(), key)
		if err != nil || !bytes.Equal(it.Value, v) {
			t.Fatalf("value %d: %d bytes come back as %d, error %v", i, len(v), len(it.Value), err)
		}
		if _, err := st.PutVersion(t.Context(), key, v, it.Version); err != nil {
			t.Fatal(err)
		}
	}
}

func ownership(t *testing.T, s Suite) {
	st := s.open(t)
	value := []byte("kept")
	if _, err := st.PutAbsent(t.Context(), "a", value); err != nil {
		t.Fatal(err)
	}
	copy(value, "XXXX")
	copy(wantValue(t, st, "a", "kept").Value, "YYYY")
	items, err := st.List(t.Context(), "a", "", 1)
	if err != nil || len(items) != 1 {
		t.Fatalf("List gives %v, %v", items, err)
	}
	copy(items[0].Value, "ZZZZ")
	wantValue(t, st, "a", "kept")
}

func endedContext(t *testing.T, s Suite) {
	st := s.open(t)
	v := put(t, st, "a", "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := st.PutAbsent(ctx, "b", nil)
	wantErr(t, "PutAbsent", err, context.Canceled)
	_, err = st.PutVersion(ctx, "a", nil, v)
	wantErr(t, "PutVersion", err, context.Canceled)
	wantErr(t, "Delete", st.Delete(ctx, "a", v), context.Canceled)
	_, err = st.Get(ctx, "a")
	wantErr(t, "Get", err, context.Canceled)
	_, err = st.List(ctx, "", "", 1)
	wantErr(t, "List", err, context.Canceled)
	wantValue(t, st, "a", "one")
	_, err = st.Get(t.Context(), "b")
	wantErr(t, "Get of what was not written", err, store.ErrNotFound)
}

func reopen(t *testing.T, s Suite) {
	if !s.Durable {
		t.Skip("the store does not declare that it is durable")
	}
	place := s.Place(t)
	st := s.openAt(t, place)
	v := put(t, st, "a", "one")
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = s.openAt(t, place)
	if it := wantValue(t, st, "a", "one"); it.Version != v {
		t.Fatalf("version was %q, is %q", v, it.Version)
	}
	if _, err := st.PutVersion(t.Context(), "a", []byte("two"), v); err != nil {
		t.Fatal(err)
	}
}

func lineage(t *testing.T, s Suite) {
	place := s.Place(t)
	var seen []string
	for range 2 {
		l, err := s.openAt(t, place).Lineage(t.Context())
		if err != nil || l == "" {
			t.Fatalf("Lineage gives %q, %v", l, err)
		}
		seen = append(seen, l)
	}
	other, err := s.open(t).Lineage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if seen[0] != seen[1] || seen[0] == other {
		t.Fatalf("lineage of one store is %q and %q, of another %q", seen[0], seen[1], other)
	}
}

func closed(t *testing.T, s Suite) {
	st := s.open(t)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Get(t.Context(), "a"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get on a closed store: %v", err)
	}
	if _, err := st.PutAbsent(t.Context(), "a", nil); err == nil {
		t.Fatal("PutAbsent on a closed store succeeded")
	}
}

func raceAbsent(t *testing.T, s Suite) {
	place := s.Place(t)
	stores := []store.Store{s.openAt(t, place), s.openAt(t, place)}
	const keys, writers = 40, 8
	wins := make([][]int, keys)
	var mu sync.Mutex
	inParallel(t, writers, func(w int) error {
		for k := range keys {
			_, err := stores[w%2].PutAbsent(t.Context(), strconv.Itoa(k), []byte(strconv.Itoa(w)))
			if err == nil {
				mu.Lock()
				wins[k] = append(wins[k], w)
				mu.Unlock()
			} else if !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
		return nil
	})
	for k, ws := range wins {
		if len(ws) != 1 {
			t.Fatalf("key %d was won by writers %v", k, ws)
		}
		wantValue(t, stores[0], strconv.Itoa(k), strconv.Itoa(ws[0]))
	}
}

func raceVersion(t *testing.T, s Suite) {
	place := s.Place(t)
	stores := []store.Store{s.openAt(t, place), s.openAt(t, place)}
	put(t, stores[0], "n", "0")
	const writers, each = 6, 25
	inParallel(t, writers, func(w int) error {
		for range each {
			if err := increment(t.Context(), stores[w%2], "n"); err != nil {
				return err
			}
		}
		return nil
	})
	wantValue(t, stores[1], "n", strconv.Itoa(writers*each))
}

// increment adds one to a number by compare and swap.
func increment(ctx context.Context, st store.Store, key string) error {
	for {
		it, err := st.Get(ctx, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(it.Value))
		if err != nil {
			return err
		}
		_, err = st.PutVersion(ctx, key, []byte(strconv.Itoa(n+1)), it.Version)
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func readYourWrites(t *testing.T, s Suite) {
	place := s.Place(t)
	writer, reader := s.openAt(t, place), s.openAt(t, place)
	for i := range 50 {
		key := fmt.Sprintf("k/%03d", i)
		put(t, writer, key, "x")
		wantValue(t, writer, key, "x")
		wantValue(t, reader, key, "x")
		if items, err := reader.List(t.Context(), "k/", "", 100); err != nil || len(items) != i+1 {
			t.Fatalf("after %d writes List gives %d items, error %v", i+1, len(items), err)
		}
	}
}

func noGaps(t *testing.T, s Suite) {
	place := s.Place(t)
	writer, reader := s.openAt(t, place), s.openAt(t, place)
	const n = 200
	done := make(chan error, 1)
	go func() {
		for i := range n {
			if _, err := writer.PutAbsent(t.Context(), fmt.Sprintf("j/%05d", i), nil); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for finished := false; !finished; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			finished = true
		default:
		}
		items, err := reader.List(t.Context(), "j/", "", n+1)
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range items {
			if want := fmt.Sprintf("j/%05d", i); it.Key != want {
				t.Fatalf("item %d of the list is %s, want %s", i, it.Key, want)
			}
		}
		if finished && len(items) != n {
			t.Fatalf("the list has %d items at the end, want %d", len(items), n)
		}
	}
}

// inParallel runs n workers and fails with their first error.
func inParallel(t *testing.T, n int, work func(i int) error) {
	t.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	if err := cmp.Or(errs...); err != nil {
		t.Fatal(err)
	}
}
