package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/store"
)

// keepSnapshots is how many snapshots a run has: one in use and one in reserve.
const keepSnapshots = 2

// Snapshot is a folded state, so that resuming need not read from the beginning.
type Snapshot struct {
	// Head is the last segment that was folded into State.
	Head
	State []byte
}

// snapshotHead is the first line of a snapshot's body; the state follows.
type snapshotHead struct {
	Format int    `json:"format"`
	Run    string `json:"run"`
	Head
}

func snapshotPrefix(run string) string { return "runs/" + run + "/snapshot/" }

// WriteSnapshot keeps a state folded up to snap.Head and drops all but the one before.
func WriteSnapshot(ctx context.Context, s store.Store, run string, snap Snapshot) error {
	head, err := json.Marshal(snapshotHead{Format: format, Run: run, Head: snap.Head})
	if err != nil {
		return err
	}
	b := frame.New(len(head) + 1 + len(snap.State))
	b = append(append(b, head...), '\n')
	b = append(b, snap.State...)
	frame.Close(b)
	_, err = s.PutAbsent(ctx, fmt.Sprintf("%s%010d", snapshotPrefix(run), snap.Number), b)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("write snapshot of run %s: %w", run, err)
	}
	items, err := s.List(ctx, snapshotPrefix(run), "", 100)
	if err != nil {
		return fmt.Errorf("drop old snapshots of run %s: %w", run, err)
	}
	for i := 0; i < len(items)-keepSnapshots; i++ {
		if err := s.Delete(ctx, items[i].Key, items[i].Version); err != nil && !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("drop old snapshots of run %s: %w", run, err)
		}
	}
	return nil
}

// Latest is the newest undamaged snapshot, nil when there is none. Damaged ones
// are listed and passed over: the journal has everything they had.
func Latest(ctx context.Context, s store.Store, run string) (snap *Snapshot, damaged []*DamageError, err error) {
	items, err := s.List(ctx, snapshotPrefix(run), "", 100)
	if err != nil {
		return nil, nil, fmt.Errorf("read snapshots of run %s: %w", run, err)
	}
	for i := len(items) - 1; i >= 0; i-- {
		snap, what := openSnapshot(run, items[i])
		if what == "" {
			return snap, damaged, nil
		}
		damaged = append(damaged, &DamageError{Run: run, Key: items[i].Key, What: what})
	}
	return nil, damaged, nil
}

// openSnapshot says what is wrong where the snapshot cannot be used.
func openSnapshot(run string, it store.Item) (snap *Snapshot, what string) {
	body, _, err := frame.Open(it.Value)
	if err != nil {
		return nil, err.Error()
	}
	line, state, _ := bytes.Cut(body, []byte("\n"))
	var head snapshotHead
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, "is not in the form of a snapshot: " + err.Error()
	}
	switch {
	case head.Format > format:
		return nil, "was " + ErrNewer.Error()
	case head.Run != run:
		return nil, fmt.Sprintf("belongs to run %q", head.Run)
	case it.Key != fmt.Sprintf("%s%010d", snapshotPrefix(run), head.Number):
		return nil, fmt.Sprintf("holds the snapshot of segment %d", head.Number)
	}
	return &Snapshot{Head: head.Head, State: state}, ""
}
