// Package output is runner output: it shows what a run gave at its end.
package output

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/hclvalue"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/runs/outputs"
	"github.com/runner-pipelines/runner/core/seal"
)

// Options of the command.
type Options struct {
	Env *command.Env
	// Name is empty for all outputs.
	Name string
	// Run is empty for the newest that succeeded.
	Run  string
	JSON bool
	Raw  bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "output", Args: "[OUTPUT]", Short: "Show what a run gave", Flags: command.NewFlags("output"),
		Long: `Shows the pipeline's outputs as the newest successful run gave them, or the run of -run.

Sensitive values are shown only when a program asks: with -json, or one by its name
with -raw. They are sealed with the state key of the run.`,
	}
	c.Flags.StringVar(&opts.Run, "run", "", "show the outputs of this `run`")
	c.Flags.BoolVar(&opts.JSON, "json", false, "as JSON: an object of outputs with type and value, or one value alone")
	c.Flags.BoolVar(&opts.Raw, "raw", false, "one string, number or bool as it is, without quotes and line end")
	c.Run = func(ctx context.Context, args []string) error {
		switch {
		case len(args) > 1:
			return c.Usage("runner output takes at most one name.")
		case opts.Raw && len(args) == 0:
			return c.Usage("-raw needs the name of an output.")
		case opts.Raw && opts.JSON:
			return c.Usage("-raw and -json exclude each other.")
		}
		if len(args) == 1 {
			opts.Name = args[0]
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
	rec, err := find(ctx, w, opts.Run)
	if err != nil {
		return err
	}
	all, err := outputs.Read(ctx, w.Store, rec.ID)
	if errors.Is(err, outputs.ErrNone) {
		return noneOf(rec)
	}
	if err != nil {
		return err
	}
	if opts.Name != "" {
		return one(opts, w.Key, rec, all)
	}
	if opts.JSON {
		return allJSON(opts, w.Key, all)
	}
	if len(all) == 0 {
		_, err = fmt.Fprintf(opts.Env.Stdout, "The pipeline of run %s has no outputs.\n", rec.ID)
	}
	for _, o := range all {
		text := hclvalue.Sensitive
		if !o.Sensitive {
			text = hclvalue.Format(o.Value)
		}
		if _, err = fmt.Fprintf(opts.Env.Stdout, "%s = %s\n", o.Name, text); err != nil {
			return err
		}
	}
	return err
}

func find(ctx context.Context, w *workspace.Workspace, ref string) (runs.Record, error) {
	if ref != "" {
		return w.Runs.Find(ctx, ref)
	}
	for rec, err := range w.Runs.List(ctx, runs.Filter{Outcome: string(kernel.Succeeded), Limit: 1}) {
		return rec, err
	}
	return runs.Record{}, command.Failure("No successful run", "No run of this pipeline has ended well, so there are no outputs. To begin one:\n  runner apply")
}

func noneOf(rec runs.Record) error {
	switch {
	case rec.Closed.IsZero():
		return command.Failure("Run has no outputs", "Run %s has not ended; outputs are known when a run has succeeded. Where it stands:\n  runner status %s", rec.ID, rec.ID)
	case rec.Outcome != string(kernel.Succeeded):
		return command.Failure("Run has no outputs", "Run %s ended %s; only a run that succeeded has outputs. To list others:\n  runner history", rec.ID, view.Words(rec.Outcome))
	}
	return command.Failure("Run has no outputs", "Run %s has kept none: an earlier version of runner carried it out, or they could not be evaluated at its end. What happened in it:\n  runner show %s", rec.ID, rec.ID)
}

func one(opts *Options, key *seal.Key, rec runs.Record, all []outputs.Output) error {
	var names []string
	for _, o := range all {
		names = append(names, o.Name)
	}
	i := slices.Index(names, opts.Name)
	if i < 0 {
		hint := diagnostics.Suggest(opts.Name, names)
		switch {
		case len(names) == 0:
			hint += " It has no outputs."
		case hint == "":
			hint = " There is: " + strings.Join(names, ", ") + "."
		}
		return command.Failure("Unknown output", "Run %s has no output named %q.%s", rec.ID, opts.Name, hint)
	}
	o := all[i]
	if o.Sensitive && !opts.Raw && !opts.JSON {
		_, err := fmt.Fprintln(opts.Env.Stdout, hclvalue.Sensitive)
		return err
	}
	v, err := reveal(o, key)
	if err != nil {
		return err
	}
	switch {
	case opts.JSON:
		return writeJSON(opts, ctyjson.SimpleJSONValue{Value: v})
	case !opts.Raw:
		_, err = fmt.Fprintln(opts.Env.Stdout, hclvalue.Format(v))
		return err
	}
	text, err := convert.Convert(v, cty.String)
	if err != nil || text.IsNull() {
		return command.Failure("Output is no text", "-raw writes strings, numbers and bools, and the output %q is %s. Take it as JSON:\n  runner output -json %s", o.Name, describe(v), o.Name)
	}
	_, err = fmt.Fprint(opts.Env.Stdout, text.AsString())
	return err
}

func describe(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return "of type " + v.Type().FriendlyName()
}

func reveal(o outputs.Output, key *seal.Key) (cty.Value, error) {
	v, err := o.Reveal(key)
	if errors.Is(err, seal.ErrWrongKey) {
		return v, command.Failure("Output cannot be opened", "The output %q is sealed with another state key than the one at hand. Give the key of its run in the environment variable %s.", o.Name, seal.EnvKey)
	}
	return v, err
}

// shown is an output in JSON, as Terraform writes it.
type shown struct {
	Sensitive bool                    `json:"sensitive"`
	Type      json.RawMessage         `json:"type"`
	Value     ctyjson.SimpleJSONValue `json:"value"`
}

func allJSON(opts *Options, key *seal.Key, all []outputs.Output) error {
	out := map[string]shown{}
	for _, o := range all {
		v, err := reveal(o, key)
		if err != nil {
			return err
		}
		typ, err := ctyjson.MarshalType(o.Type())
		if err != nil {
			return err
		}
		out[o.Name] = shown{o.Sensitive, typ, ctyjson.SimpleJSONValue{Value: v}}
	}
	return writeJSON(opts, out)
}

func writeJSON(opts *Options, v any) error {
	enc := json.NewEncoder(opts.Env.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
