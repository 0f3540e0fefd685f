// Package completion lets shells complete the program's commands with what is
// really there: runs, stages, gates, environments, variables.
//
// New prints a script for a shell; the script asks the hidden command of
// NewAnswer, which starts no plugin and says nothing about mistakes.
package completion

import (
	"context"
	"embed"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// Options of the command.
type Options struct {
	Env   *command.Env
	Shell string
}

//go:embed scripts
var scripts embed.FS

// shells are those that there is a script for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "completion", Args: strings.Join(shells, "|"), Short: "Let the shell complete commands", Flags: command.NewFlags("completion"),
		Long: `Prints a script that lets a shell complete commands, options, runs, stages, gates,
environments and variables.

To have it in every new shell:
  bash        runner completion bash > ~/.local/share/bash-completion/completions/runner
  zsh         runner completion zsh > "${fpath[1]}/_runner"
  fish        runner completion fish > ~/.config/fish/completions/runner.fish
  powershell  runner completion powershell >> $PROFILE

In this shell only:
  bash, zsh   source <(runner completion bash)
  fish        runner completion fish | source
  powershell  runner completion powershell | Out-String | Invoke-Expression`,
	}
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return c.Usage("runner completion takes the name of a shell: %s.", strings.Join(shells, ", "))
		}
		opts.Shell = args[0]
		if _, err := scripts.ReadFile(scriptOf(opts.Shell)); err != nil {
			return c.Usage("There is no completion for %q, only for %s.", opts.Shell, strings.Join(shells, ", "))
		}
		return runF(ctx, opts)
	}
	return c
}

func scriptOf(shell string) string { return "scripts/runner." + shell }

func run(_ context.Context, opts *Options) error {
	script, err := scripts.ReadFile(scriptOf(opts.Shell))
	if err != nil {
		return err
	}
	_, err = opts.Env.Stdout.Write(script)
	return err
}
