package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
)

// TestRealConformance asks the suite of each way to measure, of one shop with two
// releases.
func TestRealConformance(t *testing.T) {
	t.Parallel()
	needs(t, "prometheus")
	var once sync.Once
	var all metricstest.Traffic
	address := ""
	world := func() {
		all.Quiet = time.Now()
		p := startPrometheus(t, t.TempDir())
		address = p.address
		v1, v2 := startShop(t, 0), startShop(t, 0)
		p.scrape(map[string]map[string]string{v1.address: {"release": "v1"}, v2.address: {"release": "v2"}})
		v1.scraped(t)
		v2.scraped(t)
		all.From = time.Now()
		for i := 0; time.Since(all.From) < 4*time.Second; i++ {
			v1.handle(200+i%7/6*300, rand.Float64())
			v2.handle(200+i%3/2*300, rand.Float64()*2)
			time.Sleep(5 * time.Millisecond) // traffic has a pace
		}
		all.To = time.Now()
		all.Releases = []target.Release{{ID: "v1", Address: "http://" + v1.address}, {ID: "v2", Address: "http://" + v2.address}}
	}
	for name, cfg := range map[string]sdktest.Config{
		"counts":    {"total": `shop_requests_total{release="$release"}`, "events": `shop_requests_total{release="$release",code=~"5.."}`},
		"classic":   {"histogram": `shop_latency_seconds_bucket{instance="$address"}`},
		"native":    {"histogram": `shop_native_seconds{release="$release"}`},
		"gauge":     {"gauge": `shop_busy{release=~"$release"}`},
		"query":     {"query": `sum(shop_busy{release="$release"})`, "step": "500ms"},
		"histogram": {"query": `histogram_quantile(0.9, sum(rate(shop_native_seconds{release="$release"}[3s])))`, "step": "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			metricstest.Run(t, metricstest.Suite{
				Subject: sdktest.Subject{
					Plugin: plugin(), Valid: []sdktest.Config{cfg},
					Env: []string{"RUNNER_TEST_REAL=" + os.Getenv("RUNNER_TEST_REAL"), "PATH=" + os.Getenv("PATH")},
				},
				Traffic: func(st sdktest.T) metricstest.Traffic {
					once.Do(world)
					traffic := all
					cfg["address"] = address
					traffic.Config = cfg
					m := newMetric(&servers{})
					m.Address, m.Total, m.Events, m.Histogram, m.Gauge, m.Query = address, text(cfg, "total"), text(cfg, "events"), text(cfg, "histogram"), text(cfg, "gauge"), text(cfg, "query")
					m.Step = time.Second
					eventually(t, "the window is over and complete", func() bool {
						out, err := m.Measure(t.Context(), &metrics.Request{Request: request(t.Context()), Releases: all.Releases, From: all.From, To: all.To})
						if err != nil {
							t.Fatal(err)
						}
						return !out.CompleteUntil.Before(all.To)
					})
					return traffic
				},
			})
		})
	}
}

func text(c sdktest.Config, name string) string {
	s, _ := c[name].(string)
	return s
}

// TestRealCountsAreExact looks as the host does, window by window, while processes
// restart, appear, make their first error, answer late and vanish, and while the
// server fails now and then. In the end each request was counted once.
func TestRealCountsAreExact(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, t.TempDir())
	origin, err := url.Parse(p.address)
	if err != nil {
		t.Fatal(err)
	}
	var fails atomic.Bool
	forward := httputil.NewSingleHostReverseProxy(origin)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fails.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	m := metricAt(t, proxy.URL, nil)
	m.Total, m.Events = `shop_requests_total{release="$release"}`, `shop_requests_total{release="$release",code="500"}`
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	h := metricAt(t, p.address, nil)
	h.Total, h.Events, h.Histogram = "", "", `shop_latency_seconds_bucket{release="$release"}`
	n := metricAt(t, p.address, nil)
	n.Total, n.Events, n.Histogram = "", "", `shop_native_seconds{release="$release"}`

	began := time.Now()
	a, b, c := startShop(t, 0), startShop(t, 100*time.Millisecond), startShop(t, 300*time.Millisecond)
	stable, candidate := map[string]string{"release": "v1"}, map[string]string{"release": "v2"}
	p.scrape(map[string]map[string]string{a.address: stable, b.address: stable, c.address: candidate})
	releases := []target.Release{{ID: "v1", Created: began}, {ID: "v2", Created: began}}

	var truth [2]metrics.Counter
	handle := func(s *shop, release, code int) {
		s.handle(code, rand.Float64())
		truth[release].N++
		if code == 500 {
			truth[release].Events++
		}
	}
	from, failed := began.Add(-time.Second), 0
	var seen [2]metrics.Counter
	look := func() {
		t.Helper()
		out, err := m.Measure(t.Context(), &metrics.Request{Request: request(t.Context()), Releases: releases, From: from, To: time.Now()})
		if err != nil {
			if d := diag.Of(err); d.Retry != diag.Safe || !fails.Load() {
				t.Fatal(err)
			}
			failed++
			return
		}
		for i, r := range out.Releases {
			if r.Counter != nil {
				seen[i].N += r.Counter.N
				seen[i].Events += r.Counter.Events
			}
		}
		from = out.CompleteUntil
	}
	serve := func(requests int, shops ...*shop) {
		for i := range requests {
			for _, s := range shops {
				release := 0
				if s == c {
					release = 1
				}
				handle(s, release, []int{200, 200, 500}[rand.IntN(3)])
			}
			if i%50 == 0 {
				fails.Store(rand.IntN(3) == 0)
				look()
			}
			time.Sleep(2 * time.Millisecond) // traffic has a pace
		}
		fails.Store(false)
	}
	serve(500, a, b, c) // before and after they are first scraped
	p.holds(t, a)
	a.restart()
	serve(400, a, b, c)
	p.holds(t, b)
	p.scrape(map[string]map[string]string{a.address: stable, c.address: candidate}) // b vanishes
	serve(400, a, c)
	p.holds(t, c)
	c.restart()
	d := startShop(t, 0) // and another one appears
	p.scrape(map[string]map[string]string{a.address: stable, d.address: stable, c.address: candidate})
	serve(400, a, d, c)

	eventually(t, fmt.Sprintf("%+v is counted", truth), func() bool {
		look()
		return seen[0].N >= truth[0].N && seen[1].N >= truth[1].N
	})
	for range 2 {
		a.scraped(t)
		look()
	}
	if diff := cmp.Diff(truth, seen); diff != "" {
		t.Errorf("counted (-happened +seen):\n%s", diff)
	}
	if failed == 0 {
		t.Error("the server never failed: nothing is shown")
	}
	for name, m := range map[string]*Metric{"classic": h, "native": n} {
		for i, r := range measure(t, m, began.Add(-time.Second), time.Now(), releases...).Releases {
			var sum int64
			if r.Histogram != nil {
				for _, c := range r.Histogram.Counts {
					sum += c
				}
			}
			if sum != truth[i].N {
				t.Errorf("the %s histogram of %s has %d observations, there were %d %s", name, r.ID, sum, truth[i].N, r.NoData)
			}
		}
	}
	t.Logf("%d requests with %d errors, all counted once; %d of the looks failed", truth[0].N+truth[1].N, truth[0].Events+truth[1].Events, failed)
}

// What the server itself says of a query, of histograms and of series that are
// not there.
func TestRealAnswers(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, t.TempDir())
	s := startShop(t, 0)
	p.scrape(map[string]map[string]string{s.address: {"release": "v1"}})
	s.handle(200, 0.1)
	s.scraped(t)
	s.scraped(t)
	for _, tt := range []struct {
		name   string
		change func(*Metric)
		at     string
		says   string
	}{
		{"a function that this server does not have", func(m *Metric) { m.Query = `histogram_avg(up{release="$release"})` }, "query", `unknown function with name "histogram_avg"`},
		{"several numbers", func(m *Metric) { m.Query = `shop_latency_seconds_bucket{release="$release"}` }, "query", "it gives 5 series, such as"},
		{"a native histogram is no gauge", func(m *Metric) { m.Gauge = `shop_native_seconds{release="$release"}` }, "gauge", "use the attribute histogram"},
		{"a native histogram is no expression", func(m *Metric) { m.Query = `shop_native_seconds{release="$release"}` }, "query", "use the attribute histogram"},
		{"a counter is no histogram", func(m *Metric) { m.Histogram = `shop_requests_total{release="$release"}` }, "histogram", "neither a native histogram nor"},
		{"nothing matches", func(m *Metric) { m.Gauge = `shop_idle{release="$release"}` }, "", `no series matches shop_idle{release="v1"} in this window`},
		{"nothing fits the placeholder", func(m *Metric) { m.Gauge = `shop_busy{release="$version"}` }, "", `gauge: the release cannot be told apart: it has no version, which $version stands for`},
		{"no number", func(m *Metric) { m.Query = `shop_busy{release="$release"} / 0 * 0` }, "", `had no value in this window`},
		{"half of the events are elsewhere", func(m *Metric) {
			m.Total, m.Events = `shop_idle{release="$release"}`, `shop_requests_total{release="$release"}`
		}, "", "no series matches shop_idle"},
		{"only the sum of a histogram", func(m *Metric) { m.Histogram = `shop_latency_seconds_bucket{release="$release",le="+Inf"}` }, "", "no bucket but that of all observations"},
		{"no counts", func(m *Metric) { m.Histogram = `shop_latency_seconds_bucket{release="$release",le="0.5"}` }, "", "were not scraped in this window"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMetric(&servers{})
			m.Address, m.Step = p.address, time.Second
			tt.change(m)
			if err := m.Validate(); err != nil {
				t.Fatal(err)
			}
			out, err := m.Measure(t.Context(), &metrics.Request{
				Request: request(t.Context()), Releases: []target.Release{{ID: "v1", Created: time.Now()}}, From: time.Now().Add(-time.Minute), To: time.Now(),
			})
			if tt.at == "" {
				if err != nil || !strings.Contains(out.Releases[0].NoData, tt.says) {
					t.Errorf("it says %+v, %v", out, err)
				}
				return
			}
			d := diag.Of(err)
			if d == nil || d.Retry != diag.Never || d.Diagnostics[0].Path.String() != tt.at || !strings.Contains(d.Diagnostics[0].Detail, tt.says) {
				t.Errorf("it says %v", err)
			}
		})
	}
	c := newConfig(&servers{})
	c.Address = p.address
	if err := c.Configure(); err != nil {
		t.Fatal(err)
	}
	if who, err := c.Check(t.Context()); err != nil || !strings.HasPrefix(who, "nobody in particular at "+p.address+", Prometheus 2.") {
		t.Errorf("it says %q, %v", who, err)
	}
}
