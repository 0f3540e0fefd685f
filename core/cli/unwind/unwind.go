// Package unwind takes an open run back: through the process that drives it, or
// in this one when nobody does.
package unwind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of taking back.
type Options struct {
	Display display.Options
	// Undo finished actions too.
	Undo   bool
	Reason string
	// LockTimeout is how long to wait for environments that other runs have.
	LockTimeout time.Duration
	Planning    planning.Options
}

// aliveWait is how long to wait for what a killed process has left behind, where
// nobody can be asked.
const aliveWait = 5 * time.Second

// poll is how often the outcome is looked for while another process works.
const poll = 100 * time.Millisecond

// Open takes an open run back and waits until it has ended.
func Open(ctx context.Context, w *workspace.Workspace, rec runs.Record, opts Options) error {
	post := engine.Post{Unwind: &kernel.RunUnwinding{By: w.Env.User, Why: opts.Reason, Undo: opts.Undo}}
	unposted := engine.Send(ctx, w.Store, rec.ID, time.Now(), post)
	mine, err := wait(ctx, w, rec, unposted)
	if err != nil || !mine {
		return err
	}
	v := display.New(w.Env, w.Dir, opts.Display)
	how := drive.Options{LockTimeout: opts.LockTimeout, PluginDir: opts.Planning.PluginDir, Vars: opts.Planning.Vars, Files: opts.Planning.Files, Back: true}
	if unposted != nil {
		how.Unwind = post.Unwind
	}
	err = drive.Resume(ctx, w, v, rec, how)
	var exit *command.ExitError
	if errors.As(err, &exit) && exit.Code == command.RolledBack {
		// That is what was asked for.
		return nil
	}
	return err
}

// wait follows the process that takes the run back until the run is closed. It
// reports that the run is ours to drive when nobody else does. With unposted, that
// process could not be asked.
func wait(ctx context.Context, w *workspace.Workspace, rec runs.Record, unposted error) (mine bool, err error) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	began := time.Now()
	for told := false; ; told = true {
		now, err := w.Runs.Get(ctx, rec.ID)
		if err != nil {
			return false, err
		}
		if !now.Closed.IsZero() {
			fmt.Fprintf(w.Env.Stdout, "Run %s: %s\n", rec.ID, view.Words(now.Outcome))
			if kernel.Outcome(now.Outcome) == kernel.RollbackFailed {
				return false, &command.ExitError{Code: command.RollbackFailed}
			}
			return false, nil
		}
		live, err := drive.Live(ctx, w, rec)
		switch {
		case err != nil || !live:
			return true, err
		case unposted != nil && time.Since(began) > aliveWait:
			return false, &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
				"Error: Run cannot be asked\n\nAnother process drives run %s. The state cannot be written to ask it (%s). It goes back by itself once it notices; to take the run back here, end that process and try again:\n  runner cancel %s", rec.ID, unposted, rec.ID)}
		case unposted != nil:
		case !told:
			fmt.Fprintf(w.Env.Stderr, "Another process drives run %s; it was asked to take it back.\n", rec.ID)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-w.Env.Interrupts:
			return false, &command.ExitError{Code: command.Interrupted}
		case <-tick.C:
		}
	}
}
