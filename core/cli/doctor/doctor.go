// Package doctor is runner doctor: it looks at all that the state of a pipeline is
// made of, tells what is damaged and what can be saved, and repairs on request.
//
// An exam goes through the state and collects findings; a finding that can be
// repaired brings its cure along. Nothing is repaired before a copy was kept.
package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
)

// Options of the command.
type Options struct {
	Env *command.Env
	// Run is the run to look at; empty for everything.
	Run       string
	JSON      bool
	Repair    bool
	PluginDir string
}

const long = `Looks at everything that the state of this pipeline is made of: the state file, the
records, journals, snapshots, logs and inboxes of its runs, its environment locks, the
lock file and the programs of plugins, the state key, artifacts, permissions, and room
on the disk. It tells which record is damaged, what can be saved, and what to do about
it. With a run it looks at that one, else at all. It changes nothing and starts no plugin.

With -repair and a run it goes back to the part of the run's journal that is whole, and
makes its record and its snapshots anew. What it takes out is kept in .runner/backup
first; nothing is ever lost. With -repair alone it drops what can be made again: damaged
schemas and artifacts, and locks of runs that have ended.

Its exit code is 0 when nothing is wrong, or all of it was repaired (there may be
warnings), and 1 otherwise.`

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "doctor", Args: "[RUN]", Short: "Find damage, and repair it", Long: long, Flags: command.NewFlags("doctor"),
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Flags.BoolVar(&opts.Repair, "repair", false, "repair what can be repaired, and keep a copy of what was there")
	c.Flags.StringVar(&opts.PluginDir, "plugin-dir", "", "look for the programs of plugins in this `folder` first")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner doctor takes at most one run.")
		}
		if len(args) == 1 {
			opts.Run = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, diags := workspace.Open(opts.Env)
	if w.Dir == "" {
		return w.Show(opts.Env.Stderr, diags)
	}
	defer w.Close()
	x := &exam{w: w, opts: opts, now: time.Now()}
	x.around(diags)
	if err := x.state(ctx); err != nil {
		return err
	}
	if opts.Repair {
		if err := x.repair(ctx); err != nil {
			return err
		}
	}
	r := x.report()
	if opts.JSON {
		enc := json.NewEncoder(opts.Env.Stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		r.write(opts.Env.Stdout)
	}
	if !r.OK {
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}

// repair applies the cures in the order of the findings; the first that fails ends
// it, since later ones may build on it.
func (x *exam) repair(ctx context.Context) error {
	for i := range x.findings {
		f := &x.findings[i]
		if f.cure == nil {
			continue
		}
		done, err := f.cure(ctx)
		if errors.Is(err, errUnderWay) {
			f.Repaired = ""
			f.Saved = "nothing was repaired: " + err.Error()
			continue
		}
		if err != nil {
			return fmt.Errorf("repair %s: %w", f.Record, err)
		}
		f.Repaired = done
	}
	return nil
}

var errUnderWay = errors.New("the run is under way in another process; stop that first")
