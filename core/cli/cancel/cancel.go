// Package cancel is runner cancel: it ends an open run, rollouts taken back.
package cancel

import (
	"context"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/unwind"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
)

// Options of the command.
type Options struct {
	Env      *command.Env
	Run      string
	Display  display.Options
	Reason   string
	Planning planning.Options
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
		Name: "cancel", Args: "[RUN]", Short: "End an open run", Flags: command.NewFlags("cancel"),
		Long: `Ends an open run: no further stage starts, actions under way are cancelled, and
rollouts give all traffic back to the stable release. What was finished stays. When
another process drives the run, it is asked to; else this one does it. Without an
argument it takes the newest run.`,
	}
	opts.Display.Flags(c.Flags)
	c.Flags.StringVar(&opts.Reason, "reason", "", "say why, in a `text` for the journal")
	c.Flags.DurationVar(&opts.LockTimeout, "lock-timeout", 0, "wait this `duration` for who drives the run or has its environments")
	opts.Planning.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner cancel takes at most one run.")
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
	if !rec.Closed.IsZero() {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
			"Error: Run has ended\n\nRun %s ended %s. To go back to the release before it:\n  runner rollback %s", rec.ID, view.Words(rec.Outcome), rec.ID)}
	}
	return unwind.Open(ctx, w, rec, unwind.Options{Display: opts.Display, Reason: opts.Reason, LockTimeout: opts.LockTimeout, Planning: opts.Planning})
}
