package report

import (
	"cmp"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/diagram"
	"github.com/runner-pipelines/runner/core/cli/explain"
	"github.com/runner-pipelines/runner/core/cli/series"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"colour": func(i int) int { return i % len(line) }, "span": view.Span, "clock": func(t time.Time) string { return t.Local().Format("15:04:05") },
	"moment": func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") },
}).Parse(pageSource))

// Input is a run as its journal tells it.
type Input struct {
	Record runs.Record
	Plan   *plan.Plan
	Events []kernel.Event
	Nodes  []kernel.NodeView
	Idle   kernel.Idle
	Live   bool
	// Now is when the page is made.
	Now time.Time
	// Logs are those of each stage, in the order of the plan.
	Logs []Log
}

// Log is what a stage wrote.
type Log struct {
	Stage string
	Lines []Line
	// Left counts the earlier lines that are not on the page.
	Left int
}

// Line of a log.
type Line struct {
	At   time.Time
	Text string
}

// Page is what the page shows.
type Page struct {
	Input
	Explained *explain.Explanation
	Took      time.Duration
	Graph     template.URL
	Stages    []Stage
	More      int
	Rollouts  []Rollout
	Answers   []Answer
	Notes     []explain.Link
}

// Stage is a bar of the timeline. Left and Width are percent of the run.
type Stage struct {
	kernel.NodeView
	State       diagram.State
	Word        string
	Left, Width string
	At          time.Time
	Took        time.Duration
	Begun       bool
}

// Rollout is how traffic moved in a stage.
type Rollout struct {
	Stage      string
	Strategy   string
	Start, End time.Time
	Targets    []Target
	Verdicts   []Verdict
	Chart      template.HTML
	Drawn      int
	// Analysis is nil where nothing was analysed.
	Analysis *Analysis
}

// Target is one line of a rollout's chart.
type Target struct {
	Name, Stable, Candidate string
	Points                  []Point
	Ends                    string
}

// Point is a weight from a moment on.
type Point struct {
	At      time.Time
	Percent float64
	Words   string
}

// Verdict is what the judge said.
type Verdict struct {
	At   time.Time
	Word string
	N    int64
	Why  string
}

// Answer is one person's word at a gate.
type Answer struct {
	kernel.GateAnswered
	At time.Time
}

// bars is how many stages the timeline and the graph show.
const bars = 400

// Write makes the page.
func Write(out io.Writer, in Input) error {
	p := &Page{Input: in, Explained: explain.Of(explain.Input{
		Record: in.Record, Graph: &in.Plan.Graph, Events: in.Events, Nodes: in.Nodes, Idle: in.Idle, Live: in.Live,
	})}
	end := in.Record.Closed
	if end.IsZero() {
		end = in.Now
		if n := len(in.Events); n > 0 && !in.Live {
			end = in.Events[n-1].At.Time()
		}
	}
	p.Took = max(0, end.Sub(in.Record.Opened))
	if len(in.Nodes) <= bars {
		svg := diagram.Of(&in.Plan.Graph, in.Nodes).SVG()
		p.Graph = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString([]byte(svg))) //nolint:gosec // our own drawing
	}
	p.stages(end)
	p.told(end)
	judged := series.New()
	for _, ev := range p.Events {
		judged.Event(ev)
	}
	for i := range p.Rollouts {
		r := &p.Rollouts[i]
		svg, err := weights(r)
		if err != nil {
			return err
		}
		if r.Analysis, err = analysed(judged.Stage(r.Stage), fmt.Sprintf("plot-%d", i+1), r.Start, r.End); err != nil {
			return err
		}
		p.Rollouts[i].Chart, p.Rollouts[i].Drawn = template.HTML(svg), min(drawn, len(p.Rollouts[i].Targets)) //nolint:gosec // our own drawing, names escaped
	}
	return page.Execute(out, p)
}

// Closed reports whether the run has ended.
func (p *Page) Closed() bool { return !p.Record.Closed.IsZero() }

// State is the colour of the run's outcome.
func (p *Page) State() diagram.State {
	switch {
	case p.Record.Outcome == string(kernel.Succeeded):
		return diagram.Done
	case p.Closed():
		return diagram.Failed
	case p.Idle == kernel.WaitingForPeople:
		return diagram.Asks
	}
	return diagram.Works
}

// stages makes the bars of the timeline.
func (p *Page) stages(end time.Time) {
	whole := max(p.Took.Seconds(), 0.001)
	states := diagram.Of(&p.Plan.Graph, p.Nodes)
	for i, n := range p.Nodes {
		if n.Kind == kernel.BarrierNode {
			continue
		}
		if len(p.Stages) == bars {
			p.More++
			continue
		}
		s := Stage{NodeView: n, State: states.Nodes[i].State, Word: n.Status}
		if n.Outcome != "" {
			s.Word = view.Words(string(n.Outcome))
		}
		if n.Started != 0 && n.Outcome != kernel.Skipped && n.Outcome != kernel.NotRun {
			s.Begun, s.At = true, n.Started.Time()
			to := end
			if n.Ended != 0 {
				to = n.Ended.Time()
			}
			s.Took = max(0, to.Sub(s.At))
			left := min(100, max(0, 100*s.At.Sub(p.Record.Opened).Seconds()/whole))
			s.Left, s.Width = fmt.Sprintf("%.2f", left), fmt.Sprintf("%.2f", min(100-left, max(0.3, 100*s.Took.Seconds()/whole)))
		}
		p.Stages = append(p.Stages, s)
	}
}

// told collects what the events say of rollouts, answers and the run itself.
func (p *Page) told(end time.Time) {
	rollouts := map[string]*Rollout{}
	var order []string
	commands := map[int64]kernel.Command{}
	for _, ev := range p.Events {
		at := ev.At.Time()
		switch f := ev.Fact.(type) {
		case kernel.NodePlanned:
			if len(f.Targets) > 0 && f.Skip == "" {
				if rollouts[f.Node] == nil {
					order = append(order, f.Node)
				}
				rollouts[f.Node] = p.opened(f, at)
			}
		case kernel.CommandIssued:
			commands[f.ID] = f.Command
		case kernel.CommandSucceeded:
			if c := commands[f.Command]; c.Kind == kernel.SetWeight {
				rollouts[c.Node].moved(c, at)
			}
			delete(commands, f.Command)
		case kernel.Judged:
			rollouts[f.Node].judged(f, at)
		case kernel.NodeSettled:
			if r := rollouts[f.Node]; r != nil {
				r.End = at
			}
		case kernel.GateAnswered:
			p.Answers = append(p.Answers, Answer{f, at})
		}
	}
	for _, id := range order {
		r := rollouts[id]
		if r.End.IsZero() {
			r.End = end
		}
		p.Rollouts = append(p.Rollouts, *r)
	}
	for _, l := range p.Explained.Chain {
		if l.Node == "" {
			p.Notes = append(p.Notes, l)
		}
	}
}

func (p *Page) opened(f kernel.NodePlanned, at time.Time) *Rollout {
	r := &Rollout{Stage: f.Node, Start: at, Strategy: "all at once"}
	i := slices.IndexFunc(p.Plan.Graph.Nodes, func(n kernel.Node) bool { return n.ID == f.Node })
	if i >= 0 && p.Plan.Graph.Nodes[i].Rollout != nil {
		r.Strategy = cmp.Or(p.Plan.Graph.Nodes[i].Rollout.Strategy, r.Strategy)
	}
	for _, t := range f.Targets {
		r.Targets = append(r.Targets, Target{
			Name: t.Name, Stable: t.Stable, Candidate: t.Candidate, Ends: t.Weight.String(), Points: []Point{{at, float64(t.Weight) / 1000, t.Weight.String()}},
		})
	}
	return r
}

// moved notes a weight. The release that is named is the candidate, but on the way back.
func (r *Rollout) moved(c kernel.Command, at time.Time) {
	if r == nil {
		return
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Name != c.Target {
			continue
		}
		w := c.Weight
		if c.Release != t.Candidate {
			w = target.Full - w
		}
		t.Ends = w.String()
		t.Points = append(t.Points, Point{at, float64(w) / 1000, w.String()})
	}
}

// judged keeps a verdict when it changes.
func (r *Rollout) judged(f kernel.Judged, at time.Time) {
	if r == nil {
		return
	}
	v := Verdict{At: at, Word: "not enough evidence", N: f.Step.N, Why: f.Step.Why}
	switch {
	case f.Harm.Value == strategy.Fail:
		v.Word, v.N, v.Why = "harm", f.Harm.N, f.Harm.Why
	case f.Step.Value == strategy.Pass:
		v.Word = "pass"
	case f.Step.Value == strategy.Fail:
		v.Word = "fail"
	}
	if n := len(r.Verdicts); n > 0 && r.Verdicts[n-1].Word == v.Word {
		return
	}
	r.Verdicts = append(r.Verdicts, v)
}

// Short is an address without its kind.
func (s Stage) Short() string { return strings.TrimPrefix(s.ID, "stage.") }
