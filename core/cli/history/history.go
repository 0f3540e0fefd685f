// Package history is runner history: it lists runs.
package history

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/since"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env     *command.Env
	JSON    bool
	Limit   int
	Outcome string
	Open    bool
	// Environment and Stage choose runs that had work there.
	Environment, Stage string
	Initiator          string
	Since              since.Flag
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{Name: "history", Short: "List runs, newest first", Long: `Lists the runs of this pipeline, newest first. What is asked for with several options
must all hold.`, Flags: command.NewFlags("history")}
	c.Flags.BoolVar(&opts.JSON, "json", false, "one JSON object a line")
	c.Flags.IntVar(&opts.Limit, "limit", 20, "list at most `n` runs; 0 for all")
	c.Flags.StringVar(&opts.Outcome, "outcome", "", "only runs that ended with this `outcome`, such as rolled_back")
	c.Flags.BoolVar(&opts.Open, "open", false, "only runs that have not ended")
	c.Flags.StringVar(&opts.Environment, "environment", "", "only runs with stages in this `environment`")
	c.Flags.StringVar(&opts.Stage, "stage", "", "only runs with this `stage`, such as stage.web")
	c.Flags.StringVar(&opts.Initiator, "initiator", "", "only runs that this `user` began")
	c.Flags.Var(&opts.Since, "since", "only runs since a `time`: 10m, 2h, 3d, or such as 2026-11-23T06:30:00Z")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner history takes no arguments.")
		}
		if opts.Limit < 0 {
			return c.Usage("-limit must not be negative.")
		}
		if opts.Outcome != "" && !slices.Contains(outcomes, opts.Outcome) {
			return c.Usage("-outcome must be one of %s; %q is none of them.%s", strings.Join(outcomes, ", "), opts.Outcome, diagnostics.Suggest(opts.Outcome, outcomes))
		}
		return runF(ctx, opts)
	}
	return c
}

// outcomes are those of runs.
var outcomes = []string{
	string(kernel.Succeeded), string(kernel.Failed), string(kernel.Rejected), string(kernel.RolledBack), string(kernel.RollbackFailed), string(kernel.Cancelled),
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	table := tabwriter.NewWriter(opts.Env.Stdout, 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(opts.Env.Stdout)
	n := 0
	for rec, err := range w.Runs.List(ctx, runs.Filter{Outcome: opts.Outcome, Open: opts.Open, Since: opts.Since.Time}) {
		if err != nil {
			return err
		}
		if ok, err := chosen(ctx, w, rec, opts); err != nil {
			return err
		} else if !ok {
			continue
		}
		if n == opts.Limit && opts.Limit > 0 {
			break
		}
		n++
		if opts.JSON {
			if err := enc.Encode(rec); err != nil {
				return err
			}
			continue
		}
		if n == 1 {
			fmt.Fprintln(table, "RUN\tOPENED\tBY\tTOOK\tOUTCOME")
		}
		took := "-"
		if !rec.Closed.IsZero() {
			took = view.Span(rec.Closed.Sub(rec.Opened))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", rec.ID, rec.Opened.Local().Format(time.DateTime), rec.Initiator, took, view.Words(rec.Outcome))
	}
	if opts.JSON {
		return nil
	}
	if n == 0 {
		fmt.Fprintln(opts.Env.Stdout, "No runs.")
		return nil
	}
	return table.Flush()
}

// chosen looks at what only the run and its plan tell.
func chosen(ctx context.Context, w *workspace.Workspace, rec runs.Record, opts *Options) (bool, error) {
	if opts.Initiator != "" && rec.Initiator != opts.Initiator {
		return false, nil
	}
	if opts.Environment == "" && opts.Stage == "" {
		return true, nil
	}
	encoded, err := w.Runs.Plan(ctx, rec.ID)
	if err != nil {
		return false, fmt.Errorf("plan of run %s: %w", rec.ID, err)
	}
	p, err := plan.Decode(encoded)
	if err != nil {
		return false, fmt.Errorf("plan of run %s: %w", rec.ID, err)
	}
	return slices.ContainsFunc(p.Nodes, func(n plan.Node) bool {
		return n.Kind != kernel.BarrierNode && n.Skip == "" && !n.Unchanged &&
			(opts.Environment == "" || n.Environment == opts.Environment) &&
			(opts.Stage == "" || n.ID == opts.Stage || n.ID == "stage."+opts.Stage)
	}), nil
}
