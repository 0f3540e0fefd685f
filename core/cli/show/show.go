// Package show is runner show: it shows a kept plan or a run.
package show

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/compare"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env     *command.Env
	What    string
	JSON    bool
	NoColor bool
	// Against is the run to compare a plan with; empty for none.
	Against string
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
an argument it takes the newest run. With -against a plan, or that of the run, is compared
with that of another run. With -json a run is its events, one a line.`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as JSON")
	c.Flags.BoolVar(&opts.NoColor, "no-color", false, "no colours; so does the environment variable NO_COLOR")
	c.Flags.StringVar(&opts.Against, "against", "", "compare the plan with this `run`, such as latest")
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
		return kept(ctx, opts, p)
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
	if opts.Against != "" {
		d, err := compare.Against(ctx, w, past.Plan, nil, opts.Against)
		return told(opts, past.Plan, d, err)
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

// kept shows a plan file.
func kept(ctx context.Context, opts *Options, p *plan.Plan) error {
	if opts.Against == "" {
		return told(opts, p, nil, nil)
	}
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	d, err := compare.Against(ctx, w, p, nil, opts.Against)
	return told(opts, p, d, err)
}

// told shows a plan and how it differs from another.
func told(opts *Options, p *plan.Plan, d *compare.Difference, err error) error {
	if err != nil {
		return err
	}
	if opts.JSON {
		data := view.PlanData(p)
		if d != nil {
			data.Compared = d
		}
		return json.NewEncoder(opts.Env.Stdout).Encode(data)
	}
	style := display.Paint(opts.Env, opts.NoColor)
	view.WritePlan(opts.Env.Stdout, p, style)
	compare.Write(opts.Env.Stdout, d, style)
	return nil
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
