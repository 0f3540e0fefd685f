package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// exam is one look at a workspace.
type exam struct {
	w    *workspace.Workspace
	opts *Options
	now  time.Time

	findings []Finding
	looked   map[string]int
}

func (x *exam) found(f Finding) { x.findings = append(x.findings, f) }

func (x *exam) count(what string, n int) {
	if x.looked == nil {
		x.looked = map[string]int{}
	}
	x.looked[what] += n
}

// damage notes an error about a record; what was damaged on the way is a finding, any
// other failure ends the exam.
func (x *exam) damage(err error, f Finding) error {
	d, ok := errors.AsType[*journal.DamageError](err)
	switch {
	case ok && f.Record == "":
		f.Record = d.Key
		if f.Record == "" {
			f.Record = fmt.Sprintf("segment %d of run %s", d.Segment, d.Run)
		}
		f.Problem = d.What
	case ok || errors.Is(err, journal.ErrNewer):
		f.Problem = err.Error()
	default:
		return err
	}
	if f.Severity == "" {
		f.Severity = severe
	}
	x.found(f)
	return nil
}

// state looks at the store and all that is in it. It makes nothing: neither a state
// nor a key.
func (x *exam) state(ctx context.Context) error {
	path := filepath.Join(x.w.Data, "state.db")
	if lost, ok := errors.AsType[*workspace.LostError](x.w.NotLost(path)); ok {
		x.found(Finding{Severity: severe, Record: path, Problem: "is gone or empty, though it had open runs: " + strings.Join(lost.Runs, ", "), Saved: lostFile})
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if x.opts.Run != "" {
			return &runs.NotFoundError{Ref: x.opts.Run}
		}
		return nil
	}
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		x.found(Finding{Severity: severe, Record: path, Problem: "cannot be opened: " + err.Error(), Saved: lostFile})
		return nil
	}
	x.w.Store, x.w.Runs = s, runs.New(s)
	problems, err := s.Check(ctx)
	if err != nil {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		x.found(Finding{Severity: severe, Record: path, Problem: "is damaged: " + p, Saved: lostFile})
	}
	x.key()
	if x.opts.Run != "" {
		return x.oneRun(ctx)
	}
	if err := x.allRuns(ctx); err != nil {
		return err
	}
	if err := x.locks(ctx); err != nil {
		return err
	}
	return x.artifacts(ctx)
}

// lostFile is what to do about a state file that SQLite cannot read.
const lostFile = "keep the file, and put a copy in its place that was made with its -wal file while no run was under way; runs that are not in the copy must be looked after by hand"

// key reads the state key, where there is one.
func (x *exam) key() {
	_, given := x.w.Env.LookupEnv(seal.EnvKey)
	path := filepath.Join(x.w.Data, seal.FileName)
	if _, err := os.Stat(path); !given && errors.Is(err, fs.ErrNotExist) {
		x.found(Finding{Severity: mild, Record: path, Problem: "does not exist", Saved: "what was sealed with it opens with no other key; give it in " + seal.EnvKey + ", or take it back from a copy"})
		return
	}
	key, err := seal.Load(x.w.Data, x.w.Env.LookupEnv)
	if err != nil {
		record := "the state key"
		x.found(Finding{Severity: severe, Record: record, Problem: "cannot be used: " + err.Error(), Saved: "what was sealed with it opens with no other key; take it back from a copy"})
		return
	}
	x.w.Key = key
}

// allRuns looks at every run, also at those that the index does not have.
func (x *exam) allRuns(ctx context.Context) error {
	for rec, err := range x.w.Runs.List(ctx, runs.Filter{}) {
		if err != nil {
			if err := x.lostRecord(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err := x.run(ctx, rec); err != nil {
			return err
		}
	}
	if err := x.forgotten(ctx); err != nil {
		return err
	}
	strays, err := x.w.Runs.Strays(ctx)
	if err != nil {
		return err
	}
	for _, id := range strays {
		missing := &journal.DamageError{Run: id, Key: runs.Keys(id, "")[0], What: "is missing, though the run has a journal"}
		if err := x.lostRecord(ctx, missing); err != nil {
			return err
		}
	}
	return nil
}

// forgotten finds runs that this machine remembers, and the state does not.
func (x *exam) forgotten(ctx context.Context) error {
	open, err := witness.Runs(x.w.HeadDir())
	if err != nil {
		return err
	}
	for _, id := range open {
		_, err := x.w.Runs.Get(ctx, id)
		written, lerr := x.w.Store.List(ctx, "runs/"+id+"/journal/", "", 1)
		if errors.As(err, new(*runs.NotFoundError)) && lerr == nil && len(written) == 0 {
			x.found(Finding{Severity: severe, Run: id, Record: "run " + id, Problem: "was open on this machine, and the state does not have it", Saved: lostFile})
		}
	}
	return nil
}

// oneRun looks at the run that was asked for; its record may be what is damaged.
func (x *exam) oneRun(ctx context.Context) error {
	rec, err := x.w.Runs.Find(ctx, x.opts.Run)
	if err == nil {
		return x.run(ctx, rec)
	}
	if errors.As(err, new(*runs.NotFoundError)) {
		strays, more := x.w.Runs.Strays(ctx)
		if more != nil {
			return more
		}
		if slices.Contains(strays, x.opts.Run) {
			err = &journal.DamageError{Run: x.opts.Run, Key: runs.Keys(x.opts.Run, "")[0], What: "is missing, though the run has a journal"}
		}
	}
	return x.lostRecord(ctx, err)
}

// locks finds those that nobody will free.
func (x *exam) locks(ctx context.Context) error {
	for held, err := range lock.All(ctx, x.w.Store) {
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			x.found(Finding{Severity: severe, Record: "an environment lock", Problem: "cannot be read: " + err.Error(), Saved: "no run can take it; make sure that none has it, and give it free", Commands: []string{"runner unlock ENVIRONMENT"}})
			continue
		}
		x.count("locks", 1)
		rec, err := x.w.Runs.Get(ctx, held.Holder.Run)
		if held.Environment == "" {
			continue // of a run: whoever drives the run next takes it over
		}
		record := "the lock of environment " + held.Environment
		switch {
		case errors.As(err, new(*runs.NotFoundError)), err == nil && !rec.Closed.IsZero():
			x.found(Finding{
				Severity: severe, Run: held.Holder.Run, Record: record, Problem: fmt.Sprintf("is held by run %s, which has ended", held.Holder.Run),
				Saved: "it keeps other runs out for nothing", Commands: []string{"runner doctor -repair"},
				cure: func(ctx context.Context) (string, error) {
					err := lock.Break(ctx, x.w.Store, &held, lock.Broken{By: x.w.Env.User, Host: x.w.Env.Host, At: x.now.UTC(), Why: "runner doctor: its run has ended"})
					if err != nil && !errors.Is(err, lock.ErrLost) {
						return "", err
					}
					return "it was freed", nil
				},
			})
		case err == nil && !x.driven(ctx, rec):
			x.found(Finding{
				Severity: mild, Run: rec.ID, Record: record, Problem: fmt.Sprintf("is held by run %s, which nobody drives", rec.ID),
				Saved: "it belongs to the run until that is resumed or taken back", Commands: []string{"runner resume " + rec.ID, "runner rollback " + rec.ID},
			})
		}
	}
	return nil
}

// driven reports whether a process carries the run out.
func (x *exam) driven(ctx context.Context, rec runs.Record) bool {
	rec.Alive = aliveName(rec)
	live, err := drive.Live(ctx, x.w, rec)
	return live || err != nil
}

func aliveName(rec runs.Record) string {
	if rec.Alive == "" {
		return rec.ID
	}
	return rec.Alive
}

// artifacts reads every copy again.
func (x *exam) artifacts(ctx context.Context) error {
	kept := x.w.Artifacts()
	digests, err := kept.All()
	if err != nil {
		return err
	}
	for _, digest := range digests {
		x.count("artifacts", 1)
		err := kept.Verify(ctx, digest)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			continue
		}
		x.found(Finding{
			Severity: severe, Record: "artifact " + digest, Problem: "is damaged: " + err.Error(),
			Saved: "without it, the stage that made it makes it again", Commands: []string{"runner doctor -repair"},
			cure: func(context.Context) (string, error) {
				return "the damaged copy was removed", kept.Remove(digest)
			},
		})
	}
	return nil
}
