// Package plugincmd is runner plugin test: it asks any program, whatever it is
// written in, for what plugins of its kinds promise.
package plugincmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// Options of the command.
type Options struct {
	Env       *command.Env
	Kind      string
	Component string
	Config    string
	JSON      bool
	Timeout   time.Duration
	// Command is the program and its arguments.
	Command []string
}

var kinds = []schema.Kind{schema.KindAction, schema.KindTarget, schema.KindStrategy, schema.KindMetrics}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "plugin", Args: "test PROGRAM [ARGUMENT…]", Short: "Test a plugin", Flags: command.NewFlags("plugin"),
		Long: `Starts a plugin's program as a run would, and asks each component that it serves for
what its kind promises: that a second run changes nothing, that a cancelled one
stops, that a strategy decides the same twice, and so on. It does so for real:
actions run and targets install. What a component does not offer, and what needs a
sample that is not given, is skipped with the reason.

The samples are in ` + FileName + ` beside the program, or in the file given by
-config; docs/plugins-in-any-language.md describes it. The plugin gets only
the environment variables that this file names.

Options that are meant for the program come after two hyphens:
  runner plugin test -- node plugin.js -verbose`,
	}
	c.Flags.StringVar(&opts.Kind, "kind", "", "test only components of this `kind`")
	c.Flags.StringVar(&opts.Component, "component", "", "test only the component of this `name`")
	c.Flags.StringVar(&opts.Config, "config", "", "read the samples from `file`, as HCL or JSON")
	c.Flags.DurationVar(&opts.Timeout, "timeout", 10*time.Minute, "give up after this `time`")
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Run = func(ctx context.Context, args []string) error {
		switch {
		case len(args) == 0:
			return c.Usage("runner plugin does nothing by itself; it has the command test.")
		case args[0] != "test":
			return c.Usage("runner plugin has no command %q.%s", args[0], diagnostics.Suggest(args[0], []string{"test"}))
		case len(args) == 1:
			return c.Usage("runner plugin test needs the program to test.")
		case opts.Kind != "" && !slices.Contains(kinds, schema.Kind(opts.Kind)):
			return c.Usage("There is no kind %q; there are %v.", opts.Kind, kinds)
		case opts.Timeout <= 0:
			return c.Usage("-timeout must be longer than no time.")
		}
		opts.Command = args[1:]
		return runF(ctx, opts)
	}
	return c
}

var errInterrupted = errors.New("interrupted")

func run(ctx context.Context, opts *Options) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	limited, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("they took longer than %s; -timeout gives them more", opts.Timeout))
	defer cancel()
	go func() {
		select {
		case <-opts.Env.Interrupts:
			stop(errInterrupted)
		case <-ctx.Done():
		}
	}()
	err := test(limited, opts)
	switch cause := context.Cause(limited); {
	case cause == nil:
		return err
	case errors.Is(cause, errInterrupted):
		return &command.ExitError{Code: command.Interrupted, Message: "Interrupted: not everything was tested."}
	default:
		return failed(diag.New("Tests cut short", "The tests were stopped: %v. What failed last may have failed for that alone.", cause))
	}
}

func test(ctx context.Context, opts *Options) error {
	program, err := locate(opts)
	if err != nil {
		return err
	}
	samples, err := open(opts, program[0])
	if err != nil {
		return err
	}
	d, err := describe(ctx, program, samples.Env)
	if err != nil {
		return failed(err)
	}
	chosen, diags := choose(opts, d, samples)
	if err := show(opts.Env, diags, samples.files); err != nil {
		return err
	}
	var out view = &human{out: opts.Env.Stdout}
	if opts.JSON {
		out = &machine{out: opts.Env.Stdout}
	}
	out.begin(d)
	t := &tester{program: program, samples: samples, view: out, env: opts.Env}
	for _, c := range chosen {
		if ctx.Err() != nil {
			out.component(c)
			out.untested("There was no time left")
			continue
		}
		if err := t.component(ctx, c); err != nil {
			return err
		}
	}
	return out.end()
}

// locate makes a command that can be started from anywhere.
func locate(opts *Options) ([]string, error) {
	program := slices.Clone(opts.Command)
	path := program[0]
	if filepath.Base(path) == path {
		found, err := exec.LookPath(path)
		if err != nil {
			return nil, failed(diag.New("Program not found", "There is no program %q on the PATH. For one in this folder, write ./%s.", path, path))
		}
		path = found
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(opts.Env.Dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failed(diag.New("Program not found", "There is no file %s.", path))
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, failed(diag.New("File is not a program", "%s is a folder, or something else that cannot be started.", path))
	}
	program[0] = path
	return program, nil
}

// failed shows a problem in the form of all messages.
func failed(err error) error {
	var text []string
	for _, d := range diag.Of(err).Diagnostics {
		text = append(text, fmt.Sprintf("Error: %s\n\n%s", d.Summary, d.Detail))
	}
	return &command.ExitError{Code: command.Failed, Message: strings.Join(text, "\n\n")}
}

// show writes diagnostics; its error ends the command when one of them is an error.
func show(env *command.Env, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	if err := diagnostics.Write(env.Stderr, diagnostics.Tidy(diags), files); err != nil {
		return err
	}
	if diags.HasErrors() {
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}

// describe starts the program once and asks what it serves.
func describe(ctx context.Context, program, env []string) (*host.Description, error) {
	cert, err := host.NewCertificate()
	if err != nil {
		return nil, err
	}
	p, err := host.Start(ctx, host.Config{Name: filepath.Base(program[0]), Command: program, Env: env, Certificate: cert, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer p.Stop(time.Second)
	return p.Describe(ctx)
}

// choose lists the components to test. A block of samples that no component is
// there for is an error.
func choose(opts *Options, d *host.Description, s *samples) ([]host.Component, hcl.Diagnostics) {
	var chosen []host.Component
	var all []string
	for _, c := range d.Components {
		all = append(all, c.Name)
		if (opts.Kind == "" || opts.Kind == string(c.Kind)) && (opts.Component == "" || opts.Component == c.Name) {
			chosen = append(chosen, c)
		}
	}
	var diags hcl.Diagnostics
	for _, b := range s.blocks {
		if !slices.ContainsFunc(d.Components, func(c host.Component) bool { return string(c.Kind) == b.Type && c.Name == b.Labels[0] }) {
			diags = append(diags, diagnostics.Error(b.LabelRanges[0], "No such component",
				"The plugin %q serves no %s named %q.%s", d.Name, b.Type, b.Labels[0], diagnostics.Suggest(b.Labels[0], all)))
		}
	}
	if len(chosen) == 0 {
		which := ""
		if opts.Kind != "" {
			which += " of kind " + opts.Kind
		}
		if opts.Component != "" {
			which += fmt.Sprintf(" named %q.%s", opts.Component, diagnostics.Suggest(opts.Component, all))
		}
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Nothing to test", Detail: fmt.Sprintf("The plugin %q serves no component%s", d.Name, withStop(which))})
	}
	return chosen, diags
}

func withStop(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
