// Package console is runner console: it evaluates expressions as the pipeline
// would, at a prompt or line by line from a pipe.
package console

import (
	"context"
	"maps"
	"os"
	"slices"

	"golang.org/x/term"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

// Options of the command.
type Options struct {
	Env   *command.Env
	Run   string
	Vars  command.Repeated
	Files command.Repeated
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "console", Short: "Try expressions", Flags: command.NewFlags("console"),
		Long: `Evaluates expressions with the pipeline's variables, locals and functions, and shows
the results. It starts no plugin and needs no runner init. What stages give is not
known yet, unless -run names a run that knows.

On a terminal it asks for one expression after the other; Tab completes names, the
arrows bring back earlier lines, exit or Ctrl-D ends. From a pipe it takes them line
by line and ends at the first mistake:
  echo 'upper("a")' | runner console

An expression may go over several lines while a bracket is open.`,
	}
	c.Flags.StringVar(&opts.Run, "run", "", "with the variables and results of this `run`")
	c.Flags.Var(&opts.Vars, "var", "give a variable a value, as `name=value`")
	c.Flags.Var(&opts.Files, "var-file", "read values of variables from `file`")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner console takes no arguments; write expressions on its input.")
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	place, p, err := open(ctx, opts)
	if err != nil {
		return err
	}
	s := &session{place: place, files: maps.Clone(p.Files), out: opts.Env.Stdout, errors: opts.Env.Stderr}
	if in, out, ok := terminal(opts.Env); ok {
		return interactive(s, opts.Env, in, out, names(p))
	}
	return piped(s, opts.Env.Stdin)
}

// open gives the place where expressions are evaluated, and the pipeline it
// belongs to.
func open(ctx context.Context, opts *Options) (*scope.Context, *config.Pipeline, error) {
	if opts.Run != "" {
		return openRun(ctx, opts)
	}
	w, diags := workspace.Open(opts.Env)
	if w.Dir == "" {
		// Functions are of use without a pipeline.
		sc, _ := scope.New(w.Pipeline, scope.Options{World: lang.OS(opts.Env.Dir, opts.Env.Dir, opts.Env.Environ), AllowMissing: true})
		return sc.Root(), w.Pipeline, nil
	}
	if err := w.Show(opts.Env.Stderr, diags); err != nil {
		return nil, nil, err
	}
	values, err := w.Values(opts.Vars, opts.Files)
	if err != nil {
		return nil, nil, err
	}
	sc, diags := scope.New(w.Pipeline, scope.Options{Values: values, World: w.World(), AllowMissing: true})
	return sc.Root(), w.Pipeline, w.Show(opts.Env.Stderr, diags)
}

func openRun(ctx context.Context, opts *Options) (*scope.Context, *config.Pipeline, error) {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.Run)
	if err != nil {
		return nil, nil, err
	}
	prog, err := drive.Evaluated(ctx, w, rec, opts.Vars, opts.Files)
	if err != nil {
		return nil, nil, err
	}
	return prog.Scope.Root(), prog.Pipeline, nil
}

// terminal reports whether a person sits before the input and the output.
func terminal(env *command.Env) (in, out *os.File, ok bool) {
	in, ok = env.Stdin.(*os.File)
	if !ok || env.Terminal == nil || !term.IsTerminal(int(in.Fd())) {
		return nil, nil, false
	}
	return in, env.Terminal, true
}

// names are what expressions can begin with, sorted.
func names(p *config.Pipeline) []string {
	out := []string{"path.root", "path.cwd", "pipeline.name", "git.commit", "git.branch", "git.tag", "run.id"}
	for name := range lang.Functions(lang.Replay(lang.Record{})) {
		out = append(out, name+"(")
	}
	for _, v := range p.Root.Variables {
		out = append(out, "var."+v.Name)
	}
	for _, l := range p.Root.Locals {
		out = append(out, "local."+l.Name)
	}
	for _, st := range p.Root.Stages {
		out = append(out, "stage."+st.Name)
	}
	for _, c := range p.Root.Calls {
		out = append(out, "module."+c.Name)
	}
	for _, e := range p.Environments {
		out = append(out, "environment."+e.Name)
	}
	slices.Sort(out)
	return out
}

// source is what messages call the input.
const source = "<console>"

// failed ends the command after a message was shown.
func failed() error { return &command.ExitError{Code: command.Failed} }
