// Package apply is runner apply: it plans and runs the pipeline, or runs a kept
// plan.
package apply

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/planning"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
)

// Options of the command.
type Options struct {
	Env         *command.Env
	PlanFile    string
	AutoApprove bool
	Display     display.Options
	Parallelism int
	LockTimeout time.Duration
	Planning    planning.Options
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "apply", Args: "[PLAN]", Short: "Run the pipeline", Flags: command.NewFlags("apply"),
		Long: `Plans the pipeline, shows the plan, asks, and runs it. With a plan file it runs
exactly that plan, once, without asking.

One run at a time has an environment, from its first stage there to its last. Another
is refused and told who has it, or waits for it with -lock-timeout; Ctrl-C ends the wait.

The first Ctrl-C lets what is under way end and stops; the second stops at once. Both
leave a run that runner resume goes on with. SIGTERM is the first, and two seconds
later the second, unless traffic is being given back; a terminal that is closed is the
first. Nobody has to read the output: a run goes on without.

When the state cannot be written for 15 seconds, nothing new is begun, and rollouts
under way go back to the stable release.`,
	}
	c.Flags.BoolVar(&opts.AutoApprove, "auto-approve", false, "do not ask before the run")
	opts.Display.Flags(c.Flags)
	c.Flags.IntVar(&opts.Parallelism, "parallelism", 10, "run at most `n` actions at once")
	c.Flags.DurationVar(&opts.LockTimeout, "lock-timeout", 0, "wait this `duration` for an environment that another run has")
	opts.Planning.Flags(c.Flags)
	c.Run = func(ctx context.Context, args []string) error {
		switch {
		case len(args) > 1:
			return c.Usage("runner apply takes at most one plan file.")
		case opts.Parallelism < 1:
			return c.Usage("-parallelism must be at least 1.")
		case opts.LockTimeout < 0:
			return c.Usage("-lock-timeout must not be negative.")
		}
		if len(args) == 1 {
			opts.PlanFile = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, err := open(ctx, opts)
	if err != nil {
		return err
	}
	name := "apply-" + strings.ToLower(rand.Text()[:10])
	alive, err := drive.AcquireAlive(ctx, w, name, 0)
	if err != nil {
		return err
	}
	defer func() { _ = alive.Release() }()
	var pool *pluginhost.Pool
	if opts.PlanFile == "" {
		pool = w.Pool(opts.Planning.PluginDir, w.Lock, alive)
		defer pool.StopAll()
		w.Warm(ctx, pool)
	}
	if err := w.OpenState(ctx); err != nil {
		return err
	}
	defer w.Close()
	v := display.New(opts.Env, w.Dir, opts.Display)
	made, err := prepare(ctx, w, opts, alive, pool)
	if err != nil {
		return err
	}
	defer made.Pool.StopAll()
	if opts.PlanFile == "" {
		v.Plan(made.Plan)
		if !made.Plan.HasChanges() {
			v.Note("Nothing to do.")
			return nil
		}
		if err := ask.Approval(opts.Planning.Asking(opts.Env), opts.AutoApprove, "apply"); err != nil {
			return err
		}
	}
	return drive.Run(ctx, w, v, made.Plan, made.Program, made.Pool, name, drive.Options{
		Parallelism: opts.Parallelism, LockTimeout: opts.LockTimeout, PluginDir: opts.Planning.PluginDir,
	})
}

// open opens the pipeline; a kept plan brings its own files, so that those in
// the folder need not be right.
func open(ctx context.Context, opts *Options) (*workspace.Workspace, error) {
	if opts.PlanFile != "" {
		return workspace.OpenRuns(ctx, opts.Env)
	}
	return workspace.Ready(opts.Env, opts.Planning.Vars, opts.Planning.Files)
}

// prepare makes a plan, or opens the one that was kept.
func prepare(ctx context.Context, w *workspace.Workspace, opts *Options, alive *lock.Alive, pool *pluginhost.Pool) (*planning.Made, error) {
	if opts.PlanFile == "" {
		return planning.Make(ctx, w, opts.Planning, pool)
	}
	path := opts.PlanFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(opts.Env.Dir, path)
	}
	b, err := regular.Read(path, plan.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("plan file %s: %w", opts.PlanFile, err)
	}
	p, err := plan.Decode(b)
	if errors.Is(err, plan.ErrNotPlan) {
		return nil, fmt.Errorf("%s: %w; make one with runner plan -out", opts.PlanFile, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make it again with runner plan -out", opts.PlanFile, err)
	}
	lineage, err := w.Store.Lineage(ctx)
	if err != nil {
		return nil, err
	}
	if p.Lineage != lineage {
		return nil, &command.ExitError{Code: command.Failed, Message: "Error: Plan belongs to another state\n\n" +
			"The plan was made against state " + p.Lineage + ", this folder has state " + lineage + ". A plan is good for one run on the state that it looked at; plan again here:\n  runner plan -out=" + opts.PlanFile}
	}
	prog, pool, err := w.Loaded(p, opts.Planning.PluginDir, opts.Planning.Vars, opts.Planning.Files, alive)
	if err != nil {
		return nil, err
	}
	return &planning.Made{Plan: p, Program: prog, Pool: pool}, nil
}
