package runs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/core/store"
)

// Keys of the records about a run that lie outside its own: the one of the index, and
// the claim of its plan where the digest is known.
func Keys(id, planDigest string) []string {
	keys := []string{indexKey(id)}
	if planDigest != "" {
		keys = append(keys, claimKey(planDigest))
	}
	return keys
}

// Claim is the run that a plan has opened, or is about to open; empty when there is
// none. Damage is a *journal.DamageError.
func (x *Index) Claim(ctx context.Context, planDigest string) (run string, err error) {
	it, err := x.store.Get(ctx, claimKey(planDigest))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the claim of plan %s: %w", planDigest, err)
	}
	c, err := openClaim(it)
	return c.Run, err
}

// Restore writes the record of a run and the claim of its plan anew, whatever stands
// in their place. The caller has kept a copy of that.
func (x *Index) Restore(ctx context.Context, rec Record) error {
	value, err := encode(rec)
	if err != nil {
		return err
	}
	if err := x.replace(ctx, indexKey(rec.ID), value); err != nil {
		return err
	}
	if value, err = encodeClaim(rec); err != nil {
		return err
	}
	return x.replace(ctx, claimKey(rec.PlanDigest), value)
}

func (x *Index) replace(ctx context.Context, key string, value []byte) error {
	old, err := x.store.Get(ctx, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		_, err = x.store.PutAbsent(ctx, key, value)
	case err == nil:
		_, err = x.store.PutVersion(ctx, key, value, old.Version)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", key, err)
	}
	return nil
}

// Strays are the IDs of runs that have records of their own, but none in the index.
// One that was killed while it opened has only its plan, and is none.
func (x *Index) Strays(ctx context.Context) ([]string, error) {
	var out []string
	for after := ""; ; {
		items, err := x.store.List(ctx, "runs/", after, 1)
		if err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		if len(items) == 0 {
			return out, nil
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(items[0].Key, "runs/"), "/")
		after = "runs/" + id + "0" // behind all of this run: '0' follows '/'
		_, err = x.store.Get(ctx, indexKey(id))
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("read run %s: %w", id, err)
		}
		written, err := x.store.List(ctx, "runs/"+id+"/journal/", "", 1)
		if err != nil {
			return nil, fmt.Errorf("read run %s: %w", id, err)
		}
		if len(written) > 0 {
			out = append(out, id)
		}
	}
}
