package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/measure"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

const (
	errorRate = "error_rate"
	latency   = "latency"
)

// Metrics is the body of a metric that uses "local_metrics".
type Metrics struct {
	Metric string `hcl:"metric" known:"true" doc:"error_rate: failed requests among all (status 5xx, or no whole answer); latency: time from a request's arrival to the end of its answer, in seconds"`
}

// NewMetrics has the defaults set.
func NewMetrics() *Metrics { return &Metrics{} }

// Doc is the reference documentation.
func (m *Metrics) Doc() string {
	return "Reads what the proxy of a local_service counted for each release: requests from the public address, not checks at a release's own one. Windows are exact to a tenth of a second and reach back one hour."
}

// Validate checks the name.
func (m *Metrics) Validate() error {
	if m.Metric != errorRate && m.Metric != latency {
		return diag.AtAttr("metric", "Unknown metric", fmt.Errorf("%q is not one of %s, %s", m.Metric, errorRate, latency))
	}
	return nil
}

// Measure reads the window of every release.
func (m *Metrics) Measure(ctx context.Context, req *metrics.Request) (metrics.Measurement, error) {
	out := metrics.Measurement{CompleteUntil: req.To}
	for _, rel := range req.Releases {
		w, err := readWindow(ctx, rel, req.From, req.To)
		var none noData
		if errors.As(err, &none) {
			out.Releases = append(out.Releases, metrics.Release{ID: rel.ID, NoData: string(none)})
			continue
		}
		if err != nil {
			return metrics.Measurement{}, diag.Retryable(diag.New("Metrics not readable", "the proxy of the release %q does not answer: %w", rel.ID, err))
		}
		if w.Complete.Before(out.CompleteUntil) {
			out.CompleteUntil = w.Complete
		}
		out.Releases = append(out.Releases, m.read(rel.ID, w))
	}
	return out, nil
}

// Past reads what the proxy still knows: an hour.
func (m *Metrics) Past(ctx context.Context, req *metrics.PastRequest) (metrics.Past, error) {
	var out metrics.Past
	from := req.From
	if known := req.To.Add(-measure.Memory); from.Before(known) {
		from, out.Reason = known, fmt.Sprintf("the proxy of a local_service knows no more than the last %s", measure.Memory)
	}
	for to := from.Add(req.Window); !to.After(req.To); from, to = to, to.Add(req.Window) {
		w, err := readWindow(ctx, req.Release, from, to)
		var none noData
		if errors.As(err, &none) {
			return metrics.Past{Reason: string(none)}, nil
		}
		if err != nil {
			return out, diag.Retryable(diag.New("Metrics not readable", "the proxy of the release %q does not answer: %w", req.Release.ID, err))
		}
		if r := m.read(req.Release.ID, w); r.NoData == "" && !w.Complete.Before(to) && !w.Since.After(from) {
			out.Windows = append(out.Windows, metrics.Window{From: from, To: to, Release: r})
		} else if r.NoData != "" {
			out.Reason = r.NoData
		}
	}
	return out, nil
}

func (m *Metrics) read(id string, w measure.Window) metrics.Release {
	r := metrics.Release{ID: id}
	switch {
	case w.Requests == 0 && !w.Since.Before(w.Complete):
		r.NoData = "the proxy began to count after this window, at " + w.Since.UTC().Format(time.RFC3339)
	case w.Requests == 0:
		r.NoData = "the release got no requests in this window"
	case m.Metric == latency && sum(w.Counts) == 0:
		r.NoData = "the release only got connections that are handed over, which have no latency"
	case m.Metric == latency:
		r.Histogram = &metrics.Histogram{Bounds: w.Bounds, Counts: w.Counts}
	default:
		r.Counter = &metrics.Counter{N: w.Requests, Events: w.Errors}
	}
	return r
}

func sum(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// noData is the reason why a release has no numbers.
type noData string

func (n noData) Error() string { return string(n) }

// readWindow asks the proxy that the release's label names.
func readWindow(ctx context.Context, rel target.Release, from, to time.Time) (measure.Window, error) {
	var w measure.Window
	base, err := url.Parse(rel.Labels[target.LabelMetrics])
	if rel.Labels[target.LabelMetrics] == "" {
		return w, noData("the release has no label " + target.LabelMetrics + ", so it does not run at a local_service")
	}
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return w, noData(fmt.Sprintf("the label %s is not a URL: %q", target.LabelMetrics, rel.Labels[target.LabelMetrics]))
	}
	base.Path = "/window"
	base.RawQuery = url.Values{
		"release": {rel.ID}, "from": {from.Format(time.RFC3339Nano)}, "to": {to.Format(time.RFC3339Nano)},
	}.Encode()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return w, err
	}
	res, err := windows.Do(ask)
	if err != nil {
		return w, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		return w, err
	case res.StatusCode == http.StatusNotFound:
		return w, noData("the release is not installed any more")
	case res.StatusCode != http.StatusOK:
		return w, fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(body)))
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return w, fmt.Errorf("unreadable answer: %w", err)
	}
	if len(w.Counts) != len(w.Bounds)+1 {
		return w, fmt.Errorf("unreadable answer: %d counts for %d bounds", len(w.Counts), len(w.Bounds))
	}
	return w, nil
}

// windows never goes through a proxy of the environment: what it asks is here.
var windows = &http.Client{Transport: &http.Transport{MaxIdleConns: 4, IdleConnTimeout: 10 * time.Second}}
