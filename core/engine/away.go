package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// How long the store may take while the run goes on.
const (
	// appendTimeout bounds one try to write; urgentTimeout one that the way back waits for.
	appendTimeout = 5 * time.Second
	urgentTimeout = 2 * time.Second
	// defaultStoreGrace is for how long a failing store is tried before the run
	// goes on without it.
	defaultStoreGrace = 15 * time.Second
	// firstPause doubles up to lastPause between two tries.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

// AwayError means that the store could not be written while the run was under
// way. Nothing was begun since; rollouts under way took the way back.
type AwayError struct {
	// Cause is why the store could not be written.
	Cause error
	// Joined: the store is there again, and the journal is whole.
	Joined bool
	// Path is the file that has the record until then; Lost says why newer facts
	// are in no record at all.
	Path string
	Lost error
}

func (e *AwayError) Error() string {
	s := fmt.Sprintf("the state could not be written: %s", e.Cause)
	switch {
	case e.Joined:
		return s
	case e.Lost != nil:
		return s + fmt.Sprintf("; what happened since is in no record: %s", e.Lost)
	}
	return s + "; what happened since is in " + e.Path
}

func (e *AwayError) Unwrap() error { return e.Cause }

// append makes the records of events durable in the store or, when that does not
// take them for a while, in the spool. Then the store is away.
func (e *Engine) append(ctx context.Context, events []kernel.Event) error {
	records := make([]json.RawMessage, len(events))
	for i, ev := range events {
		r, err := ev.Encode()
		if err != nil {
			return fmt.Errorf("run %s: %w", e.Config.Run.ID, err)
		}
		records[i] = r
	}
	at := e.last.Time()
	if e.away != nil {
		return e.Journal.Append(ctx, at, records)
	}
	err := e.appendToStore(ctx, at, records, urgent(events))
	if err == nil || errors.Is(err, journal.ErrFenced) {
		return err
	}
	e.leaveStore(err)
	// The same records at the same time: their segment may have arrived after all.
	return e.Journal.Append(ctx, at, records)
}

// lockUntaken is the failure of a lock that the store, and not its holder, denies.
const lockUntaken = "Lock could not be taken"

// leaveStore makes the journal go on in the spool.
func (e *Engine) leaveStore(cause error) {
	if e.away != nil {
		return
	}
	e.away = cause
	e.isAway.Store(true)
	e.Journal.Divert(e.Spool)
}

// appendToStore tries for as long as it may. Only the way back does not wait.
func (e *Engine) appendToStore(ctx context.Context, at time.Time, records []json.RawMessage, urgent bool) error {
	grace, limit := e.StoreGrace, e.patience(appendTimeout)
	if urgent {
		grace, limit = min(grace, urgentTimeout), e.patience(urgentTimeout)
	}
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		tryCtx, cancel := context.WithTimeout(ctx, limit)
		err := e.Journal.Append(tryCtx, at, records)
		if err != nil && errors.Is(tryCtx.Err(), context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("it does not answer within %s: %w", limit, err)
		}
		cancel()
		if err == nil || errors.Is(err, journal.ErrFenced) {
			return err
		}
		if time.Since(began)+pause > grace || !e.hold(pause) {
			return err
		}
	}
}

// patience is how long one operation of the store may take: not much longer than
// the store is waited for as a whole.
func (e *Engine) patience(most time.Duration) time.Duration {
	return min(most, max(e.StoreGrace, time.Second))
}

// hold waits between two tries. It ends early, with false, for what must not wait
// for the store: a person who wants to stop, or bad news.
func (e *Engine) hold(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return true
		case mode, ok := <-e.Stop:
			if !ok {
				e.Stop = nil
				break
			}
			e.held = append(e.held, message{fact: kernel.RunStopping{Mode: mode, By: bySignal}})
			return false
		case m := <-e.results:
			e.held = append(e.held, m)
			if isBad(m.fact) {
				return false
			}
		}
	}
}

// isBad reports whether a rollout may have to go back for a fact.
func isBad(fact kernel.Fact) bool {
	switch f := fact.(type) {
	case kernel.Judged:
		return f.Harm.Value == strategy.Fail
	case kernel.Verified:
		return !f.OK
	case kernel.CommandFailed, kernel.CommandLost:
		return true
	case kernel.Decided:
		return f.Abort != ""
	}
	return false
}

// urgent reports whether a way back waits for the events to be written.
func urgent(events []kernel.Event) bool {
	for _, ev := range events {
		switch f := ev.Fact.(type) {
		case kernel.RolloutAborting, kernel.NodeUndoing:
			return true
		case kernel.CommandIssued:
			if f.Back && f.Kind != kernel.Cancel {
				return true
			}
		}
	}
	return false
}

// mayCarryOut reports whether a command may be carried out although the store has
// no record of it: only what leads back.
func (e *Engine) mayCarryOut(c kernel.Command) bool {
	switch c.Kind {
	case kernel.Cancel, kernel.FreeLock:
		return true
	case kernel.TakeLock:
		return len(e.State.Exposed()) > 0 || e.State.GoingBack()
	}
	return c.Back
}

// refused ends a command that was written down but is not carried out.
func refused(c kernel.Command) message {
	return message{fact: kernel.CommandFailed{Command: c.ID, Failure: kernel.Failure{
		Summary: "Not begun", Detail: "The state could not be written.", Effect: "none", Cancelled: true,
	}}}
}

// turnBack is what the run is told when the store is away: nothing new begins,
// and every rollout between 0 and 100 % gives its traffic back.
func (e *Engine) turnBack() []message {
	out := []message{{fact: kernel.Noted{By: "runner", Text: e.redact(fmt.Sprintf(
		"the state cannot be written (%s): nothing new is begun, and rollouts under way go back to the stable release", e.away))}}}
	if e.State.Stopping() == kernel.StopNow {
		return out
	}
	out = append(out, message{fact: kernel.RunStopping{Mode: kernel.StopAfter, By: "runner"}})
	for _, node := range e.State.Exposed() {
		out = append(out, message{fact: kernel.RolloutAborting{Node: node, Why: "the state could not be written", Outcome: kernel.RolledBack}})
	}
	return out
}

// sayUnrecorded tells once that nothing but this process knows what happens.
func (e *Engine) sayUnrecorded() {
	if err := e.Spool.Err(); err != nil && !e.unrecorded {
		e.unrecorded = true
		e.Observer(kernel.Event{At: e.last, Fact: kernel.Noted{By: "runner", Text: e.redact(fmt.Sprintf(
			"nor can anything be recorded beside it (%s): the way back goes on without a record", err))}})
	}
}

// lockCommand takes or frees the lock of an environment; a store that is away is
// not waited for.
func (e *Engine) lockCommand(ctx context.Context, j job) kernel.Fact {
	take := j.Kind == kernel.TakeLock
	if e.isAway.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.patience(urgentTimeout))
		defer cancel()
		if take {
			return e.keepLock(ctx, j)
		}
	}
	if take {
		return e.insistOnLock(ctx, j)
	}
	return e.freeLock(ctx, j)
}

// insistOnLock takes a lock, and tries again for a while when the store fails; a
// store that does not come back is away for the whole run.
func (e *Engine) insistOnLock(ctx context.Context, j job) kernel.Fact {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		fact := e.takeLock(ctx, j)
		f, failed := fact.(kernel.CommandFailed)
		if !failed || f.Failure.Summary != lockUntaken {
			return fact
		}
		if time.Since(began)+pause > e.StoreGrace {
			e.results <- message{lost: errors.New(f.Failure.Detail)}
			return refused(j.Command).fact
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fact
		}
		if e.isAway.Load() {
			return e.keepLock(ctx, j)
		}
	}
}

// keepLock stands for taking a lock while the store is away. A lock that the run
// has in the store already is kept with its fence: nobody else can have got
// it, and this process holds the run's liveness lock.
func (e *Engine) keepLock(ctx context.Context, j job) kernel.Fact {
	fail := func(f kernel.Failure) kernel.Fact { return kernel.CommandFailed{Command: j.ID, Failure: f} }
	fence, err := e.Locks.Adopt(ctx, j.Env)
	var held *lock.HeldError
	switch {
	case err == nil:
		return kernel.LockTaken{Command: j.ID, Env: j.Env, Fence: fence}
	case errors.As(err, &held):
		return fail(kernel.Failure{Summary: "Environment is locked", Detail: InTheWay(held)})
	case errors.Is(err, lock.ErrLost):
		return fail(kernel.Failure{Summary: lockUntaken, Detail: "The state cannot be written.", Effect: "none", Cancelled: true})
	}
	return fail(kernel.Failure{Summary: "Lock could not be read", Detail: e.redact(err.Error()), Effect: "none", Cancelled: true})
}

// rejoin brings what the spool has to the store before the engine leaves.
func (e *Engine) rejoin(ctx context.Context) error {
	away := &AwayError{Cause: e.away, Path: e.Spool.Path(), Lost: e.Spool.Err()}
	ctx, cancel := context.WithTimeout(ctx, e.patience(appendTimeout))
	defer cancel()
	_, err := journal.Join(ctx, e.Store, e.Config.Run.ID, e.Spool.Items())
	var fork *journal.ForkError
	switch {
	case errors.As(err, &fork):
		return fmt.Errorf("%w: %w", journal.ErrFenced, fork)
	case err != nil:
		return away
	}
	e.Journal.Rejoin()
	e.away = nil
	e.isAway.Store(false)
	away.Joined, away.Path, away.Lost = true, "", nil
	if err := e.Spool.Remove(); err != nil {
		e.Slog.Warn("spool not removed", "error", err)
	}
	return away
}

// spoolOrMemory is the engine's spool, in memory when it was given none.
func spoolOrMemory(s *spool.Spool, run string) *spool.Spool {
	if s == nil {
		s, _ = spool.Open("", run) // in memory, it cannot fail
	}
	return s
}
