//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

func (d *deployment) measure(metric string, from, to time.Time, releases ...target.Release) metrics.Measurement {
	d.t.Helper()
	m := NewMetrics()
	m.Metric = metric
	if err := m.Validate(); err != nil {
		d.t.Fatal(err)
	}
	out, err := m.Measure(d.t.Context(), &metrics.Request{Request: d.request(), Releases: releases, From: from, To: to})
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// TestMetricsOfACanary counts by windows that touch what clients were answered.
func TestMetricsOfACanary(t *testing.T) {
	began := time.Now().Add(-time.Second)
	d := deploy(t, nil)
	v1 := d.first("v1")
	v2 := d.install("v2", "-fail-every", "5")
	d.setWeight("v2", 50)
	failed, answered := int64(0), map[string]int64{}
	from := began
	var seen [2]metrics.Counter
	look := func() {
		m := d.measure("error_rate", from, time.Now(), v1, v2)
		for i, rel := range m.Releases {
			if rel.Counter != nil {
				seen[i].N += rel.Counter.N
				seen[i].Events += rel.Counter.Events
			}
		}
		from = m.CompleteUntil
	}
	for i := range 100 {
		code, body := get(t, d.url())
		answered[body]++
		if code != http.StatusOK {
			failed++
		}
		if i%10 == 0 {
			look()
		}
	}
	want := [2]metrics.Counter{{N: answered["v1"]}, {N: answered["v2"], Events: failed}}
	if failed == 0 || answered["v1"] == 0 {
		t.Fatalf("there is nothing to compare: %v", answered)
	}
	// An answer is counted a moment after the client has it, and its tenth of a
	// second must have passed.
	eventually(t, "all requests are seen", func() bool {
		look()
		return seen[0].N >= want[0].N && seen[1].N >= want[1].N
	})
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}

	m := d.measure("latency", began, time.Now(), v2)
	h := m.Releases[0].Histogram
	if h == nil || len(h.Counts) != len(h.Bounds)+1 || sum(h.Counts) != want[1].N {
		t.Errorf("latency: %+v", m.Releases[0])
	}
}

func TestMetricsWithoutData(t *testing.T) {
	d := deploy(t, nil)
	v1 := d.first("v1")
	from := time.Now().Add(-time.Hour)
	to := time.Now()
	gone, elsewhere, nonsense := v1, target.Release{ID: "x"}, v1
	gone.ID = "v9"
	nonsense.Labels = map[string]string{target.LabelMetrics: "::"}
	m := d.measure("error_rate", from, to, v1, gone, elsewhere, nonsense)
	var got []string
	for _, r := range m.Releases {
		if r.Counter != nil || r.Histogram != nil || r.Samples != nil {
			t.Errorf("%s has numbers", r.ID)
		}
		got = append(got, r.ID+": "+r.NoData)
	}
	want := []string{
		"v1: the release got no requests in this window",
		"v9: the release is not installed any more",
		"x: the release has no label runner.metrics, so it does not run at a local_service",
		`v1: the label runner.metrics is not a URL: "::"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
	if m.CompleteUntil.After(to) {
		t.Errorf("complete until %v, after the end %v", m.CompleteUntil, to)
	}
	m = d.measure("error_rate", from, from.Add(time.Minute), v1)
	if r := m.Releases[0]; r.Counter != nil || !strings.HasPrefix(r.NoData, "the proxy began to count after this window") {
		t.Errorf("before the release was there: %+v", r)
	}
	m = d.measure("error_rate", time.Now(), time.Now().Add(time.Hour), v1)
	if m.CompleteUntil.After(time.Now()) {
		t.Errorf("the future is said to be complete until %v", m.CompleteUntil)
	}
}

func TestMetricsProxyAway(t *testing.T) {
	d := deploy(t, nil)
	rel := target.Release{ID: "a", Labels: map[string]string{target.LabelMetrics: "http://127.0.0.1:1/metrics"}}
	m := &Metrics{Metric: "latency"}
	_, err := m.Measure(t.Context(), &metrics.Request{Request: d.request(), Releases: []target.Release{rel}, From: time.Now().Add(-time.Second), To: time.Now()})
	wantProblem(t, err, "Metrics not readable", "", diag.None, "connection refused")
	if got := blamed((&Metrics{Metric: "requests"}).Validate()); !cmp.Equal(got, []string{"metric"}) {
		t.Errorf("an unknown metric blames %v", got)
	}
}
