// Package cli is the program's commands, one folder each. Main is its door.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/runner-pipelines/runner/core/cli/analyze"
	"github.com/runner-pipelines/runner/core/cli/apply"
	"github.com/runner-pipelines/runner/core/cli/approve"
	"github.com/runner-pipelines/runner/core/cli/cancel"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/completion"
	"github.com/runner-pipelines/runner/core/cli/console"
	"github.com/runner-pipelines/runner/core/cli/create"
	"github.com/runner-pipelines/runner/core/cli/doctor"
	"github.com/runner-pipelines/runner/core/cli/explain"
	"github.com/runner-pipelines/runner/core/cli/format"
	"github.com/runner-pipelines/runner/core/cli/graph"
	"github.com/runner-pipelines/runner/core/cli/history"
	"github.com/runner-pipelines/runner/core/cli/initialize"
	logscmd "github.com/runner-pipelines/runner/core/cli/logs"
	"github.com/runner-pipelines/runner/core/cli/man"
	"github.com/runner-pipelines/runner/core/cli/newplugin"
	"github.com/runner-pipelines/runner/core/cli/output"
	plancmd "github.com/runner-pipelines/runner/core/cli/plan"
	"github.com/runner-pipelines/runner/core/cli/plugincmd"
	"github.com/runner-pipelines/runner/core/cli/report"
	"github.com/runner-pipelines/runner/core/cli/resume"
	"github.com/runner-pipelines/runner/core/cli/rollback"
	"github.com/runner-pipelines/runner/core/cli/show"
	"github.com/runner-pipelines/runner/core/cli/status"
	"github.com/runner-pipelines/runner/core/cli/unlock"
	"github.com/runner-pipelines/runner/core/cli/validate"
	versioncmd "github.com/runner-pipelines/runner/core/cli/version"
	"github.com/runner-pipelines/runner/core/cli/watch"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Commands are all commands, in the order of the overview.
func Commands(env *command.Env) []*command.Command {
	all := []*command.Command{
		create.New(env, nil), initialize.New(env, nil), validate.New(env, nil), format.New(env, nil),
		plancmd.New(env, nil), apply.New(env, nil), show.New(env, nil), status.New(env, nil), watch.New(env, nil), graph.New(env, nil),
		history.New(env, nil), explain.New(env, nil), logscmd.New(env, nil), report.New(env, nil),
		output.New(env, nil), console.New(env, nil), rollback.New(env, nil), resume.New(env, nil),
		cancel.New(env, nil), approve.New(env, nil), approve.NewReject(env, nil), unlock.New(env, nil), doctor.New(env, nil),
		analyze.New(env, nil), plugincmd.New(env, nil), newplugin.New(env, nil), completion.New(env, nil), versioncmd.New(env, nil),
	}
	list := func() []*command.Command { return all }
	all = append(all, man.New(env, list, nil))
	return append(all, completion.NewAnswer(env, list))
}

// Main runs the program with the process's own arguments and returns its exit
// code. A test may change what the program touches of the process around it.
func Main(version string, change ...func(*command.Env)) int {
	host.ForbidCoreDumps()
	env := ofProcess(version)
	for _, c := range change {
		c(env)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var ended atomic.Bool
	env.Interrupts, env.Interrupt = interrupts(func() {
		ended.Store(true)
		cancel()
	})
	code := command.Dispatch(ctx, env, Commands(env), os.Args[1:])
	if ended.Load() && code == command.Failed {
		return command.Interrupted
	}
	return code
}

const (
	// listenTime is how long a signal may wait for a run to hear it; endTime how
	// long a command that drives none may take to end.
	listenTime = 200 * time.Millisecond
	endTime    = 3 * time.Second
)

// interrupts hands the signals that ask the process to end to whoever drives a
// run. When nobody does, end is called, and the process ends with it. Signals that
// the process was started to ignore, as by nohup, stay ignored. Raise stands for a
// Ctrl-C where a terminal makes no signal of it.
func interrupts(end func()) (_ <-chan os.Signal, raise func()) {
	signals, heard := make(chan os.Signal, 4), make(chan os.Signal)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(sig) {
			signal.Notify(signals, sig)
		}
	}
	go func() {
		for sig := range signals {
			select {
			case heard <- sig:
			case <-time.After(listenTime):
				end()
				time.AfterFunc(endTime, func() { os.Exit(command.Interrupted) })
			}
		}
	}()
	return heard, func() {
		select {
		case signals <- os.Interrupt:
		default: // as many as anybody can hear are waiting
		}
	}
}

// outlive is Env.Outlive of a process: without it, to write to a pipe that nobody
// reads would end it.
func outlive(out *command.Output) func() (flush func()) {
	return func() func() {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		return out.Detach()
	}
}

func ofProcess(version string) *command.Env {
	out := command.NewOutput(os.Stdout, func(err error) {
		fmt.Fprintf(os.Stderr, "The output cannot be written (%s); the run goes on. To follow it:\n  runner status\n", err)
	})
	env := &command.Env{
		Stdin: os.Stdin, Stdout: out, Outlive: outlive(out), Stderr: os.Stderr, Environ: os.Environ(), Version: version,
		Interactive: isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
	}
	if isatty.IsTerminal(os.Stdout.Fd()) {
		env.Terminal = os.Stdout
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
