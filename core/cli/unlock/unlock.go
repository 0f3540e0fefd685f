// Package unlock is runner unlock: a person takes the lock of an environment away
// from a run that cannot give it back.
package unlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env         *command.Env
	Environment string
	Force       bool
	Reason      string
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "unlock", Args: "ENVIRONMENT", Short: "Take an environment away from a run that is gone", Flags: command.NewFlags("unlock"),
		Long: `Takes the lock of an environment away from the run that has it, after asking. It is
seldom needed: the lock of a process that has ended is taken over by the next run, one
that has shown no sign of life for a minute too. It is for a machine that is gone when
nobody can wait, for a rollout between two releases that nobody will finish, and for a
lock that cannot be read.

What the run has begun goes on; its next operation is refused, and it stops. A process
on this machine must be ended first. Who did it, and why, is written into the journals
of that run and of the next one that takes the lock.`,
	}
	c.Flags.BoolVar(&opts.Force, "force", false, "do not ask")
	c.Flags.StringVar(&opts.Reason, "reason", "", "say why, in a `text` for the journals")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return c.Usage("runner unlock takes the name of one environment.")
		}
		opts.Environment = strings.TrimPrefix(args[0], "environment.")
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	broken := lock.Broken{By: opts.Env.User, Host: opts.Env.Host, At: time.Now().UTC().Truncate(time.Second), Why: opts.Reason}
	held, err := lock.Find(ctx, w.Store, opts.Environment)
	var damaged *lock.DamagedError
	switch {
	case errors.As(err, &damaged):
		return unreadable(ctx, w, opts, damaged, broken)
	case err != nil:
		return err
	case held == nil:
		return free(ctx, w, opts)
	}
	if err := explain(ctx, w, opts, held); err != nil {
		return err
	}
	if err := confirm(opts); err != nil {
		return err
	}
	err = lock.Break(ctx, w.Store, held, broken)
	if errors.Is(err, lock.ErrLost) {
		return fail("Lock has changed hands", "Meanwhile: %s. Nothing was done.", err)
	}
	if err != nil {
		return err
	}
	if err := tell(ctx, w, held, broken); err != nil {
		return err
	}
	fmt.Fprintf(opts.Env.Stdout, "Environment %s is free. Run %s has lost it.\n", opts.Environment, held.Holder.Run)
	return nil
}

// explain shows who has the lock, and refuses while that one is alive here.
func explain(ctx context.Context, w *workspace.Workspace, opts *Options, held *lock.HeldError) error {
	l, err := drive.Liveness(w)
	if err != nil {
		return err
	}
	h := held.Holder
	out := opts.Env.Stdout
	switch l.Of(h, lock.Holder{}) {
	case lock.Living:
		return fail("Run is under way", "Run %s has environment %q and is being carried out on this machine, by process %d. End it, then nothing needs to be taken away:\n  runner cancel %s", h.Run, held.Environment, h.PID, h.Run)
	case lock.Gone:
		fmt.Fprintf(out, "Environment %s is locked by run %s, started by %s. Its processes have ended.\n", held.Environment, h.Run, h.Initiator)
		keeps, err := drive.Keeps(ctx, w, h.Run, held.Environment)
		switch {
		case err != nil:
			// A run that cannot be read is a reason to unlock.
			fmt.Fprintf(out, "How far it came cannot be read: %s.\n", err)
		case keeps == "":
			fmt.Fprintf(out, "The next run takes the environment over by itself.\n")
		default:
			fmt.Fprintf(out, "It keeps the environment since %s. Better finish it, or take it back:\n  runner resume %s\n  runner rollback %s\n", keeps, h.Run, h.Run)
		}
	default:
		fmt.Fprintf(out, "Environment %s is locked by run %s, started by %s on %s, process %d.\n", held.Environment, h.Run, h.Initiator, h.Host, h.PID)
		fmt.Fprintf(out, "Whether it is still there cannot be seen from here. If it is, what it has begun goes\non beside the next run.\n")
	}
	return nil
}

func confirm(opts *Options) error {
	return ask.Yes(opts.Env, opts.Force, "Without a terminal nobody can be asked whether to take the lock away. Say it beforehand:\n  runner unlock -force "+opts.Environment)
}

// tell leaves word for the run, should it ever go on.
func tell(ctx context.Context, w *workspace.Workspace, held *lock.HeldError, b lock.Broken) error {
	rec, err := w.Runs.Get(ctx, held.Holder.Run)
	if errors.As(err, new(*runs.NotFoundError)) || err == nil && !rec.Closed.IsZero() {
		return nil
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("environment %s was taken away by %s on %s", held.Environment, b.By, b.Host)
	if b.Why != "" {
		text += ": " + b.Why
	}
	return engine.Send(ctx, w.Store, rec.ID, b.At, engine.Post{Note: &kernel.Noted{By: b.By, Text: text}})
}

// free says that there is nothing to take away.
func free(ctx context.Context, w *workspace.Workspace, opts *Options) error {
	held, err := lock.Held(ctx, w.Store)
	if err != nil {
		return err
	}
	var names []string
	for _, h := range held {
		names = append(names, h.Environment)
	}
	rest := " No environment is."
	if len(names) > 0 {
		rest = fmt.Sprintf(" Locked: %s.%s", strings.Join(names, ", "), diagnostics.Suggest(opts.Environment, names))
	}
	return fail("Environment is not locked", "No run has environment %q.%s", opts.Environment, rest)
}

// unreadable replaces a lock that nobody can read.
func unreadable(ctx context.Context, w *workspace.Workspace, opts *Options, damaged *lock.DamagedError, b lock.Broken) error {
	fmt.Fprintf(opts.Env.Stdout, "The lock of environment %s cannot be read: %s.\nWho has it is not known. Make sure that no run acts on the environment:\n  runner history\n", opts.Environment, damaged.Err)
	if err := confirm(opts); err != nil {
		return err
	}
	cleared, err := lock.Clear(ctx, w.Store, opts.Environment, b)
	if err != nil {
		return err
	}
	if !cleared {
		return fail("Lock has changed", "Meanwhile the lock of environment %q can be read again. Nothing was done.", opts.Environment)
	}
	fmt.Fprintf(opts.Env.Stdout, "Environment %s is free.\n", opts.Environment)
	return nil
}

func fail(summary, format string, args ...any) error {
	return &command.ExitError{Code: command.Failed, Message: "Error: " + summary + "\n\n" + fmt.Sprintf(format, args...)}
}
