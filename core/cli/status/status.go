// Package status is runner status: it tells where a run stands, and which
// environments are locked.
package status

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env     *command.Env
	Run     string
	JSON    bool
	NoColor bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "status", Args: "[RUN]", Short: "Tell where a run stands", Flags: command.NewFlags("status"),
		Long: `Tells where a run stands, stage by stage, what it waits for, which weights its targets
have, and which environments are locked. Without an argument it takes the newest run, and
lists all that have not ended: who drives each, since when, which of its rollouts stand
between two releases, and what to type.`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Flags.BoolVar(&opts.NoColor, "no-color", false, "no colours; so does the environment variable NO_COLOR")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner status takes at most one run.")
		}
		if len(args) == 1 {
			opts.Run = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

// Status is what -json gives.
type Status struct {
	Run   runs.Record       `json:"run"`
	Live  bool              `json:"live"`
	Idle  kernel.Idle       `json:"idle,omitempty"`
	Nodes []kernel.NodeView `json:"nodes"`
	Locks []lock.HeldError  `json:"locks,omitempty"`
	// Open are all runs that have not ended; only without an argument.
	Open []Open `json:"open,omitempty"`
}

func run(ctx context.Context, opts *Options) error {
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, cmp.Or(opts.Run, runs.Latest))
	if err != nil {
		return err
	}
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return err
	}
	locks, err := drive.Held(ctx, w)
	if err != nil {
		return err
	}
	s := Status{Run: rec, Nodes: past.State.Nodes(), Locks: locks, Idle: drive.Standing(past.State)}
	if rec.Closed.IsZero() {
		if s.Live, err = drive.Live(ctx, w, rec); err != nil {
			return err
		}
	}
	if opts.Run == "" {
		if s.Open, err = openRuns(ctx, w); err != nil {
			return err
		}
	}
	if opts.JSON {
		enc := json.NewEncoder(opts.Env.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	human(opts, s)
	// What is told of the run itself is not told again.
	others := slices.DeleteFunc(s.Open, func(o Open) bool { return o.Run == rec.ID && len(s.Open) == 1 && !o.abandoned() })
	writeOpen(opts.Env.Stdout, others, display.Paint(opts.Env, opts.NoColor))
	return nil
}

func human(opts *Options, s Status) {
	out := opts.Env.Stdout
	how := view.Words(s.Run.Outcome)
	switch {
	case !s.Run.Closed.IsZero():
	case s.Live:
		how = "under way"
	case s.Idle == kernel.WaitingForPeople:
		how = "waits for people"
	default:
		how = "open, and nobody drives it"
	}
	fmt.Fprintf(out, "Run %s: %s\n", s.Run.ID, how)
	for _, n := range s.Nodes {
		if n.Kind != kernel.BarrierNode {
			view.WriteNode(out, n)
		}
	}
	for _, l := range s.Locks {
		gone := ""
		if l.Life == lock.Gone {
			gone = ", which nobody drives any more,"
		}
		fmt.Fprintf(out, "  environment %s is locked by run %s%s since %s\n", l.Environment, l.Holder.Run, gone, l.Holder.Since.Local().Format(time.DateTime))
	}
	if s.Run.Closed.IsZero() && !s.Live {
		fmt.Fprintf(out, "\nNext:\n")
		for _, n := range s.Nodes {
			for _, g := range n.Gates {
				if g.Open {
					fmt.Fprintf(out, "  runner approve %s '%s' %s\n", s.Run.ID, n.ID, g.Name)
				}
			}
		}
		fmt.Fprintf(out, "  runner resume %s\n  runner rollback %s\n", s.Run.ID, s.Run.ID)
	}
}
