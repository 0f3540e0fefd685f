package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/sdk/call"
)

// WritePlan tells what a run will do: stage by stage what changes and where, a
// rollout step by step, how long it takes, how it goes back, and what cannot be
// known yet.
func WritePlan(out io.Writer, p *plan.Plan) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("Plan for pipeline %q\n", p.Pipeline)
	run, unchanged, skipped := 0, 0, 0
	for i, n := range p.Nodes {
		if n.Kind == kernel.BarrierNode {
			say("  ── %s: everything before it is settled first", n.ID)
			continue
		}
		switch {
		case n.Skip != "":
			skipped++
		case n.Unchanged:
			unchanged++
		default:
			run++
		}
		writeNode(say, n, &p.Graph.Nodes[i])
	}
	say("")
	say("%d to run, %d unchanged, %d skipped.", run, unchanged, skipped)
	say("%s", p.Digest())
}

func writeNode(say func(string, ...any), n plan.Node, k *kernel.Node) {
	mark := map[bool]string{true: " ", false: "+"}[n.Unchanged || n.Skip != ""]
	title := fmt.Sprintf("%s %s (%s)", mark, n.ID, n.Component)
	if n.Environment != "" {
		title += " in " + n.Environment
	}
	switch {
	case n.Skip != "":
		say("  %s: skipped, %s", strings.Replace(title, " ()", "", 1), n.Skip)
		return
	case n.Unchanged:
		say("  %s: nothing to do", title)
		return
	}
	say("  %s", title)
	if n.Maybe {
		say("      runs only if its when is true, which is not known yet")
	}
	for _, g := range k.Gates {
		say("      waits for %q%s", g.Name, who(g))
	}
	if n.Kind == kernel.RolloutNode {
		writeRollout(say, n, k)
	} else {
		for _, c := range n.Changes {
			say("      %s %s%s", changeMark(c.Action), c.Subject, because(c.Summary))
		}
	}
	if len(n.Deferred) > 0 {
		say("      known when the stage starts: %s", strings.Join(n.Deferred, ", "))
	}
	switch n.WayBack {
	case call.Exact:
		say("      way back: %s (exact)", n.Back)
	case call.BestEffort:
		say("      way back: %s (best effort)", n.Back)
	default:
		say("      way back: none")
	}
}

func who(g kernel.Gate) string {
	var parts []string
	if g.Required > 1 {
		parts = append(parts, fmt.Sprintf("%d people", g.Required))
	}
	if len(g.From) > 0 {
		parts = append(parts, "of "+strings.Join(g.From, ", "))
	}
	if g.NotInitiator {
		parts = append(parts, "not who started the run")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, " ") + ")"
}

func changeMark(a call.ChangeAction) string {
	switch a {
	case call.Create:
		return "+"
	case call.Update:
		return "~"
	case call.Delete:
		return "-"
	}
	return ">"
}

func writeRollout(say func(string, ...any), n plan.Node, k *kernel.Node) {
	for _, t := range n.Targets {
		to := t.Candidate
		if to == "" {
			to = "a release that is known when the stage starts"
		}
		switch {
		case t.Stable == "":
			say("      %s: first release, %s", t.Name, to)
		case t.Stable == t.Candidate:
			say("      %s: %s is in place already", t.Name, t.Stable)
		default:
			say("      %s: %s → %s", t.Name, release(t.Stable, t.StableVersion), to)
		}
		for _, c := range t.Changes {
			say("        %s %s%s", changeMark(c.Action), c.Subject, because(c.Summary))
		}
	}
	for _, v := range k.Rollout.Verifies {
		say("      before any traffic: verify %q on each candidate", v)
	}
	sim := n.Simulation
	if sim == nil {
		return
	}
	how := k.Rollout.Strategy
	if how == "" {
		how = "all at once"
	}
	steps := "steps"
	if len(sim.Steps) == 1 {
		steps = "step"
	}
	say("      %s, %d %s, about %s:", how, len(sim.Steps), steps, Span(time.Duration(sim.DurationMS)*time.Millisecond))
	for _, st := range sim.Steps {
		writeStep(say, st, len(k.Rollout.Waves) > 1)
	}
	if a := k.Rollout.Analysis; a != nil && !sim.First {
		late := "waits for enough evidence"
		if a.Deadline > 0 {
			late = fmt.Sprintf("without enough evidence after %s: %s", span(a.Deadline), a.OnInconclusive)
		}
		say("      judged every %s; %s", span(a.Interval), late)
	}
}

func span(ms kernel.Time) string { return Span(time.Duration(ms) * time.Millisecond) }

func release(id, version string) string {
	if version == "" {
		return id
	}
	return id + " (" + version + ")"
}

func writeStep(say func(string, ...any), st plan.Step, waves bool) {
	var parts []string
	for _, a := range st.Approvals {
		parts = append(parts, fmt.Sprintf("after approval %q", a))
	}
	if st.BakeMS > 0 {
		parts = append(parts, "watch "+Span(time.Duration(st.BakeMS)*time.Millisecond))
	}
	if st.Evidence {
		parts = append(parts, "go on with a verdict")
	}
	where := ""
	if waves {
		where = fmt.Sprintf(" wave %d (%s)", st.Wave+1, strings.Join(st.Targets, ", "))
	}
	line := fmt.Sprintf("        %6s%s", st.Weight, where)
	if len(parts) > 0 {
		line += "  " + strings.Join(parts, ", ")
	}
	say("%s", line)
}
