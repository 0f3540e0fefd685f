package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/runner-pipelines/runner/plugins/prometheus/internal/reading"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// scraped are the series of each query of a release.
type scraped [][]reading.Series

// lastScrape is the oldest of the last scrapes of all series that live at a moment;
// the server knows which ones do. It is zero when there is none, and for
// expressions, which are not scraped.
func (a *asker) lastScrape(ctx context.Context, at time.Time, all ...subject) (oldest time.Time, err error) {
	if a.kind == expression {
		return oldest, nil
	}
	for _, s := range all {
		for i, q := range s.queries {
			v, err := a.server.instant(ctx, "min(timestamp("+q+"))", at)
			if err != nil {
				return oldest, a.blame(i, s, err)
			}
			vector, ok := v.(model.Vector)
			if !ok {
				return oldest, a.server.strange(fmt.Errorf("a vector was asked for, and a %s came", v.Type()))
			}
			if len(vector) == 0 {
				continue
			}
			last := time.UnixMilli(int64(math.Round(float64(vector[0].Value) * 1000)))
			if oldest.IsZero() || last.Before(oldest) {
				oldest = last
			}
		}
	}
	return oldest, nil
}

// read asks for all that was scraped from a lookback before from, up to to.
func (a *asker) read(ctx context.Context, s subject, from, to time.Time) (scraped, error) {
	out := make(scraped, len(a.parts))
	for i, q := range s.queries {
		var err error
		if a.kind == expression {
			out[i], err = a.evaluate(ctx, q, from, to)
		} else {
			out[i], err = a.samples(ctx, q, from, to)
		}
		if err != nil {
			return nil, a.blame(i, s, err)
		}
	}
	if a.kind == counts && len(s.queries) == 2 && len(out[0]) > 0 && len(out[1]) == 0 {
		a.Log.Debug("no series of events is there, which counts as no events", "release", s.ID, "events", s.queries[1])
	}
	return out, nil
}

// blame puts what the server says of a query to the attribute that holds it.
func (a *asker) blame(i int, s subject, err error) error {
	if errors.Is(err, errRejected) {
		return diag.WithEffect(diag.None, diag.AtAttr(a.parts[i].attr, "Query rejected", fmt.Errorf("%s was asked for %s: %w", a.server.address, s.queries[i], err)))
	}
	return err
}

// samples reads what was scraped as it was scraped.
func (a *asker) samples(ctx context.Context, selector string, from, to time.Time) ([]reading.Series, error) {
	begin, end := reading.Millis(from)-reading.Lookback.Milliseconds(), reading.Millis(to)-1
	if end <= begin {
		return nil, nil
	}
	// Servers differ in whether the moment at which the range begins is part of it.
	m, err := a.server.matrix(ctx, fmt.Sprintf("%s[%dms]", selector, end-begin+1), time.UnixMilli(end))
	if err != nil {
		return nil, err
	}
	switch a.kind {
	case histogram:
		return a.histograms(m)
	default:
		return a.numbers(m)
	}
}

// numbers are the series of counters and gauges.
func (a *asker) numbers(m model.Matrix) (out []reading.Series, err error) {
	for _, stream := range m {
		if len(stream.Histograms) > 0 {
			return nil, diag.AtAttr(a.parts[0].attr, "Not a number", fmt.Errorf("%s is a native histogram; use the attribute histogram", stream.Metric))
		}
		s := named(stream.Metric)
		for _, p := range stream.Values {
			if v := float64(p.Value); a.kind != counts || reading.Usable(v) {
				s.Samples = append(s.Samples, reading.Sample{At: int64(p.Timestamp), Value: v})
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// histograms are native ones as they are, and classic ones put together from
// their buckets.
func (a *asker) histograms(m model.Matrix) (out []reading.Series, err error) {
	type bucket struct {
		le     float64
		values []model.SamplePair
	}
	classic := map[string][]bucket{}
	whole := map[string]reading.Series{}
	for _, stream := range m {
		if len(stream.Histograms) > 0 {
			out = append(out, native(stream))
			continue
		}
		le, err := strconv.ParseFloat(string(stream.Metric[model.BucketLabel]), 64)
		if err != nil || math.IsNaN(le) {
			return nil, diag.AtAttr("histogram", "Not a histogram", fmt.Errorf("%s is neither a native histogram nor the bucket of a classic one, which has a name with _bucket and a label le", stream.Metric))
		}
		labels := stream.Metric.Clone()
		delete(labels, model.BucketLabel)
		s := named(labels)
		whole[s.Name] = s
		classic[s.Name] = append(classic[s.Name], bucket{le, stream.Values})
	}
	for name, buckets := range classic {
		slices.SortFunc(buckets, func(a, b bucket) int {
			if a.le < b.le {
				return -1
			}
			return 1
		})
		type row struct{ bounds, counts []float64 }
		rows := map[int64]*row{}
		for _, b := range buckets {
			for _, p := range b.values {
				r := rows[int64(p.Timestamp)]
				if r == nil {
					r = &row{make([]float64, 0, len(buckets)), make([]float64, 0, len(buckets))}
					rows[int64(p.Timestamp)] = r
				}
				r.bounds, r.counts = append(r.bounds, b.le), append(r.counts, float64(p.Value))
			}
		}
		s := whole[name]
		for at, r := range rows {
			if d := reading.Cumulative(r.bounds, r.counts); d != nil {
				s.Samples = append(s.Samples, reading.Sample{At: at, Dist: d})
			}
		}
		slices.SortFunc(s.Samples, func(a, b reading.Sample) int { return int(a.At - b.At) })
		out = append(out, s)
	}
	return out, nil
}

func native(stream *model.SampleStream) reading.Series {
	s := named(stream.Metric)
	for _, p := range stream.Histograms {
		buckets := make([]reading.Bucket, len(p.Histogram.Buckets))
		for i, b := range p.Histogram.Buckets {
			buckets[i] = reading.Bucket{Lower: float64(b.Lower), Upper: float64(b.Upper), Count: float64(b.Count)}
		}
		if d := reading.NewDist(buckets); d != nil {
			s.Samples = append(s.Samples, reading.Sample{At: int64(p.Timestamp), Dist: d})
		}
	}
	return s
}

// named tells a series from others and, where the labels say so, its process.
func named(m model.Metric) reading.Series {
	s := reading.Series{Name: m.String()}
	if instance := m[model.InstanceLabel]; instance != "" {
		s.Process = string(m[model.JobLabel]) + "\x00" + string(instance)
	}
	return s
}

// pointsAtOnce is below what Prometheus gives in one answer.
const pointsAtOnce = 10_000

// evaluate asks for an expression at all multiples of the step within [from, to),
// so that windows side by side ask for the same moments.
func (a *asker) evaluate(ctx context.Context, expr string, from, to time.Time) ([]reading.Series, error) {
	step := a.Step.Milliseconds()
	begin := (reading.Millis(from) + step - 1) / step * step
	last := (reading.Millis(to) - 1) / step * step
	var one reading.Series
	for ; begin <= last; begin += pointsAtOnce * step {
		m, err := a.server.over(ctx, expr, v1.Range{
			Start: time.UnixMilli(begin), End: time.UnixMilli(min(last, begin+(pointsAtOnce-1)*step)), Step: time.Duration(step) * time.Millisecond,
		})
		if err != nil {
			return nil, err
		}
		if len(m) > 1 {
			return nil, diag.WithEffect(diag.None, diag.AtAttr("query", "More than one number",
				fmt.Errorf("it gives %d series, such as %s and %s; aggregate them to one, for example with sum or max", len(m), m[0].Metric, m[1].Metric)))
		}
		for _, stream := range m {
			if len(stream.Histograms) > 0 {
				return nil, diag.WithEffect(diag.None, diag.AtAttr("query", "Not a number", errors.New("it gives a histogram; use the attribute histogram, or histogram_quantile")))
			}
			for _, p := range stream.Values {
				one.Samples = append(one.Samples, reading.Sample{At: int64(p.Timestamp), Value: float64(p.Value)})
			}
		}
	}
	if len(one.Samples) == 0 {
		return nil, nil
	}
	return []reading.Series{one}, nil
}
