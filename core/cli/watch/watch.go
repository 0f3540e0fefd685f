// Package watch is runner watch: it joins a run that another process drives.
package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/follow"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
)

// Options of the command.
type Options struct {
	Env     *command.Env
	Run     string
	Display display.Options
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "watch", Args: "[RUN]", Short: "Join a run from another terminal", Flags: command.NewFlags("watch"),
		Long: `Shows a run that another process drives, as that process shows it, until it ends
or its process leaves. Ctrl-C ends the watching; the run goes on. Without an argument it
takes the newest run. The exit code is the run's.`,
	}
	opts.Display.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner watch takes at most one run.")
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
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return err
	}
	v := display.New(opts.Env, w.Dir, opts.Display)
	v.Note("Watching run " + rec.ID + ".")
	v.Opened(view.Opening{Run: rec.ID, Plan: past.Plan, State: past.State})
	defer v.Close()
	followed := follow.From(w, rec, past)
	end, err := followed.Watch(ctx, opts.Env.Interrupts, v.Event, v.Log)
	if err != nil {
		return err
	}
	state := followed.State()
	elapsed := time.Since(rec.Opened)
	if !rec.Closed.IsZero() {
		elapsed = rec.Closed.Sub(rec.Opened)
	}
	if end == follow.Interrupted {
		v.Close()
		v.Note(fmt.Sprintf("Run %s goes on. Join it again, or ask it to stop:\n  runner watch %s\n  runner cancel %s", rec.ID, rec.ID, rec.ID))
		return nil
	}
	return drive.Leave(v, rec.ID, state, drive.Standing(state), elapsed, nil)
}
