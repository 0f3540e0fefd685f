// Package analysis is the judge: pure functions from measurements to verdicts.
//
// A State is told what was measured, release by release and look by look, and
// says for two scopes whether the candidate does harm (over the whole rollout,
// never reset) and whether the present step may be passed. There are three
// verdicts: pass, fail, and not enough evidence. Verdicts are recorded as facts
// and never recomputed, so floats may be used here and nowhere else.
//
// Start with New, hand every Look to Observe, say StepBegan at each step, and
// ask Harm and Step whenever a verdict is wanted. A State is small whatever
// comes in, and can be kept as JSON in between.
//
// This judge knows static limits: what is beyond a metric's Min or Max, over
// the whole rollout or in the present step, on all targets together or on one of
// them, is harm.
package analysis

import (
	"time"

	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// Version of the judge, recorded with every verdict.
const Version = "static/1"

// Metric is how one metric is judged.
type Metric struct {
	Name string `json:"name"`
	// Better is "lower" or "higher"; static limits do not need it.
	Better string `json:"better,omitempty"`
	// Min and Max are static limits on the metric's value: for a counter events by
	// observations, for a histogram or samples the Quantile. Nil means none.
	Min *float64 `json:"min,omitempty"`
	Max *float64 `json:"max,omitempty"`
	// Quantile of histograms and samples, 0 to 1; 0 means the mean of samples and
	// the 0.99 quantile of histograms.
	Quantile float64 `json:"quantile,omitempty"`
	// MinCount is how many observations of the candidate there must be before a
	// verdict other than not enough evidence; at least 1.
	MinCount int64 `json:"min_count"`
}

// Look is one measurement of one metric at one target.
type Look struct {
	Metric string
	Target string
	// From and To are the window.
	From, To time.Time
	// Candidate and Stable are what was measured of each; Stable may be nil.
	Candidate metrics.Release
	Stable    *metrics.Release
}

// Verdict of one scope with what it rests on.
type Verdict struct {
	Value strategy.VerdictValue `json:"value"`
	// N counts the candidate's observations behind it: those of the metric that
	// decided, or of the one with the fewest.
	N int64 `json:"n"`
	// Why is one sentence in plain words: what was seen, what it means.
	Why string `json:"why"`
}
