// Package lock keeps two runs from acting on the same environment, two processes
// from driving the same run, and proves that a run's earlier processes are gone.
//
// Both kinds of locks live in the store. A process makes a Keeper, which takes
// them, renews them, and tells when one is lost; every Take gives a larger fence,
// which Check compares just before acting. The liveness lock is a file on this
// machine; see AcquireAlive.
//
// No two clocks are compared. A holder changes its entry several times within its
// lease; who wants the lock takes the holder for gone after having seen the entry
// unchanged for the whole lease, on its own clock. Taking over is a conditional
// write on exactly the entry that was watched.
package lock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/store"
)

// ErrLost means that the lock has been freed or taken by another since.
var ErrLost = errors.New("lock lost")

// Holder says who has a lock.
type Holder struct {
	Run       string    `json:"run"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Initiator string    `json:"initiator"`
	Since     time.Time `json:"since"`
	// Process tells the processes of a run apart.
	Process string `json:"process,omitempty"`
	// Alive names the liveness lock that the process holds, Place the folder that
	// it is in; see Liveness.
	Alive string `json:"alive,omitempty"`
	Place string `json:"place,omitempty"`
	// Lease is how long the entry may stay as it is before the holder counts as
	// gone; the default when 0.
	Lease time.Duration `json:"lease_ns,omitempty"`
}

func (h Holder) String() string {
	return fmt.Sprintf("run %s (%s on %s, process %d) since %s", h.Run, h.Initiator, h.Host, h.PID, h.Since.UTC().Format(time.RFC3339))
}

// HeldError means that another has the lock.
type HeldError struct {
	// Environment is empty for the lock of a run.
	Environment string `json:"environment,omitempty"`
	Holder      Holder `json:"holder"`
	Fence       int64  `json:"fence"`
	// Life of the holder, as far as it is known here.
	Life Life `json:"life,omitempty"`
	// Keeps says why the run keeps the lock although its processes are gone.
	Keeps string `json:"keeps,omitempty"`
}

func (e *HeldError) Error() string {
	if e.Environment == "" {
		return fmt.Sprintf("run %s is driven by process %d on %s (%s) since %s",
			e.Holder.Run, e.Holder.PID, e.Holder.Host, e.Holder.Initiator, e.Holder.Since.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("environment %q is locked by %s", e.Environment, e.Holder)
}

// Broken is the record of a lock that a person took away from its holder.
type Broken struct {
	By   string    `json:"by"`
	Host string    `json:"host"`
	At   time.Time `json:"at"`
	Why  string    `json:"why,omitempty"`
	// From is the holder that lost it.
	From Holder `json:"from"`
}

// entry is a lock as it is stored. A free one stays, since it knows the last fence.
type entry struct {
	Environment string  `json:"environment,omitempty"`
	Run         string  `json:"run,omitempty"`
	Fence       int64   `json:"fence"`
	Holder      *Holder `json:"holder"`
	// Beat counts renewals.
	Beat int64 `json:"beat,omitempty"`
	// Broken is set until the lock is taken again.
	Broken *Broken `json:"broken,omitempty"`
}

// name is what a lock is for: an environment, or a run that is driven.
type name struct{ environment, run string }

const prefix = "locks/"

func (n name) key() string {
	if n.run != "" {
		return "runs/" + n.run + "/driver"
	}
	return prefix + url.PathEscape(n.environment)
}

func (n name) String() string {
	if n.run != "" {
		return "run " + n.run
	}
	return fmt.Sprintf("environment %q", n.environment)
}

func (e entry) name() name { return name{e.Environment, e.Run} }

func (e entry) held() *HeldError {
	return &HeldError{Environment: e.Environment, Holder: *e.Holder, Fence: e.Fence}
}

// Check returns ErrLost unless the fence is the newest of the environment and
// still held.
func Check(ctx context.Context, s store.Store, environment string, fence int64) error {
	return check(ctx, s, name{environment: environment}, fence)
}

func check(ctx context.Context, s store.Store, n name, fence int64) error {
	e, _, err := load(ctx, s, n)
	if err == nil && (e.Fence != fence || e.Holder == nil) {
		err = lost(n, e)
	}
	return err
}

// lost says who has the lock now.
func lost(n name, e entry) error {
	switch {
	case e.Broken != nil:
		return fmt.Errorf("%s: %w: %s on %s took it away at %s", n, ErrLost, e.Broken.By, e.Broken.Host, e.Broken.At.UTC().Format(time.RFC3339))
	case e.Holder != nil:
		return fmt.Errorf("%s: %w: it is with %s", n, ErrLost, e.Holder)
	}
	return fmt.Errorf("%s: %w", n, ErrLost)
}

// Held lists the locks of environments that are held, in the order of their names.
func Held(ctx context.Context, s store.Store) ([]HeldError, error) {
	var out []HeldError
	for it, err := range store.Scan(ctx, s, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("list environment locks: %w", err)
		}
		e, err := decode(it)
		if err != nil {
			return nil, err
		}
		if e.Holder != nil {
			out = append(out, *e.held())
		}
	}
	return out, nil
}

// Find reads who has the lock of an environment; nil when it is free.
func Find(ctx context.Context, s store.Store, environment string) (*HeldError, error) {
	return find(ctx, s, name{environment: environment})
}

// FindRun reads who drives a run; nil when nobody does.
func FindRun(ctx context.Context, s store.Store, run string) (*HeldError, error) {
	return find(ctx, s, name{run: run})
}

func find(ctx context.Context, s store.Store, n name) (*HeldError, error) {
	e, _, err := load(ctx, s, n)
	if err != nil || e.Holder == nil {
		return nil, err
	}
	return e.held(), nil
}

// Break takes a lock away from the holder that Find or Held has shown. The fences
// of the holder are lost. When the lock has been freed or taken again meanwhile it
// does nothing and returns ErrLost.
func Break(ctx context.Context, s store.Store, held *HeldError, b Broken) error {
	n := name{environment: held.Environment}
	for {
		e, version, err := load(ctx, s, n)
		if err != nil {
			return err
		}
		if e.Fence != held.Fence || e.Holder == nil {
			return lost(n, e)
		}
		b.From = *e.Holder
		// A larger fence, so that nobody who looks takes the entry for the old one.
		e = entry{Environment: e.Environment, Fence: e.Fence + 1, Broken: &b}
		if err := save(ctx, s, e, version); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Clear removes the lock of an environment that cannot be read, and reports whether
// there was one. Fences begin anew, above all that can have been given.
func Clear(ctx context.Context, s store.Store, environment string, b Broken) (bool, error) {
	return clearOne(ctx, s, name{environment: environment}, b)
}

// ClearRun is Clear for the lock of a run.
func ClearRun(ctx context.Context, s store.Store, run string, b Broken) (bool, error) {
	return clearOne(ctx, s, name{run: run}, b)
}

func clearOne(ctx context.Context, s store.Store, n name, b Broken) (bool, error) {
	it, err := s.Get(ctx, n.key())
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the lock of %s: %w", n, err)
	}
	if _, err := decode(it); err == nil {
		return false, nil
	}
	return true, save(ctx, s, entry{Environment: n.environment, Run: n.run, Fence: b.At.UnixMilli(), Broken: &b}, it.Version)
}

// load reads a lock; one that was never taken is free, with an empty version.
func load(ctx context.Context, s store.Store, n name) (entry, string, error) {
	it, err := s.Get(ctx, n.key())
	if errors.Is(err, store.ErrNotFound) {
		return entry{Environment: n.environment, Run: n.run}, "", nil
	}
	if err != nil {
		return entry{}, "", fmt.Errorf("read the lock of %s: %w", n, err)
	}
	e, err := decode(it)
	return e, it.Version, err
}

func save(ctx context.Context, s store.Store, e entry, version string) error {
	value, err := frame.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the lock of %s: %w", e.name(), err)
	}
	if version == "" {
		_, err = s.PutAbsent(ctx, e.name().key(), value)
	} else {
		_, err = s.PutVersion(ctx, e.name().key(), value, version)
	}
	if err != nil {
		return fmt.Errorf("write the lock of %s: %w", e.name(), err)
	}
	return nil
}

// DamagedError means that a lock cannot be read, and so not be taken for free.
type DamagedError struct {
	Key string
	Err error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the lock %s is damaged: it %s", strings.TrimPrefix(e.Key, prefix), e.Err)
}

func (e *DamagedError) Unwrap() error { return e.Err }

// decode fails rather than take a damaged lock for a free one.
func decode(it store.Item) (entry, error) {
	var e entry
	err := frame.Unmarshal(it.Value, "a lock", &e)
	if err == nil && (e.name().key() != it.Key || e.Fence < 1) {
		err = errors.New("belongs to something else, or has no fence")
	}
	if err != nil {
		return entry{}, &DamagedError{Key: it.Key, Err: err}
	}
	return e, nil
}
