// Package measure counts what the requests of one release came to, over all
// time and by windows of time.
//
// One Release counts; Window answers for a metrics component, WriteMetrics for
// Prometheus.
package measure

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Grain is the resolution of windows.
	Grain = 100 * time.Millisecond
	// Memory is how far back windows can be told.
	Memory = time.Hour
)

// Bounds are the upper bounds of the latency buckets, in seconds.
var Bounds = []float64{
	.001, .002, .003, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 1.5, 2, 3, 5, 7.5, 10, 30,
}

const buckets = 26 // one more than there are bounds

// Result of one request.
type Result struct {
	// Status that the client got.
	Status int
	// Broken: the release failed to answer, or stopped in the middle.
	Broken bool
	// Abandoned: the client went away first; nothing can be said of the release.
	Abandoned bool
	// Upgraded: the connection was handed over, so its duration is no latency.
	Upgraded bool
	Took     time.Duration
}

// Failed reports whether the request counts as an error.
func (r Result) Failed() bool { return r.Broken || r.Status >= 500 }

// Release counts the requests of one release.
type Release struct {
	// Now is the clock; time.Now when nil.
	Now func() time.Time

	flight atomic.Int64

	mu        sync.Mutex
	since     time.Time
	classes   [6]int64 // by first digit of the status
	errors    int64
	abandoned int64
	latency   [buckets]int64
	seconds   float64
	// history from old on is within Memory.
	history []grain
	old     int
}

// grain is what ended within one Grain.
type grain struct {
	start    int64 // in Grains since 1970
	requests uint32
	errors   uint32
	latency  [buckets]uint32
}

// NewRelease begins to count.
func NewRelease() *Release {
	r := &Release{}
	r.since = r.now()
	return r
}

func (r *Release) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// Begin is called when a request comes, before End.
func (r *Release) Begin() { r.flight.Add(1) }

// End is called when it is over.
func (r *Release) End(res Result) {
	r.flight.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if res.Abandoned {
		r.abandoned++
		return
	}
	g := r.current()
	g.requests++
	r.classes[min(max(res.Status/100, 0), 5)]++
	if res.Failed() {
		g.errors++
		r.errors++
	}
	if !res.Upgraded {
		took := res.Took.Seconds()
		b := sort.SearchFloat64s(Bounds, took)
		g.latency[b]++
		r.latency[b]++
		r.seconds += took
	}
}

// current is the grain of now. The clock is read under the lock, so that what
// is counted never lands in a grain that was already told as complete.
func (r *Release) current() *grain {
	now := r.now()
	at := now.UnixNano() / int64(Grain)
	if n := len(r.history); n > 0 && r.history[n-1].start == at {
		return &r.history[n-1]
	}
	for r.old < len(r.history) && r.history[r.old].start < at-int64(Memory/Grain) {
		r.old++
	}
	// Moving what is left now and then costs less than it saves.
	if r.old > 64 && r.old >= len(r.history)/8 || r.old == len(r.history) {
		r.history = r.history[:copy(r.history, r.history[r.old:])]
		r.old = 0
	}
	r.history = append(r.history, grain{start: at})
	return &r.history[len(r.history)-1]
}

// Window is what ended within a window of time.
type Window struct {
	Requests int64     `json:"requests"`
	Errors   int64     `json:"errors"`
	Bounds   []float64 `json:"bounds"`
	Counts   []int64   `json:"counts"`
	// Since is when counting began: nothing is known from before.
	Since time.Time `json:"since"`
	// Complete is the moment up to which nothing more will come: the end of
	// the window, or earlier when that lies ahead.
	Complete time.Time `json:"complete"`
}

// Window is what ended in [from, to), as far as it lies behind. Both are taken
// to the Grain, downwards, so that windows that touch count every request once.
func (r *Release) Window(from, to time.Time) Window {
	first, end := grains(from), grains(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := Window{Bounds: Bounds, Counts: make([]int64, buckets), Since: r.since, Complete: to}
	if now := grains(r.now()); now < end {
		end = now
		if w.Complete = time.Unix(0, now*int64(Grain)); w.Complete.Before(from) {
			w.Complete = from
		}
	}
	for i := range r.history[r.old:] {
		g := &r.history[r.old+i]
		if g.start < first || g.start >= end {
			continue
		}
		w.Requests += int64(g.requests)
		w.Errors += int64(g.errors)
		for b, n := range g.latency {
			w.Counts[b] += int64(n)
		}
	}
	return w
}

func grains(t time.Time) int64 {
	n := t.UnixNano()
	g := n / int64(Grain)
	if n < 0 && n%int64(Grain) != 0 {
		g--
	}
	return g
}
