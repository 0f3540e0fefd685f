// Package plan is runner plan: it tells what a run would do and can keep the
// plan for runner apply.
package plan

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/compare"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env      *command.Env
	Out      string
	JSON     bool
	NoColor  bool
	Detailed bool
	// Against is the run to compare with.
	Against  string
	Planning planning.Options
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "plan", Short: "Tell what a run would do", Flags: command.NewFlags("plan"),
		Long: `Checks everything with the plugins, observes the targets, simulates every strategy
forward and from a failure at each step, and tells what a run would do, and how that
differs from the newest run. It changes nothing. With -out the plan is kept; runner apply FILE then does exactly that, once.`,
	}
	c.Flags.StringVar(&opts.Out, "out", "", "keep the plan in `file`")
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Flags.BoolVar(&opts.NoColor, "no-color", false, "no colours; so does the environment variable NO_COLOR")
	c.Flags.StringVar(&opts.Against, "against", runs.Latest, "compare with this `run`, or with none")
	c.Flags.BoolVar(&opts.Detailed, "detailed-exitcode", false, "end with 2 when there is something to do")
	opts.Planning.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner plan takes no arguments; use -out to name a plan file.")
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.Ready(opts.Env, opts.Planning.Vars, opts.Planning.Files)
	if err != nil {
		return err
	}
	pool := w.Pool(opts.Planning.PluginDir, w.Lock, nil)
	w.Warm(ctx, pool)
	if err := w.OpenState(ctx); err != nil {
		pool.StopAll()
		return err
	}
	defer w.Close()
	made, err := planning.Make(ctx, w, opts.Planning, pool)
	if err != nil {
		return err
	}
	defer made.Pool.StopAll()
	difference, err := compare.Against(ctx, w, made.Plan, made.Program, opts.Against)
	if err != nil {
		return err
	}
	if opts.JSON {
		out := view.NewJSON(opts.Env.Stdout)
		if difference == nil {
			out.Plan(made.Plan)
		} else {
			out.Compared(made.Plan, difference)
		}
	} else {
		style := display.Paint(opts.Env, opts.NoColor)
		view.WritePlan(opts.Env.Stdout, made.Plan, style)
		compare.Write(opts.Env.Stdout, difference, style)
	}
	if opts.Out != "" {
		if err := keep(opts, made); err != nil {
			return err
		}
		if !opts.JSON {
			fmt.Fprintf(opts.Env.Stdout, "\nThe plan is kept in %s. To do exactly that:\n  runner apply %s\n", opts.Out, opts.Out)
		}
	}
	if opts.Detailed && made.Plan.HasChanges() {
		return &command.ExitError{Code: command.Changes}
	}
	return nil
}

func keep(opts *Options, made *planning.Made) error {
	b, err := made.Plan.Encode()
	if err != nil {
		return err
	}
	path := opts.Out
	if !filepath.IsAbs(path) {
		path = filepath.Join(opts.Env.Dir, path)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("plan file: %w", err)
	}
	return nil
}
