package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// TestRealPastOfADay reads a day of ten processes, scraped each 15 seconds, minute
// by minute. They restart now and then.
func TestRealPastOfADay(t *testing.T) {
	t.Parallel()
	promtool := needs(t, "promtool")
	const (
		processes = 10
		pause     = 15 * time.Second
		day       = 24 * time.Hour
	)
	from := time.Now().Truncate(time.Minute).Add(-day - time.Minute)
	want := make([]metrics.Window, day/time.Minute)
	for i := range want {
		begin := from.Add(time.Duration(i) * time.Minute)
		want[i] = metrics.Window{From: begin, To: begin.Add(time.Minute), Release: metrics.Release{ID: "v1", Counter: &metrics.Counter{}}}
	}
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "day.txt"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	fmt.Fprintln(w, "# TYPE shop_requests counter")
	for p := range processes {
		var ok, bad int64
		offset := time.Duration(p) * 1234 * time.Millisecond
		for at := from.Add(offset - pause); at.Before(from.Add(day + time.Minute)); at = at.Add(pause) {
			n, events := random.Int64N(1000), random.Int64N(20)
			if random.IntN(500) == 0 {
				// What a restarted process counts is surely less than what it had.
				ok, bad, n, events = 0, 0, 0, 0
			}
			ok, bad = ok+n, bad+events
			if i := at.Sub(from); i >= 0 && i < day {
				c := want[i/time.Minute].Release.Counter
				c.N += n + events
				c.Events += events
			}
			for code, v := range map[string]int64{"200": ok, "500": bad} {
				fmt.Fprintf(w, "shop_requests_total{release=\"v1\",job=\"shop\",instance=\"%d\",code=%q} %d %.3f\n", p, code, v, float64(at.UnixMilli())/1000)
			}
		}
	}
	fmt.Fprintln(w, "# EOF")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=24h", file.Name(), filepath.Join(dir, "data")).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	m := metricAt(t, startPrometheus(t, dir).address, nil)
	m.Total, m.Events = `shop_requests_total{release="$release"}`, `shop_requests_total{release="$release",code="500"}`
	began := time.Now()
	past, err := m.Past(t.Context(), &metrics.PastRequest{Request: request(t.Context()), Release: target.Release{ID: "v1"}, From: from, To: from.Add(day), Window: time.Minute})
	took := time.Since(began)
	if err != nil {
		t.Fatal(err)
	}
	if past.Reason != "" {
		t.Errorf("it says %q", past.Reason)
	}
	if diff := cmp.Diff(want, past.Windows); diff != "" {
		t.Errorf("the day (-happened +told), %d windows:\n%.3000s", len(past.Windows), diff)
	}
	coarsely(t, m, from, want)
	t.Logf("a day of %d processes, minute by minute: %s", processes, took.Round(time.Millisecond))
}

// coarsely reads the day of minutes again in hours, which the server adds up.
func coarsely(t *testing.T, m *Metric, from time.Time, minutes []metrics.Window) {
	t.Helper()
	const hours = 24
	past, err := m.Past(t.Context(), &metrics.PastRequest{Request: request(t.Context()), Release: target.Release{ID: "v1"}, From: from, To: from.Add(hours * time.Hour), Window: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if len(past.Windows) != hours || past.Reason != "" {
		t.Fatalf("%d windows of an hour, because %q", len(past.Windows), past.Reason)
	}
	near := func(what string, got, want int64) {
		if off := float64(got-want) / float64(want); off < -0.05 || off > 0.05 {
			t.Errorf("%s are %d, %d happened", what, got, want)
		}
	}
	for i, w := range past.Windows {
		var n, events int64
		for _, one := range minutes[i*60 : (i+1)*60] {
			n, events = n+one.Release.Counter.N, events+one.Release.Counter.Events
		}
		near(fmt.Sprintf("observations of hour %d", i), w.Release.Counter.N, n)
		near(fmt.Sprintf("events of hour %d", i), w.Release.Counter.Events, events)
	}
}
