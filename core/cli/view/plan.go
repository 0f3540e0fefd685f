package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// WritePlan tells what a run will do, as a story: environments are its chapters;
// in each, what changes and where, a rollout step by step, how long it takes, how
// it goes back, and what cannot be known yet. Stages that are alike are told once.
func WritePlan(out io.Writer, p *plan.Plan, style paint.Style) {
	w := &planWriter{Style: style, out: out}
	w.say("%s", w.Bold.Render(fmt.Sprintf("Plan for pipeline %q", p.Pipeline)))
	if p.Replays != "" {
		w.say("  goes back to what run %s made, with its files, values and results", p.Replays)
	}
	for _, c := range chapters(p) {
		w.say("")
		w.say("%s%s", w.Bold.Render(c.title), w.faint(c.after))
		for _, t := range told(p, c.nodes) {
			w.tale(t)
		}
	}
	w.say("")
	w.totals(p)
	w.say("%s", p.Digest())
}

// planWriter writes lines.
type planWriter struct {
	paint.Style
	out io.Writer
}

func (w *planWriter) say(format string, args ...any) { _, _ = fmt.Fprintf(w.out, format+"\n", args...) }

// faint is empty for no text, not two escape codes around nothing.
func (w *planWriter) faint(text string) string {
	if text == "" {
		return ""
	}
	return w.Dim.Render(text)
}

// chapter is the part of a plan in one environment.
type chapter struct {
	title, after string
	// nodes are indexes into the plan's.
	nodes []int
}

// chapters divides a plan: what is in no environment and comes first, each
// environment, and what is in none and waits for one.
func chapters(p *plan.Plan) []chapter {
	var out []chapter
	index := map[string]int{}
	late := make([]bool, len(p.Nodes))
	before := map[string][]string{}
	for i, n := range p.Nodes {
		for _, a := range p.Graph.Nodes[i].After {
			late[i] = late[i] || late[a] || p.Nodes[a].Kind == kernel.BarrierNode || p.Nodes[a].Environment != ""
			if p.Nodes[a].Kind == kernel.BarrierNode && n.Environment != "" {
				env := strings.TrimPrefix(p.Nodes[a].ID, "environment.")
				if !slices.Contains(before[n.Environment], env) {
					before[n.Environment] = append(before[n.Environment], env)
				}
			}
		}
		if n.Kind == kernel.BarrierNode {
			continue
		}
		title := n.Environment
		switch {
		case title != "":
			title = "environment " + title
		case late[i]:
			title = "afterwards"
		}
		at, ok := index[title]
		if !ok {
			at = len(out)
			index[title] = at
			out = append(out, chapter{title: title})
		}
		out[at].nodes = append(out[at].nodes, i)
	}
	for i := range out {
		c := &out[i]
		if env := before[strings.TrimPrefix(c.title, "environment ")]; len(env) > 0 {
			c.after = ", once " + list(env) + " is settled"
		}
		switch {
		case c.title == "" && len(out) == 1:
			c.title = "Stages"
		case c.title == "":
			c.title = "First"
		default:
			c.title = strings.ToUpper(c.title[:1]) + c.title[1:]
		}
	}
	return out
}

// list writes names as a sentence has them.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// tale writes what was told of one stage, or of many that are alike.
func (w *planWriter) tale(t tale) {
	sign := map[string]string{"+": w.Good.Render("+"), "~": w.Warn.Render("~"), " ": " "}[t.sign]
	title := t.id
	if t.Component != "" {
		title += " " + w.Dim.Render("("+t.Component+")")
	}
	if t.count > 1 {
		title += " " + w.Info.Render("× "+thousands(t.count))
	}
	if t.rest != "" {
		title += w.Dim.Render(": " + t.rest)
	}
	w.say("  %s %s", sign, title)
	for _, l := range t.lines {
		text := strings.Repeat(" ", 6+2*l.depth) + l.text
		switch l.tone {
		case warns:
			text = w.Warn.Render(text)
		case whispers:
			text = w.Dim.Render(text)
		}
		w.say("%s", text)
	}
}

// thousands writes a count as people read it.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// totals sums up: how much, how long, whom it waits for, what is not known.
func (w *planWriter) totals(p *plan.Plan) {
	s := Sum(p)
	text := fmt.Sprintf("%d to run, %d unchanged, %d skipped", s.Run, s.Unchanged, s.Skipped)
	w.say("%s", w.Bold.Render(text+"."))
	if s.Run == 0 {
		return
	}
	var about []string
	switch {
	case s.DurationMS > 0 && s.Unmeasured > 0:
		about = append(about, fmt.Sprintf("At least %s: how long %s cannot be told.", span(kernel.Time(s.DurationMS)), count(s.Unmeasured, "stage takes", "stages take")))
	case s.DurationMS > 0:
		about = append(about, fmt.Sprintf("About %s.", span(kernel.Time(s.DurationMS))))
	}
	if s.Approvals > 0 {
		about = append(about, fmt.Sprintf("It waits for people %s; that time is not counted.", times(s.Approvals)))
	}
	if s.Maybe > 0 {
		about = append(about, fmt.Sprintf("Whether %s is known only then.", count(s.Maybe, "stage runs", "stages run")))
	}
	if s.Deferred > 0 {
		about = append(about, fmt.Sprintf("%s when what comes before is done.", count(s.Deferred, "stage is fully known only", "stages are fully known only")))
	}
	if s.NoWayBack > 0 {
		about = append(about, w.Warn.Render(fmt.Sprintf("%s no way back.", count(s.NoWayBack, "stage has", "stages have"))))
	}
	for _, a := range about {
		w.say("%s", a)
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return thousands(n) + " times"
}

// Totals sums a plan up.
type Totals struct {
	Run       int `json:"run"`
	Unchanged int `json:"unchanged"`
	Skipped   int `json:"skipped"`
	// Maybe counts stages whose when is not known, Deferred those of which
	// something else is not known yet, NoWayBack those that cannot be taken back.
	Maybe     int `json:"maybe"`
	Deferred  int `json:"deferred"`
	NoWayBack int `json:"no_way_back"`
	// Approvals counts how often people are asked.
	Approvals int `json:"approvals"`
	// DurationMS is the longest way through the graph in milliseconds, waits for
	// people not counted; Unmeasured counts the stages whose span is not known.
	DurationMS int64 `json:"duration_ms"`
	Unmeasured int   `json:"unmeasured"`
}

// Sum sums a plan up.
func Sum(p *plan.Plan) Totals {
	var s Totals
	ends := make([]int64, len(p.Nodes))
	for i, n := range p.Nodes {
		for _, a := range p.Graph.Nodes[i].After {
			ends[i] = max(ends[i], ends[a])
		}
		switch {
		case n.Kind == kernel.BarrierNode:
			continue
		case n.Skip != "":
			s.Skipped++
			continue
		case n.Unchanged:
			s.Unchanged++
			continue
		}
		s.Run++
		if n.Maybe {
			s.Maybe++
		}
		if len(n.Deferred) > 0 {
			s.Deferred++
		}
		if n.WayBack == "" {
			s.NoWayBack++
		}
		s.Approvals += len(p.Graph.Nodes[i].Gates)
		took := n.EstimateMS
		if n.Simulation != nil {
			took = n.Simulation.DurationMS
			for _, st := range n.Simulation.Steps {
				s.Approvals += len(st.Approvals)
			}
		}
		if took == 0 {
			s.Unmeasured++
		}
		ends[i] += took
		s.DurationMS = max(s.DurationMS, ends[i])
	}
	return s
}

func span(ms kernel.Time) string { return Span(time.Duration(ms) * time.Millisecond) }
