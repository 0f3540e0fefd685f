package recorded

import (
	"math"
	"slices"
)

// slack is how much a cumulative count may fall because it was computed.
const slack = 1e-6

// histogram adds the buckets of one series at one time, which are in the order of
// their bounds. Counts are cumulative: each is of all that is not above its bound.
func (g *gatherer) histogram(s *sum, rows []row) {
	var bounds, counts []float64
	for i, x := range rows {
		switch {
		case i > 0 && x.le == rows[i-1].le:
			g.leave("there is one of the same time, release and bucket before", x.line)
			continue
		case !x.has[0]:
			s.absent = "the count of a bucket is empty"
			return
		case !sane(x.v[0]):
			g.leave("the count makes no sense", x.line)
			s.reason = "the count of a bucket makes no sense"
			return
		}
		bounds, counts = append(bounds, x.le), append(counts, x.v[0])
	}
	last := rows[len(rows)-1]
	if !math.IsInf(last.le, 1) {
		g.refuse(last, "The histogram of this time and release ends at the bucket %v, so what lies above is not known. The last bucket is le = +Inf.", last.le)
		return
	}
	if len(bounds) == 1 {
		g.refuse(last, "The histogram of this time and release has the bucket +Inf alone, so nothing can be told from it.")
		return
	}
	for i := 1; i < len(counts); i++ {
		if counts[i] < counts[i-1]-slack*max(counts[i-1], 1) {
			g.refuse(rows[slices.IndexFunc(rows, func(x row) bool { return x.le == bounds[i] })],
				"The bucket %v has %v, and the smaller bucket %v has %v. Counts are cumulative, as those of Prometheus: each is of all that is not above its bound, the smaller ones included.",
				bounds[i], counts[i], bounds[i-1], counts[i-1])
			return
		}
	}
	if g.recording.options.Counter {
		added, why := g.counter(rows[0].release, rows[0].series, bounds).Add(Time(rows[0].t), counts...)
		if why != "" {
			s.waits = true
			return
		}
		for i, c := range added.Counts {
			counts[i] = float64(c)
		}
	}
	for i := len(counts) - 1; i > 0; i-- {
		counts[i] = max(counts[i]-counts[i-1], 0)
	}
	bounds = bounds[:len(bounds)-1]
	switch {
	case s.buckets == nil:
		s.bounds, s.buckets = bounds, counts
	case slices.Equal(s.bounds, bounds):
		for i, c := range counts {
			s.buckets[i] += c
		}
	default:
		s.reason = "its histograms have different buckets, which cannot be added up"
	}
}

// refuse ends the reading: what is there cannot be a histogram.
func (g *gatherer) refuse(x row, why string, args ...any) {
	g.stopped = true
	p := g.recording.problems
	if x.line == 0 {
		p.Fail(g.recording.name, "Invalid histogram", why, args...)
		return
	}
	p.at(place{file: g.recording.name, line: int(x.line), column: 1}, "Invalid histogram", why, args...)
}
