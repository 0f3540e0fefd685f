package main

import (
	"time"

	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

func countLook(d worlds.Dice, m int) analysis.Look {
	stable := worlds.Counter(d.Poisson(1000), d.Poisson(5))
	return analysis.Look{From: worlds.At(m, 0, 1), To: worlds.At(m+1, 0, 1), Candidate: worlds.Counter(d.Poisson(1000), d.Poisson(5)), Stable: &stable}
}

func histogramLook(d worlds.Dice, m int) analysis.Look {
	stable := latency{}.minute(d, m, 500, 1)
	return analysis.Look{From: worlds.At(m, 0, 1), To: worlds.At(m+1, 0, 1), Candidate: latency{}.minute(d, m, 500, 1), Stable: &stable}
}

// replay is the shortest of many times that an hour of ten metrics takes to judge.
func replay(known bool, form func(d worlds.Dice, m int) analysis.Look) time.Duration {
	const metricsToJudge, hour, times = 10, 60, 200
	d := worlds.NewDice("replay", 0)
	var looks []analysis.Look
	for m := range hour {
		for i := range metricsToJudge {
			l := form(d, m)
			l.Metric, l.Target = names(metricsToJudge)[i], "main"
			looks = append(looks, l)
		}
	}
	var past *analysis.Past
	if known {
		day := make([]analysis.Measured, 0, history)
		for i := range history {
			l := form(d, i)
			from := worlds.At(i, 0, 1).Add(-history * time.Minute)
			day = append(day, analysis.Measured{From: from, To: from.Add(time.Minute), Release: *l.Stable})
		}
		past = analysis.Learn(analysis.Metric{Name: "m0", Better: "lower", Compare: analysis.Standard()}, day)
	}
	best := time.Hour
	for range times {
		var all []analysis.Metric
		for _, name := range names(metricsToJudge) {
			how := analysis.Standard()
			how.Past = past
			all = append(all, analysis.Metric{Name: name, Better: "lower", Compare: how})
		}
		start := time.Now()
		judge := analysis.New(all)
		judge.StepBegan(worlds.Start())
		for m := range hour {
			for _, l := range looks[m*metricsToJudge : (m+1)*metricsToJudge] {
				judge.Observe(l)
			}
			judge.Harm()
			judge.Step()
		}
		best = min(best, time.Since(start))
	}
	return best
}
