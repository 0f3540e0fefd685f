package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/plugins/prometheus/internal/query"
	"github.com/runner-pipelines/runner/plugins/prometheus/internal/reading"
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Metric is the body of a metric that uses "prometheus".
type Metric struct {
	Address   string        `hcl:"address,optional" doc:"URL of the server, in place of the plugin block's; asked with the same credentials"`
	Total     string        `hcl:"total,optional" doc:"selector of the counters of all observations, such as requests"`
	Events    string        `hcl:"events,optional" doc:"selector of the counters of those among them that are events, such as errors"`
	Histogram string        `hcl:"histogram,optional" doc:"selector of a histogram: the series _bucket of a classic one, or a native one"`
	Gauge     string        `hcl:"gauge,optional" doc:"selector of gauges; each scrape is a sample"`
	Query     string        `hcl:"query,optional" doc:"any PromQL that gives one number at a time; each step is a sample"`
	Step      time.Duration `hcl:"step,optional" doc:"time between two samples of query"`
	Delay     time.Duration `hcl:"delay,optional" doc:"how old samples are before they count as complete; 0s is the pause between two scrapes, or step for query"`

	servers *servers
}

func newMetric(s *servers) *Metric { return &Metric{Step: 15 * time.Second, servers: s} }

// Doc is the reference documentation.
func (m *Metric) Doc() string {
	return "Reads what Prometheus scraped of each release. Give total with events, histogram, gauge or query. In label matchers, $release stands for the id of the release, $version for its version, $address for host and port of its own address, $target for the target's name, $label:NAME for one of its labels, and $$ for a dollar sign."
}

// shape is which question is asked.
type shape int

const (
	counts shape = iota + 1
	histogram
	gauge
	expression
)

// part is one query of a metric.
type part struct {
	attr string
	text string
	*query.Query
}

// parts reads the queries that are given. The first one decides the shape.
func (m *Metric) parts() (shape, []part, error) {
	var all []error
	var parts []part
	kind := shape(0)
	for _, p := range []struct {
		part
		shape shape
		parse func(string) (*query.Query, error)
	}{
		{part{attr: "total", text: m.Total}, counts, query.ParseSelector},
		{part{attr: "events", text: m.Events}, counts, query.ParseSelector},
		{part{attr: "histogram", text: m.Histogram}, histogram, query.ParseSelector},
		{part{attr: "gauge", text: m.Gauge}, gauge, query.ParseSelector},
		{part{attr: "query", text: m.Query}, expression, query.Parse},
	} {
		switch {
		case p.text == "":
			continue
		case kind != 0 && kind != p.shape:
			all = append(all, diag.AtAttr(p.attr, "Two questions in one metric", fmt.Errorf("there is %s already; make a metric of its own for %s", parts[0].attr, p.attr)))
			continue
		}
		kind = p.shape
		q, err := p.parse(p.text)
		if err != nil {
			all = append(all, diag.AtAttr(p.attr, "Invalid query", err))
		}
		p.Query = q
		parts = append(parts, p.part)
	}
	switch {
	case kind == 0:
		all = append(all, diag.New("Nothing to measure", "Give total with events, histogram, gauge or query."))
	case kind == counts && m.Events == "":
		all = append(all, diag.AtAttr("events", "Half a question", errors.New("total needs events: which of the observations are to be counted, such as those with code=~\"5..\"")))
	case kind == counts && m.Total == "":
		all = append(all, diag.AtAttr("total", "Half a question", errors.New("events needs total: among how many observations")))
	}
	return kind, parts, errors.Join(all...)
}

func notApart(attr string) error {
	p := diag.Of(diag.WarnAtAttr(attr, "Releases not told apart", "No label matcher has $release, $version, $address or $label:NAME, so that candidate and stable measure the same. That is of use with a fixed limit and in an slo only."))
	p.Diagnostics[0].Code = metrics.CodeNotApart
	return p
}

// Validate asks no server.
func (m *Metric) Validate() error {
	_, parts, err := m.parts()
	all := []error{err}
	for _, p := range parts {
		if p.Query != nil && !p.TellsApart() {
			all = append(all, notApart(p.attr))
		}
	}
	if m.Address != "" {
		all = append(all, checkAddress(m.Address))
	}
	if m.Step < 100*time.Millisecond {
		all = append(all, diag.AtAttr("step", "Invalid step", errors.New("a step lasts at least 100ms")))
	}
	if m.Delay < 0 {
		all = append(all, diag.AtAttr("delay", "Invalid delay", errors.New("the delay must not be negative")))
	}
	return errors.Join(all...)
}

// Measure reads the window of every release.
func (m *Metric) Measure(ctx context.Context, req *metrics.Request) (metrics.Measurement, error) {
	a, err := m.asker(req.Request)
	if err != nil {
		return metrics.Measurement{}, err
	}
	all := make([]subject, len(req.Releases))
	for i, r := range req.Releases {
		all[i] = a.subject(r)
	}
	// What comes while the queries are asked is left to the next window.
	last, err := a.lastScrape(ctx, a.now, all...)
	if err != nil {
		return metrics.Measurement{}, err
	}
	read := make([]scraped, len(all))
	for i, s := range all {
		if read[i], err = a.read(ctx, s, req.From, earlier(req.To, a.now)); err != nil {
			return metrics.Measurement{}, err
		}
	}
	complete, err := a.complete(ctx, last, all, read...)
	if err != nil {
		return metrics.Measurement{}, err
	}
	complete = earlier(complete, req.To)
	if complete.Before(req.From) {
		complete = req.From
	}
	out := metrics.Measurement{CompleteUntil: complete}
	for i, s := range all {
		r, err := a.window(s, read[i], req.From, complete)
		if err != nil {
			return metrics.Measurement{}, err
		}
		out.Releases = append(out.Releases, r)
	}
	return out, nil
}

const (
	// pastAtOnce is how much of the past is held in memory.
	pastAtOnce = 2 * time.Hour
	// pastSamples limits what is told of gauges and queries.
	pastSamples = 500_000
)

// Past reads the same numbers as Measure, from the newest window to the oldest; in
// long windows what the server adds up is near enough.
func (m *Metric) Past(ctx context.Context, req *metrics.PastRequest) (metrics.Past, error) {
	var out metrics.Past
	if req.Window <= 0 {
		return out, diag.WithEffect(diag.None, diag.New("Invalid window", "A window of %s cannot be measured.", req.Window))
	}
	a, err := m.asker(req.Request)
	if err != nil {
		return out, err
	}
	s := a.subject(req.Release)
	if s.reason != "" {
		return metrics.Past{Reason: s.reason}, nil
	}
	last, err := a.lastScrape(ctx, a.now, s)
	if err != nil {
		return out, err
	}
	n := int(req.To.Sub(req.From) / req.Window)
	first := max(0, n-metrics.MaxWindows)
	if first > 0 {
		out.Reason = fmt.Sprintf("no more than %d windows are told", metrics.MaxWindows)
	}
	if a.kind == counts && req.Window >= coarseFrom {
		return a.coarse(ctx, s, req, first, n, last)
	}
	at := func(i int) time.Time { return req.From.Add(time.Duration(i) * req.Window) }
	perChunk := max(1, int(pastAtOnce/req.Window))
	var complete time.Time
	samples := 0
	for end := n; end > first && samples < pastSamples; end -= perChunk {
		begin := max(first, end-perChunk)
		read, err := a.read(ctx, s, at(begin), earlier(at(end), a.now))
		if err != nil {
			return out, err
		}
		if complete.IsZero() {
			if complete, err = a.complete(ctx, last, []subject{s}, read); err != nil {
				return out, err
			}
		}
		for i := end - 1; i >= begin && samples < pastSamples; i-- {
			if at(i + 1).After(complete) {
				continue
			}
			r, err := a.window(s, read, at(i), at(i+1))
			switch {
			case err != nil:
				return out, err
			case r.NoData == "":
				out.Windows = append(out.Windows, metrics.Window{From: at(i), To: at(i + 1), Release: r})
				samples += len(r.Samples)
			case out.Reason == "":
				out.Reason = r.NoData
			}
		}
	}
	if samples >= pastSamples {
		out.Reason = fmt.Sprintf("no more than %d samples are told", pastSamples)
	}
	if len(out.Windows) == 0 && out.Reason == "" {
		out.Reason = "no window of it is over yet"
	}
	slices.Reverse(out.Windows)
	return out, nil
}

// subject is one release with its queries.
type subject struct {
	target.Release
	queries []string
	// reason is why it cannot be asked for.
	reason string
}

// asker answers one call.
type asker struct {
	*Metric
	call.Request
	server *server
	kind   shape
	parts  []part
	now    time.Time
}

func (m *Metric) asker(req call.Request) (*asker, error) {
	kind, parts, err := m.parts()
	if err != nil {
		return nil, diag.WithEffect(diag.None, err)
	}
	s, err := m.servers.at(m.Address)
	if err != nil {
		return nil, diag.WithEffect(diag.None, err)
	}
	return &asker{Metric: m, Request: req, server: s, kind: kind, parts: parts, now: time.Now()}, nil
}

func (a *asker) subject(r target.Release) subject {
	s := subject{Release: r}
	for _, p := range a.parts {
		q, err := p.For(query.Release{ID: r.ID, Version: r.Version, Address: hostPort(r.Address), Target: a.Target, Labels: r.Labels})
		if err != nil {
			s.reason = fmt.Sprintf("%s: %v", p.attr, err)
			return s
		}
		s.queries = append(s.queries, q)
	}
	return s
}

// hostPort is what an address has in common with the label instance.
func hostPort(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Host
	}
	return address
}

// unknownDelay is the delay before two scrapes have been seen: the pause between
// two when Prometheus is told nothing else.
const unknownDelay = time.Minute

// complete is the moment before which nothing more will come. last is the oldest of
// the last scrapes before anything was read.
func (a *asker) complete(ctx context.Context, last time.Time, all []subject, read ...scraped) (time.Time, error) {
	delay := a.Delay
	if delay == 0 && a.kind == expression {
		delay = a.Step
	}
	if delay == 0 {
		for _, r := range read {
			for _, series := range r {
				delay = max(delay, reading.Interval(series))
			}
		}
		if delay == 0 {
			delay = unknownDelay
		}
	}
	until := a.now.Add(-delay)
	// A window ends with a scrape of each series, and holds as many of each.
	then, err := a.lastScrape(ctx, until, all...)
	for _, t := range []time.Time{last, then} {
		if !t.IsZero() {
			until = earlier(until, t.Add(time.Millisecond))
		}
	}
	return until, err
}

// window says what happened to a release.
func (a *asker) window(s subject, read scraped, from, to time.Time) (metrics.Release, error) {
	out := metrics.Release{ID: s.ID}
	none := func(format string, args ...any) (metrics.Release, error) {
		out.NoData = fmt.Sprintf(format, args...)
		return out, nil
	}
	switch {
	case s.reason != "":
		return none("%s", s.reason)
	case !to.After(from):
		return none("nothing that was scraped in this window is complete yet")
	case len(read[0]) == 0:
		return none("no series matches %s in this window", s.queries[0])
	}
	r := reading.Range{From: from, To: to, Created: s.Created}
	switch a.kind {
	case counts:
		all := slices.Concat(read...)
		total, events := r.Count(read[0], all), r.Count(read[1], all)
		if why := nothing(total, s.queries[0]); why != "" {
			return none("%s", why)
		}
		if events.N > total.N {
			return none("%d events among %d observations cannot be: events must select some of what total selects", events.N, total.N)
		}
		out.Counter = &metrics.Counter{N: total.N, Events: events.N}
	case histogram:
		d, counted := r.Distribution(read[0])
		if why := nothing(counted, s.queries[0]); why != "" {
			return none("%s", why)
		}
		bounds, n := d.Histogram()
		if len(bounds) == 0 {
			return none("the histogram %s has no bucket but that of all observations", s.queries[0])
		}
		out.Histogram = &metrics.Histogram{Bounds: bounds, Counts: n}
	case gauge, expression:
		values := r.Values(read[0])
		if len(values) == 0 {
			return none("%s had no value in this window", s.queries[0])
		}
		if len(values) > metrics.MaxWindows {
			return out, diag.WithEffect(diag.None, diag.AtAttr(a.parts[0].attr, "Too many samples",
				fmt.Errorf("%d in one window, and no more than %d can be told; use query with an aggregation, such as avg, and a longer step", len(values), metrics.MaxWindows)))
		}
		out.Samples = values
	}
	return out, nil
}

// nothing is why counters have nothing to tell.
func nothing(c reading.Counted, selector string) string {
	switch {
	case c.Scrapes == 0:
		return fmt.Sprintf("the series of %s were not scraped in this window", selector)
	case c.Compared == 0:
		return fmt.Sprintf("the series of %s were scraped for the first time in this window, and a counter tells something from the second time on", selector)
	case c.N == 0:
		return fmt.Sprintf("the release got nothing to do in this window: %s did not grow", selector)
	}
	return ""
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

var (
	_ sdk.Validator     = (*Metric)(nil)
	_ sdk.Documented    = (*Metric)(nil)
	_ metrics.Historian = (*Metric)(nil)
)
