// Package lock keeps two runs from acting on the same environment, and proves that a
// run's earlier processes are gone.
//
// An environment's lock lives in the store and belongs to a run, not to a process:
// Take it when the first stage of the environment starts. Each Take gives a larger
// fence; Check with the fence before acting. The liveness lock is a file on
// this machine; see AcquireAlive.
package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

// ErrLost means that the lock has been freed or taken by another since.
var ErrLost = errors.New("environment lock lost")

// Holder says who has a lock, for people.
type Holder struct {
	Run       string    `json:"run"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Initiator string    `json:"initiator"`
	Since     time.Time `json:"since"`
}

// HeldError means that another run has the lock.
type HeldError struct {
	Environment string
	Holder      Holder
	Fence       int64
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("environment %q is locked by run %s (%s on %s, process %d) since %s",
		e.Environment, e.Holder.Run, e.Holder.Initiator, e.Holder.Host, e.Holder.PID, e.Holder.Since.UTC().Format(time.RFC3339))
}

// entry is a lock as it is stored. A free one stays, since it knows the last fence.
type entry struct {
	Environment string  `json:"environment"`
	Fence       int64   `json:"fence"`
	Holder      *Holder `json:"holder"`
}

const prefix = "locks/"

func key(environment string) string { return prefix + url.PathEscape(environment) }

// Take takes the lock of an environment for a run and returns its fence, which is
// larger than every one before. The run that has it may take it again: earlier
// fences are then lost. Another run gets a *HeldError.
//
// After another error the lock may be taken all the same; take it again to know.
func Take(ctx context.Context, s store.Store, environment string, h Holder) (fence int64, err error) {
	for {
		old, version, err := load(ctx, s, environment)
		if err != nil {
			return 0, err
		}
		if old.Holder != nil && old.Holder.Run != h.Run {
			return 0, &HeldError{Environment: environment, Holder: *old.Holder, Fence: old.Fence}
		}
		err = save(ctx, s, entry{Environment: environment, Fence: old.Fence + 1, Holder: &h}, version)
		if !errors.Is(err, store.ErrConflict) {
			return old.Fence + 1, err
		}
	}
}

// Check returns ErrLost unless the fence is the newest and still held.
func Check(ctx context.Context, s store.Store, environment string, fence int64) error {
	e, _, err := load(ctx, s, environment)
	if err == nil && (e.Fence != fence || e.Holder == nil) {
		err = fmt.Errorf("environment %q: %w", environment, ErrLost)
	}
	return err
}

// Free gives the lock back. When the fence is no longer the newest it does
// nothing and returns ErrLost; a lock that is free already is no error.
func Free(ctx context.Context, s store.Store, environment string, fence int64) error {
	for {
		e, version, err := load(ctx, s, environment)
		if err != nil {
			return err
		}
		if e.Fence != fence {
			return fmt.Errorf("environment %q: %w", environment, ErrLost)
		}
		if e.Holder == nil {
			return nil
		}
		e.Holder = nil
		if err = save(ctx, s, e, version); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// Held lists the locks that are held, in the order of their environments' names.
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
			out = append(out, HeldError{Environment: e.Environment, Holder: *e.Holder, Fence: e.Fence})
		}
	}
	return out, nil
}

// load reads a lock; one that was never taken is free, with an empty version.
func load(ctx context.Context, s store.Store, environment string) (entry, string, error) {
	it, err := s.Get(ctx, key(environment))
	if errors.Is(err, store.ErrNotFound) {
		return entry{}, "", nil
	}
	if err != nil {
		return entry{}, "", fmt.Errorf("read the lock of environment %q: %w", environment, err)
	}
	e, err := decode(it)
	return e, it.Version, err
}

func save(ctx context.Context, s store.Store, e entry, version string) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the lock of environment %q: %w", e.Environment, err)
	}
	if version == "" {
		_, err = s.PutAbsent(ctx, key(e.Environment), value)
	} else {
		_, err = s.PutVersion(ctx, key(e.Environment), value, version)
	}
	if err != nil {
		return fmt.Errorf("write the lock of environment %q: %w", e.Environment, err)
	}
	return nil
}

// decode fails rather than take a damaged lock for a free one.
func decode(it store.Item) (entry, error) {
	var e entry
	err := json.Unmarshal(it.Value, &e)
	if err == nil && (key(e.Environment) != it.Key || e.Fence < 1) {
		err = errors.New("it belongs to another environment, or has no fence")
	}
	if err != nil {
		return entry{}, fmt.Errorf("the lock %s is damaged: %w", strings.TrimPrefix(it.Key, prefix), err)
	}
	return e, nil
}
