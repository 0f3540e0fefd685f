// Package cli is the program's commands, one folder each. Main is its door.
package cli

import (
	"context"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"

	"github.com/mattn/go-isatty"

	"github.com/runner-pipelines/runner/core/cli/apply"
	"github.com/runner-pipelines/runner/core/cli/approve"
	"github.com/runner-pipelines/runner/core/cli/cancel"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/explain"
	"github.com/runner-pipelines/runner/core/cli/format"
	"github.com/runner-pipelines/runner/core/cli/graph"
	"github.com/runner-pipelines/runner/core/cli/history"
	"github.com/runner-pipelines/runner/core/cli/initialize"
	logscmd "github.com/runner-pipelines/runner/core/cli/logs"
	plancmd "github.com/runner-pipelines/runner/core/cli/plan"
	"github.com/runner-pipelines/runner/core/cli/report"
	"github.com/runner-pipelines/runner/core/cli/resume"
	"github.com/runner-pipelines/runner/core/cli/rollback"
	"github.com/runner-pipelines/runner/core/cli/show"
	"github.com/runner-pipelines/runner/core/cli/status"
	"github.com/runner-pipelines/runner/core/cli/unlock"
	"github.com/runner-pipelines/runner/core/cli/validate"
	versioncmd "github.com/runner-pipelines/runner/core/cli/version"
	"github.com/runner-pipelines/runner/core/cli/watch"
)

// Commands are all commands, in the order of the overview.
func Commands(env *command.Env) []*command.Command {
	return []*command.Command{
		initialize.New(env, nil), validate.New(env, nil), format.New(env, nil),
		plancmd.New(env, nil), apply.New(env, nil), show.New(env, nil), status.New(env, nil), watch.New(env, nil), graph.New(env, nil),
		history.New(env, nil), explain.New(env, nil), logscmd.New(env, nil), report.New(env, nil), rollback.New(env, nil), resume.New(env, nil),
		cancel.New(env, nil), approve.New(env, nil), approve.NewReject(env, nil), unlock.New(env, nil), versioncmd.New(env, nil),
	}
}

// Main runs the program with the process's own arguments and returns its exit code.
func Main(version string) int {
	env := ofProcess(version)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	interrupts := make(chan struct{}, 4)
	env.Interrupts = interrupts
	env.Interrupt = func() {
		select {
		case interrupts <- struct{}{}:
		default:
		}
	}
	go func() {
		for range signals {
			interrupts <- struct{}{}
		}
	}()
	return command.Dispatch(context.Background(), env, Commands(env), os.Args[1:])
}

func ofProcess(version string) *command.Env {
	env := &command.Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Version: version,
		Interactive: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
	}
	env.Dir, _ = os.Getwd()
	env.Host, _ = os.Hostname()
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		env.ExeDir = filepath.Dir(exe)
	}
	env.User = "unknown"
	if u, err := user.Current(); err == nil {
		env.User = u.Username
		if ids, err := u.GroupIds(); err == nil {
			for _, id := range ids {
				if g, err := user.LookupGroupId(id); err == nil {
					env.Groups = append(env.Groups, g.Name)
				}
			}
		}
	}
	return env
}
