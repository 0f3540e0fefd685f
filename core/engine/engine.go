// Package engine carries out what the kernel decides on this machine.
//
// One goroutine owns the kernel's state: it folds what happened, lets the kernel
// decide, makes both durable in one append, and only then hands the commands to
// goroutines of their own, whose results come back to it. Configuration and
// secrets are bound just before each call and are in no record.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/core/clock"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Plugins gives running processes; pluginhost.Pool is the real one.
type Plugins interface {
	Get(ctx context.Context, spec pluginhost.Spec) (host.Plugin, error)
	// Quarantine takes a process that hangs out of use.
	Quarantine(p host.Plugin, grace time.Duration)
}

// Config of an engine.
type Config struct {
	Plan    *plan.Plan
	Program *program.Program
	Run     runs.Record
	// State is folded up to the end of Journal.
	State     *kernel.State
	Journal   *journal.Journal
	Store     store.Store
	Plugins   Plugins
	Key       *seal.Key
	Artifacts *artifact.Store
	// ArtifactDir and Dir are the artifact store's and the pipeline's directory.
	ArtifactDir string
	Dir         string
	Redactor    *redact.Redactor
	// Initiator is who acts in this process, Host where; Runner is the program's version.
	Initiator string
	Host      string
	Runner    string
	// Parallelism is how many actions run at once; 10 when 0.
	Parallelism int
	// Locks takes and keeps the locks of environments; one of its own when nil.
	Locks *lock.Keeper
	// LockTimeout is how long to wait for an environment that another run has;
	// Waiting, which may be nil, is told now and then while it waits.
	LockTimeout time.Duration
	Waiting     func(held *lock.HeldError, waited, limit time.Duration)
	// Observer sees every event once it is durable, in order; Log every line of a
	// command. Both must be quick, and are called from one goroutine at a time.
	Observer func(kernel.Event)
	Log      func(command kernel.Command, line logs.Line)
	// Stop asks the run to stop: kernel.StopAfter, then kernel.StopNow.
	Stop <-chan kernel.StopMode
	// Now is the clock on the wall; time.Now when nil.
	Now func() time.Time
	// Note is a remark that opens the run; empty for none.
	Note string
	// Unwind takes a resumed run back, when it could not be posted; nil otherwise.
	Unwind *kernel.RunUnwinding
	// Spool keeps the record while the store is away; in memory when nil. With
	// segments in it, Journal stands behind them, and Away is why they could not be
	// brought to the store.
	Spool *spool.Spool
	Away  error
	// StoreGrace is for how long a failing store is tried; 15 s when 0.
	StoreGrace time.Duration
	// Replayed is the run whose results stand for the stages that this run does
	// not have; nil for none.
	Replayed *Replayed
	// Slog receives what only the authors of plugins care for.
	Slog *slog.Logger
}

// Replayed is an earlier run that has ended.
type Replayed struct {
	Run   string
	State *kernel.State
}

// inboxPoll is how often other processes' messages are looked for.
const inboxPoll = 250 * time.Millisecond

// snapshotEvery is how many events lie between two snapshots, at least: a
// snapshot is as large as the graph, so a large graph has as many between them as
// it has nodes, and all snapshots together cost no more than the events.
const snapshotEvery = 1000

// Engine is one process's part of a run.
type Engine struct {
	Config
	now      func() time.Time
	clock    *clock.Clock
	last     kernel.Time
	results  chan message
	cancels  map[int64]context.CancelCauseFunc
	plans    stagePlans
	handles  map[int64]kernel.InFlight
	pending  int
	stopping bool
	written  int64
	inbox    chan []inboxFact
	// poll is how often the inbox is looked at.
	poll time.Duration
	// deafUntil is when to try again to hear what came in before a gate's time is up.
	deafUntil kernel.Time
	logMu     sync.Mutex
	locks     locks
	// away is why the store is done without; nil while it answers. isAway says the
	// same to the goroutines of commands.
	away   error
	isAway atomic.Bool
	// held are messages that came while the store was waited for.
	held []message
	// unrecorded: people were told that there is no record.
	unrecorded bool
	goingBack  atomic.Bool
	// unreadable is set when an earlier stage's outputs cannot be opened.
	unreadable error
}

// bySignal is who stops a run with Ctrl-C or its like.
const bySignal = "signal"

// message is what a command's goroutine tells the owner of the state.
type message struct {
	fact kernel.Fact
	// ends is the command that is over with this fact; 0 for none.
	ends int64
	// durable is closed, or gets an error, when the fact is in the journal.
	durable chan error
	// lost is why the store is away, from a command that needs it; there is no
	// fact then.
	lost error
}

// New is an engine for a run that was opened or is to be resumed.
func New(cfg Config) *Engine {
	e := &Engine{
		Config: cfg, now: cfg.Now, results: make(chan message, 256), cancels: map[int64]context.CancelCauseFunc{},
		handles: map[int64]kernel.InFlight{}, inbox: make(chan []inboxFact), poll: inboxPoll,
	}
	if e.now == nil {
		e.now = time.Now
	}
	e.clock = clock.New(e.now, cfg.State.Now().Time())
	e.last = kernel.TimeOf(e.clock.Now())
	if e.Parallelism <= 0 {
		e.Parallelism = 10
	}
	if e.Observer == nil {
		e.Observer = func(kernel.Event) {}
	}
	if e.Log == nil {
		e.Log = func(kernel.Command, logs.Line) {}
	}
	if e.Slog == nil {
		e.Slog = slog.New(slog.DiscardHandler)
	}
	if e.StoreGrace == 0 {
		e.StoreGrace = defaultStoreGrace
	}
	e.Spool = spoolOrMemory(cfg.Spool, cfg.Run.ID)
	e.plans.byNode = map[string]*stagePlan{}
	e.locks.leaving = make(chan struct{})
	e.written = cfg.State.Events()
	return e
}

// errNow ends commands that the run does not wait for any more.
var errNow = errors.New("the run was stopped")

// Run opens or resumes the run and goes on until it is closed, stopped, or only
// waits for people. It returns why it left. When ctx ends, it stops as on
// kernel.StopNow. An *AwayError tells that the store was away meanwhile; how the
// run left holds all the same.
func (e *Engine) Run(ctx context.Context) (kernel.Idle, error) {
	idle, err := e.run(ctx)
	if err == nil && e.away != nil {
		err = e.rejoin(context.WithoutCancel(ctx))
	}
	return idle, err
}

// GoingBack reports whether the run is giving traffic back at this moment, or
// undoing an action. It may be called from any goroutine.
func (e *Engine) GoingBack() bool { return e.goingBack.Load() }

func (e *Engine) run(ctx context.Context) (kernel.Idle, error) {
	if err := e.restoreResults(); err != nil {
		return kernel.Busy, err
	}
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errNow)
	defer e.abandon()
	defer e.keepLocks(work)()
	e.adoptLocks(work)

	// What was posted while nobody drove the run is heard before it goes on.
	posted, err := e.readInbox(work)
	if err != nil {
		return kernel.Busy, err
	}
	if err := e.begin(work, e.heard(e.opening(), posted)); err != nil {
		return kernel.Busy, err
	}
	e.ack(work, posted)
	go e.watchInbox(work)
	for {
		if err := e.expire(work); err != nil {
			return kernel.Busy, err
		}
		idle, err := e.settled(work)
		if err != nil || idle != kernel.Busy {
			return idle, err
		}
		if err := e.advance(work, e.await(ctx)); err != nil {
			return kernel.Busy, err
		}
	}
}

// begin takes the first step. When the store is away from the start, the way back
// begins with it.
func (e *Engine) begin(ctx context.Context, first []message) error {
	if e.Away == nil {
		return e.advance(ctx, first)
	}
	e.leaveStore(e.Away)
	undone, err := e.step(ctx, first)
	if err != nil {
		return err
	}
	return e.advance(ctx, append(e.turnBack(), undone...))
}

// opening is what this process has to say first: it opens the run, or takes it
// over from one that is provably gone and whose commands are lost.
func (e *Engine) opening() []message {
	_, unwatched := e.tick()
	if e.State.Run() == "" {
		out := []message{{fact: kernel.RunOpened{
			Run: e.Config.Run.ID, Nonce: e.Config.Run.Nonce, Plan: e.Plan.Digest(), Initiator: e.Initiator, Parallelism: e.Parallelism, Runner: e.Runner,
		}}}
		if e.Note != "" {
			out = append(out, message{fact: kernel.Noted{By: e.Initiator, Text: e.redact(e.Note)}})
		}
		return out
	}
	e.locks.resumed = true
	out := []message{{fact: kernel.RunResumed{
		Host: e.Host, PID: os.Getpid(), Initiator: e.Initiator, Parallelism: e.Parallelism, Runner: e.Runner, Unwatched: unwatched,
	}}}
	for _, c := range e.State.Unsettled() {
		e.handles[c.ID] = c
	}
	for _, c := range e.State.InFlight() {
		switch c.Kind {
		case kernel.TakeLock, kernel.FreeLock, kernel.Cancel:
		default:
			e.handles[c.ID] = c
			out = append(out, message{fact: kernel.CommandLost{Command: c.ID}})
		}
	}
	if e.Unwind != nil {
		out = append(out, message{fact: *e.Unwind})
	}
	return out
}

// settled tells whether to leave now. A run that only waits for people first
// frees its locks.
func (e *Engine) settled(ctx context.Context) (kernel.Idle, error) {
	idle := e.State.Idle()
	switch idle {
	case kernel.WaitingForPeople, kernel.Halted:
		if err := e.advance(ctx, []message{{fact: kernel.RunStopping{Mode: kernel.StopAfter, By: string(idle)}}}); err != nil {
			return kernel.Busy, err
		}
		for e.State.Idle() == kernel.Busy {
			if err := e.advance(ctx, e.await(context.WithoutCancel(ctx))); err != nil {
				return kernel.Busy, err
			}
		}
		if closed := e.State.Idle(); closed == kernel.Closed {
			return closed, nil
		}
		return idle, nil
	}
	return idle, nil
}

// advance folds what happened, lets the kernel decide, makes both durable, and
// carries the decisions out. When the store turns out to be away, the run turns
// back.
func (e *Engine) advance(ctx context.Context, batch []message) error {
	for _, m := range batch {
		if m.lost != nil && e.away == nil {
			e.leaveStore(m.lost)
			batch = append(e.turnBack(), batch...)
			break
		}
	}
	for len(batch) > 0 {
		before := e.away
		undone, err := e.step(ctx, batch)
		if err != nil {
			return err
		}
		if batch = undone; before == nil && e.away != nil {
			batch = append(e.turnBack(), undone...)
		}
	}
	return nil
}

// step is one round of advance. It returns the ends of commands that are not
// carried out because the store is away.
func (e *Engine) step(ctx context.Context, batch []message) (undone []message, err error) {
	at := e.time()
	events := make([]kernel.Event, 0, len(batch)*4)
	for _, m := range batch {
		e.ended(m)
		if m.fact == nil {
			continue
		}
		ev := kernel.Event{At: at, Fact: m.fact}
		if err := e.State.Evolve(ev); err != nil {
			return nil, fmt.Errorf("run %s: %w", e.Config.Run.ID, err)
		}
		events = append(events, ev)
	}
	events = append(events, e.State.Decide()...)
	if len(events) == 0 {
		return nil, nil
	}
	if err := e.append(ctx, events); err != nil {
		for _, m := range batch {
			if m.durable != nil {
				m.durable <- err
			}
		}
		return nil, err
	}
	for _, m := range batch {
		if m.durable != nil {
			close(m.durable)
		}
	}
	e.goingBack.Store(e.State.GoingBack())
	for _, ev := range events {
		e.after(ev)
	}
	if e.away != nil {
		e.sayUnrecorded()
	}
	for _, ev := range events {
		issued, ok := ev.Fact.(kernel.CommandIssued)
		switch {
		case !ok:
		case e.away != nil && !e.mayCarryOut(issued.Command):
			undone = append(undone, refused(issued.Command))
		default:
			e.dispatch(ctx, issued.Command)
		}
	}
	return undone, e.snapshot(ctx)
}

// after makes a durable event known.
func (e *Engine) after(ev kernel.Event) {
	switch f := ev.Fact.(type) {
	case kernel.NodeSettled:
		e.publish(e.own(), f.Node)
	case kernel.RunStopping:
		e.endWaits()
	case kernel.CommandHandled:
		h := e.handles[f.Command]
		h.HandleID, h.Handle = f.ID, f.Opaque
		e.handles[f.Command] = h
	case kernel.CommandSucceeded:
		delete(e.handles, f.Command)
	case kernel.CommandFailed:
		// One that gave a handle may still be asked about.
		if e.handles[f.Command].HandleID == "" {
			delete(e.handles, f.Command)
		}
	}
	e.Observer(ev)
}

// ended notes that the goroutine of a command is over.
func (e *Engine) ended(m message) {
	if m.ends != 0 {
		e.pending--
		delete(e.cancels, m.ends)
	}
}

// snapshot saves the state now and then, so that resuming is quick. A snapshot
// that fails costs only time; one of a closed run would never be read.
func (e *Engine) snapshot(ctx context.Context) error {
	if e.away != nil || e.State.Events()-e.written < int64(max(snapshotEvery, len(e.Plan.Graph.Nodes))) || e.State.Outcome() != "" {
		return nil
	}
	saved, err := e.State.Save()
	if err != nil {
		return fmt.Errorf("run %s: snapshot: %w", e.Config.Run.ID, err)
	}
	e.written = e.State.Events()
	if err := journal.WriteSnapshot(ctx, e.Store, e.Config.Run.ID, journal.Snapshot{Head: e.Journal.Head(), State: saved}); err != nil {
		e.Slog.Warn("snapshot not written", "error", err)
	}
	return nil
}

// abandon lets go of what is still under way when the engine leaves.
func (e *Engine) abandon() {
	for _, cancel := range e.cancels {
		cancel(errNow)
	}
	for e.pending > 0 {
		var m message
		if len(e.held) > 0 {
			m, e.held = e.held[0], e.held[1:]
		} else {
			m = <-e.results
		}
		e.ended(m)
		if m.durable != nil {
			m.durable <- errNow
		}
	}
}
