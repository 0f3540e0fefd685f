// Package drive carries a run on from where it is: it opens or resumes the run,
// lets the engine work, and turns how it left into an exit code.
package drive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of a run's part in this process.
type Options struct {
	Parallelism int
	LockTimeout time.Duration
	PluginDir   string
	Vars, Files []string
	// Note is a remark for the journal of a run that is opened.
	Note string
	// Back: the run is resumed only to take it back.
	Back bool
	// Unwind takes a resumed run back, when that could not be posted.
	Unwind *kernel.RunUnwinding
}

// Run opens a run for a plan and drives it.
func Run(ctx context.Context, w *workspace.Workspace, v view.View, p *plan.Plan, prog *program.Program, pool *pluginhost.Pool, alive string, opts Options) error {
	encoded, err := p.Encode()
	if err != nil {
		return err
	}
	rec, err := w.Runs.Create(ctx, runs.Record{
		Pipeline: p.Pipeline, Initiator: w.Env.User, Host: w.Env.Host, PlanDigest: p.Digest(), Opened: time.Now().UTC(),
		Versions: map[string]string{"runner": w.Env.Version}, Alive: alive,
	}, encoded)
	var used *runs.PlanUsedError
	if errors.As(err, &used) {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
			"Error: Plan was used already\n\nThis plan opened run %s. A plan opens exactly one run; plan again:\n  runner plan", used.Run)}
	}
	if err != nil {
		return err
	}
	locks, err := takeRun(ctx, w, v, rec, opts)
	if err != nil {
		return err
	}
	defer letGo(ctx, w, locks)
	kept, err := spool.Open(w.SpoolDir(), rec.ID)
	if err != nil {
		return err
	}
	d := &driver{w: w, v: v, rec: rec, plan: p, prog: prog, pool: pool, locks: locks, opts: opts, spool: kept}
	return d.drive(ctx, kernel.New(&p.Graph), journal.At(w.Store, rec.ID, journal.Head{}))
}

// Resume goes on with an open run, once nobody else drives it.
func Resume(ctx context.Context, w *workspace.Workspace, v view.View, rec runs.Record, opts Options) error {
	alive, err := resumeAlive(ctx, w, v, rec, opts)
	if err != nil {
		return err
	}
	defer func() { _ = alive.Release() }()
	locks, err := takeRun(ctx, w, v, rec, opts)
	if err != nil {
		return err
	}
	defer letGo(ctx, w, locks)
	// Another process may have ended the run while this one waited for it.
	if rec, err = w.Runs.Get(ctx, rec.ID); err != nil {
		return err
	}
	if !rec.Closed.IsZero() {
		return Ended(rec)
	}
	past, err := past(ctx, w, rec, false, true)
	if err != nil {
		return err
	}
	prog, pool, err := w.Loaded(past.Plan, opts.PluginDir, opts.Vars, opts.Files, alive)
	if err != nil {
		return err
	}
	defer pool.StopAll()
	if err := pool.Pinned(sources(prog, past.State, opts.Back)); err != nil {
		return unpinned(err)
	}
	d := &driver{w: w, v: v, rec: rec, plan: past.Plan, prog: prog, pool: pool, locks: locks, opts: opts, spool: past.spool, gone: past.away}
	return d.drive(ctx, past.State, journal.At(w.Store, rec.ID, past.Head))
}

// History is a run as its journal tells it.
type History struct {
	Plan  *plan.Plan
	State *kernel.State
	Head  journal.Head
	// Events is filled by Past only when asked for.
	Events []kernel.Event
	// spool has what the store lacks, and away is why it could not be brought there.
	spool *spool.Spool
	away  error
}

// Past folds a run's journal, from a snapshot where there is one.
func Past(ctx context.Context, w *workspace.Workspace, rec runs.Record) (*History, error) {
	return past(ctx, w, rec, false, false)
}

// Whole folds a run's journal from the beginning and keeps every event.
func Whole(ctx context.Context, w *workspace.Workspace, rec runs.Record) (*History, error) {
	return past(ctx, w, rec, true, false)
}

func past(ctx context.Context, w *workspace.Workspace, rec runs.Record, whole, mine bool) (*History, error) {
	encoded, err := w.Runs.Plan(ctx, rec.ID)
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", rec.ID, err)
	}
	p, err := plan.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", rec.ID, err)
	}
	if err := samePlan(rec, p); err != nil {
		return nil, err
	}
	h := &History{Plan: p, State: kernel.New(&p.Graph)}
	ends := NewEnds(w.HeadDir(), rec)
	st := w.Store
	h.spool, h.away, err = recovered(ctx, w, rec, mine)
	switch {
	case err != nil && mine:
		return nil, forked(err, spool.Path(w.SpoolDir(), rec.ID))
	case err != nil:
		fmt.Fprintf(w.Env.Stderr, "%s. That file is left out.\n", command.Sentence(err.Error()))
	case len(h.spool.Items()) > 0:
		st = journal.Over(w.Store, h.spool.Items())
	}
	if !whole {
		snap, _, err := journal.Latest(ctx, w.Store, rec.ID)
		if err != nil {
			return nil, err
		}
		if snap != nil {
			if s, err := kernel.Restore(&p.Graph, snap.State); err == nil {
				h.State, h.Head = s, snap.Head
			}
		}
	}
	ends.Begin(h.Head)
	for seg, err := range journal.Read(ctx, st, rec.ID, h.Head) {
		if err != nil {
			return nil, err
		}
		ends.Pass(seg.Head)
		for i, raw := range seg.Records {
			ends.Wrote(raw)
			ev, err := Fold(h.State, raw)
			if err != nil {
				return nil, ends.Explain(seg.Number, i+1, err)
			}
			if whole {
				h.Events = append(h.Events, ev)
			}
		}
		h.Head = seg.Head
	}
	return h, ends.Check()
}

type driver struct {
	w     *workspace.Workspace
	v     view.View
	rec   runs.Record
	plan  *plan.Plan
	prog  *program.Program
	pool  *pluginhost.Pool
	locks *lock.Keeper
	opts  Options
	// spool and gone are the History's.
	spool *spool.Spool
	gone  error
}

// Ended is the error for a run that has ended.
func Ended(rec runs.Record) error {
	return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
		"Error: Run has ended\n\nRun %s ended %s. Begin a new one:\n  runner apply", rec.ID, view.Words(rec.Outcome))}
}

func (d *driver) drive(ctx context.Context, state *kernel.State, j *journal.Journal) error {
	if d.w.Env.Outlive != nil {
		defer d.w.Env.Outlive()()
	}
	d.v.Opened(view.Opening{Run: d.rec.ID, Plan: d.plan, State: state})
	defer d.v.Close()
	d.prog.Scope.SetRun(d.rec.ID, d.rec.Initiator)
	stop := make(chan kernel.StopMode, 2)
	done := make(chan struct{})
	defer close(done)
	started := time.Now()
	earlier, err := replayed(ctx, d.w, d.plan)
	if err != nil {
		return err
	}
	seen := witness.New(d.w.HeadDir(), d.rec.ID)
	defer func() { _ = seen.Close() }()
	j.Watch(func(h journal.Head) {
		if err := seen.Saw(h); err != nil {
			d.w.Slog().Warn("a shortened journal would not be noticed", "error", err)
		}
	})
	d.reserve()
	defer d.letGo()
	e := engine.New(engine.Config{
		Plan: d.plan, Program: d.prog, Run: d.rec, State: state, Journal: j, Store: d.w.Store, Plugins: d.pool, Key: d.w.Key,
		Artifacts: d.w.Artifacts(), ArtifactDir: d.w.ArtifactDir(), Dir: d.w.Dir, Redactor: d.w.Redactor,
		Initiator: d.w.Env.User, Host: d.w.Env.Host, Runner: d.w.Env.Version, Parallelism: d.opts.Parallelism,
		Locks: d.locks, LockTimeout: d.opts.LockTimeout, Waiting: d.waiting,
		Observer: d.v.Event, Log: d.v.Log, Stop: stop, Slog: d.w.Slog(), Replayed: earlier, Note: d.opts.Note,
		Spool: d.spool, Away: d.gone, Unwind: d.opts.Unwind,
	})
	go d.interrupts(e, stop, done)
	idle, err := e.Run(ctx)
	var away *engine.AwayError
	if err != nil && !errors.As(err, &away) {
		return d.failed(err)
	}
	if idle == kernel.Closed && (away == nil || away.Joined) {
		if err := d.close(ctx, state, j); err != nil {
			return err
		}
	}
	err = d.leave(state, idle, time.Since(started))
	if away != nil {
		return d.away(away, state)
	}
	if why := e.Left(); err != nil && why != nil {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf("Error: %s\n\n%s", why.Summary, why.Detail)}
	}
	return err
}

// replayed is the run whose results a rollback builds on.
func replayed(ctx context.Context, w *workspace.Workspace, p *plan.Plan) (*engine.Replayed, error) {
	if p.Replays == "" {
		return nil, nil
	}
	rec, err := w.Runs.Get(ctx, p.Replays)
	if err != nil {
		return nil, err
	}
	past, err := Past(ctx, w, rec)
	if err != nil {
		return nil, err
	}
	return &engine.Replayed{Run: rec.ID, State: past.State}, nil
}

// How a run ends that the system wants to end: it says so with SIGTERM, and kills
// what is still there some ten seconds later.
const (
	// terminateAfter SIGTERM what is under way is cancelled, and killAfter that
	// plugins are killed which do not heed it.
	terminateAfter = 2 * time.Second
	killAfter      = 5500 * time.Millisecond
	terminatePoll  = 200 * time.Millisecond
)

// interrupts turns the first Ctrl-C into a stop after what is under way, and the
// second into one at once. SIGTERM goes through both by itself, but not while
// traffic is being given back.
func (d *driver) interrupts(e *engine.Engine, stop chan<- kernel.StopMode, done <-chan struct{}) {
	var first os.Signal
	select {
	case first = <-d.w.Env.Interrupts:
	case <-done:
		return
	}
	stop <- kernel.StopAfter
	var hurry <-chan time.Time
	if first == syscall.SIGTERM {
		hurry = time.After(terminateAfter)
	}
	for wait := true; wait; {
		select {
		case <-d.w.Env.Interrupts:
			wait = false
		case <-hurry:
			if wait = e.GoingBack(); wait {
				hurry = time.After(terminatePoll)
			}
		case <-done:
			return
		}
	}
	stop <- kernel.StopNow
	if hurry == nil {
		return
	}
	select {
	case <-time.After(killAfter):
		d.pool.Kill()
	case <-done:
	}
}

func (d *driver) failed(err error) error {
	if fork, ok := errors.AsType[*journal.ForkError](err); ok {
		return forked(fork, d.spool.Path())
	}
	if errors.Is(err, journal.ErrFenced) {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf("Error: Run was taken over\n\nAnother process has resumed run %s; this one has stopped.", d.rec.ID)}
	}
	return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf("Error: Run cannot go on\n\n%s. What was done is in the journal; go on with:\n  runner resume %s", err, d.rec.ID)}
}

func (d *driver) close(ctx context.Context, state *kernel.State, j *journal.Journal) error {
	if err := d.keepOutputs(ctx, state); err != nil {
		return err
	}
	_, err := d.w.Runs.Update(ctx, d.rec.ID, func(r *runs.Record) {
		r.Closed, r.Outcome, r.Journal = time.Now().UTC(), string(state.Outcome()), j.Head()
	})
	if err != nil {
		return err
	}
	return witness.Forget(d.w.HeadDir(), d.rec.ID)
}

func (d *driver) leave(state *kernel.State, idle kernel.Idle, elapsed time.Duration) error {
	var values map[string]json.RawMessage
	if state.Outcome() == kernel.Succeeded {
		values = shown(d.prog)
	}
	return Leave(d.v, d.rec.ID, state, idle, elapsed, values)
}

// Abandoned is why a run is open whose process has gone without a word.
const Abandoned kernel.Idle = "abandoned"

// Standing is why an open run that nobody drives stands still: a run that left
// because only people could go on was stopped too.
func Standing(state *kernel.State) kernel.Idle {
	idle := state.Idle()
	if idle != kernel.Stopped {
		return idle
	}
	people := false
	for _, n := range state.Nodes() {
		if n.Outcome == "" && n.Rollout != nil && n.Rollout.Between {
			return idle
		}
		for _, g := range n.Gates {
			people = people || g.Open
		}
	}
	if people {
		return kernel.WaitingForPeople
	}
	return idle
}

// Leave shows where the run stands and chooses the exit code.
func Leave(v view.View, run string, state *kernel.State, idle kernel.Idle, elapsed time.Duration, outputs map[string]json.RawMessage) error {
	s := view.Summary{Run: run, Outcome: string(state.Outcome()), Elapsed: elapsed, Nodes: state.Nodes(), Outputs: outputs}
	if idle == kernel.Busy {
		idle = Abandoned
	}
	if idle != kernel.Closed {
		s.Idle = string(idle)
	}
	s.Next = next(s)
	v.Summary(s)
	code := codeOf(state.Outcome(), idle)
	if code == command.OK {
		return nil
	}
	return &command.ExitError{Code: code}
}

func codeOf(o kernel.Outcome, idle kernel.Idle) int {
	switch idle {
	case kernel.WaitingForPeople:
		return command.Waiting
	case kernel.Stopped:
		return command.Interrupted
	case kernel.Halted:
		return command.Failed
	}
	switch o {
	case kernel.Succeeded:
		return command.OK
	case kernel.RolledBack, kernel.Rejected, kernel.Cancelled:
		return command.RolledBack
	case kernel.RollbackFailed:
		return command.RollbackFailed
	}
	return command.Failed
}

func next(s view.Summary) []string {
	var out []string
	switch s.Idle {
	case string(kernel.WaitingForPeople):
		for _, n := range s.Nodes {
			for _, g := range n.Gates {
				if g.Open {
					out = append(out, fmt.Sprintf("runner approve %s '%s' %s", s.Run, n.ID, g.Name))
				}
			}
		}
		return append(out, "runner resume "+s.Run)
	case string(kernel.Stopped), string(kernel.Halted), string(Abandoned):
		return []string{"runner resume " + s.Run, "runner rollback " + s.Run}
	}
	switch kernel.Outcome(s.Outcome) {
	case "", kernel.Succeeded:
		return nil
	}
	return []string{"runner explain " + s.Run, "runner logs " + s.Run}
}
