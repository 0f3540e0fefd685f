// Package metrics is the kind of component that measures: it reads one metric
// for some releases over a window of time. It decides nothing.
package metrics

import (
	"context"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Metrics reads one metric. It changes nothing, so the host calls it again freely.
type Metrics interface {
	// Measure reads the window [From, To) for each release. A release without
	// data gets NoData with the reason, never zeroes.
	Measure(ctx context.Context, req *Request) (Measurement, error)
}

// Historian is implemented by what also knows the past of a release, so that a
// judge can learn how independent its bad events are.
type Historian interface {
	// Past reads [From, To) in windows, best a day of it. What is not known is left
	// out; an empty past has a Reason.
	Past(ctx context.Context, req *PastRequest) (Past, error)
}

// CodeNotApart is the code of a warning that a configuration measures all releases as
// one. Where that is meant, as for an SLO of the whole service, it is not shown.
const CodeNotApart = "releases_not_told_apart"

// PastRequest is what Past is told.
type PastRequest struct {
	call.Request
	Release  target.Release
	From, To time.Time
	// Window is the length of a window, above 0.
	Window time.Duration
}

// Past is what was measured of one release over a long time.
type Past struct {
	// Windows are in the order of time and do not overlap. Those without data are left out.
	Windows []Window
	// Reason is for people: why there are none, or not all.
	Reason string
}

// Window is one measurement of the past.
type Window struct {
	From, To time.Time
	Release  Release
}

// MaxWindows is how many windows a past has at most.
const MaxWindows = 10_000

// Request is what Measure is told.
type Request struct {
	call.Request
	Releases []target.Release
	From, To time.Time
}

// Measurement is what was measured.
type Measurement struct {
	// Releases in the order of the request.
	Releases []Release
	// CompleteUntil is the moment up to which nothing more will come; not after Request.To.
	CompleteUntil time.Time
}

// Release is what was measured of one release. Exactly one of Counter,
// Histogram, Samples and NoData is set.
type Release struct {
	ID        string     `json:"id"`
	Counter   *Counter   `json:"counter,omitempty"`
	Histogram *Histogram `json:"histogram,omitempty"`
	Samples   []float64  `json:"samples,omitempty"`
	// NoData is the reason why there is nothing.
	NoData string `json:"no_data,omitempty"`
}

// Counter is events among observations, such as errors among requests.
type Counter struct {
	N      int64 `json:"n"`
	Events int64 `json:"events"`
}

// Histogram is a distribution by buckets.
type Histogram struct {
	// Bounds are upper bounds, ascending, without +Inf.
	Bounds []float64 `json:"bounds"`
	// Counts by bucket, not cumulative; one more than Bounds.
	Counts []int64 `json:"counts"`
}
