package main

import (
	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// setup is what a row varies. Everything else is the same in every row.
type setup struct {
	Tolerance float64
	Nature    worlds.Nature
	Traffic   worlds.Traffic
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

func names(n int) []string {
	return []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}[:n]
}

// run plays one trial of the judge.
func (s setup) run(d worlds.Dice) (out outcome) {
	n := max(s.Metrics, 1)
	var judged []analysis.Metric
	var played []*worlds.World
	for i, name := range names(n) {
		how := analysis.Standard()
		how.Tolerance = s.Tolerance
		m := analysis.Metric{Name: name, Better: "lower", Compare: how}
		how.Past = worlds.Learn(m, worlds.Before(s.Nature, s.Traffic, d), history)
		effect := s.Effect
		if i > 0 {
			effect = 1
		}
		judged = append(judged, m)
		played = append(played, worlds.New(s.Nature, s.Traffic, effect, d))
	}
	judge := analysis.New(judged)
	judge.StepBegan(worlds.Start())
	parts := 1
	if s.Second {
		parts = 60
	}
	worlds.Play(judge, names(n), played, s.Minutes, parts, func(now float64) bool {
		switch {
		case !s.IgnoreHarm && judge.Failed():
			out.abort = now
		case s.IgnoreHarm && judge.Step().Value == strategy.Pass:
			out.pass = now
		default:
			return false
		}
		return true
	})
	return out
}
