package view

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/call"
)

// tale is what is told of one stage, or of several that are alike.
type tale struct {
	plan.Node
	id    string
	sign  string
	rest  string
	count int
	lines []planLine
}

// planLine is one line of a tale.
type planLine struct {
	depth int
	tone  tone
	text  string
}

type tone int

const (
	speaks tone = iota
	whispers
	warns
)

// shapes is how many different instances of one stage are told; the others are
// counted.
const shapes = 4

// told turns nodes into tales; instances of a stage that say the same become one.
func told(p *plan.Plan, nodes []int) []tale {
	var out []tale
	same := map[string]int{}
	shown, rest := map[string]int{}, map[string]int{}
	for _, i := range nodes {
		t := taleOf(p, i)
		base, _, instance := strings.Cut(t.id, "[")
		if !instance {
			out = append(out, t)
			continue
		}
		shape := base + "\x00" + WithoutKey(t.id, textOf(t))
		if at, ok := same[shape]; ok {
			out[at].count++
			continue
		}
		if shown[base]++; shown[base] > shapes {
			at, ok := rest[base]
			if !ok {
				at = len(out)
				rest[base] = at
				t = tale{id: base + "[…]", sign: t.sign, rest: "more, each unlike the others; runner plan -json tells them all", Node: plan.Node{Component: t.Component}}
				out = append(out, t)
			}
			out[at].count++
			continue
		}
		same[shape] = len(out)
		out = append(out, t)
	}
	for i := range out {
		if base, key, instance := strings.Cut(out[i].id, "["); instance && out[i].count > 1 && out[i].Kind != "" {
			out[i].id = base + "[…]"
			if len(out[i].lines) > 0 {
				out[i].lines = append([]planLine{{0, whispers, "each like [" + key + ":"}}, out[i].lines...)
			}
		}
	}
	return out
}

// textOf is all that is told of a stage but its address.
func textOf(t tale) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\x00%s\x00%s\x00", t.sign, t.Component, t.rest)
	for _, l := range t.lines {
		b.WriteString(strings.Repeat("\t", l.depth) + l.text + "\n")
	}
	return b.String()
}

// WithoutKey takes an instance's own key out of a text about it, so that the texts
// of instances that differ by nothing else are equal.
func WithoutKey(id, text string) string {
	_, key, _ := strings.Cut(id, "[")
	if key = strings.Trim(key, `"]`); key == "" || !strings.Contains(text, key) {
		return text
	}
	own := regexp.MustCompile(`(^|[^\pL\pN_])` + regexp.QuoteMeta(key) + `($|[^\pL\pN_])`)
	// Twice, as two that stand side by side share the sign between them.
	return own.ReplaceAllString(own.ReplaceAllString(text, "$1…$2"), "$1…$2")
}

func taleOf(p *plan.Plan, i int) tale {
	n, k := p.Nodes[i], &p.Graph.Nodes[i]
	t := tale{Node: n, id: n.ID, sign: sign(n), count: 1}
	switch {
	case n.Skip != "":
		t.rest = "skipped, " + n.Skip
		return t
	case n.Unchanged:
		t.rest = "nothing to do"
		return t
	}
	if n.Maybe {
		t.add(0, speaks, "runs only if its when is true, which is not known yet")
	}
	switch k.RunIf {
	case kernel.OnFailure:
		t.add(0, speaks, "runs only if something before it fails")
	case kernel.Always:
		t.add(0, speaks, "runs however it goes before")
	}
	for _, g := range k.Gates {
		t.add(0, warns, "waits for approval%s%s", quoted(g.Name), who(g))
	}
	if n.Kind == kernel.RolloutNode {
		t.rollout(k)
	} else {
		for _, c := range n.Changes {
			t.add(0, speaks, "%s %s%s", changeMark(c.Action), c.Subject, because(c.Summary))
		}
		if n.EstimateMS > 0 {
			t.add(0, whispers, "takes about %s", span(kernel.Time(n.EstimateMS)))
		}
	}
	if len(n.Deferred) > 0 {
		t.add(0, whispers, "known when the stage starts: %s", strings.Join(n.Deferred, ", "))
	}
	t.back()
	return t
}

// sign says whether something new comes or something that is there changes.
func sign(n plan.Node) string {
	if n.Skip != "" || n.Unchanged {
		return " "
	}
	for _, t := range n.Targets {
		if t.Stable != "" && t.Stable != t.Candidate {
			return "~"
		}
	}
	for _, c := range n.Changes {
		if c.Action == call.Update || c.Action == call.Delete {
			return "~"
		}
	}
	return "+"
}

func (t *tale) add(depth int, tone tone, format string, args ...any) {
	t.lines = append(t.lines, planLine{depth, tone, fmt.Sprintf(format, args...)})
}

// back tells how the stage is taken back.
func (t *tale) back() {
	took := ""
	if t.Simulation != nil && t.Simulation.BackMS > 0 {
		took = ", within " + span(kernel.Time(t.Simulation.BackMS))
	}
	switch t.WayBack {
	case call.Exact:
		t.add(0, whispers, "way back: %s (exact)%s", t.Back, took)
	case call.BestEffort:
		t.add(0, whispers, "way back: %s (best effort)%s", t.Back, took)
	default:
		t.add(0, warns, "way back: none")
	}
}

func quoted(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf(" %q", name)
}

func who(g kernel.Gate) string {
	var parts []string
	if g.Required > 1 {
		parts = append(parts, fmt.Sprintf("by %d people", g.Required))
	}
	if len(g.From) > 0 {
		parts = append(parts, "of "+strings.Join(g.From, ", "))
	}
	out := strings.Join(parts, " ")
	if g.NotInitiator {
		out = strings.TrimPrefix(out+", not by who starts the run", ", ")
	}
	if g.Expires > 0 {
		out = strings.TrimPrefix(out+fmt.Sprintf(", within %s", span(g.Expires)), ", ")
	}
	if out == "" {
		return ""
	}
	return " " + out
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

// rollout tells where traffic moves, and by which steps.
func (t *tale) rollout(k *kernel.Node) {
	for _, tg := range t.Targets {
		to := tg.Candidate
		if to == "" {
			to = "a release that is known when the stage starts"
		}
		switch {
		case tg.Stable == "":
			t.add(0, speaks, "%s: first release, %s", tg.Name, to)
		case tg.Stable == tg.Candidate:
			t.add(0, whispers, "%s: %s is in place already", tg.Name, tg.Stable)
		default:
			t.add(0, speaks, "%s: %s → %s", tg.Name, release(tg.Stable, tg.StableVersion), to)
		}
		for _, c := range tg.Changes {
			t.add(1, speaks, "%s %s%s", changeMark(c.Action), c.Subject, because(c.Summary))
		}
	}
	for _, v := range k.Rollout.Verifies {
		t.add(0, speaks, "before any traffic: verify %q on each candidate", v)
	}
	sim := t.Simulation
	if sim == nil {
		return
	}
	how := k.Rollout.Strategy
	if how == "" {
		how = "all at once"
	}
	if sim.First && k.Rollout.Strategy != "" {
		how += " from the next release on; the first goes straight to all traffic"
	}
	long := ""
	if sim.DurationMS > 0 {
		long = ", about " + span(kernel.Time(sim.DurationMS))
	}
	t.add(0, speaks, "%s, %s%s:", how, count(len(sim.Steps), "step", "steps"), long)
	for _, st := range sim.Steps {
		t.step(st, len(k.Rollout.Waves) > 1)
	}
	if a := k.Rollout.Analysis; a != nil && !sim.First {
		late := "waits for enough evidence"
		if a.Deadline > 0 {
			late = fmt.Sprintf("without enough evidence after %s: %s", span(a.Deadline), a.OnInconclusive)
		}
		if a.OnNoData != "" {
			late += ", without data: " + a.OnNoData
		}
		t.add(0, speaks, "judged every %s; %s", span(a.Interval), late)
		for _, f := range t.Forecast {
			t.forecast(f)
		}
		for _, b := range t.Budgets {
			t.budget(b)
		}
	}
	if k.Rollout.WhileWaiting == "stable" {
		t.add(0, speaks, "while people are waited for, all traffic is with the stable release")
	}
}

// forecast says what the analysis can see, step by step.
func (t *tale) forecast(f plan.Forecast) {
	if f.Unknown != "" {
		t.add(1, speaks, "%s: compared with stable; how soon harm is seen cannot be told: %s", f.Metric, f.Unknown)
		return
	}
	t.add(1, speaks, "%s: %s; how soon more is seen:", f.Metric, f.Traffic())
	for _, st := range f.Steps {
		var parts []string
		for _, see := range st.See {
			when := "never"
			if see.AfterMS > 0 {
				when = "after " + analysis.About(time.Duration(see.AfterMS)*time.Millisecond)
			}
			parts = append(parts, fmt.Sprintf("×%g %s", see.Ratio, when))
		}
		pass := "nothing can be shown to be well"
		if st.PassMS > 0 {
			pass = "a good one passes after " + analysis.About(time.Duration(st.PassMS)*time.Millisecond)
		}
		note := ""
		if st.Blind {
			note = "; blind within " + span(kernel.Time(st.TimeMS))
		}
		t.add(2, speaks, "%6s  %s; %s%s", st.Weight, strings.Join(parts, ", "), pass, note)
	}
}

// budget says what is left of an error budget, and what that means.
func (t *tale) budget(b plan.Budget) {
	if !b.Spent() {
		t.add(1, speaks, "%s", b.Why)
		return
	}
	then := map[string]string{"hold": "people are asked before the rollout starts", "abort": "the rollout does not start", "continue": "the rollout starts all the same"}[b.OnExhausted]
	t.add(1, warns, "%s: %s", b.Why, then)
}

func release(id, version string) string {
	if version == "" {
		return id
	}
	return id + " (" + version + ")"
}

func (t *tale) step(st plan.Step, waves bool) {
	var parts []string
	for _, a := range st.Approvals {
		parts = append(parts, fmt.Sprintf("after approval %q", a))
	}
	if st.BakeMS > 0 {
		parts = append(parts, "watch "+span(kernel.Time(st.BakeMS)))
	}
	if st.Evidence {
		parts = append(parts, "go on with a verdict")
	}
	where := ""
	if waves {
		where = fmt.Sprintf(" wave %d (%s)", st.Wave+1, strings.Join(st.Targets, ", "))
	}
	line := fmt.Sprintf("%6s%s", st.Weight, where)
	if len(parts) > 0 {
		line += "  " + strings.Join(parts, ", ")
	}
	t.add(1, speaks, "%s", line)
}
