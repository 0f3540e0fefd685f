package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/dump"
)

type cure = func(context.Context) (done string, err error)

// carefully makes sure that nobody drives the run, and that a copy of all its records
// is kept, before something is changed.
func (p *patient) carefully(do cure) cure {
	return func(ctx context.Context) (string, error) {
		alive, err := drive.AcquireAlive(ctx, p.x.w, aliveName(p.rec), 0)
		if errors.As(err, new(*lock.AliveError)) {
			return "", errUnderWay
		}
		if err != nil {
			return "", err
		}
		defer func() { _ = alive.Release() }()
		if p.copied == "" {
			if p.copied, err = p.x.keep(ctx, p.rec); err != nil {
				return "", fmt.Errorf("keep a copy: %w", err)
			}
		}
		done, err := do(ctx)
		return fmt.Sprintf("%s; what was there is kept in %s", done, p.copied), err
	}
}

// keep copies all records of a run, as they are, into a folder of their own.
func (x *exam) keep(ctx context.Context, rec runs.Record) (dir string, err error) {
	var items []store.Item
	for _, key := range runs.Keys(rec.ID, rec.PlanDigest) {
		it, err := x.w.Store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		items = append(items, it)
	}
	for it, err := range store.Scan(ctx, x.w.Store, "runs/"+rec.ID+"/", "") {
		if err != nil {
			return "", err
		}
		items = append(items, it)
	}
	parent := filepath.Join(x.w.Data, "backup")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	dir, err = os.MkdirTemp(parent, rec.ID+"-"+x.now.UTC().Format("20060102-150405")+"-")
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(filepath.Join(dir, "records.txt"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	if err := errors.Join(dump.Write(f, items), f.Sync(), f.Close()); err != nil {
		return "", err
	}
	seen, err := os.ReadFile(witness.Path(x.w.HeadDir(), rec.ID))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "head"), seen, 0o600)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if shown, rerr := filepath.Rel(x.w.Dir, dir); rerr == nil && !strings.HasPrefix(shown, "..") {
		dir = shown
	}
	return dir, err
}

// goBack takes out what is behind the sound part of the journal, and writes down
// that it did.
func (p *patient) goBack(ctx context.Context) (string, error) {
	s, id := p.x.w.Store, p.rec.ID
	if err := journal.Cut(ctx, s, id, p.sound); err != nil {
		return "", err
	}
	if err := journal.DropSnapshots(ctx, s, id); err != nil {
		return "", err
	}
	if err := witness.Forget(p.x.w.HeadDir(), id); err != nil {
		return "", err
	}
	done := fmt.Sprintf("the journal ends at segment %d now", p.sound.Number)
	if p.sound.Number == 0 {
		return done + ", so that the run begins anew", nil
	}
	if !p.rec.Closed.IsZero() {
		_, err := p.x.w.Runs.Update(ctx, id, func(r *runs.Record) { r.Journal = p.sound })
		return done, err
	}
	note, err := kernel.Event{At: kernel.TimeOf(p.x.now), Fact: kernel.Noted{
		By:   p.x.w.Env.User,
		Text: fmt.Sprintf("runner doctor went back to segment %d of a damaged journal; what was there is kept in %s", p.sound.Number, p.copied),
	}}.Encode()
	if err != nil {
		return "", err
	}
	j := journal.At(s, id, p.sound)
	if err := j.Append(ctx, p.x.now, []json.RawMessage{note}); err != nil {
		return "", err
	}
	p.sound = j.Head()
	_, err = p.look(ctx)
	return done, err
}

// look has this machine remember where the journal ends now.
func (p *patient) look(context.Context) (string, error) {
	seen := witness.New(p.x.w.HeadDir(), p.rec.ID)
	return "it was written anew", errors.Join(seen.Saw(p.sound), seen.Close())
}

// anew makes a snapshot of the facts in place of all that there are.
func (p *patient) anew(ctx context.Context) (string, error) {
	if err := journal.DropSnapshots(ctx, p.x.w.Store, p.rec.ID); err != nil {
		return "", err
	}
	if p.plan == nil || !p.rec.Closed.IsZero() || p.sound.Number == 0 {
		return "it was removed", nil
	}
	state, head, err := p.refold(ctx, p.sound.Number)
	if err != nil {
		return "", err
	}
	saved, err := state.Save()
	if err != nil {
		return "", err
	}
	return "a snapshot was made of the facts", journal.WriteSnapshot(ctx, p.x.w.Store, p.rec.ID, journal.Snapshot{Head: head, State: saved})
}

// lostRecord tells of a run whose record cannot be read, and makes it anew from the
// run's journal and plan where they are whole.
func (x *exam) lostRecord(ctx context.Context, err error) error {
	damage, ok := errors.AsType[*journal.DamageError](err)
	if !ok {
		if errors.Is(err, journal.ErrNewer) {
			x.found(Finding{Severity: severe, Record: "a record", Problem: err.Error()})
			return nil
		}
		return err
	}
	f := Finding{Severity: severe, Run: damage.Run, Record: damage.Key, Problem: damage.What}
	rec, err := x.rebuilt(ctx, damage.Run)
	if err != nil {
		f.Saved = "it cannot be made anew: " + err.Error()
		x.found(f)
		return nil
	}
	f.Saved = "the run's journal and plan say what it said"
	f.Commands = []string{"runner doctor -repair " + rec.ID}
	if x.opts.Run != "" {
		p := &patient{x: x, rec: rec}
		f.cure = p.carefully(func(ctx context.Context) (string, error) {
			if name := x.anyAlive(ctx, aliveName(rec)); name != "" {
				return "", fmt.Errorf("%w (%s)", errUnderWay, name)
			}
			return "it was made anew", x.w.Runs.Restore(ctx, rec)
		})
	}
	x.found(f)
	return nil
}

// rebuilt is the record of a run as its journal and its plan tell it.
func (x *exam) rebuilt(ctx context.Context, id string) (runs.Record, error) {
	rec := runs.Record{ID: id}
	encoded, err := x.w.Runs.Plan(ctx, id)
	if err != nil {
		return rec, err
	}
	p, err := plan.Decode(encoded)
	if err != nil {
		return rec, err
	}
	rec.Pipeline, rec.PlanDigest = p.Pipeline, p.Digest()
	state := kernel.New(&p.Graph)
	for seg, err := range journal.Read(ctx, x.w.Store, id, journal.Head{}) {
		if err != nil {
			return rec, err
		}
		for _, raw := range seg.Records {
			ev, err := drive.Fold(state, raw)
			if err != nil {
				return rec, err
			}
			switch f := ev.Fact.(type) {
			case kernel.RunOpened:
				if f.Plan != p.Digest() {
					return rec, fmt.Errorf("the run was opened with the plan %s, and %s is kept", f.Plan, p.Digest())
				}
				rec.Nonce, rec.Initiator, rec.Opened = f.Nonce, f.Initiator, ev.At.Time()
				if f.Runner != "" {
					rec.Versions = map[string]string{"runner": f.Runner}
				}
			case kernel.RunClosed:
				rec.Closed, rec.Outcome, rec.Journal = seg.Time, string(f.Outcome), seg.Head
			}
		}
		if !rec.Closed.IsZero() {
			rec.Journal = seg.Head
		}
	}
	if rec.Nonce == "" {
		return rec, errors.New("its journal does not say how it was opened")
	}
	return rec, nil
}

// anyAlive names a run that is carried out on this machine, whichever it is, but for
// our own name: a run without a record does not say under which one.
func (x *exam) anyAlive(ctx context.Context, own string) string {
	entries, err := os.ReadDir(filepath.Join(x.w.Data, "alive"))
	if err != nil {
		return ""
	}
	i := slices.IndexFunc(entries, func(e os.DirEntry) bool {
		name := strings.TrimSuffix(e.Name(), ".lock")
		return name != own && x.driven(ctx, runs.Record{Alive: name})
	})
	if i < 0 {
		return ""
	}
	return entries[i].Name()
}
