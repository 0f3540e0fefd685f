package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/store"
)

// Snapshots yields every snapshot of a run, oldest first. One that cannot be used is
// a *DamageError; the others follow.
func Snapshots(ctx context.Context, s store.Store, run string) iter.Seq2[*Snapshot, error] {
	return func(yield func(*Snapshot, error) bool) {
		for it, err := range store.Scan(ctx, s, snapshotPrefix(run), "") {
			var snap *Snapshot
			if err == nil {
				var what string
				if snap, what = openSnapshot(run, it); what != "" {
					err = &DamageError{Run: run, Key: it.Key, What: what}
				}
			}
			if !yield(snap, err) {
				return
			}
		}
	}
}

// DropSnapshots removes every snapshot of a run: the journal has all that they had.
func DropSnapshots(ctx context.Context, s store.Store, run string) error {
	return removeAll(ctx, s, run, snapshotPrefix(run), "")
}

// Cut removes all segments behind after, the last one first, so that a sound chain
// stays one whenever this is interrupted. The caller has kept a copy of them, and
// nobody else drives the run.
func Cut(ctx context.Context, s store.Store, run string, after Head) error {
	start := ""
	if after.Number > 0 {
		if err := checkEnd(ctx, s, run, after); err != nil {
			return err
		}
		start = key(run, after.Number)
	}
	return removeAll(ctx, s, run, prefix(run), start)
}

func removeAll(ctx context.Context, s store.Store, run, prefix, after string) error {
	var items []store.Item
	for it, err := range store.Scan(ctx, s, prefix, after) {
		if err != nil {
			return fmt.Errorf("run %s: %w", run, err)
		}
		items = append(items, store.Item{Key: it.Key, Version: it.Version})
	}
	for _, it := range slices.Backward(items) {
		if err := s.Delete(ctx, it.Key, it.Version); errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("run %s: %s was changed by somebody else meanwhile", run, it.Key)
		} else if err != nil {
			return fmt.Errorf("run %s: remove %s: %w", run, it.Key, err)
		}
	}
	return nil
}

// Beyond yields what can be read of the segments behind number after, each by itself,
// whatever stands before it: for people, to learn what a damaged journal still tells.
func Beyond(ctx context.Context, s store.Store, run string, after int) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		for it, err := range store.Scan(ctx, s, prefix(run), key(run, after)) {
			var seg Segment
			if err == nil {
				seg, err = standalone(run, it)
			}
			if !yield(seg, err) {
				return
			}
		}
	}
}

// standalone reads a segment without the one before it.
func standalone(run string, it store.Item) (Segment, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(it.Key, prefix(run)))
	if err != nil || n < 1 {
		return Segment{}, &DamageError{Run: run, Key: it.Key, What: "is not the name of a segment"}
	}
	content, _, err := frame.Open(it.Value)
	if err != nil {
		return Segment{}, &DamageError{Run: run, Segment: n, Key: it.Key, What: err.Error()}
	}
	var b body
	if err := json.Unmarshal(content, &b); err != nil || b.Run != run {
		return Segment{}, &DamageError{Run: run, Segment: n, Key: it.Key, What: "is not in the form of a segment of this run"}
	}
	return decode(run, Head{Number: n - 1, Hash: b.Previous}, it.Key, it.Value)
}
