package worlds

import (
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// epoch is when worlds begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Start is when minute 0 begins.
func Start() time.Time { return epoch }

// At is the moment at which a part of a minute begins, when it has so many.
func At(minute, part, parts int) time.Time {
	return epoch.Add(time.Duration(minute)*time.Minute + time.Minute*time.Duration(part)/time.Duration(parts))
}

// Counter is a measurement of x events among n observations.
func Counter(n, x float64) metrics.Release {
	return metrics.Release{ID: "r", Counter: &metrics.Counter{N: int64(n), Events: int64(x)}}
}

// Learn shows the judge so many minutes of the stable release before the start.
func Learn(m analysis.Metric, w *World, minutes int) *analysis.Past {
	past := make([]analysis.Measured, minutes)
	before := -time.Duration(minutes) * time.Minute
	for i := range past {
		one := w.Minute(i, 1)[0]
		past[i] = analysis.Measured{From: At(i, 0, 1).Add(before), To: At(i+1, 0, 1).Add(before), Release: Counter(one.Ns, one.Xs)}
	}
	return analysis.Learn(m, past)
}

// Play shows the judge metrics by name, each in its own world, for so many minutes
// with so many looks each. After every look it calls looked with the time in
// minutes, until that is true.
func Play(judge *analysis.State, names []string, all []*World, minutes, parts int, looked func(now float64) bool) {
	minute := make([][]Window, len(all))
	for m := range minutes {
		for i, w := range all {
			minute[i] = w.Minute(m, parts)
		}
		for k := range parts {
			for i, name := range names {
				w := minute[i][k]
				stable := Counter(w.Ns, w.Xs)
				judge.Observe(analysis.Look{Metric: name, Target: "main", From: At(m, k, parts), To: At(m, k+1, parts), Candidate: Counter(w.Nc, w.Xc), Stable: &stable})
			}
			if looked(float64(m) + float64(k+1)/float64(parts)) {
				return
			}
		}
	}
}

// Each calls do with 0 to n-1, on so many processors.
func Each(n, workers int, do func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range max(workers, 1) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
