// Package command is what every command of the program is made of: its name,
// its flags, its streams, and the one place where errors become exit codes.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/store"
)

// Env is what a command may touch of the process around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Environ has the form of os.Environ.
	Environ []string
	// Dir is the working directory.
	Dir string
	// Version of this program.
	Version string
	// Interactive: a person can be asked on Stdin.
	Interactive bool
	// Interrupts gets every Ctrl-C and termination signal; may be nil.
	Interrupts <-chan os.Signal
	// Outlive makes the process go on when nobody reads Stdout any more; what it
	// returns waits for a reader that is there. May be nil.
	Outlive func() (flush func())
	// Terminal is what Stdout is, where that can be drawn on; else nil.
	Terminal *os.File
	// Interrupt stands for a Ctrl-C where the keys are read; may be nil.
	Interrupt func()
	// ExeDir is the folder of the program; may be empty.
	ExeDir string
	// User is who runs the program, Groups the local groups of that user.
	User   string
	Groups []string
	Host   string

	// WrapStore and Launch are for tests that stop the program at an exact place:
	// what stands between it and its state, and what starts its plugins. Nil: nothing,
	// and pluginhost.Start.
	WrapStore func(store.Store) store.Store
	Launch    pluginhost.Launch
}

// Getenv reads an environment variable; empty when it is not set.
func (e *Env) Getenv(name string) string {
	v, _ := e.LookupEnv(name)
	return v
}

// LookupEnv reads an environment variable.
func (e *Env) LookupEnv(name string) (string, bool) {
	for _, pair := range slices.Backward(e.Environ) {
		if n, v, ok := strings.Cut(pair, "="); ok && n == name {
			return v, true
		}
	}
	return "", false
}

// Command is one command of the program.
type Command struct {
	Name string
	// Args shows the arguments in the usage line, such as [PLAN].
	Args string
	// Short is one line for the list of commands, Long the text of -help.
	Short, Long string
	Flags       *flag.FlagSet
	Run         func(ctx context.Context, args []string) error
}

// Hidden reports whether a command is for programs, not for people: no list
// shows it.
func (c *Command) Hidden() bool { return strings.HasPrefix(c.Name, "_") }

// Visible are the commands that people use, in order.
func Visible(commands []*Command) []*Command {
	return slices.DeleteFunc(slices.Clone(commands), (*Command).Hidden)
}

// NewFlags is an empty set of flags that reports errors to us.
func NewFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// Given are the names of the flags that were written on the command line.
func Given(fs *flag.FlagSet) map[string]bool {
	out := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { out[f.Name] = true })
	return out
}

// Repeated is a flag that may be given several times.
type Repeated []string

// String implements flag.Value.
func (r *Repeated) String() string { return strings.Join(*r, ",") }

// Set implements flag.Value.
func (r *Repeated) Set(v string) error {
	*r = append(*r, v)
	return nil
}

// Exit codes of the program; they are stable.
const (
	OK = 0
	// Failed: something is wrong, or a stage failed.
	Failed = 1
	// Changes: with -detailed-exitcode, there is something to do.
	Changes = 2
	// Waiting: the run waits for people.
	Waiting = 3
	// RolledBack: rejected, and everything was taken back cleanly.
	RolledBack = 4
	// RollbackFailed: the way back failed; people are needed.
	RollbackFailed = 5
	// Interrupted: stopped by a signal; the run can be resumed.
	Interrupted = 130
)

// ExitCodes lists them for -help.
const ExitCodes = `Exit codes:
  0    done
  1    an error, or a stage failed
  2    there are changes (with -detailed-exitcode)
  3    the run waits for people
  4    rejected, and rolled back cleanly
  5    the rollback failed: people are needed
  130  interrupted; the run can be resumed
`

// ExitError ends the program with a code; the message may be empty when all
// was said already.
type ExitError struct {
	Code    int
	Message string
}

func (e *ExitError) Error() string { return e.Message }

// Failure ends the program with Failed, and a message in the form of a diagnostic.
func Failure(summary, detail string, args ...any) error {
	return &ExitError{Code: Failed, Message: "Error: " + summary + "\n\n" + fmt.Sprintf(detail, args...)}
}

// UsageError is a wrong use of the command line.
type UsageError struct {
	Command *Command
	Message string
}

func (e *UsageError) Error() string { return e.Message }

// Usage makes a UsageError.
func (c *Command) Usage(format string, args ...any) error {
	return &UsageError{Command: c, Message: fmt.Sprintf(format, args...)}
}

// Dispatch finds the command that the arguments name, runs it, and returns the
// exit code.
func Dispatch(ctx context.Context, env *Env, commands []*Command, args []string) int {
	for len(args) > 0 && strings.HasPrefix(strings.TrimLeft(args[0], "-"), "chdir=") && args[0][0] == '-' {
		_, dir, _ := strings.Cut(args[0], "=")
		if err := env.Chdir(dir); err != nil {
			fmt.Fprintf(env.Stderr, "Error: Folder cannot be used\n\n%s.\n", err)
			return Failed
		}
		args = args[1:]
	}
	if len(args) == 0 {
		overview(env.Stderr, commands)
		return Failed
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help", "help":
		return help(env, commands, args[1:])
	case "-v", "-version", "--version":
		name = "version"
	}
	c := find(commands, name)
	if c == nil {
		var names []string
		for _, c := range Visible(commands) {
			names = append(names, c.Name)
		}
		fmt.Fprintf(env.Stderr, "Error: Unknown command\n\nrunner has no command %q.%s To list them:\n  runner -help\n", name, diagnostics.Suggest(name, names))
		return Failed
	}
	rest, err := parse(c, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		Help(env.Stdout, c)
		return OK
	}
	if err == nil {
		err = c.Run(ctx, rest)
	}
	return exitCode(env, err)
}

// parse reads flags wherever they stand, as users write them.
func parse(c *Command, args []string) ([]string, error) {
	var rest []string
	for {
		if err := c.Flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, c.flagError(err)
		}
		left := c.Flags.Args()
		if n := len(args) - len(left); n > 0 && args[n-1] == "--" {
			return append(rest, left...), nil
		}
		if len(left) == 0 {
			return rest, nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// flagError adds a suggestion to an unknown flag.
func (c *Command) flagError(err error) error {
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
	if !ok {
		return c.Usage("%s.", err)
	}
	var names []string
	c.Flags.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	hint := ""
	if near := diagnostics.Nearest(name, names); near != "" {
		hint = fmt.Sprintf(" Did you mean -%s?", near)
	}
	return c.Usage("runner %s has no option -%s.%s", c.Name, name, hint)
}

func find(commands []*Command, name string) *Command {
	for _, c := range commands {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// exitCode shows an error and turns it into the program's exit code; nothing
// else does.
func exitCode(env *Env, err error) int {
	var exit *ExitError
	var usage *UsageError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &exit):
		if exit.Message != "" {
			fmt.Fprintln(env.Stderr, exit.Message)
			if more := diagnostics.MoreOf(exit.Message); more != "" {
				fmt.Fprint(env.Stderr, "\n", more)
			}
		}
		return exit.Code
	case errors.As(err, &usage):
		fmt.Fprintf(env.Stderr, "Error: Wrong use of the command line\n\n%s To see how it is used:\n  runner %s -help\n", usage.Message, usage.Command.Name)
		return Failed
	}
	fmt.Fprintf(env.Stderr, "Error: %s\n", Sentence(err.Error()))
	var advised interface{ Advice() string }
	if errors.As(err, &advised) {
		fmt.Fprintf(env.Stderr, "\n%s\n", advised.Advice())
	}
	return Failed
}

// Sentence begins with a capital letter what is to stand as a sentence.
func Sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
