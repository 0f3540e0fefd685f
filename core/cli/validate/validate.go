// Package validate is runner validate: it checks the pipeline without starting
// a plugin or looking at the world.
package validate

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// Options of the command.
type Options struct {
	Env   *command.Env
	JSON  bool
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
		Name: "validate", Short: "Check the pipeline files", Flags: command.NewFlags("validate"),
		Long: `Checks every block, attribute, type and reference, all mistakes at once. It starts
no plugin: schemas are those that runner init has kept. Variables without a value
count as unknown.`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Flags.Var(&opts.Vars, "var", "give a variable a value, as `name=value`")
	c.Flags.Var(&opts.Files, "var-file", "read values of variables from `file`")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner validate takes no arguments; use -chdir to check a pipeline elsewhere.")
		}
		return runF(ctx, opts)
	}
	return c
}

func run(_ context.Context, opts *Options) error {
	w, diags := workspace.Open(opts.Env)
	diags = append(diags, w.Check(opts.Vars, opts.Files)...)
	if opts.JSON {
		return writeJSON(opts, w, diags)
	}
	if err := w.Show(opts.Env.Stderr, diags); err != nil {
		return err
	}
	_, err := fmt.Fprintln(opts.Env.Stdout, "The pipeline is valid.")
	return err
}

func writeJSON(opts *Options, w *workspace.Workspace, diags hcl.Diagnostics) error {
	diags = diagnostics.Tidy(diags)
	enc := json.NewEncoder(opts.Env.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(struct {
		Valid       bool                     `json:"valid"`
		Diagnostics []diagnostics.Diagnostic `json:"diagnostics"`
	}{!diags.HasErrors(), diagnostics.View(diags, w.Pipeline.Files)}); err != nil {
		return err
	}
	if diags.HasErrors() {
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}
