// Package version is runner version.
package version

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Options of the command.
type Options struct {
	Env  *command.Env
	JSON bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{Name: "version", Short: "Tell this program's version", Flags: command.NewFlags("version"),
		Long: `Tells this program's version and platform, and in the folder of a pipeline which
plugins its lock file names. With -json also the Go version that built the program and
the versions of the plugin protocol that it speaks.`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner version takes no arguments.")
		}
		return runF(ctx, opts)
	}
	return c
}

// Version is what -json gives.
type Version struct {
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Go       string `json:"go"`
	// Protocols are the versions of the plugin protocol, oldest first.
	Protocols []int    `json:"protocols"`
	Plugins   []Plugin `json:"plugins"`
}

// Plugin is one plugin of the lock file.
type Plugin struct {
	Source   string `json:"source"`
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
}

func run(_ context.Context, opts *Options) error {
	v := Version{
		Version: opts.Env.Version, Platform: runtime.GOOS + "_" + runtime.GOARCH, Go: runtime.Version(),
		Protocols: host.Protocols(), Plugins: locked(opts.Env),
	}
	if opts.JSON {
		return json.NewEncoder(opts.Env.Stdout).Encode(v)
	}
	_, err := fmt.Fprintf(opts.Env.Stdout, "runner %s on %s\n", v.Version, v.Platform)
	for _, p := range v.Plugins {
		if err == nil {
			_, err = fmt.Fprintf(opts.Env.Stdout, "+ plugin %s %s\n", p.Source, p.Version)
		}
	}
	return err
}

// locked are the plugins of the lock file here; none where there is no pipeline.
// Mistakes in it are for other commands to tell.
func locked(env *command.Env) []Plugin {
	out := []Plugin{}
	w, _ := workspace.Open(env)
	if w.Lock == nil {
		return out
	}
	for _, p := range w.Lock.Plugins {
		out = append(out, Plugin{p.Source, p.Version, p.Protocol})
	}
	return out
}
