// Package resume is runner resume: it goes on with an open run.
package resume

import (
	"context"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/workspace"
)

// Options of the command.
type Options struct {
	Env         *command.Env
	Run         string
	Display     display.Options
	Parallelism int
	LockTimeout time.Duration
	Planning    planning.Options
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "resume", Args: "[RUN]", Short: "Go on with an open run", Flags: command.NewFlags("resume"),
		Long: `Goes on with a run that was interrupted, crashed, or waits for people: exactly where
its journal ends, with the plan and the plugins that it was opened with. Without an
argument it takes the newest run. Sensitive variables must be given again.

One process drives a run. With -lock-timeout this one waits until the other has left,
and for environments that other runs have; without, it says who is in the way.`,
	}
	opts.Display.Flags(c.Flags)
	c.Flags.IntVar(&opts.Parallelism, "parallelism", 10, "run at most `n` actions at once")
	c.Flags.DurationVar(&opts.LockTimeout, "lock-timeout", 0, "wait this `duration` for who drives the run or has its environments")
	opts.Planning.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner resume takes at most one run.")
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
		return drive.Ended(rec)
	}
	v := display.New(opts.Env, w.Dir, opts.Display)
	return drive.Resume(ctx, w, v, rec, drive.Options{
		Parallelism: opts.Parallelism, LockTimeout: opts.LockTimeout, PluginDir: opts.Planning.PluginDir,
		Vars: opts.Planning.Vars, Files: opts.Planning.Files,
	})
}
