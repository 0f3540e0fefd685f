// Package series folds the facts of a run into what charts of its analyses need:
// what was measured of candidate and stable, how the evidence climbed to its
// thresholds, where the steps were, and the moments of decision.
//
// Start with New, hand every event to Event in the order of the journal, and read
// Stages. What is kept is bounded, whatever the length of the run. Verdicts are taken
// from the facts and never computed again.
package series

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Limits of what is kept of one stage; the others are counted.
const (
	// MostMetrics and MostTargets are those with lines of their own.
	MostMetrics = 50
	MostTargets = 50
	// mostMarks are the steps and the decisions.
	mostMarks = 1000
)

// Set is the analyses of a run.
type Set struct {
	stages   []*Stage
	commands map[int64]kernel.Command
}

// New is a set of nothing.
func New() *Set { return &Set{commands: map[int64]kernel.Command{}} }

// Stage is the analysis of one rollout.
type Stage struct {
	Node    string
	Metrics []*Metric
	// More counts the metrics that are not among Metrics.
	More  int
	Steps []Step
	// Decisions are the moments at which a verdict became another, oldest first.
	Decisions []Decision
	// Together is the evidence of harm of all metrics; it has points where more than one
	// is compared. Needed is how much of it aborts; 0 where that is not known.
	Together Line
	Needed   float64
	// From and To are the first and the last moment of which something is known.
	From, To time.Time

	rules []analysis.Metric
	more  map[string]bool
	// decided is how many steps there were at the last decision.
	decided int
}

// Metric is one metric of a stage.
type Metric struct {
	Name string
	// Rule is how it is judged, as far as the facts say.
	Rule analysis.Metric
	// Percent: its values are shares.
	Percent bool
	Targets []*Target
	// Harm is the evidence of harm over the whole rollout and Show that of being within the
	// margin, since each step began. Both are empty for a metric that is not compared.
	Harm, Show Line
	// Last is the latest evidence, nil where the metric is not compared.
	Last *analysis.Evidence
}

// Target is what was measured at one target.
type Target struct {
	Name              string
	Candidate, Stable Line
	// Reason is why the last look had nothing of the candidate; empty when it had.
	Reason string
}

// Step is a step of the rollout, or a weight that was set.
type Step struct {
	At    time.Time
	Title string
	// Weight is the candidate's on the target that was moved last before the next step.
	Weight target.Weight
	id     string
	wave   int
}

func (s *Set) find(node string) *Stage {
	for _, st := range s.stages {
		if st.Node == node {
			return st
		}
	}
	return nil
}

func (s *Set) stage(node string) *Stage {
	st := s.find(node)
	if st == nil {
		st = &Stage{Node: node, more: map[string]bool{}}
		s.stages = append(s.stages, st)
	}
	return st
}

// Stage is the analysis of a stage, nil where nothing was judged.
func (s *Set) Stage(node string) *Stage {
	if st := s.find(node); st != nil && st.judged() {
		return st
	}
	return nil
}

// Stages are those that were judged, in the order in which they began.
func (s *Set) Stages() []*Stage {
	var out []*Stage
	for _, st := range s.stages {
		if st.judged() {
			out = append(out, st)
		}
	}
	return out
}

func (st *Stage) judged() bool { return len(st.Metrics) > 0 || len(st.Decisions) > 0 }

// Compared reports whether the judge compared anything.
func (st *Stage) Compared() bool {
	return slices.ContainsFunc(st.Metrics, func(m *Metric) bool { return m.Last != nil })
}

// Event takes the next event. Facts that say nothing of an analysis are passed over.
func (s *Set) Event(e kernel.Event) {
	at := e.At.Time()
	switch f := e.Fact.(type) {
	case kernel.CommandIssued:
		if f.Kind == kernel.SetWeight && !f.Back {
			s.commands[f.ID] = f.Command
		}
	case kernel.CommandSucceeded:
		if c, ok := s.commands[f.Command]; ok {
			s.stage(c.Node).weight(c.Weight)
		}
	case kernel.Decided:
		if f.StepID != "" {
			s.stage(f.Node).step(Step{At: at, Title: f.StepTitle, id: f.StepID, wave: f.Wave})
		}
	case kernel.Judged:
		s.stage(f.Node).look(at, f)
	}
	if end := kernel.EndOf(e.Fact); end != 0 {
		delete(s.commands, end)
	}
}

func (st *Stage) step(x Step) {
	n := len(st.Steps)
	if n > 0 && st.Steps[n-1].id == x.id && st.Steps[n-1].wave == x.wave || n == mostMarks {
		return
	}
	if x.Title == "" {
		x.Title = x.id
	}
	if n > 0 {
		x.Weight = st.Steps[n-1].Weight
	}
	st.Steps = append(st.Steps, x)
	for _, m := range st.Metrics {
		if m.Last != nil {
			m.Show.Add(x.At, 0, false)
		}
	}
	st.spans(x.At)
}

func (st *Stage) weight(w target.Weight) {
	if n := len(st.Steps); n > 0 {
		st.Steps[n-1].Weight = w
	}
}

func (st *Stage) spans(at time.Time) {
	if at.IsZero() || at.UnixMilli() <= 0 {
		return
	}
	if st.From.IsZero() || at.Before(st.From) {
		st.From = at
	}
	if at.After(st.To) {
		st.To = at
	}
}

// look takes what was measured and what the judge says of it.
func (st *Stage) look(at time.Time, f kernel.Judged) {
	st.spans(at)
	st.learn(f)
	var looks []analysis.Look
	if json.Unmarshal(f.Looks, &looks) == nil {
		for _, l := range looks {
			st.measured(l)
		}
	}
	st.evidence(at, f)
	st.decide(at, f)
}

// learn reads how the metrics are judged, once.
func (st *Stage) learn(f kernel.Judged) {
	if st.rules != nil || len(f.State) == 0 {
		return
	}
	var judge analysis.State
	if json.Unmarshal(f.State, &judge) != nil {
		return
	}
	st.rules = judge.Metrics()
	for _, rule := range st.rules {
		if m := st.metric(rule.Name); m != nil {
			m.Rule = rule
		}
	}
}

func (st *Stage) metric(name string) *Metric {
	if m := st.Metric(name); m != nil {
		return m
	}
	if len(st.Metrics) == MostMetrics {
		if len(st.more) < mostMarks && !st.more[name] {
			st.more[name] = true
			st.More++
		}
		return nil
	}
	m := &Metric{Name: name, Rule: analysis.Metric{Name: name}}
	st.Metrics = append(st.Metrics, m)
	return m
}

func (st *Stage) measured(l analysis.Look) {
	m := st.metric(l.Metric)
	if m == nil || l.To.Before(l.From) || l.To.UnixMilli() <= 0 {
		return
	}
	t := m.target(l.Target)
	if t == nil {
		return
	}
	candidate, stable := m.Rule.Readings(l)
	m.Percent = m.Percent || candidate.Percent || stable.Percent
	t.Reason = candidate.Reason
	t.Candidate.reading(l.To, candidate)
	t.Stable.reading(l.To, stable)
	st.spans(l.To)
}

func (m *Metric) target(name string) *Target {
	for _, t := range m.Targets {
		if t.Name == name {
			return t
		}
	}
	if len(m.Targets) == MostTargets {
		return nil
	}
	t := &Target{Name: name}
	m.Targets = append(m.Targets, t)
	return t
}

// evidence follows the evidence of what is compared.
func (st *Stage) evidence(at time.Time, f kernel.Judged) {
	var all []analysis.Evidence
	if json.Unmarshal(f.Shown, &all) != nil {
		return
	}
	together := 0.0
	for _, e := range all {
		if m := st.metric(e.Metric); m != nil {
			m.Harm.Add(at, e.Harm, true)
			// Nothing is shown before something was seen.
			m.Show.Add(at, e.Show, !e.Step.NoData)
			m.Last = &e
		}
		if m := st.Metric(e.Metric); e.HarmNeeded > 0 && (m == nil || e.Whole.N >= m.Rule.MinCount) {
			together += e.Harm / e.HarmNeeded
		}
		st.Needed = e.ShowNeeded
	}
	if len(all) > 1 && !math.IsInf(together, 0) {
		st.Together.Add(at, together*st.Needed, true)
	}
}
