// Package runs is the index of all runs of a store: opened once per plan, listed
// newest first, found by a few characters of their ID.
package runs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

// Record is what the index knows of a run.
type Record struct {
	// ID is short and sorts by start: 20261123-013405-k7q2, in UTC.
	ID string `json:"id"`
	// Nonce is a UUID; keys of operations are derived from it, since IDs may meet
	// between stores.
	Nonce      string    `json:"nonce"`
	Pipeline   string    `json:"pipeline"`
	Initiator  string    `json:"initiator"`
	Host       string    `json:"host"`
	PlanDigest string    `json:"plan_digest"`
	Opened     time.Time `json:"opened"`
	// Closed is zero while the run is open.
	Closed time.Time `json:"closed,omitzero"`
	// Outcome and Summary are the caller's words; empty while the run is open.
	Outcome string `json:"outcome,omitempty"`
	Summary string `json:"summary,omitempty"`
	// Versions of runner and plugins that opened the run, by name.
	Versions map[string]string `json:"versions,omitempty"`
	// Alive names the liveness lock that the processes of the run hold.
	Alive string `json:"alive,omitempty"`
	// Journal is the end of a closed run's journal, so that a shortened one is noticed.
	Journal journal.Head `json:"journal,omitzero"`
}

// PlanUsedError means that the plan has opened its run already.
type PlanUsedError struct {
	// Run that the plan opened.
	Run string
}

func (e *PlanUsedError) Error() string {
	return fmt.Sprintf("this plan was used already: it opened run %s", e.Run)
}

// Index reads and writes the records. Its methods may be called at the same time.
type Index struct {
	store store.Store
}

// New is the index of a store.
func New(s store.Store) *Index { return &Index{store: s} }

// voided is the outcome of a record that stands only to keep its writer, who had
// claimed a plan and then fell silent, from opening the run after all.
const voided = "void"

func claimKey(planDigest string) string { return "plans/" + planDigest }

func planKey(id string) string { return "runs/" + id + "/plan" }

// Create opens a run for a plan. The caller fills Pipeline, Initiator, Host,
// PlanDigest, Opened and Versions; ID and Nonce are made here. plan is kept for
// resuming. A plan opens exactly one run: the second time it is a *PlanUsedError.
func (x *Index) Create(ctx context.Context, rec Record, plan []byte) (Record, error) {
	if rec.PlanDigest == "" {
		return Record{}, errors.New("a run needs the digest of its plan")
	}
	rec.Nonce = uuid.NewString()
	rec.Opened = rec.Opened.UTC().Truncate(time.Millisecond)
	// IDs of the same second meet once in a million; a taken one is not reused.
	for {
		rec.ID = newID(rec.Opened)
		_, err := x.store.Get(ctx, planKey(rec.ID))
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return Record{}, fmt.Errorf("open run: %w", err)
		}
	}
	if err := x.claim(ctx, rec); err != nil {
		return Record{}, err
	}
	if _, err := x.store.PutAbsent(ctx, planKey(rec.ID), plan); err != nil {
		return Record{}, fmt.Errorf("keep the plan of run %s: %w", rec.ID, err)
	}
	value, err := encode(rec)
	if err != nil {
		return Record{}, err
	}
	if _, err := x.store.PutAbsent(ctx, indexKey(rec.ID), value); errors.Is(err, store.ErrConflict) {
		return Record{}, fmt.Errorf("open run %s: another process took its plan meanwhile; plan again", rec.ID)
	} else if err != nil {
		return Record{}, fmt.Errorf("open run %s: %w", rec.ID, err)
	}
	return rec, nil
}

// claimAge is how old a claim without a run must be before it is taken over: younger
// ones belong to a process that is about to open its run.
const claimAge = 10 * time.Second

// claimed is whose a plan is, as it is stored.
type claimed struct {
	Run  string    `json:"run"`
	At   time.Time `json:"at"`
	Plan string    `json:"plan"`
}

// claim writes whose the plan is. A claim whose run was never opened is taken over,
// once its run cannot be opened any more.
func (x *Index) claim(ctx context.Context, rec Record) error {
	fail := func(err error) error { return fmt.Errorf("claim plan %s: %w", rec.PlanDigest, err) }
	k := claimKey(rec.PlanDigest)
	mine, err := encodeClaim(rec)
	if err != nil {
		return fail(err)
	}
	_, err = x.store.PutAbsent(ctx, k, mine)
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrConflict) {
		return fail(err)
	}
	earlier, err := x.store.Get(ctx, k)
	if err != nil {
		return fail(err)
	}
	theirs, err := openClaim(earlier)
	if err != nil {
		return err
	}
	run := theirs.Run
	other, _, err := x.load(ctx, run)
	if errors.As(err, new(*NotFoundError)) {
		if rec.Opened.Sub(theirs.At).Abs() < claimAge {
			return fmt.Errorf("run %s is being opened with this plan at this moment; if its process has ended, try again in %v", run, claimAge)
		}
		other = Record{ID: run, PlanDigest: rec.PlanDigest, Opened: rec.Opened, Outcome: voided}
		var value []byte
		if value, err = encode(other); err == nil {
			_, err = x.store.PutAbsent(ctx, indexKey(run), value)
		}
		if errors.Is(err, store.ErrConflict) {
			return &PlanUsedError{Run: run}
		}
	}
	if err != nil {
		return fail(err)
	}
	if other.Outcome != voided {
		return &PlanUsedError{Run: run}
	}
	_, err = x.store.PutVersion(ctx, k, mine, earlier.Version)
	if errors.Is(err, store.ErrConflict) {
		return fail(errors.New("another process is using the plan at this moment"))
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

func encodeClaim(rec Record) ([]byte, error) {
	return frame.Marshal(claimed{Run: rec.ID, At: rec.Opened, Plan: rec.PlanDigest})
}

func openClaim(it store.Item) (claimed, error) {
	var c claimed
	err := frame.Unmarshal(it.Value, "a claim", &c)
	// What a newer runner wrote is still about the plan; else it is something else.
	if (err == nil || errors.Is(err, frame.ErrNewer)) && it.Key != claimKey(c.Plan) {
		err = fmt.Errorf("is not the claim of this plan, but of %q", c.Plan)
	}
	if err != nil {
		return claimed{}, broken(c.Run, it.Key, err)
	}
	return c, nil
}

// Get reads one record by its full ID; a *NotFoundError when there is none.
func (x *Index) Get(ctx context.Context, id string) (Record, error) {
	rec, _, err := x.load(ctx, id)
	if err == nil && rec.Outcome == voided {
		return Record{}, &NotFoundError{Ref: id}
	}
	return rec, err
}

func (x *Index) load(ctx context.Context, id string) (Record, store.Item, error) {
	it, err := x.store.Get(ctx, indexKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return Record{}, it, &NotFoundError{Ref: id}
	}
	if err != nil {
		return Record{}, it, fmt.Errorf("read run %s: %w", id, err)
	}
	rec, err := decode(it)
	return rec, it, err
}

// Plan reads the plan that opened the run.
func (x *Index) Plan(ctx context.Context, id string) ([]byte, error) {
	it, err := x.store.Get(ctx, planKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &NotFoundError{Ref: id}
	}
	if err != nil {
		return nil, fmt.Errorf("read the plan of run %s: %w", id, err)
	}
	return it.Value, nil
}

// Update changes a record; change may be called again when another process wrote
// meanwhile. ID, Nonce and PlanDigest stay as they are.
func (x *Index) Update(ctx context.Context, id string, change func(*Record)) (Record, error) {
	for {
		old, it, err := x.load(ctx, id)
		if err != nil {
			return Record{}, err
		}
		rec := old
		change(&rec)
		rec.ID, rec.Nonce, rec.PlanDigest = old.ID, old.Nonce, old.PlanDigest
		value, err := encode(rec)
		if err != nil {
			return Record{}, err
		}
		_, err = x.store.PutVersion(ctx, it.Key, value, it.Version)
		if err == nil {
			return rec, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return Record{}, fmt.Errorf("write run %s: %w", id, err)
		}
	}
}

// Filter chooses runs; zero values choose all.
type Filter struct {
	Pipeline string
	// Open chooses runs that are not closed.
	Open bool
	// Outcome chooses closed runs with that outcome.
	Outcome string
	// Since leaves out runs that were opened earlier.
	Since time.Time
	// Limit is the largest number of runs; 0 means no limit.
	Limit int
}

func (f Filter) chooses(r Record) bool {
	return (f.Pipeline == "" || f.Pipeline == r.Pipeline) &&
		(!f.Open || r.Closed.IsZero()) &&
		(f.Outcome == "" || f.Outcome == r.Outcome)
}

// List yields the records that the filter chooses, newest first. A damaged record
// is yielded as a *journal.DamageError; the others follow.
func (x *Index) List(ctx context.Context, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		n := 0
		for rec, err := range x.scan(ctx, "") {
			if err == nil && rec.Opened.Before(f.Since) {
				return
			}
			if err == nil && !f.chooses(rec) {
				continue
			}
			if !yield(rec, err) {
				return
			}
			if n++; n == f.Limit {
				return
			}
		}
	}
}

// scan yields the records whose IDs begin with prefix, newest first.
func (x *Index) scan(ctx context.Context, prefix string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for it, err := range store.Scan(ctx, x.store, indexKey(prefix), "") {
			var rec Record
			if err == nil {
				rec, err = decode(it)
			}
			if err == nil && rec.Outcome == voided {
				continue
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func encode(rec Record) ([]byte, error) {
	b, err := frame.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("write run %s: %w", rec.ID, err)
	}
	return b, nil
}

func decode(it store.Item) (Record, error) {
	id := idOf(it.Key)
	var rec Record
	err := frame.Unmarshal(it.Value, "a run", &rec)
	if (err == nil || errors.Is(err, frame.ErrNewer)) && rec.ID != id {
		err = fmt.Errorf("is the record of run %q", rec.ID)
	}
	if err != nil {
		return Record{}, broken(id, it.Key, err)
	}
	return rec, nil
}

// broken is damage, or the mark of a newer runner; what ends a sentence that
// begins with the key.
func broken(run, key string, what error) error {
	if errors.Is(what, frame.ErrNewer) {
		return fmt.Errorf("run %s: %s %w", run, key, what)
	}
	return &journal.DamageError{Run: run, Key: key, What: what.Error()}
}
