package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
)

// locks is what the engine knows of its locks beside the Keeper.
type locks struct {
	// resumed: a lock that cannot be had leaves the run as it is.
	resumed bool
	// leaving is closed when the run is asked to stop: nobody waits any longer.
	leaving chan struct{}
	ended   bool

	mu   sync.Mutex
	left *Left
}

// Left is why a run had to leave though nobody asked it to. It can be resumed.
type Left struct {
	// Summary and Detail have the form of a diagnostic.
	Summary, Detail string
}

// Left is nil unless the run had to leave.
func (e *Engine) Left() *Left {
	e.locks.mu.Lock()
	defer e.locks.mu.Unlock()
	return e.locks.left
}

// keepLocks listens for locks that are lost; the function that it returns ends that.
func (e *Engine) keepLocks(ctx context.Context) (end func()) {
	own := e.Locks == nil
	if own {
		e.Locks = lock.NewKeeper(lock.KeeperConfig{
			Store: e.Store, Holder: lock.Holder{Run: e.Config.Run.ID, Initiator: e.Initiator}, Ended: e.hasEnded, Now: e.now,
		})
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case loss := <-e.Locks.Lost():
				e.leave(ctx, kernel.StopNow, lostLock(loss.Err))
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		if own {
			e.Locks.Close()
		}
	}
}

// adoptLocks keeps what the last process of the run held, by the journal: a lock that
// it was about to free is freed by this one. Those that are still needed are taken
// again, and whoever cannot be had is found out then.
func (e *Engine) adoptLocks(ctx context.Context) {
	for _, env := range e.State.Holds() {
		if _, err := e.Locks.Adopt(ctx, env); err != nil {
			e.Slog.Info("lock not adopted", "environment", env, "error", err)
		}
	}
}

func (e *Engine) hasEnded(ctx context.Context, run string) (bool, error) {
	rec, err := e.index().Get(ctx, run)
	return err == nil && !rec.Closed.IsZero(), nil
}

func lostLock(err error) Left {
	return Left{Summary: "Lock was lost", Detail: fmt.Sprintf("%s. What was under way was cancelled, so that no two runs act on the same thing.", err)}
}

// leave stops the run because it may not go on in this process. The first reason counts.
func (e *Engine) leave(ctx context.Context, mode kernel.StopMode, why Left) {
	e.locks.mu.Lock()
	first := e.locks.left == nil
	if first {
		e.locks.left = &why
	}
	e.locks.mu.Unlock()
	if !first {
		return
	}
	for _, fact := range []kernel.Fact{
		kernel.Noted{By: "runner", Text: e.redact(why.Summary + ": " + why.Detail)},
		kernel.RunStopping{Mode: mode, By: "runner"},
	} {
		select {
		case e.results <- message{fact: fact}:
		case <-ctx.Done():
			return
		}
	}
}

// endWaits gives up waiting for locks.
func (e *Engine) endWaits() {
	if !e.locks.ended {
		e.locks.ended = true
		close(e.locks.leaving)
	}
}

// takeLock takes the lock of an environment, waiting as long as the user allows.
func (e *Engine) takeLock(ctx context.Context, j job) kernel.Fact {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-e.locks.leaving:
			cancel()
		case <-ctx.Done():
		}
	}()
	patience := lock.Patience{Timeout: e.LockTimeout}
	if e.Waiting != nil {
		patience.Waiting = func(held *lock.HeldError, waited time.Duration) { e.Waiting(held, waited, e.LockTimeout) }
	}
	taken, err := e.Locks.Take(ctx, j.Env, patience)
	var held *lock.HeldError
	why := Left{Summary: "Environment is locked"}
	switch {
	case err == nil:
		return kernel.LockTaken{Command: j.ID, Env: j.Env, Fence: taken.Fence, Over: taken.Over}
	case ctx.Err() != nil:
		return notStartedAtAll(j)
	case errors.As(err, &held):
		why.Detail = InTheWay(held)
	default:
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: lockUntaken, Detail: err.Error()}}
	}
	if e.locks.resumed {
		// What was begun is not given up for that.
		e.leave(context.WithoutCancel(ctx), kernel.StopAfter, why)
		return notStartedAtAll(j)
	}
	return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: why.Summary, Detail: why.Detail}}
}

func notStartedAtAll(j job) kernel.Fact {
	return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Cancelled", Cancelled: true, Effect: "none"}}
}

// InTheWay tells who has an environment, and what can be done about it.
func InTheWay(held *lock.HeldError) string {
	h := held.Holder
	text := fmt.Sprintf("Run %s, started by %s on %s, has environment %q since %s. ",
		h.Run, h.Initiator, h.Host, held.Environment, h.Since.UTC().Format(time.DateTime+" MST"))
	back := fmt.Sprintf("\n  runner resume %s\n  runner rollback %s", h.Run, h.Run)
	switch {
	case held.Keeps != "":
		return text + "Nobody drives it any more, but " + held.Keeps + ". Finish it, or take it back:" + back
	case held.Life == lock.Living:
		return text + fmt.Sprintf("Wait for it (-lock-timeout=10m), follow it, or end it:\n  runner status %s\n  runner cancel %s", h.Run, h.Run)
	}
	lease := h.Lease
	if lease <= 0 {
		lease = lock.DefaultLease
	}
	return text + fmt.Sprintf("Whether it is still there cannot be seen from here. Wait for it (-lock-timeout=10m): after %s without a sign of life it counts as gone. Or finish it, take it back, or take the lock away:%s\n  runner unlock %s",
		lease, back, held.Environment)
}

func (e *Engine) freeLock(ctx context.Context, j job) kernel.Fact {
	if err := e.Locks.Free(ctx, j.Env); err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Lock could not be freed", Detail: err.Error()}}
	}
	return kernel.LockFreed{Command: j.ID, Env: j.Env}
}

// checkTries bounds how often a lock is looked at that cannot be read.
const checkTries = 3

// notOurs is asked at the last moment before a plugin acts: nil when the run and
// the stage's environment are still this process's, else the fact that ends the command,
// which has then done nothing. A way back does not wait for a store that is away.
func (e *Engine) notOurs(ctx context.Context, j job) kernel.Fact {
	env := j.node.Environment()
	var err error
	for try := range checkTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return notStartedAtAll(j)
			case <-time.After(time.Duration(try) * 100 * time.Millisecond):
			}
		}
		if err = e.Locks.Check(ctx, env); err == nil || errors.Is(err, lock.ErrLost) || j.Back {
			break
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lock.ErrLost):
		e.leave(context.WithoutCancel(ctx), kernel.StopNow, lostLock(err))
		return notStartedAtAll(j)
	case j.Back:
		e.Slog.Warn("lock not checked before a step of the way back", "environment", env, "error", err)
		return nil
	case ctx.Err() != nil:
		return notStartedAtAll(j)
	}
	return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{
		Summary: "Lock could not be checked", Detail: e.redact(err.Error()), Retry: "safe", Effect: "none",
	}}
}
