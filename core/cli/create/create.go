// Package create is runner new: it writes the first pipeline of a folder, from
// what lies there and a few questions.
package create

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// fileName is the file that is written.
const fileName = "pipeline.hcl"

// Options of the command.
type Options struct {
	Env *command.Env
	// Dir is the folder; empty for the working directory.
	Dir string
	// Name, With and Environments are empty where nothing was said.
	Name         string
	With         string
	Environments string
	Command      string
	Force        bool
	Input        bool
	// given are the options that were written.
	given map[string]bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "new", Args: "[DIR]", Short: "Write a first pipeline", Flags: command.NewFlags("new"),
		Long: `Writes pipeline.hcl for a folder. It looks for go.mod, package.json, Dockerfile, Helm
charts and Terraform files, and on a terminal asks what it cannot know; the options
answer beforehand. What is written is ready for runner init and runner validate.

Parts for -with:
  go         test and build a Go module
  node       install, test and build by the scripts of package.json
  docker     build and push an image
  helm       check a chart and release it
  terraform  check and apply Terraform files
  service    run a program on this machine, replaced by canary`,
	}
	c.Flags.StringVar(&opts.Name, "name", "", "call the pipeline this `name` instead of the folder's")
	c.Flags.StringVar(&opts.With, "with", "", "write these `parts`, with commas, instead of those found")
	c.Flags.StringVar(&opts.Environments, "environments", "", "promote through these `names`, with commas; the last asks for approval")
	c.Flags.StringVar(&opts.Command, "command", "", "run this `program` as the service, with its arguments")
	c.Flags.BoolVar(&opts.Force, "force", false, "replace a pipeline that is there")
	c.Flags.BoolVar(&opts.Input, "input", true, "on a terminal, ask for what is missing; -input=false never asks")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner new takes at most one folder.")
		}
		if len(args) == 1 {
			opts.Dir = args[0]
		}
		opts.given = command.Given(c.Flags)
		return runF(ctx, opts)
	}
	return c
}

func run(_ context.Context, opts *Options) error {
	dir := opts.Env.Path(opts.Dir)
	if err := mayWrite(dir, opts.Force); err != nil {
		return err
	}
	found, err := look(dir)
	if err != nil {
		return err
	}
	p, err := choose(opts, filepath.Base(dir), found)
	if err != nil {
		return err
	}
	src, err := p.source()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, fileName), src, 0o644); err != nil {
		return err
	}
	return tell(opts, found, p)
}

// mayWrite refuses a folder that has a pipeline.
func mayWrite(dir string, force bool) error {
	for _, name := range []string{fileName, fileName + ".json"} {
		_, err := os.Lstat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !force || name != fileName:
			hint := "Nothing was changed."
			if name == fileName {
				hint += " To replace it:\n  runner new -force"
			}
			return command.Failure("Pipeline is there already", "%s exists. %s", filepath.Join(dir, name), hint)
		}
	}
	return nil
}

// choose settles everything that the file says: options first, then answers, then
// what was found.
func choose(opts *Options, folder string, found findings) (*pipeline, error) {
	p := &pipeline{Name: opts.Name, findings: found}
	asking := opts.Env.Interactive && opts.Input && opts.Env.Getenv("CI") == ""
	answer := func(option, question, otherwise string) (string, error) {
		if opts.given[option] || !asking {
			return otherwise, nil
		}
		return ask.Text(opts.Env, question, otherwise)
	}
	var err error
	if !opts.given["name"] {
		p.Name = asName(folder)
	}
	if p.Name, err = answer("name", "Name of the pipeline", p.Name); err != nil {
		return nil, err
	}
	if !addr.IsName(p.Name) {
		return nil, command.Failure("Invalid name", "%q cannot be the name of a pipeline. Names have letters, digits, _ and -, and begin with a letter or _. Give one:\n  runner new -name=NAME", p.Name)
	}
	with := opts.With
	if !opts.given["with"] {
		with = strings.Join(found.parts(), ",")
	}
	if with, err = answer("with", "Parts, of "+strings.Join(allParts, ", "), with); err != nil {
		return nil, err
	}
	if p.Parts, err = parts(with); err != nil {
		return nil, err
	}
	environments := opts.Environments
	if !opts.given["environments"] && p.deploys() {
		environments = "staging,prod"
	}
	if p.deploys() {
		if environments, err = answer("environments", "Environments, in the order of promotion", environments); err != nil {
			return nil, err
		}
	}
	if p.Environments, err = environmentNames(environments); err != nil {
		return nil, err
	}
	program := opts.Command
	if p.Has("service") {
		if program, err = answer("command", "Program to run as the service, with its arguments", program); err != nil {
			return nil, err
		}
	}
	if p.Command = strings.Fields(program); p.Has("service") && len(p.Command) == 0 {
		return nil, command.Failure("Missing program", "A service needs a program to run. It gets its port in the environment variable PORT. Name it:\n  runner new -with=%s -command='./server -verbose'", with)
	}
	return p, nil
}

// asName makes a name of a folder's.
func asName(folder string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, folder)
	name = strings.Trim(name, "-")
	if !addr.IsName(name) {
		name = strings.TrimSuffix("pipeline-"+name, "-")
	}
	return name
}

func parts(text string) ([]string, error) {
	var out []string
	for _, part := range list(text) {
		if !slices.Contains(allParts, part) {
			hint := diagnostics.Suggest(part, allParts)
			if hint == "" {
				hint = " There is: " + strings.Join(allParts, ", ") + "."
			}
			return nil, command.Failure("Unknown part", "runner new has no part %q.%s", part, hint)
		}
		if !slices.Contains(out, part) {
			out = append(out, part)
		}
	}
	return out, nil
}

func environmentNames(text string) ([]string, error) {
	names := list(text)
	for i, name := range names {
		if !addr.IsName(name) {
			return nil, command.Failure("Invalid name", "%q cannot be the name of an environment. Names have letters, digits, _ and -, and begin with a letter or _.", name)
		}
		if slices.Contains(names[:i], name) {
			return nil, command.Failure("Duplicate name", "The environment %q stands twice among %s.", name, text)
		}
	}
	return names, nil
}

// list divides at commas and blanks.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

func tell(opts *Options, found findings, p *pipeline) error {
	out := opts.Env.Stdout
	for _, line := range found.lines() {
		fmt.Fprintf(out, "Found %s.\n", line)
	}
	where := ""
	if opts.Dir != "" {
		where = " -chdir=" + opts.Dir
	}
	values := ""
	if p.Has("docker") {
		// The one variable for which nothing can be guessed.
		values = " -var registry=…"
	}
	_, err := fmt.Fprintf(out, "Wrote %s of pipeline %q. To go on:\n  runner%s init\n  runner%s plan%s\n",
		filepath.Join(opts.Dir, fileName), p.Name, where, where, values)
	return err
}
