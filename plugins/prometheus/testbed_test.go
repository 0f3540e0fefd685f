package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"

	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// needs finds a program of Prometheus, or skips; where CI runs it must be there.
func needs(t *testing.T, program string) string {
	t.Helper()
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("needs a real Prometheus; run it with: make test-real")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not installed, and CI must have it", program)
		}
		t.Skipf("%s is not installed: %v", program, err)
	}
	return path
}

// example is where a Prometheus is configured; it scrapes each second.
const example = "../../examples/prometheus"

// promServer is a real Prometheus that scrapes what it is told to.
type promServer struct {
	t       *testing.T
	address string
	dir     string
}

// startPrometheus starts one on the data in dir, which may be empty, and ends it
// with the test.
func startPrometheus(t *testing.T, dir string) *promServer {
	t.Helper()
	program := needs(t, "prometheus")
	p := &promServer{t: t, dir: dir, address: "http://" + freePort(t)}
	p.write("targets.json", "[]")
	config, err := os.ReadFile(filepath.Join(example, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	p.write("prometheus.yml", string(config))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+strings.TrimPrefix(p.address, "http://"), "--enable-feature=native-histograms", "--storage.tsdb.retention.time=10d")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("Prometheus says:\n%s", b)
		}
	})
	eventually(t, "Prometheus is ready", func() bool {
		res, err := http.Get(p.address + "/-/ready")
		if err != nil {
			return false
		}
		res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return p
}

func (p *promServer) write(name, text string) {
	p.t.Helper()
	// Prometheus looks at the file while it is written; a rename is at once.
	temp := filepath.Join(p.dir, "."+name)
	if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(p.dir, name)); err != nil {
		p.t.Fatal(err)
	}
}

// scrape sets what is scraped from now on: labels by address.
func (p *promServer) scrape(targets map[string]map[string]string) {
	p.t.Helper()
	groups := []map[string]any{}
	for address, labels := range targets {
		groups = append(groups, map[string]any{"targets": []string{address}, "labels": labels})
	}
	b, err := json.Marshal(groups)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("targets.json", string(b))
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 30s: %s", what)
		}
	}
}

// shop is a process that counts its requests with the official library.
type shop struct {
	address string
	// slow is how long it takes to answer a scrape.
	slow time.Duration

	mu       sync.Mutex
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	latency  prometheus.Histogram
	native   prometheus.Histogram
	busy     prometheus.Gauge
	scrapes  int
	handled  int // since it started
}

func startShop(t *testing.T, slow time.Duration) *shop {
	t.Helper()
	s := &shop{slow: slow}
	s.restart()
	serve := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		registry, slow := s.registry, s.slow
		s.mu.Unlock()
		time.Sleep(slow)
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
		s.mu.Lock()
		s.scrapes++
		s.mu.Unlock()
	}))
	t.Cleanup(serve.Close)
	s.address = strings.TrimPrefix(serve.URL, "http://")
	return s
}

// restart forgets all that was counted.
func (s *shop) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registry = prometheus.NewRegistry()
	s.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shop_requests_total"}, []string{"code"})
	s.latency = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shop_latency_seconds", Buckets: []float64{0.1, 0.2, 0.5, 1}})
	s.native = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "shop_native_seconds", NativeHistogramBucketFactor: 1.1})
	s.busy = prometheus.NewGauge(prometheus.GaugeOpts{Name: "shop_busy"})
	s.registry.MustRegister(s.requests, s.latency, s.native, s.busy)
	s.handled = 0
	s.requests.WithLabelValues("200") // errors are counted from the first one on
}

// handle is a request that took so long.
func (s *shop) handle(code int, seconds float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled++
	s.requests.WithLabelValues(strconv.Itoa(code)).Inc()
	s.latency.Observe(seconds)
	s.native.Observe(seconds)
	s.busy.Set(seconds * 10)
}

// holds waits until the server has all that a shop has counted; nobody may use the
// shop meanwhile.
func (p *promServer) holds(t *testing.T, s *shop) {
	t.Helper()
	asked := metricAt(t, p.address, nil)
	eventually(t, "what "+s.address+" counted is stored", func() bool {
		at, err := asked.servers.at("")
		if err != nil {
			t.Fatal(err)
		}
		v, err := at.instant(t.Context(), fmt.Sprintf("sum(shop_requests_total{instance=%q})", s.address), time.Now())
		sum, ok := v.(model.Vector)
		if err != nil || !ok {
			t.Fatalf("%v, %v", v, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(sum) == 1 && float64(sum[0].Value) == float64(s.handled)
	})
}

// scraped waits until all that was counted before was scraped: one scrape may be
// under way.
func (s *shop) scraped(t *testing.T) {
	t.Helper()
	count := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.scrapes
	}
	want := count() + 2
	eventually(t, s.address+" is scraped", func() bool { return count() >= want })
}

func measure(t *testing.T, m *Metric, from, to time.Time, releases ...target.Release) metrics.Measurement {
	t.Helper()
	out, err := m.Measure(t.Context(), &metrics.Request{Request: request(t.Context()), Releases: releases, From: from, To: to})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
