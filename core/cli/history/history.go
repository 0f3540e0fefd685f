// Package history is runner history: it lists runs.
package history

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env     *command.Env
	JSON    bool
	Limit   int
	Outcome string
	Open    bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{Name: "history", Short: "List runs, newest first", Long: "Lists the runs of this pipeline, newest first.", Flags: command.NewFlags("history")}
	c.Flags.BoolVar(&opts.JSON, "json", false, "one JSON object a line")
	c.Flags.IntVar(&opts.Limit, "limit", 20, "list at most `n` runs; 0 for all")
	c.Flags.StringVar(&opts.Outcome, "outcome", "", "only runs that ended with this `outcome`, such as rolled_back")
	c.Flags.BoolVar(&opts.Open, "open", false, "only runs that have not ended")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner history takes no arguments.")
		}
		if opts.Limit < 0 {
			return c.Usage("-limit must not be negative.")
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
	table := tabwriter.NewWriter(opts.Env.Stdout, 0, 0, 2, ' ', 0)
	enc := json.NewEncoder(opts.Env.Stdout)
	n := 0
	for rec, err := range w.Runs.List(ctx, runs.Filter{Outcome: opts.Outcome, Open: opts.Open, Limit: opts.Limit}) {
		if err != nil {
			return err
		}
		if opts.JSON {
			if err := enc.Encode(rec); err != nil {
				return err
			}
			continue
		}
		if n == 0 {
			fmt.Fprintln(table, "RUN\tOPENED\tBY\tTOOK\tOUTCOME")
		}
		n++
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
