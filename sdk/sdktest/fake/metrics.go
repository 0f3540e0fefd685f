package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Metrics gives what a file says. The file is read again for every
// measurement, so a test may change it at any time.
type Metrics struct {
	File      string `hcl:"file" doc:"JSON: release id, or * for any, to what is measured of it"`
	PerSecond bool   `hcl:"per_second,optional" doc:"counters and buckets in the file are rates"`
	Known     string `hcl:"known,optional" doc:"how much of the past is known, such as 24h: what the file says now, in every window"`
	Worse     string `hcl:"worse,optional" doc:"release whose counters have ten times as many events"`
	Leak      string `hcl:"leak,optional" doc:"told as the reason for no data"`
	Fail      string `hcl:"fail,optional" doc:"error, retryable, hang, zeroes: instead of no data, future: complete beyond the window"`
}

// Validate checks how to fail.
func (m *Metrics) Validate() error {
	return oneOf("fail", m.Fail, "error", "retryable", "hang", "zeroes", "future")
}

// Measure reads the file.
func (m *Metrics) Measure(ctx context.Context, req *metrics.Request) (metrics.Measurement, error) {
	out := metrics.Measurement{CompleteUntil: req.To}
	if now := time.Now(); now.Before(req.To) {
		out.CompleteUntil = now
	}
	switch m.Fail {
	case "error":
		return out, diag.New("Failed on request", "The fake metrics were asked to fail.")
	case "retryable":
		return out, diag.Retryable(diag.New("Failed on request", "The fake metrics were asked to fail."))
	case "hang":
		<-ctx.Done()
		return out, ctx.Err()
	case "future":
		out.CompleteUntil = req.To.Add(time.Hour)
	}
	if m.Leak != "" {
		for _, r := range req.Releases {
			out.Releases = append(out.Releases, metrics.Release{ID: r.ID, NoData: "because of " + m.Leak})
		}
		return out, nil
	}
	b, err := os.ReadFile(m.File)
	if err != nil {
		return out, diag.AtAttr("file", "Unreadable file", err)
	}
	var script map[string]metrics.Release
	if err := json.Unmarshal(b, &script); err != nil {
		return out, diag.AtAttr("file", "Unreadable file", err)
	}
	for _, r := range req.Releases {
		found, ok := script[r.ID]
		if !ok {
			found, ok = script["*"]
		}
		if !ok {
			found = metrics.Release{NoData: fmt.Sprintf("the file says nothing of release %q", r.ID)}
			if m.Fail == "zeroes" {
				found = metrics.Release{Counter: &metrics.Counter{}}
			}
		}
		if m.PerSecond {
			m.scale(&found, req.From, req.To)
		}
		if c := found.Counter; c != nil && r.ID == m.Worse {
			found.Counter = &metrics.Counter{N: c.N, Events: min(10*c.Events, c.N)}
		}
		found.ID = r.ID
		out.Releases = append(out.Releases, found)
	}
	return out, nil
}

// Past says that it always was as the file says.
func (m *Metrics) Past(ctx context.Context, req *metrics.PastRequest) (metrics.Past, error) {
	known, err := time.ParseDuration(m.Known)
	if m.Known == "" || err != nil {
		return metrics.Past{Reason: "the fake metrics know no past"}, nil
	}
	var out metrics.Past
	from := req.From
	if known := req.To.Add(-known); from.Before(known) {
		from, out.Reason = known, "the fake metrics know no more than "+m.Known
	}
	for to := from.Add(req.Window); !to.After(req.To); from, to = to, to.Add(req.Window) {
		one, err := m.Measure(ctx, &metrics.Request{Request: req.Request, Releases: []target.Release{req.Release}, From: from, To: to})
		if err != nil {
			return out, err
		}
		if r := one.Releases[0]; r.NoData == "" {
			out.Windows = append(out.Windows, metrics.Window{From: from, To: to, Release: r})
		}
	}
	return out, nil
}

// scale counts whole seconds since the epoch, so that no event falls into two
// windows that lie side by side.
func (m *Metrics) scale(r *metrics.Release, from, to time.Time) {
	seconds := to.Unix() - from.Unix()
	if c := r.Counter; c != nil {
		r.Counter = &metrics.Counter{N: c.N * seconds, Events: c.Events * seconds}
	}
	if h := r.Histogram; h != nil {
		counts := slices.Clone(h.Counts)
		for i := range counts {
			counts[i] *= seconds
		}
		r.Histogram = &metrics.Histogram{Bounds: h.Bounds, Counts: counts}
	}
}
