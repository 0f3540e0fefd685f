package main

import (
	"math"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// latency is a trial of a metric of times: lognormal, with a median of 0.1 s.
type latency struct {
	Tolerance float64
	// Candidate and Stable are requests a minute.
	Candidate, Stable float64
	// Slower multiplies the candidate's times.
	Slower float64
	// Own is the standard deviation of the shift of the logarithm that every
	// minute and release has for itself.
	Own float64
	// Drift is how much both go up and down together in an hour, as a share.
	Drift float64
	// Raw samples, else the default buckets of Prometheus.
	Raw     bool
	Minutes int

	past *pasts
}

// pasts are days of the stable release; drawing a day of samples takes long, so
// one serves some trials.
type pasts struct {
	sync.Mutex
	days map[int]*analysis.Past
}

const trialsPerDay = 25

var defaultBuckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

func (s latency) minute(d worlds.Dice, m int, perMinute, slower float64) metrics.Release {
	shift := math.Log(0.1*slower) + s.Own*d.NormFloat64() + math.Log1p(s.Drift*math.Sin(2*math.Pi*float64(m)/60))
	n := int(d.Poisson(perMinute))
	if s.Raw {
		out := make([]float64, n)
		for i := range out {
			out[i] = math.Exp(shift + d.NormFloat64())
		}
		return metrics.Release{ID: "r", Samples: out}
	}
	h := &metrics.Histogram{Bounds: defaultBuckets, Counts: make([]int64, len(defaultBuckets)+1)}
	left, beyond := float64(n), 1.0
	for i, b := range defaultBuckets {
		above := math.Erfc((math.Log(b)-shift)/math.Sqrt2) / 2
		x := d.Binomial(left, max(1-above/beyond, 0))
		h.Counts[i] = int64(x)
		left, beyond = left-x, above
	}
	h.Counts[len(defaultBuckets)] = int64(left)
	return metrics.Release{ID: "r", Histogram: h}
}

func (s latency) learn(m analysis.Metric, row string, trial int) *analysis.Past {
	day := trial / trialsPerDay
	s.past.Lock()
	defer s.past.Unlock()
	if p := s.past.days[day]; p != nil {
		return p
	}
	d := worlds.NewDice(row+", the day before", day)
	past := make([]analysis.Measured, history)
	for i := range past {
		from := worlds.At(i, 0, 1).Add(-history * time.Minute)
		past[i] = analysis.Measured{From: from, To: from.Add(time.Minute), Release: s.minute(d, i, s.Candidate+s.Stable, 1)}
	}
	p := analysis.Learn(m, past)
	s.past.days[day] = p
	return p
}

func (s latency) run(row string, trial int) outcome {
	how := analysis.Standard()
	how.Tolerance = s.Tolerance
	m := analysis.Metric{Name: "latency", Better: "lower", Compare: how}
	how.Past = s.learn(m, row, trial)
	judge := analysis.New([]analysis.Metric{m})
	judge.StepBegan(worlds.Start())
	d := worlds.NewDice(row, trial)
	var out outcome
	for i := range s.Minutes {
		stable := s.minute(d, i, s.Stable, 1)
		judge.Observe(analysis.Look{Metric: "latency", Target: "main", From: worlds.At(i, 0, 1), To: worlds.At(i+1, 0, 1), Candidate: s.minute(d, i, s.Candidate, s.Slower), Stable: &stable})
		if judge.Failed() {
			out.abort = float64(i + 1)
			return out
		}
	}
	return out
}

func newPasts() *pasts { return &pasts{days: map[int]*analysis.Past{}} }
