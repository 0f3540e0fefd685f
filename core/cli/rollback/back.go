package rollback

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// back opens a run that installs the releases from before rec again.
func back(ctx context.Context, w *workspace.Workspace, rec runs.Record, opts *Options) error {
	p, err := earlier(ctx, w, rec, opts)
	if err != nil {
		return err
	}
	name := "rollback-" + strings.ToLower(rand.Text()[:10])
	alive, err := drive.AcquireAlive(ctx, w, name, 0)
	if err != nil {
		return err
	}
	defer func() { _ = alive.Release() }()
	prog, pool, err := w.Loaded(p, opts.Planning.PluginDir, opts.Planning.Vars, opts.Planning.Files, alive)
	if err != nil {
		return err
	}
	defer pool.StopAll()
	v := display.New(opts.Env, w.Dir, opts.Display)
	v.Plan(p)
	if err := ask.Approval(opts.Planning.Asking(opts.Env), opts.AutoApprove, "rollback"); err != nil {
		return err
	}
	note := "rollback of run " + rec.ID
	if opts.To != "" {
		note = "rollback to run " + p.Replays
	}
	if opts.Reason != "" {
		note += ": " + opts.Reason
	}
	return drive.Run(ctx, w, v, p, prog, pool, name, drive.Options{LockTimeout: opts.LockTimeout, PluginDir: opts.Planning.PluginDir, Note: note})
}

// earlier is the plan that goes back: of the run that is named, or of the newest
// one before rec that made the releases which rec replaced.
func earlier(ctx context.Context, w *workspace.Workspace, rec runs.Record, opts *Options) (*plan.Plan, error) {
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return nil, err
	}
	wanted, standing := replaced(past.State)
	if opts.To != "" {
		to, err := w.Runs.Find(ctx, opts.To)
		if err != nil {
			return nil, err
		}
		source, err := drive.Past(ctx, w, to)
		if err != nil {
			return nil, err
		}
		made := promoted(source.State)
		if len(made) == 0 {
			return nil, refuse("Run %s promoted no release, so there is nothing to go back to.", to.ID)
		}
		return source.Plan.Back(ctx, to.ID, current(made, standing), locked(w, source.Plan), time.Now())
	}
	if len(wanted) == 0 {
		return nil, refuse("Run %s replaced no release. To go back to the releases of another run:\n  runner history\n  runner rollback -to=RUN", rec.ID)
	}
	for before, err := range w.Runs.List(ctx, runs.Filter{}) {
		if err != nil {
			return nil, err
		}
		if before.ID >= rec.ID {
			continue
		}
		source, err := drive.Past(ctx, w, before)
		if err != nil {
			return nil, err
		}
		if covers(promoted(source.State), wanted) {
			return source.Plan.Back(ctx, before.ID, standing, locked(w, source.Plan), time.Now())
		}
	}
	return nil, refuse("No run in this state made all the releases that run %s replaced. Name one to go back to:\n  runner history\n  runner rollback -to=RUN", rec.ID)
}

// locked is the present lock file, or the plan's where that cannot be read.
func locked(w *workspace.Workspace, p *plan.Plan) []byte {
	if w.Lock == nil || len(w.Lock.Plugins) == 0 {
		return p.Lock
	}
	return w.Lock.Bytes()
}

func refuse(format string, args ...any) error {
	return &command.ExitError{Code: command.Failed, Message: "Error: Nothing to go back to\n\n" + fmt.Sprintf(format, args...)}
}

type releases map[string]map[string]string

// replaced are the releases that a run took out of traffic, and those that it
// put in their place, by node and target.
func replaced(state *kernel.State) (before, after releases) {
	before, after = releases{}, releases{}
	for _, n := range state.Nodes() {
		if n.Rollout == nil || n.Outcome != kernel.Succeeded {
			continue
		}
		for _, t := range n.Rollout.Targets {
			if t.Stable == "" || t.Stable == t.Candidate {
				continue
			}
			if before[n.ID] == nil {
				before[n.ID], after[n.ID] = map[string]string{}, map[string]string{}
			}
			before[n.ID][t.Name], after[n.ID][t.Name] = t.Stable, t.Candidate
		}
	}
	return before, after
}

// promoted are the releases that a run made stable.
func promoted(state *kernel.State) releases {
	out := releases{}
	for _, n := range state.Nodes() {
		if n.Rollout == nil || n.Outcome != kernel.Succeeded {
			continue
		}
		out[n.ID] = map[string]string{}
		for _, t := range n.Rollout.Targets {
			out[n.ID][t.Name] = t.Candidate
		}
	}
	return out
}

func covers(made, wanted releases) bool {
	for node, targets := range wanted {
		for name, release := range targets {
			if made[node][name] != release {
				return false
			}
		}
	}
	return true
}

// current is what stands now at the targets of made, as far as it is known.
func current(made, standing releases) releases {
	out := releases{}
	for node, targets := range made {
		out[node] = map[string]string{}
		for name := range targets {
			out[node][name] = standing[node][name]
		}
	}
	return out
}
