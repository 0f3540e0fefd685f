// Package sdk is what a plugin author imports first: fill in a Plugin, call
// Serve in main, and implement the interfaces of the kinds you serve, each in a
// package of its own below this one.
package sdk

import (
	"context"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Plugin is what one program serves. Each function returns a fresh component
// with its defaults set; the SDK decodes the pipeline file on top of them.
type Plugin struct {
	// Name is short, such as aws; the program is called runner-plugin-aws.
	Name string
	// Version is semantic, without a leading v. It may be set at link time.
	Version string
	// Config is the body of the plugin block as a tagged struct; nil when it takes
	// none. The SDK calls Configure on the decoded value once per process, and all
	// components of the process see what it did.
	Config func() Configurer
	// Env lists the environment variables that the plugin wants to see, each with
	// what it is for. It gets no others.
	Env map[string]string
	// MaxParallel limits calls at the same time; 0 means no limit.
	MaxParallel int
	// Commands are subcommands of the program itself, for people: runner-plugin-local ls.
	// They run instead of serving when the first argument names one; what they
	// return is the exit code.
	Commands map[string]Command

	Actions    map[string]func() action.Action
	Targets    map[string]func() target.Target
	Strategies map[string]func() strategy.Strategy
	Metrics    map[string]func() metrics.Metrics
}

// Configurer is the body of a plugin block.
type Configurer interface {
	// Configure is called once per process, before any operation.
	Configure() error
}

// Checker is implemented by the plugin block of a plugin that can tell as whom
// it acts, such as an account or a user, and what it lacks. It changes nothing.
type Checker interface {
	// Check is called after Configure. Missing permissions are errors; the
	// identity is shown in any case.
	Check(ctx context.Context) (identity string, err error)
}

// Command is one subcommand of a plugin's program.
type Command struct {
	// Doc is one line for the program's help; a command without one is not listed.
	Doc string
	// Run gets the arguments after the name and returns the exit code.
	Run func(args []string) int
}

// Validator is implemented by a component that can tell that its own
// configuration is wrong. It is called after decoding, before anything runs. What
// is not known yet is zero then, and diagnostics about unknown places, or about
// no place, are dropped. Return diag.AtAttr errors, joined when there are
// several; diag.Warn and diag.WarnAtAttr stop nothing.
type Validator interface{ Validate() error }

// Documented is implemented by a component that says what it is for, in a few
// sentences of reference documentation.
type Documented interface{ Doc() string }
