package status

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Open is a run that has not ended.
type Open struct {
	Run       string      `json:"run"`
	Initiator string      `json:"initiator"`
	Opened    time.Time   `json:"opened"`
	Live      bool        `json:"live"`
	Idle      kernel.Idle `json:"idle,omitempty"`
	// Driver is the process that drives it, as far as a lock tells.
	Driver *lock.Holder `json:"driver,omitempty"`
	// Last is when something happened last.
	Last time.Time `json:"last"`
	// Between are its rollouts that stand between two releases.
	Between []Between `json:"between,omitempty"`
	Asks    []Ask     `json:"asks,omitempty"`
	Next    string    `json:"next"`
	// Unreadable says why nothing more is known.
	Unreadable string `json:"unreadable,omitempty"`
}

// Between is a target with traffic on two releases.
type Between struct {
	Node        string        `json:"node"`
	Environment string        `json:"environment,omitempty"`
	Target      string        `json:"target"`
	Stable      string        `json:"stable,omitempty"`
	Candidate   string        `json:"candidate"`
	Weight      target.Weight `json:"weight"`
	// Since is when it began to stand so.
	Since time.Time `json:"since"`
}

// Ask is an open gate.
type Ask struct {
	Node  string    `json:"node"`
	Gate  string    `json:"gate"`
	Since time.Time `json:"since"`
}

// openRuns lists every run of the store that has not ended, newest first.
func openRuns(ctx context.Context, w *workspace.Workspace) ([]Open, error) {
	var out []Open
	for rec, err := range w.Runs.List(ctx, runs.Filter{Open: true}) {
		if err != nil {
			out = append(out, Open{Run: rec.ID, Unreadable: err.Error()})
			continue
		}
		o, err := openRun(ctx, w, rec)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func openRun(ctx context.Context, w *workspace.Workspace, rec runs.Record) (Open, error) {
	o := Open{Run: rec.ID, Initiator: rec.Initiator, Opened: rec.Opened, Last: rec.Opened}
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		o.Unreadable = err.Error()
		return o, nil
	}
	if o.Live, err = drive.Live(ctx, w, rec); err != nil {
		return o, err
	}
	if o.Live {
		held, err := lock.FindRun(ctx, w.Store, rec.ID)
		if err != nil {
			return o, err
		}
		if held != nil {
			o.Driver = &held.Holder
		}
	}
	o.Idle, o.Last = drive.Standing(past.State), past.State.Now().Time()
	for _, n := range past.State.Nodes() {
		for _, g := range n.Gates {
			if g.Open {
				o.Asks = append(o.Asks, Ask{n.ID, g.Name, g.Since.Time()})
			}
		}
		if n.Rollout == nil || !n.Rollout.Between {
			continue
		}
		since := n.Rollout.Since
		if since == 0 {
			since = n.Started
		}
		for _, t := range n.Rollout.Targets {
			if t.Weight > 0 && t.Weight < target.Full {
				o.Between = append(o.Between, Between{n.ID, n.Env, t.Name, t.Stable, t.Candidate, t.Weight, since.Time()})
			}
		}
	}
	switch {
	case o.Live:
		o.Next = "runner watch " + rec.ID
	case len(o.Asks) > 0 && len(o.Between) == 0:
		o.Next = fmt.Sprintf("runner approve %s '%s' %s", rec.ID, o.Asks[0].Node, o.Asks[0].Gate)
	default:
		o.Next = "runner resume " + rec.ID
	}
	return o, nil
}

// abandoned reports whether traffic stands between two releases and nobody
// watches it.
func (o Open) abandoned() bool { return !o.Live && len(o.Between) > 0 }

func writeOpen(out io.Writer, open []Open, style paint.Style) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	local := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	if len(open) == 0 {
		return
	}
	say("\n%s", style.Bold.Render("Open runs"))
	for _, o := range open {
		who := "nobody drives it since " + local(o.Last)
		switch {
		case o.Unreadable != "":
			say("  %s: cannot be read: %s", o.Run, o.Unreadable)
			continue
		case o.Driver != nil:
			who = fmt.Sprintf("driven by %s on %s, process %d, since %s", o.Driver.Initiator, o.Driver.Host, o.Driver.PID, local(o.Driver.Since))
		case o.Live:
			who = "under way"
		case o.Idle == kernel.WaitingForPeople:
			who = "waits for people since " + local(o.Asks[0].Since)
		}
		say("  %s, begun by %s at %s: %s", o.Run, o.Initiator, local(o.Opened), who)
		for _, b := range o.Between {
			line := fmt.Sprintf("%s %s stands at %s %s, %s %s, since %s", b.Node, b.Target, b.Weight, b.Candidate, target.Full-b.Weight, b.Stable, local(b.Since))
			if o.abandoned() {
				line = style.Bad.Render(line + ", and nobody watches it")
			}
			say("      %s", line)
		}
		var asks []string
		for _, a := range o.Asks {
			asks = append(asks, fmt.Sprintf("%s waits for %q", a.Node, a.Gate))
		}
		if len(asks) > 0 {
			say("      %s", style.Warn.Render(strings.Join(asks, ", ")))
		}
		say("      %s", o.Next)
	}
}
