package measure

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"
)

// clock is moved by hand.
type clock struct{ now time.Time }

func (c *clock) time() time.Time { return c.now }

func newTestRelease() (*Release, *clock) {
	c := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r := &Release{Now: c.time}
	r.since = c.now
	return r, c
}

// TestWindowsThatTouchCountOnce cuts a random stream of requests into random
// windows, some of which reach into the future when they are asked for.
func TestWindowsThatTouchCountOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, c := newTestRelease()
		begin := c.now
		from := begin
		var sent, failed, seen, seenFailed, inBuckets int64
		ask := func(to time.Time) {
			if to.Before(from) {
				return
			}
			w := r.Window(from, to)
			if w.Complete.After(to) || w.Complete.Before(from) {
				t.Fatalf("the window to %v is complete until %v", to, w.Complete)
			}
			seen, seenFailed = seen+w.Requests, seenFailed+w.Errors
			for _, n := range w.Counts {
				inBuckets += n
			}
			from = w.Complete
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			c.now = c.now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "pause")) * time.Millisecond)
			if rapid.Bool().Draw(t, "look") {
				ask(c.now.Add(time.Duration(rapid.IntRange(-50, 300).Draw(t, "ahead")) * time.Millisecond))
				continue
			}
			res := Result{Status: rapid.SampledFrom([]int{200, 404, 500, 503}).Draw(t, "status"), Took: time.Millisecond}
			r.Begin()
			r.End(res)
			sent++
			if res.Failed() {
				failed++
			}
		}
		c.now = c.now.Add(time.Second)
		ask(c.now)
		if sent != seen || failed != seenFailed || inBuckets != sent {
			t.Fatalf("%d requests with %d errors were counted as %d with %d, %d in buckets", sent, failed, seen, seenFailed, inBuckets)
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	r, c := newTestRelease()
	most := 0
	for range 3 * int(Memory/Grain) {
		c.now = c.now.Add(Grain)
		r.Begin()
		r.End(Result{Status: 200})
		most = max(most, cap(r.history))
	}
	if limit := 2 * int(Memory/Grain); most > limit {
		t.Errorf("%d grains were held, at most %d allowed", most, limit)
	}
	w := r.Window(c.now.Add(-30*time.Minute), c.now)
	if want := int64(30 * time.Minute / Grain); w.Requests != want {
		t.Errorf("the last half hour has %d requests, want %d", w.Requests, want)
	}
}

func TestResults(t *testing.T) {
	r, c := newTestRelease()
	for _, res := range []Result{
		{Status: 200, Took: 4 * time.Millisecond},
		{Status: 200, Took: 5 * time.Millisecond},                  // a bound belongs to its bucket
		{Status: 404, Took: time.Minute},                           // beyond the last bound
		{Status: 500, Took: 4 * time.Millisecond},                  // the release's own error
		{Status: 502, Broken: true},                                // no answer
		{Status: 200, Broken: true, Took: 4 * time.Millisecond},    // an answer that broke off
		{Status: 499, Abandoned: true},                             // nobody's fault
		{Status: 101, Upgraded: true, Took: time.Hour},             // its duration is no latency
		{Status: 0, Broken: true, Took: 4500000 * time.Nanosecond}, // nothing was ever written
	} {
		r.Begin()
		r.End(res)
	}
	r.Begin()
	c.now = c.now.Add(time.Second)
	w := r.Window(c.now.Add(-time.Minute), c.now)
	if w.Requests != 8 || w.Errors != 4 {
		t.Errorf("%d requests, %d errors, want 8 and 4", w.Requests, w.Errors)
	}
	want := map[float64]int64{.001: 1, .005: 5, 31: 1}
	got := map[float64]int64{}
	for i, n := range w.Counts {
		if n > 0 && i < len(Bounds) {
			got[Bounds[i]] = n
		} else if n > 0 {
			got[31] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests by bucket (-want +got):\n%s", diff)
	}

	var buf bytes.Buffer
	if err := WriteMetrics(&buf, `my "shop"`, []Named{{Release: r, ID: "a\\b\nc", Version: "v1", Share: 0.05}}); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(buf.String()))
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v\n%s", err, buf.String())
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, m := range family.Metric {
			key := name
			for _, l := range m.Label {
				switch l.GetName() {
				case "code":
					key += " " + l.GetValue()
				case "release":
					if l.GetValue() != "a\\b\nc" {
						t.Errorf("the release is called %q", l.GetValue())
					}
				}
			}
			values[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	wantValues := map[string]float64{
		"runner_local_requests_total 1xx": 1, "runner_local_requests_total 2xx": 3, "runner_local_requests_total 3xx": 0,
		"runner_local_requests_total 4xx": 1, "runner_local_requests_total 5xx": 2, "runner_local_requests_total none": 1,
		"runner_local_request_errors_total": 4, "runner_local_requests_abandoned_total": 1,
		"runner_local_request_duration_seconds": 7, "runner_local_requests_in_flight": 1, "runner_local_release_share": 0.05,
	}
	if diff := cmp.Diff(wantValues, values); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestBucketsAndBoundsAgree(t *testing.T) {
	if buckets != len(Bounds)+1 {
		t.Fatalf("%d buckets for %d bounds", buckets, len(Bounds))
	}
	for i := 1; i < len(Bounds); i++ {
		if Bounds[i] <= Bounds[i-1] {
			t.Errorf("bound %d is not above the one before", i)
		}
	}
}
