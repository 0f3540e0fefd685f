package main

import (
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(minute int, part, parts int) time.Time {
	return epoch.Add(time.Duration(minute)*time.Minute + time.Minute*time.Duration(part)/time.Duration(parts))
}

// setup is what a row varies. Everything else is the same in every row.
type setup struct {
	Tolerance float64
	Nature    nature
	Traffic   traffic
	// Effect on the first metric; the others are healthy.
	Effect  float64
	Metrics int
	// Second looks once a second, else once a minute.
	Second bool
	// Minutes is when the trial ends.
	Minutes int
	// IgnoreHarm goes on until the step is passed; else until there is harm.
	IgnoreHarm bool
}

// history is how many minutes of the stable release are known.
const history = 24 * 60

// outcome of one trial: the time in minutes of an abort and of the first pass, 0
// for none.
type outcome struct{ abort, pass float64 }

func counter(n, x float64) metrics.Release {
	return metrics.Release{ID: "r", Counter: &metrics.Counter{N: int64(n), Events: int64(x)}}
}

func names(n int) []string {
	return []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}[:n]
}

// run plays one trial of the judge.
func (s setup) run(d dice) outcome {
	n := max(s.Metrics, 1)
	var all []analysis.Metric
	var worlds []*world
	for i, name := range names(n) {
		how := analysis.Standard()
		how.Tolerance = s.Tolerance
		m := analysis.Metric{Name: name, Better: "lower", Compare: how}
		how.Past = learn(m, before(s.Nature, s.Traffic, d))
		effect := s.Effect
		if i > 0 {
			effect = 1
		}
		all = append(all, m)
		worlds = append(worlds, newWorld(s.Nature, s.Traffic, effect, d))
	}
	judge := analysis.New(all)
	judge.StepBegan(epoch)
	parts := 1
	if s.Second {
		parts = 60
	}
	var out outcome
	for m := range s.Minutes {
		minutes := make([][]window, n)
		for i, w := range worlds {
			minutes[i] = w.minute(m, parts)
		}
		for k := range parts {
			for i, name := range names(n) {
				w := minutes[i][k]
				stable := counter(w.ns, w.xs)
				judge.Observe(analysis.Look{Metric: name, Target: "main", From: at(m, k, parts), To: at(m, k+1, parts), Candidate: counter(w.nc, w.xc), Stable: &stable})
			}
			now := float64(m) + float64(k+1)/float64(parts)
			if !s.IgnoreHarm && judge.Failed() {
				out.abort = now
				return out
			}
			if s.IgnoreHarm && judge.Step().Value == strategy.Pass {
				out.pass = now
				return out
			}
		}
	}
	return out
}

// learn shows the judge a day of the stable release.
func learn(m analysis.Metric, w *world) *analysis.Past {
	past := make([]analysis.Measured, history)
	for i := range past {
		one := w.minute(i, 1)[0]
		past[i] = analysis.Measured{From: at(i, 0, 1).Add(-history * time.Minute), To: at(i+1, 0, 1).Add(-history * time.Minute), Release: counter(one.ns, one.xs)}
	}
	return analysis.Learn(m, past)
}
