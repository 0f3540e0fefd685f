package analysis

import (
	"time"

	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// Version of the judge, recorded with every verdict.
const Version = "evidence/2"

// static is the version that knew static limits only; its states can be read.
const static = "static/1"

// Alpha is the probability with which a State errs where its Policy says nothing.
const Alpha = 0.05

// Metric is how one metric is judged.
type Metric struct {
	Name string `json:"name"`
	// Better is "lower" or "higher", or "same" where both are bad; static limits
	// do not need it. A comparison takes what is empty for "lower".
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
	// Compare says how the candidate is compared with stable; nil is not at all.
	Compare *Compare `json:"compare,omitempty"`
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
	// Share of the traffic that the candidate had, between 0 and 1; only for
	// metrics without a denominator, where 0 means as much as stable.
	Share float64 `json:",omitempty"`
}

// Policy is what holds for all metrics.
type Policy struct {
	// Alpha is the probability of an abort although nothing is worse than its
	// tolerance, over a whole rollout, and that of passing although something is
	// not within its margin, over a step. 0 is the constant Alpha.
	Alpha float64 `json:"alpha,omitempty"`
}

// Verdict of one scope with what it rests on.
type Verdict struct {
	Value strategy.VerdictValue `json:"value"`
	// N counts the candidate's observations behind it: those of the metric that
	// decided, or of the one with the fewest.
	N int64 `json:"n"`
	// Why is one sentence in plain words: what was seen, what it means.
	Why string `json:"why"`
	// Metric is the one that decided by comparison, or that is waited for. The
	// rest is of it.
	Metric string `json:"metric,omitempty"`
	// Effect is how many times as often as in stable what is bad was seen in the
	// candidate, 0 when that has no number. It is above Low, and below High, with
	// probability 1-Alpha each, at whatever moment one looks. Where there is no
	// upper end High is 0.
	Effect float64 `json:"effect,omitempty"`
	Low    float64 `json:"low,omitempty"`
	High   float64 `json:"high,omitempty"`
	// E is the evidence: of harm in a verdict of harm, else of being within the
	// margin. Needed is how much of it decides.
	E      float64 `json:"e,omitempty"`
	Needed float64 `json:"needed,omitempty"`
	// NoData says that there was nothing to compare: neither pass nor fail.
	NoData bool `json:"no_data,omitempty"`
}
