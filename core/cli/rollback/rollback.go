// Package rollback is runner rollback: it takes an open run back, or returns to
// the releases from before a run that has ended.
package rollback

import (
	"context"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/unwind"
	"github.com/runner-pipelines/runner/core/cli/workspace"
)

// Options of the command.
type Options struct {
	Env         *command.Env
	Run         string
	To          string
	AutoApprove bool
	Display     display.Options
	Reason      string
	Planning    planning.Options
	// LockTimeout is how long to wait for environments that other runs have.
	LockTimeout time.Duration
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "rollback", Args: "[RUN]", Short: "Go back to the releases from before a run", Flags: command.NewFlags("rollback"),
		Long: `An open run is taken back: rollouts give all traffic to the stable release, finished
actions that can be undone are undone in reverse order.

A run that has ended is followed by a new one: for every target that it moved, the
release from before is installed from the plan and the artifacts of the run that made
it, verified, given all traffic at once, and settled. Nothing is built again. With -to
the releases are those of that run. Without an argument it takes the newest run.`,
	}
	c.Flags.StringVar(&opts.To, "to", "", "go back to the releases that this `run` made")
	c.Flags.BoolVar(&opts.AutoApprove, "auto-approve", false, "do not ask before the run")
	opts.Display.Flags(c.Flags)
	c.Flags.StringVar(&opts.Reason, "reason", "", "say why, in a `text` for the journal")
	c.Flags.DurationVar(&opts.LockTimeout, "lock-timeout", 0, "wait this `duration` for who drives the run or has its environments")
	opts.Planning.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner rollback takes at most one run.")
		}
		if opts.LockTimeout < 0 {
			return c.Usage("-lock-timeout must not be negative.")
		}
		opts.Run = "latest"
		if len(args) == 1 {
			opts.Run = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.Run)
	if err != nil {
		return err
	}
	if rec.Closed.IsZero() {
		return unwind.Open(ctx, w, rec, unwind.Options{Display: opts.Display, Undo: true, Reason: opts.Reason, LockTimeout: opts.LockTimeout, Planning: opts.Planning})
	}
	return back(ctx, w, rec, opts)
}
