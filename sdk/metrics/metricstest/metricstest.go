// Package metricstest asks a metrics component for what package metrics
// promises, over real gRPC, in another process.
package metricstest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Suite is a metrics component and what the checks need of it.
type Suite struct {
	// New makes the component, when the subject names no plugin and no command.
	New func() metrics.Metrics
	sdktest.Subject

	// Traffic makes something to be measured. Without it only the questions that
	// need none are asked.
	Traffic func(t sdktest.T) Traffic
}

// Traffic is what was made to happen.
type Traffic struct {
	// Config to measure it with.
	Config sdktest.Config
	// Releases that have data in the window.
	Releases []target.Release
	// From and To are the window, over and complete: nothing more will come.
	From, To time.Time
	// Quiet is a moment before which none of the releases had any; zero when there
	// is none.
	Quiet time.Time
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	if s.New != nil {
		s.Plugin = sdk.Plugin{Name: "conformance", Version: "0.0.0", Metrics: map[string]func() metrics.Metrics{"component": s.New}}
	}
	s.Subject = s.InTest(t)
	Check(sdktest.Wrap(t), s)
}

// Check is Run for any program: Subject.Command must be given.
func Check(t sdktest.T, s Suite) {
	s.Subject = s.Share(t)
	sdktest.CheckCommon(t, s.Subject, schema.KindMetrics)
	var traffic *Traffic
	if s.Traffic != nil {
		made := s.Traffic(t)
		traffic = &made
	}
	check := func(name string, f func(*subject)) {
		t.Run(name, func(t sdktest.T) {
			if traffic == nil {
				t.Skipf("the suite makes no traffic")
			}
			p := s.Use(t, schema.KindMetrics)
			f(&subject{t: t, p: p, cfg: p.Value(t, traffic.Config), Traffic: *traffic})
		})
	}
	check("EveryReleaseIsAnswered", (*subject).answersEach)
	check("NumbersMakeSense", (*subject).makesSense)
	check("AnUnknownReleaseHasNoDataAndAReason", (*subject).knowsNothing)
	check("NoTrafficIsNoDataAndNotZero", (*subject).quiet)
	check("NothingIsCompleteBeforeItIsOver", (*subject).complete)
	check("TheSameQuestionGetsTheSameAnswer", (*subject).repeats)
	check("WindowsSideBySideCountNothingTwice", (*subject).adjacent)
	check("ThePastIsWhatWasMeasured", (*subject).past)
}

// subject is what is asked about.
type subject struct {
	t   sdktest.T
	p   *sdktest.Started
	cfg value.Value
	Traffic
}

func (x *subject) measure(releases []target.Release, from, to time.Time) metrics.Measurement {
	x.t.Helper()
	c := call.Call{Key: sdktest.NewKey(), Run: "conformance", Node: "stage.conformance", Attempt: 1}
	m, err := x.p.Measure(x.t.Context(), c, x.p.Component.Name, x.cfg, releases, from, to)
	if err != nil {
		x.t.Fatalf("measure: %v", err)
	}
	if len(m.Releases) != len(releases) {
		x.t.Fatalf("%d releases were asked for, %d are answered", len(releases), len(m.Releases))
	}
	for i, r := range m.Releases {
		if r.ID != releases[i].ID {
			x.t.Fatalf("answer %d is about release %q, not %q", i+1, r.ID, releases[i].ID)
		}
	}
	return m
}

func (x *subject) answersEach() {
	m := x.measure(x.Releases, x.From, x.To)
	for _, r := range m.Releases {
		if r.NoData != "" {
			x.t.Errorf("release %q had traffic, and has no data: %s", r.ID, r.NoData)
		}
	}
	backwards := slices.Clone(x.Releases)
	slices.Reverse(backwards)
	x.measure(backwards, x.From, x.To)
	x.measure(nil, x.From, x.To)
}

func (x *subject) makesSense() {
	for _, r := range x.measure(x.Releases, x.From, x.To).Releases {
		switch {
		case r.Counter != nil:
			if r.Counter.N < 0 || r.Counter.Events < 0 || r.Counter.Events > r.Counter.N {
				x.t.Errorf("release %q has %d events among %d observations", r.ID, r.Counter.Events, r.Counter.N)
			}
			if r.Counter.N == 0 {
				x.t.Errorf("release %q had traffic, and no observation is counted", r.ID)
			}
		case r.Histogram != nil:
			for i, b := range r.Histogram.Bounds {
				if b != b || i > 0 && b <= r.Histogram.Bounds[i-1] {
					x.t.Errorf("the bounds of release %q do not ascend: %v", r.ID, r.Histogram.Bounds)
					break
				}
			}
			if slices.ContainsFunc(r.Histogram.Counts, func(n int64) bool { return n < 0 }) {
				x.t.Errorf("the histogram of release %q counts less than nothing: %v", r.ID, r.Histogram.Counts)
			}
		case r.Samples != nil:
			if slices.ContainsFunc(r.Samples, func(v float64) bool { return v != v }) {
				x.t.Errorf("a sample of release %q is not a number", r.ID)
			}
		}
	}
}

func (x *subject) knowsNothing() {
	stranger := target.Release{ID: "conformance-nobody"}
	m := x.measure([]target.Release{stranger, x.Releases[0]}, x.From, x.To)
	if m.Releases[0].NoData == "" {
		x.t.Errorf("a release that nobody knows has data: %+v", m.Releases[0])
	}
	if m.Releases[1].NoData != "" {
		x.t.Errorf("beside a release that nobody knows, release %q has no data: %s", x.Releases[0].ID, m.Releases[1].NoData)
	}
}

func (x *subject) quiet() {
	if x.Quiet.IsZero() {
		x.t.Skipf("the traffic has no quiet moment before it")
	}
	for _, r := range x.measure(x.Releases, x.Quiet.Add(-time.Minute), x.Quiet).Releases {
		if r.NoData == "" {
			x.t.Errorf("release %q had no traffic yet, and has data: %s", r.ID, brief(r))
		}
	}
}

func (x *subject) complete() {
	for _, to := range []time.Time{x.To, time.Now().Add(time.Hour)} {
		if m := x.measure(x.Releases, x.From, to); m.CompleteUntil.After(to) {
			x.t.Errorf("it is complete until %s, and the window ends at %s", m.CompleteUntil, to)
		} else if now := time.Now(); m.CompleteUntil.After(now) {
			x.t.Errorf("it is complete until %s, and it is %s", m.CompleteUntil, now)
		}
	}
	if m := x.measure(x.Releases, x.From, x.To); m.CompleteUntil.Before(x.To) {
		x.t.Errorf("the window is over and complete, and only what is before %s is said to be", m.CompleteUntil)
	}
}

func (x *subject) repeats() {
	a, b := x.measure(x.Releases, x.From, x.To), x.measure(x.Releases, x.From, x.To)
	if d := cmp.Diff(a.Releases, b.Releases); d != "" {
		x.t.Errorf("the window is over, and is measured differently a second time (-first +second):\n%s", d)
	}
}

// adjacent cuts the window in two and three.
func (x *subject) adjacent() {
	whole := x.measure(x.Releases, x.From, x.To)
	length := x.To.Sub(x.From)
	for _, cuts := range [][]time.Time{{x.From.Add(length / 2)}, {x.From.Add(length / 3), x.From.Add(2 * length / 3)}} {
		sums := make([]int64, len(x.Releases))
		events := make([]int64, len(x.Releases))
		from := x.From
		for _, to := range append(slices.Clone(cuts), x.To) {
			for i, r := range x.measure(x.Releases, from, to).Releases {
				n, e := count(r)
				sums[i] += n
				events[i] += e
			}
			from = to
		}
		for i, r := range whole.Releases {
			if n, e := count(r); sums[i] != n || events[i] != e {
				x.t.Errorf("release %q has %d observations with %d events in the whole window, and %d with %d in %d parts of it", r.ID, n, e, sums[i], events[i], len(cuts)+1)
			}
		}
	}
}

// count is how much was observed, and how many events there were.
func count(r metrics.Release) (n, events int64) {
	switch {
	case r.Counter != nil:
		return r.Counter.N, r.Counter.Events
	case r.Histogram != nil:
		for _, c := range r.Histogram.Counts {
			n += c
		}
	case r.Samples != nil:
		n = int64(len(r.Samples))
	}
	return n, 0
}

func brief(r metrics.Release) string {
	n, e := count(r)
	return fmt.Sprintf("%d observations, %d events", n, e)
}

// past asks for the window of the traffic again, in windows of it and in the whole.
func (x *subject) past() {
	if !slices.ContainsFunc(x.p.Component.Operations, func(o schema.Operation) bool { return o.Name == "past" }) {
		x.t.Skipf("it knows no past")
	}
	c := call.Call{Key: sdktest.NewKey(), Run: "conformance", Node: "stage.conformance", Attempt: 1}
	window := x.To.Sub(x.From) / 2
	for _, r := range x.Releases {
		past, err := x.p.Past(x.t.Context(), c, x.p.Component.Name, x.cfg, r, x.From, x.To, window)
		if err != nil {
			x.t.Fatalf("past: %v", err)
		}
		if len(past.Windows) == 0 && past.Reason == "" {
			x.t.Errorf("of release %q no past is known, and no reason", r.ID)
		}
		for _, w := range past.Windows {
			if w.From.Before(x.From) || w.To.After(x.To) {
				x.t.Errorf("the window from %s to %s is not within what was asked for", w.From, w.To)
				continue
			}
			if w.Release.NoData != "" {
				x.t.Errorf("a window without data is told, with the reason %q", w.Release.NoData)
			}
			now := x.measure([]target.Release{r}, w.From, w.To).Releases[0]
			if d := cmp.Diff(now, w.Release); d != "" {
				x.t.Errorf("the past of %q from %s to %s is not what is measured of it (-measured +past):\n%s", r.ID, w.From, w.To, d)
			}
		}
	}
	stranger := target.Release{ID: "conformance-nobody"}
	past, err := x.p.Past(x.t.Context(), c, x.p.Component.Name, x.cfg, stranger, x.From, x.To, window)
	if err != nil {
		x.t.Fatalf("past: %v", err)
	}
	if len(past.Windows) > 0 || past.Reason == "" {
		x.t.Errorf("a release that nobody knows has a past of %d windows, and the reason %q", len(past.Windows), past.Reason)
	}
}
