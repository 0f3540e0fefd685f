package drive

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store"
)

// aliveWait is how long to wait for what an earlier process of the same run has
// left behind to be gone.
const aliveWait = 10 * time.Second

func aliveDir(w *workspace.Workspace) string { return filepath.Join(w.Data, "alive") }

// AcquireAlive takes the liveness lock under a name, waiting for earlier
// holders to be gone.
func AcquireAlive(ctx context.Context, w *workspace.Workspace, name string, wait time.Duration) (*lock.Alive, error) {
	return lock.AcquireAlive(ctx, aliveDir(w), name, wait)
}

// Liveness tells which holders of locks live, as far as it can be seen from here.
func Liveness(w *workspace.Workspace) (*lock.Liveness, error) {
	return lock.NewLiveness(aliveDir(w), store.IsLocal(w.Store))
}

// Live reports whether a process drives the run now. With a store that other
// machines share, one that cannot be seen from here counts.
func Live(ctx context.Context, w *workspace.Workspace, rec runs.Record) (bool, error) {
	alive, err := lock.IsAlive(aliveDir(w), rec.Alive)
	if err != nil || alive || store.IsLocal(w.Store) {
		return alive, err
	}
	held, err := lock.FindRun(ctx, w.Store, rec.ID)
	if err != nil || held == nil {
		return false, err
	}
	l, err := Liveness(w)
	if err != nil {
		return false, err
	}
	return l.Of(held.Holder, lock.Holder{}) != lock.Gone, nil
}

// Held lists the locks of environments, with what is known of their holders.
func Held(ctx context.Context, w *workspace.Workspace) ([]lock.HeldError, error) {
	held, err := lock.Held(ctx, w.Store)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	l, err := Liveness(w)
	if err != nil {
		return nil, err
	}
	for i := range held {
		held[i].Life = l.Of(held[i].Holder, lock.Holder{})
	}
	return held, nil
}

// Keeps says why a run keeps the lock of an environment although nobody drives it;
// empty when another run may have it.
func Keeps(ctx context.Context, w *workspace.Workspace, run, environment string) (string, error) {
	rec, err := w.Runs.Get(ctx, run)
	if errors.As(err, new(*runs.NotFoundError)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	past, err := Past(ctx, w, rec)
	if err != nil {
		return "", err
	}
	standing := past.State.KeepsLock(environment)
	switch len(standing) {
	case 0:
		return "", nil
	case 1:
		return "the rollout of " + standing[0] + " stands between two releases", nil
	}
	return "the rollouts of " + strings.Join(standing, ", ") + " stand between two releases", nil
}

// resumeAlive takes the liveness lock of a run. A process that drives the run is
// waited for only when the user says so, its plugins always for a while.
func resumeAlive(ctx context.Context, w *workspace.Workspace, v view.View, rec runs.Record, opts Options) (*lock.Alive, error) {
	ctx, stop := untilInterrupt(ctx, w.Env)
	defer stop()
	alive, err := AcquireAlive(ctx, w, rec.Alive, 0)
	var held *lock.AliveError
	if errors.As(err, &held) && (opts.LockTimeout > 0 || !held.Driven()) {
		wait := opts.LockTimeout
		if !held.Driven() {
			wait = max(wait, aliveWait)
		}
		v.Note(fmt.Sprintf("Waiting up to %s: %s. Ctrl-C ends the wait.", wait, held))
		alive, err = AcquireAlive(ctx, w, rec.Alive, wait)
	}
	if errors.As(err, &held) {
		return nil, &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
			"Error: Run is under way\n\nAnother process drives run %s: %s. Follow it, stop it, or wait until it has left:\n  runner logs %s\n  runner cancel %s\n  runner resume -lock-timeout=10m %s", rec.ID, held, rec.ID, rec.ID, rec.ID)}
	}
	return alive, interrupted(ctx, err)
}

// takeRun makes this process the one that drives the run, also among those that
// share the store from other machines.
func takeRun(ctx context.Context, w *workspace.Workspace, v view.View, rec runs.Record, opts Options) (*lock.Keeper, error) {
	l, err := Liveness(w)
	if err != nil {
		return nil, err
	}
	k := lock.NewKeeper(lock.KeeperConfig{
		Store: w.Store, Liveness: l,
		Holder: lock.Holder{Run: rec.ID, Host: w.Env.Host, Initiator: w.Env.User, Alive: rec.Alive},
		Ended: func(ctx context.Context, run string) (bool, error) {
			other, err := w.Runs.Get(ctx, run)
			return err == nil && !other.Closed.IsZero(), nil
		},
		Keeps: func(ctx context.Context, run, environment string) (string, error) {
			return Keeps(ctx, w, run, environment)
		},
	})
	waitCtx, stop := untilInterrupt(ctx, w.Env)
	defer stop()
	_, err = k.TakeRun(waitCtx, lock.Patience{Timeout: opts.LockTimeout, Waiting: func(held *lock.HeldError, waited time.Duration) {
		v.Note(waitingFor(held, waited, opts.LockTimeout))
	}})
	var held *lock.HeldError
	if err == nil {
		return k, nil
	}
	if !errors.As(err, &held) && waitCtx.Err() == nil && store.IsLocal(w.Store) {
		// A state that cannot be written must not forbid the way back: here the
		// liveness lock alone says that nobody else drives the run.
		w.Slog().Warn("the run's lock could not be written", "error", err)
		return k, nil
	}
	k.Close()
	if errors.As(err, &held) {
		return nil, &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
			"Error: Run is under way\n\nThe %s, and whether it is still there cannot be seen from here. Once it has shown no sign of life for %s it counts as gone, and the run goes on here:\n  runner resume -lock-timeout=10m %s",
			held, held.Holder.Lease, rec.ID)}
	}
	return nil, interrupted(waitCtx, err)
}

// letGo ends this process's part in the run.
func letGo(ctx context.Context, w *workspace.Workspace, k *lock.Keeper) {
	if err := k.FreeRun(context.WithoutCancel(ctx)); err != nil {
		w.Slog().Warn("lock of the run not freed", "error", err)
	}
	k.Close()
}

// waiting tells that the run waits for an environment.
func (d *driver) waiting(held *lock.HeldError, waited, limit time.Duration) {
	d.v.Note(waitingFor(held, waited, limit))
}

func waitingFor(held *lock.HeldError, waited, limit time.Duration) string {
	h, what := held.Holder, "environment "+held.Environment
	if held.Environment == "" {
		what = "the process that drives the run"
	}
	who := fmt.Sprintf("run %s, started by %s on %s, has it since %s", h.Run, h.Initiator, h.Host, h.Since.Local().Format(time.DateTime))
	if held.Keeps != "" {
		who += "; nobody drives it any more, but " + held.Keeps + " (runner resume " + h.Run + ")"
	}
	return fmt.Sprintf("Waiting for %s: %s. %s of %s so far; Ctrl-C ends the wait.", what, who, waited.Truncate(time.Second), limit)
}

// errInterrupted is the cause of a wait that Ctrl-C has ended.
var errInterrupted = errors.New("interrupted")

// untilInterrupt is ctx until the next Ctrl-C; call stop to leave the later ones to
// others.
func untilInterrupt(ctx context.Context, env *command.Env) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-env.Interrupts:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}

// interrupted turns the end of a wait by Ctrl-C into the exit code for that.
func interrupted(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		return &command.ExitError{Code: command.Interrupted, Message: "Interrupted: the run is as it was."}
	}
	return err
}
