// Package show is runner show: it shows a kept plan or a run.
package show

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env  *command.Env
	What string
	JSON bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "show", Args: "[PLAN|RUN]", Short: "Show a plan or a run", Flags: command.NewFlags("show"),
		Long: `Shows what a kept plan would do, or what happened in a run, from its journal. Without
an argument it takes the newest run. With -json a run is its events, one a line.`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as JSON")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner show takes one plan file or one run.")
		}
		opts.What = "latest"
		if len(args) == 1 {
			opts.What = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	p, err := planning.File(opts.Env, opts.What)
	if err != nil {
		return err
	}
	if p != nil {
		if opts.JSON {
			return json.NewEncoder(opts.Env.Stdout).Encode(view.PlanData(p))
		}
		view.WritePlan(opts.Env.Stdout, p)
		return nil
	}
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.What)
	if err != nil {
		return err
	}
	past, err := drive.Whole(ctx, w, rec)
	if err != nil {
		return err
	}
	if opts.JSON {
		v := view.NewJSON(opts.Env.Stdout)
		v.Opened(view.Opening{Run: rec.ID})
		for _, ev := range past.Events {
			v.Event(ev)
		}
		return nil
	}
	return human(opts, rec, past)
}

func human(opts *Options, rec runs.Record, past *drive.History) error {
	out := opts.Env.Stdout
	fmt.Fprintf(out, "Run %s of pipeline %q\n", rec.ID, rec.Pipeline)
	fmt.Fprintf(out, "  opened by %s on %s at %s\n", rec.Initiator, rec.Host, rec.Opened.Local().Format(time.DateTime))
	if rec.Closed.IsZero() {
		fmt.Fprintf(out, "  open\n")
	} else {
		fmt.Fprintf(out, "  %s after %s\n", view.Words(rec.Outcome), view.Span(rec.Closed.Sub(rec.Opened)))
	}
	fmt.Fprintf(out, "  plan %s\n\n", rec.PlanDigest)
	v := view.NewHuman(out)
	for _, ev := range past.Events {
		v.Event(ev)
	}
	fmt.Fprintln(out)
	for _, n := range past.State.Nodes() {
		if n.Kind != kernel.BarrierNode {
			view.WriteNode(out, n)
		}
	}
	return nil
}
