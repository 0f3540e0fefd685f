package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/store"
)

// Diversion keeps segments while the store takes none; spool.Spool is the real one.
type Diversion interface {
	// Put keeps a segment under the key that it is to have in the store.
	Put(key string, value []byte)
}

// Divert makes the journal go on in d, as if the store were there: numbers and
// hashes follow those of the store. The batch whose Append failed last must come
// first, with the same time, so that its segment has the bytes that may have
// reached the store after all.
func (j *Journal) Divert(d Diversion) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.diversion = d
}

// Rejoin ends Divert, once Join has brought everything to the store.
func (j *Journal) Rejoin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.diversion = nil
}

// ForkError means that a journal goes on otherwise than the segments that were
// diverted from it: another process has taken over the run meanwhile.
type ForkError struct {
	Run string
	// Segment is the first that differs.
	Segment int
	// Stored and Diverted are the hashes of the two; Stored is empty when the
	// store has no such segment.
	Stored, Diverted string
}

func (e *ForkError) Error() string {
	if e.Stored == "" {
		return fmt.Sprintf("what was recorded beside the state follows segment %d of run %s (%.12s), which the journal does not have", e.Segment, e.Run, e.Diverted)
	}
	return fmt.Sprintf("the journal of run %s goes on otherwise than what was recorded beside the state: its segment %d is %.12s, the other is %.12s",
		e.Run, e.Segment, e.Stored, e.Diverted)
}

// Join brings diverted segments, in order, to the store and returns the place
// behind them. It may be called again after a failure: what is there already is
// left alone. A *ForkError means that the journal has gone on without them; then
// those that are not in the store yet stay out of it.
func Join(ctx context.Context, s store.Store, run string, items []store.Item) (Head, error) {
	if len(items) == 0 {
		return Head{}, errors.New("journal: nothing was diverted")
	}
	from, err := before(run, items[0])
	if err != nil {
		return Head{}, err
	}
	heads := make([]Head, len(items))
	at := from
	for i, it := range items {
		seg, err := decode(run, at, it.Key, it.Value)
		if err != nil {
			return Head{}, err
		}
		heads[i], at = seg.Head, seg.Head
	}
	if from.Number > 0 {
		if err := follows(ctx, s, run, from); err != nil {
			return Head{}, err
		}
	}
	for i, it := range items {
		_, err := s.PutAbsent(ctx, it.Key, it.Value)
		if errors.Is(err, store.ErrConflict) {
			err = same(ctx, s, run, heads[i], it)
		}
		if err != nil {
			return Head{}, fmt.Errorf("write segment %d of run %s: %w", heads[i].Number, run, err)
		}
	}
	return at, nil
}

// before is the place that a segment says it follows.
func before(run string, it store.Item) (Head, error) {
	_, content, err := open(run, it)
	if err != nil {
		return Head{}, err
	}
	var b body
	if err := json.Unmarshal(content, &b); err != nil || b.Segment < 1 {
		return Head{}, &DamageError{Run: run, Key: it.Key, What: "is not in the form of a segment"}
	}
	if b.Segment == 1 {
		return Head{}, nil
	}
	return Head{Number: b.Segment - 1, Hash: b.Previous}, nil
}

// follows makes sure that the store has the segment that head speaks of.
func follows(ctx context.Context, s store.Store, run string, head Head) error {
	it, err := s.Get(ctx, key(run, head.Number))
	if errors.Is(err, store.ErrNotFound) {
		return &ForkError{Run: run, Segment: head.Number, Diverted: head.Hash}
	}
	if err != nil {
		return fmt.Errorf("read segment %d of run %s: %w", head.Number, run, err)
	}
	hash, _, err := open(run, it)
	if err == nil && hash != head.Hash {
		err = &ForkError{Run: run, Segment: head.Number, Stored: hash, Diverted: head.Hash}
	}
	return err
}

// same makes sure that a segment which was there already is the diverted one.
func same(ctx context.Context, s store.Store, run string, head Head, want store.Item) error {
	it, err := s.Get(ctx, want.Key)
	if err != nil || string(it.Value) == string(want.Value) {
		return err
	}
	hash, _, err := open(run, it)
	if err != nil {
		return err
	}
	return &ForkError{Run: run, Segment: head.Number, Stored: hash, Diverted: head.Hash}
}

// Over is a store as it will be once the diverted items are in it. Only reading
// sees them.
func Over(s store.Store, items []store.Item) store.Store { return &over{s, items} }

type over struct {
	store.Store
	items []store.Item
}

var _ store.Store = (*over)(nil)

// Get implements store.Store.
func (o *over) Get(ctx context.Context, key string) (store.Item, error) {
	it, err := o.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		for _, own := range o.items {
			if own.Key == key {
				return own, nil
			}
		}
	}
	return it, err
}

// List implements store.Store.
func (o *over) List(ctx context.Context, prefix, startAfter string, limit int) ([]store.Item, error) {
	items, err := o.Store.List(ctx, prefix, startAfter, limit)
	if err != nil {
		return nil, err
	}
	byKey := func(a, b store.Item) int { return strings.Compare(a.Key, b.Key) }
	for _, own := range o.items {
		if !strings.HasPrefix(own.Key, prefix) || own.Key <= startAfter {
			continue
		}
		if i, there := slices.BinarySearchFunc(items, own, byKey); !there {
			items = slices.Insert(items, i, own)
		}
	}
	return items[:min(limit, len(items))], nil
}

// open checks the frame of a stored segment.
func open(run string, it store.Item) (hash string, content []byte, err error) {
	content, hash, err = frame.Open(it.Value)
	if err != nil {
		return "", nil, &DamageError{Run: run, Key: it.Key, What: err.Error()}
	}
	return hash, content, nil
}
