package series

import (
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// Word is a verdict in the words of people.
type Word string

const (
	Harm Word = "harm"
	Pass Word = "pass"
	Fail Word = "fail"
	// Unsure is neither.
	Unsure Word = "not enough evidence"
)

// Decision is a verdict from the moment on at which it was reached.
type Decision struct {
	At   time.Time `json:"at"`
	Word Word      `json:"verdict"`
	// Why is the judge's own sentence, N the observations of the candidate behind it.
	Why string `json:"why"`
	N   int64  `json:"n"`
	// Metric is the one that decided, or that is waited for; empty where that cannot be
	// told.
	Metric string `json:"metric,omitempty"`
	// Seen is what was seen of that metric, nil where it is not compared.
	Seen *Seen `json:"seen,omitempty"`
}

// Seen is a comparison in numbers, as in analysis.Verdict.
type Seen struct {
	// Effect is how many times as often as in stable what is bad was seen. High is 0
	// where there is no upper end, and Effect where it has no number.
	Effect float64 `json:"effect,omitempty"`
	Low    float64 `json:"low,omitempty"`
	High   float64 `json:"high,omitempty"`
	// Harm and Show are the evidence, with what is needed of each.
	Harm       float64 `json:"harm"`
	HarmNeeded float64 `json:"harm_needed"`
	Show       float64 `json:"show"`
	ShowNeeded float64 `json:"show_needed"`
}

func verdict(f kernel.Judged) Decision {
	d := Decision{Word: Unsure, N: f.Step.N, Why: f.Step.Why}
	switch {
	case f.Harm.Value == strategy.Fail:
		d.Word, d.N, d.Why = Harm, f.Harm.N, f.Harm.Why
	case f.Step.Value == strategy.Pass:
		d.Word = Pass
	case f.Step.Value == strategy.Fail:
		d.Word = Fail
	}
	return d
}

// decide keeps the latest form of the verdict that holds, and each that became
// another.
func (st *Stage) decide(at time.Time, f kernel.Judged) {
	d := verdict(f)
	d.At = at
	d.Metric = st.deciding(d)
	if m := st.Metric(d.Metric); m != nil && m.Last != nil {
		d.Seen = seen(m.Last, d.Word)
	}
	n := len(st.Decisions)
	switch {
	case n == 0 || st.Decisions[n-1].Word != d.Word || d.Word == Pass && st.decided != len(st.Steps):
		if st.decided = len(st.Steps); n < mostMarks {
			st.Decisions = append(st.Decisions, d)
		}
	case d.Word == Unsure:
		// What is waited for, and why, is that of the last look; since when, of the first.
		d.At = st.Decisions[n-1].At
		st.Decisions[n-1] = d
	}
}

func seen(e *analysis.Evidence, w Word) *Seen {
	v := e.Step
	if w == Harm {
		v = e.Whole
	}
	return &Seen{
		Effect: v.Effect, Low: v.Low, High: v.High,
		Harm: e.Harm, HarmNeeded: e.HarmNeeded, Show: e.Show, ShowNeeded: e.ShowNeeded,
	}
}

// Metric finds a metric by name; nil where there is none.
func (st *Stage) Metric(name string) *Metric {
	for _, m := range st.Metrics {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// deciding is the metric that a verdict is about: the judge's sentence begins with its
// name, but that of a pass, which lists all that has passed. There it is the one
// with the least evidence.
func (st *Stage) deciding(d Decision) string {
	if d.Word == Pass {
		var least *Metric
		for _, m := range st.Metrics {
			if m.Last != nil && !m.Last.Step.NoData && (least == nil || m.Last.Show < least.Last.Show) {
				least = m
			}
		}
		if least != nil {
			return least.Name
		}
	}
	name := ""
	for _, m := range st.Metrics {
		if rest, ok := strings.CutPrefix(d.Why, m.Name); ok && len(m.Name) > len(name) && (strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, ":")) {
			name = m.Name
		}
	}
	return name
}

// Last is the verdict that holds, nil before the first.
func (st *Stage) Last() *Decision {
	if len(st.Decisions) == 0 {
		return nil
	}
	return &st.Decisions[len(st.Decisions)-1]
}
