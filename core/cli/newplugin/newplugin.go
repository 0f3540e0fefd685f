// Package newplugin is runner new-plugin: it writes the beginning of a plugin,
// which passes the conformance suite of its kind as it is.
package newplugin

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// Kinds are those that a plugin can be begun of.
var Kinds = []string{"action", "target", "strategy", "metrics"}

//go:embed templates
var templates embed.FS

// Options of the command.
type Options struct {
	Env  *command.Env
	Name string
	Kind string
	// Dir and Module are empty for those made of the name.
	Dir, Module string
	// SDK is a folder with the SDK; empty for the published one.
	SDK string
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "new-plugin", Args: "NAME", Short: "Write the beginning of a plugin", Flags: command.NewFlags("new-plugin"),
		Long: `Writes a Go module with a plugin of one component: code that works, its README, and a
test that asks for all that its kind promises. To go on:
  cd runner-plugin-NAME
  go mod tidy
  go test ./...

The kinds are action, target, strategy and metrics.`,
	}
	c.Flags.StringVar(&opts.Kind, "kind", "action", "make a component of this `kind`: action, target, strategy or metrics")
	c.Flags.StringVar(&opts.Dir, "dir", "", "write into this `dir` instead of runner-plugin-NAME; it must be empty or new")
	c.Flags.StringVar(&opts.Module, "module", "", "the `path` of the Go module")
	c.Flags.StringVar(&opts.SDK, "sdk", "", "use the SDK in this `dir` instead of the published one")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return c.Usage("runner new-plugin takes the plugin's name.")
		}
		opts.Name = args[0]
		return runF(ctx, opts)
	}
	return c
}

// pluginName is the form of a plugin's name, as in required_plugins.
var pluginName = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)

func run(_ context.Context, opts *Options) error {
	if !slices.Contains(Kinds, opts.Kind) {
		hint := diagnostics.Suggest(opts.Kind, Kinds)
		if hint == "" {
			hint = " There is: " + strings.Join(Kinds, ", ") + "."
		}
		return command.Failure("Unknown kind", "No plugin can be begun of the kind %q.%s", opts.Kind, hint)
	}
	if !pluginName.MatchString(opts.Name) {
		return command.Failure("Invalid name", "%q cannot be the name of a plugin. Names have small letters, digits, _ and -, and begin with a letter.", opts.Name)
	}
	dir := opts.Dir
	if dir == "" {
		dir = "runner-plugin-" + opts.Name
	}
	full := opts.Env.Path(dir)
	if err := mustBeEmpty(full, dir); err != nil {
		return err
	}
	p, err := pluginOf(opts, full)
	if err != nil {
		return err
	}
	files, err := p.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(full, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(full, name), content, 0o644); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(opts.Env.Stdout, "Wrote the plugin %q with the %s %q into %s. To go on:\n  cd %s\n  go mod tidy\n  go test ./...\n",
		p.Name, p.Kind, p.Component, dir, dir)
	return err
}

func mustBeEmpty(full, dir string) error {
	entries, err := os.ReadDir(full)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		return command.Failure("Folder is not empty", "%s holds something already, and nothing is overwritten. Name another folder with -dir, or empty it.", dir)
	}
	return err
}

// plugin is what the templates know.
type plugin struct {
	Name, Kind, Module string
	// Component is the name in pipelines, Type that in Go.
	Component, Type string
	// SDKVersion is required; Replace is a folder that stands for it, or empty.
	SDKVersion, Replace string
}

func pluginOf(opts *Options, full string) (*plugin, error) {
	p := &plugin{
		Name: opts.Name, Kind: opts.Kind, Module: opts.Module,
		Component: strings.ReplaceAll(opts.Name, "-", "_"), SDKVersion: "v" + opts.Env.Version,
	}
	for word := range strings.SplitSeq(p.Component, "_") {
		p.Type += strings.ToUpper(word[:1]) + word[1:]
	}
	if p.Module == "" {
		p.Module = "example.com/runner-plugin-" + p.Name
	}
	if opts.SDK == "" {
		return p, nil
	}
	sdk := opts.Env.Path(opts.SDK)
	if _, err := os.Stat(filepath.Join(sdk, "go.mod")); err != nil {
		return nil, command.Failure("No SDK here", "%s is no folder with the SDK: %s.", opts.SDK, err)
	}
	rel, err := filepath.Rel(full, sdk)
	if err != nil {
		rel = sdk
	}
	p.SDKVersion, p.Replace = "v0.0.0", filepath.ToSlash(rel)
	return p, nil
}

// files are the files of the plugin by name.
func (p *plugin) files() (map[string][]byte, error) {
	all, err := template.ParseFS(templates, "templates/*.tmpl", "templates/"+p.Kind+"/*")
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, t := range all.Templates() {
		name := strings.TrimSuffix(t.Name(), ".tmpl")
		if name == t.Name() {
			continue
		}
		var b bytes.Buffer
		if err := t.Execute(&b, p); err != nil {
			return nil, err
		}
		out[name] = b.Bytes()
		if strings.HasSuffix(name, ".go") {
			if out[name], err = format.Source(b.Bytes()); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return out, nil
}
