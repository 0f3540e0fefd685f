package main

import (
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
)

func countLook(d dice, m int) analysis.Look {
	stable := counter(d.poisson(1000), d.poisson(5))
	return analysis.Look{From: at(m, 0, 1), To: at(m+1, 0, 1), Candidate: counter(d.poisson(1000), d.poisson(5)), Stable: &stable}
}

func histogramLook(d dice, m int) analysis.Look {
	stable := latency{}.minute(d, m, 500, 1)
	return analysis.Look{From: at(m, 0, 1), To: at(m+1, 0, 1), Candidate: latency{}.minute(d, m, 500, 1), Stable: &stable}
}

// replay is the shortest of many times that an hour of ten metrics takes to judge.
func replay(known bool, form func(d dice, m int) analysis.Look) time.Duration {
	const metricsToJudge, hour, times = 10, 60, 200
	d := newDice("replay", 0)
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
			from := at(i, 0, 1).Add(-history * time.Minute)
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
		judge.StepBegan(epoch)
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
