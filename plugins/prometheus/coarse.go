package main

import (
	"context"
	"fmt"
	"math"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/runner-pipelines/runner/sdk/metrics"
)

// coarseFrom is the length of windows from which on counts of the past are added up
// by the server: a month of samples is too much to read, and at the ends of such a
// window it does not matter which scrape belongs to it.
const coarseFrom = 10 * time.Minute

// coarse reads counts in long windows, of which the last may lack a scrape or two.
func (a *asker) coarse(ctx context.Context, s subject, req *metrics.PastRequest, first, n int, last time.Time) (metrics.Past, error) {
	at := func(i int) time.Time { return req.From.Add(time.Duration(i) * req.Window) }
	var out metrics.Past
	switch {
	case n <= first:
		return metrics.Past{Reason: "no window of it is over yet"}, nil
	case last.IsZero():
		return metrics.Past{Reason: "no series matches the selector"}, nil
	}
	grown := make([]map[int64]float64, len(s.queries))
	for i, q := range s.queries {
		m, err := a.server.over(ctx, fmt.Sprintf("sum(increase(%s[%dms]))", q, req.Window.Milliseconds()),
			v1.Range{Start: at(first + 1), End: at(n), Step: req.Window})
		if err != nil {
			return out, a.blame(i, s, err)
		}
		if len(m) > 1 {
			return out, a.server.strange(fmt.Errorf("a sum was asked for, and %d series came", len(m)))
		}
		grown[i] = map[int64]float64{}
		for _, stream := range m {
			for _, p := range stream.Values {
				grown[i][int64(p.Timestamp)] = float64(p.Value)
			}
		}
	}
	for i := first; i < n && !at(i+1).After(last.Add(req.Window/20)); i++ {
		end := at(i + 1).UnixMilli()
		total, known := grown[0][end]
		if !known || !(total >= 0 && total <= 1<<53) {
			out.Reason = "the release was not scraped all the time"
			continue
		}
		events := grown[1][end]
		if !(events >= 0) {
			events = 0
		}
		c := metrics.Counter{N: int64(math.Round(total))}
		c.Events = min(int64(math.Round(min(events, total))), c.N)
		if c.N > 0 {
			out.Windows = append(out.Windows, metrics.Window{From: at(i), To: at(i + 1), Release: metrics.Release{ID: s.ID, Counter: &c}})
		}
	}
	if len(out.Windows) == 0 && out.Reason == "" {
		out.Reason = "the release got nothing to do"
	}
	return out, nil
}
