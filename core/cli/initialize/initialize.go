// Package initialize is runner init: it chooses the plugins that the pipeline
// requires and writes the lock file.
package initialize

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost"
)

// Options of the command.
type Options struct {
	Env       *command.Env
	Upgrade   bool
	PluginDir string
	Lockfile  string
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "init", Short: "Choose plugins and write the lock file", Flags: command.NewFlags("init"),
		Long: `Finds a program for every plugin in required_plugins, asks it what it serves, and
writes ` + lockfile.Name + `: versions, hashes, components, and the environment
variables that each plugin may see. Keep that file in version control.

Looks in dev_overrides, the plugin directory, the filesystem mirrors, the cache
and the folder of this program, in this order.`,
	}
	c.Flags.BoolVar(&opts.Upgrade, "upgrade", false, "choose the newest versions, accept changed programs")
	c.Flags.StringVar(&opts.PluginDir, "plugin-dir", "", "look for plugins in this `dir` first")
	c.Flags.StringVar(&opts.Lockfile, "lockfile", "", "with `mode` readonly, fail instead of changing the lock file")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner init takes no arguments.")
		}
		if opts.Lockfile != "" && opts.Lockfile != "readonly" {
			return c.Usage("-lockfile takes only readonly.")
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, diags := workspace.Open(opts.Env)
	if w.Pipeline.Incomplete || w.Dir == "" {
		return w.Show(opts.Env.Stderr, diags)
	}
	if err := w.Show(opts.Env.Stderr, ours(w, diags)); err != nil {
		return err
	}
	found, diags := pluginhost.Resolve(ctx, workspace.Requirements(w.Pipeline), w.Lock, pluginhost.Options{
		Places: w.Places(opts.PluginDir), SchemaDir: w.SchemaDir(), Upgrade: opts.Upgrade, Log: w.Slog(),
	})
	if err := w.Show(opts.Env.Stderr, diags); err != nil {
		return err
	}
	out := opts.Env.Stdout
	for _, s := range found.Selections {
		change := ""
		if s.Change != "" {
			change = " (" + string(s.Change) + ")"
		}
		fmt.Fprintf(out, "%s %s from %s%s\n", s.Source, s.Description.Version, s.Where, change)
		var names []string
		for _, comp := range s.Description.Components {
			names = append(names, comp.Name)
		}
		fmt.Fprintf(out, "  serves %s\n", strings.Join(names, ", "))
		if len(s.NewEnv) > 0 {
			fmt.Fprintf(out, "  may see the environment variables %s\n", strings.Join(s.NewEnv, ", "))
		}
	}
	if opts.Lockfile == "readonly" {
		old, _ := os.ReadFile(w.LockPath())
		if !bytes.Equal(found.Lock.Bytes(), old) {
			return &command.ExitError{Code: command.Failed, Message: "Error: Lock file is out of date\n\nThe plugins found are not those of " + lockfile.Name + ", and -lockfile=readonly forbids to change it. To change it:\n  runner init"}
		}
		return nil
	}
	if err := found.Save(w.LockPath(), w.Data); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe pipeline is ready. To see what it would do:\n  runner plan\n")
	return nil
}

// ours are the diagnostics that matter to choosing plugins: those of the runner
// block, and of files that are not the pipeline's. Mistakes elsewhere are told by
// validate, which needs the plugins' schemas to find them all.
func ours(w *workspace.Workspace, diags hcl.Diagnostics) hcl.Diagnostics {
	block := w.Pipeline.Runner.Range
	var out hcl.Diagnostics
	for _, d := range diags {
		if d.Subject == nil || w.Pipeline.Sources[d.Subject.Filename] == nil || d.Severity == hcl.DiagWarning || inBlock(*d.Subject, block) {
			out = append(out, d)
		}
	}
	return out
}

func inBlock(at, block hcl.Range) bool {
	return at.Filename == block.Filename && at.Start.Byte >= block.Start.Byte && at.End.Byte <= block.End.Byte
}
