// Package version is runner version.
package version

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/runner-pipelines/runner/core/cli/command"
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
	c := &command.Command{Name: "version", Short: "Tell this program's version", Long: "Tells this program's version and platform.", Flags: command.NewFlags("version")}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return c.Usage("runner version takes no arguments.")
		}
		return runF(ctx, opts)
	}
	return c
}

func run(_ context.Context, opts *Options) error {
	if opts.JSON {
		return json.NewEncoder(opts.Env.Stdout).Encode(map[string]string{
			"version": opts.Env.Version, "platform": runtime.GOOS + "_" + runtime.GOARCH, "go": runtime.Version(),
		})
	}
	_, err := fmt.Fprintf(opts.Env.Stdout, "runner %s on %s_%s\n", opts.Env.Version, runtime.GOOS, runtime.GOARCH)
	return err
}
