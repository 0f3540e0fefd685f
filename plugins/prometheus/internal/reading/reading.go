// Package reading turns what was scraped, sample by sample, into what happened
// in a window of time.
//
// What a counter has grown by between two scrapes counts for the window that
// the later scrape lies in. So windows side by side count nothing twice and lose
// nothing, and no number is extrapolated. It knows neither HTTP nor PromQL: give a
// Range to Count, Distribution or Values.
package reading

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Lookback is how far apart two readings may lie to be compared, and so how much
// before a window must be read.
const Lookback = 5 * time.Minute

// Series is one counter, gauge or histogram of one process.
type Series struct {
	// Name tells it from other series of the same answer.
	Name string
	// Process is equal for series that are scraped together; empty when unknown.
	Process string
	// Samples in the order of time.
	Samples []Sample
}

// Sample is one reading.
type Sample struct {
	// At is in milliseconds since 1970.
	At    int64
	Value float64
	// Dist is the reading of a histogram; then Value is unused.
	Dist *Dist
}

// Range is a window [From, To) of what one release was scraped for.
type Range struct {
	From, To time.Time
	// Created is when the release was; zero when nobody knows.
	Created time.Time
}

// Millis is the first millisecond at or after t: a sample is before t when its
// time is below it.
func Millis(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}

// most is the largest number that is exact.
const most = 1 << 53

// Usable reports whether a counter can have this value.
func Usable(v float64) bool { return v >= 0 && v <= most }

// Counted is what a set of counters has grown by.
type Counted struct {
	N int64
	// Scrapes in the window, of any series.
	Scrapes int
	// Compared is how many of them had something to be compared with.
	Compared int
}

// Count adds up what counters have grown by in the window. all are the series
// that tell whether a process was scraped before; it holds series.
func (r Range) Count(series, all []Series) Counted {
	var out Counted
	r.steps(series, all, func(s *Series, before, now *Sample) {
		v, prev := math.Round(now.Value), 0.0
		if before != nil {
			prev = math.Round(before.Value)
		}
		if v < prev { // it began again
			prev = 0
		}
		out.N += int64(v - prev)
	}, &out)
	return out
}

// Distribution adds up what histograms have grown by in the window.
func (r Range) Distribution(series []Series) (*Dist, Counted) {
	var sum Dist
	var out Counted
	r.steps(series, series, func(_ *Series, before, now *Sample) {
		grown := now.Dist
		if before != nil {
			if d, fell := now.Dist.minus(before.Dist); !fell {
				grown = d
			}
		}
		if grown.total() > 0 {
			sum = *sum.plus(grown)
		}
	}, &out)
	out.N = sum.total()
	if len(sum.Edges) > 0 && !math.IsInf(sum.Edges[0], -1) {
		return sum.OnGrid(), out
	}
	return &sum, out
}

// Values are the readings in the window, in the order of time and name.
func (r Range) Values(series []Series) []float64 {
	type reading struct {
		name string
		Sample
	}
	var all []reading
	from, to := Millis(r.From), Millis(r.To)
	for _, s := range series {
		for _, x := range within(s.Samples, from, to) {
			if !math.IsNaN(x.Value) && !math.IsInf(x.Value, 0) {
				all = append(all, reading{s.Name, x})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b reading) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.name, b.name))
	})
	out := make([]float64, len(all))
	for i, x := range all {
		out[i] = x.Value
	}
	return out
}

// steps goes through the scrapes in the window that can be compared with what was
// before; before is nil for a counter that began at zero after the last scrape.
func (r Range) steps(series, all []Series, step func(s *Series, before, now *Sample), out *Counted) {
	from, to := Millis(r.From), Millis(r.To)
	back := Lookback.Milliseconds()
	for i := range series {
		s := &series[i]
		first := after(s.Samples, from)
		for k := first; k < len(s.Samples) && s.Samples[k].At < to; k++ {
			now := &s.Samples[k]
			out.Scrapes++
			switch {
			case k > 0 && now.At-s.Samples[k-1].At <= back:
				out.Compared++
				step(s, &s.Samples[k-1], now)
			case r.young(now.At) || scrapedBefore(all, s.Process, now.At):
				out.Compared++
				step(s, nil, now)
			}
		}
	}
}

// young reports whether the release was made so short a time before that all its
// counters say happened since.
func (r Range) young(at int64) bool {
	if r.Created.IsZero() {
		return false
	}
	age := time.Duration(at-r.Created.UnixMilli()) * time.Millisecond
	return age <= Lookback && age >= -Lookback
}

// scrapedBefore reports whether the process was there a short time before and
// did not have the counter yet: clients make one when it is first used.
func scrapedBefore(all []Series, process string, at int64) bool {
	if process == "" {
		return false
	}
	return slices.ContainsFunc(all, func(s Series) bool {
		if s.Process != process {
			return false
		}
		i := after(s.Samples, at)
		return i > 0 && at-s.Samples[i-1].At <= Lookback.Milliseconds()
	})
}

// after is the index of the first sample that is not before t.
func after(samples []Sample, t int64) int {
	i, _ := slices.BinarySearchFunc(samples, t, func(s Sample, t int64) int { return cmp.Compare(s.At, t) })
	return i
}

func within(samples []Sample, from, to int64) []Sample {
	return samples[after(samples, from):max(after(samples, to), after(samples, from))]
}

// Interval is the longest usual pause between two scrapes of a series; 0 when no
// series has two.
func Interval(series []Series) time.Duration {
	longest := int64(0)
	for _, s := range series {
		// The last few tell what is so now.
		last := s.Samples[max(0, len(s.Samples)-21):]
		var pauses []int64
		for i := 1; i < len(last); i++ {
			pauses = append(pauses, last[i].At-last[i-1].At)
		}
		if len(pauses) > 0 {
			slices.Sort(pauses)
			longest = max(longest, pauses[len(pauses)/2])
		}
	}
	return time.Duration(longest) * time.Millisecond
}
