// Package planning makes a plan for the commands that need one.
package planning

import (
	"context"
	"flag"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/program"
)

// Options of planning.
type Options struct {
	Vars      command.Repeated
	Files     command.Repeated
	PluginDir string
	// Input lets people be asked, where there is a terminal.
	Input bool
}

// Flags adds the options to a command.
func (o *Options) Flags(fs *flag.FlagSet) {
	fs.Var(&o.Vars, "var", "give a variable a value, as `name=value`")
	fs.Var(&o.Files, "var-file", "read values of variables from `file`")
	fs.StringVar(&o.PluginDir, "plugin-dir", "", "look for plugins in this `dir` first")
	fs.BoolVar(&o.Input, "input", true, "on a terminal, ask for what is missing; -input=false never asks")
}

// Asking is the environment for questions: nobody is there to be asked with
// -input=false, and in CI.
func (o *Options) Asking(env *command.Env) *command.Env {
	alone := *env
	alone.Interactive = env.Interactive && o.Input && env.Getenv("CI") == ""
	return &alone
}

// Made is a plan with what it was made with; the caller stops the pool.
type Made struct {
	Plan    *plan.Plan
	Program *program.Program
	Pool    *pluginhost.Pool
}

// Make plans a run with the processes of a pool, which it stops on errors. Those
// were shown already.
func Make(ctx context.Context, w *workspace.Workspace, opts Options, pool *pluginhost.Pool) (_ *Made, err error) {
	defer func() {
		if err != nil {
			pool.StopAll()
		}
	}()
	if err := w.Show(w.Env.Stderr, w.Initialised()); err != nil {
		return nil, err
	}
	values, err := w.Values(opts.Vars, opts.Files)
	if err != nil {
		return nil, err
	}
	answers, err := ask.Variables(opts.Asking(w.Env), w.Pipeline, values, w.World(), func(d hcl.Diagnostics) { _ = w.Show(w.Env.Stderr, d) })
	if err != nil {
		return nil, err
	}
	values.Vars = append(values.Vars, answers...)
	lineage, err := w.Store.Lineage(ctx)
	if err != nil {
		return nil, err
	}
	p, prog, diags := plan.Make(ctx, plan.Options{
		Pipeline: w.Pipeline, Values: values, World: w.World(), Catalog: w.Catalog, Plugins: pool, Key: w.Key, Redactor: w.Redactor,
		Lock: w.Lock.Bytes(), Lineage: lineage, Runner: w.Env.Version, Now: time.Now(), Artifacts: w.ArtifactDir(),
	})
	if err := w.Show(w.Env.Stderr, diags); err != nil {
		return nil, err
	}
	return &Made{Plan: p, Program: prog, Pool: pool}, nil
}
