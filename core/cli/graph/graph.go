// Package graph is runner graph: it draws the stages of a pipeline, a plan or a
// run, and how they wait for each other.
package graph

import (
	"context"
	"fmt"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/diagram"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// Options of the command.
type Options struct {
	Env         *command.Env
	What        string
	Format      string
	Vars, Files command.Repeated
}

// formats by name.
var formats = map[string]func(*diagram.Diagram) string{
	"dot": (*diagram.Diagram).DOT, "mermaid": (*diagram.Diagram).Mermaid, "svg": (*diagram.Diagram).SVG,
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "graph", Args: "[RUN or PLAN]", Short: "Draw the stages and how they wait for each other", Flags: command.NewFlags("graph"),
		Long: `Draws the graph of the pipeline in this folder; with a plan file that of the plan,
with a run that of the run, with where each stage stands in colour. It starts no plugin.

  runner graph -format=svg > graph.svg
  runner graph latest | dot -Tpng > run.png`,
	}
	c.Flags.StringVar(&opts.Format, "format", "dot", "dot, mermaid or svg")
	c.Flags.Var(&opts.Vars, "var", "give a variable a value, as `name=value`")
	c.Flags.Var(&opts.Files, "var-file", "read values of variables from `file`")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner graph takes at most one run or plan file.")
		}
		if formats[opts.Format] == nil {
			return c.Usage("-format must be dot, mermaid or svg; %q is none of them.", opts.Format)
		}
		if len(args) == 1 {
			opts.What = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	d, err := drawn(ctx, opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(opts.Env.Stdout, formats[opts.Format](d))
	return err
}

func drawn(ctx context.Context, opts *Options) (*diagram.Diagram, error) {
	if opts.What == "" {
		return ofPipeline(opts)
	}
	p, err := planning.File(opts.Env, opts.What)
	if err != nil || p != nil {
		return ofPlan(p), err
	}
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.What)
	if err != nil {
		return nil, err
	}
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return nil, err
	}
	return diagram.Of(&past.Plan.Graph, past.State.Nodes()), nil
}

func ofPlan(p *plan.Plan) *diagram.Diagram {
	if p == nil {
		return nil
	}
	return diagram.Of(&p.Graph, nil)
}

// ofPipeline draws what the files say; variables without a value are unknown.
func ofPipeline(opts *Options) (*diagram.Diagram, error) {
	w, diags := workspace.Open(opts.Env)
	if err := w.Show(opts.Env.Stderr, diags); err != nil {
		return nil, err
	}
	if err := w.Show(opts.Env.Stderr, w.Initialised()); err != nil {
		return nil, err
	}
	prog, diags, err := w.Program(opts.Vars, opts.Files)
	if err != nil {
		return nil, err
	}
	if err := w.Show(opts.Env.Stderr, diags); err != nil {
		return nil, err
	}
	g := &kernel.Graph{}
	for _, n := range prog.Nodes {
		g.Nodes = append(g.Nodes, kernel.Node{ID: n.ID, Kind: n.Kind, After: n.After})
	}
	return diagram.Of(g, nil), nil
}
