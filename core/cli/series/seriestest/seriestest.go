// Package seriestest makes the facts of a rollout that a real judge looks at, for the
// tests of what draws them.
package seriestest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// Began is second 0.
var Began = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// At is a moment by its second.
func At(s int) time.Time { return Began.Add(time.Duration(s) * time.Second) }

// Event is a fact at a second.
func Event(s int, f kernel.Fact) kernel.Event {
	return kernel.Event{At: kernel.TimeOf(At(s)), Fact: f}
}

// Rollout collects the facts of one stage.
type Rollout struct {
	Node   string
	Events []kernel.Event

	t     testing.TB
	judge *analysis.State
}

// New begins a rollout that is judged by rules.
func New(t testing.TB, node string, rules ...analysis.Metric) *Rollout {
	return &Rollout{Node: node, t: t, judge: analysis.New(rules)}
}

// Step enters a step.
func (r *Rollout) Step(s int, title string) {
	r.judge.StepBegan(At(s))
	r.Events = append(r.Events, Event(s, kernel.Decided{Node: r.Node, StepID: title, StepTitle: title}))
}

// Look hands looks to the judge and adds its verdicts.
func (r *Rollout) Look(s int, looks ...analysis.Look) kernel.Judged {
	r.t.Helper()
	for _, l := range looks {
		r.judge.Observe(l)
	}
	say := func(v analysis.Verdict) kernel.Verdict {
		return kernel.Verdict{Value: v.Value, N: v.N, Why: v.Why, NoData: v.NoData}
	}
	f := kernel.Judged{Node: r.Node, Harm: say(r.judge.Harm()), Step: say(r.judge.Step())}
	for to, v := range map[*json.RawMessage]any{&f.Looks: looks, &f.State: r.judge, &f.Shown: r.judge.Evidence()} {
		b, err := json.Marshal(v)
		if err != nil {
			r.t.Fatal(err)
		}
		*to = b
	}
	r.Events = append(r.Events, Event(s, f))
	return f
}

// Counts is a look of a minute at a counter of candidate and stable.
func Counts(s int, metric, target string, n, bad, stableN, stableBad int64) analysis.Look {
	l := empty(s, metric, target)
	l.Candidate.Counter = &metrics.Counter{N: n, Events: bad}
	l.Stable.Counter = &metrics.Counter{N: stableN, Events: stableBad}
	return l
}

// Histograms is a look of a minute at a distribution with the bounds 0.1, 0.2, 0.4 and 0.8.
func Histograms(s int, metric, target string, candidate, stable [5]int64) analysis.Look {
	l := empty(s, metric, target)
	bounds := []float64{0.1, 0.2, 0.4, 0.8}
	l.Candidate.Histogram = &metrics.Histogram{Bounds: bounds, Counts: candidate[:]}
	l.Stable.Histogram = &metrics.Histogram{Bounds: bounds, Counts: stable[:]}
	return l
}

// Nothing is a look of a minute that found no data.
func Nothing(s int, metric, target, reason string) analysis.Look {
	l := empty(s, metric, target)
	l.Candidate.NoData, l.Stable.NoData = reason, reason
	return l
}

func empty(s int, metric, target string) analysis.Look {
	return analysis.Look{
		Metric: metric, Target: target, From: At(s - 60), To: At(s),
		Candidate: metrics.Release{ID: "new"}, Stable: &metrics.Release{ID: "old"},
	}
}

// Independent is a metric with a past in which errors came alone, so that few are
// evidence.
func Independent(name string) analysis.Metric {
	how := analysis.Standard()
	how.Past = &analysis.Past{Independent: true, Dispersion: 1, Rates: []float64{0.01}}
	return analysis.Metric{Name: name, Better: "lower", MinCount: 1, Compare: how}
}
