package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/sdk/metrics"
)

// series is what was seen of the candidate, of one metric at one target.
type series struct {
	Metric string    `json:"metric"`
	Target string    `json:"target"`
	Until  time.Time `json:"until,omitzero"`
	Whole  sum       `json:"whole"`
	Step   sum       `json:"step"`
	// Reason is why the last look added nothing.
	Reason string `json:"reason,omitempty"`
	// Recent is the exposure of the last minute, where looks are shorter.
	Recent recent `json:"recent,omitzero"`
}

// observe is false for a look whose window is not new.
func (x *series) observe(l *Look, m Metric, stepAt time.Time) bool {
	if !l.From.IsZero() && l.From.Before(x.Until) || l.To.Before(l.From) {
		return false
	}
	if l.To.After(x.Until) {
		x.Until = l.To
	}
	one, reason := read(l.Candidate, l.seconds(m))
	x.Reason = clip(reason)
	x.Whole.merge(&one)
	if !l.From.Before(stepAt) {
		x.Step.merge(&one)
	}
	return true
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// sum is data added up. A metric is of one kind all the time; when it is not,
// nothing can be said of it.
type sum struct {
	Counter   *metrics.Counter   `json:"counter,omitempty"`
	Histogram *metrics.Histogram `json:"histogram,omitempty"`
	Samples   *sketch            `json:"samples,omitempty"`
}

// maxBuckets limits the histograms that are kept.
const maxBuckets = 1000

// read takes what makes sense of one measurement, and says what did not. For a
// counter without a denominator seconds is what takes its place, else it is 0.
func read(r metrics.Release, seconds int64) (sum, string) {
	switch {
	case r.Counter != nil && seconds > 0:
		if r.Counter.N < 0 || r.Counter.Events < 0 {
			return sum{}, fmt.Sprintf("a count of %d events makes no sense", r.Counter.Events)
		}
		c := *r.Counter
		if c.N == 0 {
			c.N = seconds
		}
		return sum{Counter: &c}, ""
	case r.Counter != nil:
		if r.Counter.N < 0 || r.Counter.Events < 0 || r.Counter.Events > r.Counter.N {
			return sum{}, fmt.Sprintf("a count of %d events among %d observations makes no sense", r.Counter.Events, r.Counter.N)
		}
		c := *r.Counter
		return sum{Counter: &c}, ""
	case r.Histogram != nil:
		if !validHistogram(r.Histogram) {
			return sum{}, "a histogram without ascending bounds and a count for each bucket makes no sense"
		}
		return sum{Histogram: &metrics.Histogram{Bounds: slices.Clone(r.Histogram.Bounds), Counts: slices.Clone(r.Histogram.Counts)}}, ""
	case r.Samples != nil:
		var s sketch
		left := 0
		for _, v := range r.Samples {
			if !s.add(v) {
				left++
			}
		}
		if left > 0 {
			return sum{Samples: &s}, fmt.Sprintf("%d of %d samples were no finite numbers", left, len(r.Samples))
		}
		return sum{Samples: &s}, ""
	case r.NoData != "":
		return sum{}, r.NoData
	}
	return sum{}, "nothing was measured"
}

func validHistogram(h *metrics.Histogram) bool {
	if len(h.Bounds) == 0 || len(h.Counts) != len(h.Bounds)+1 || len(h.Counts) > maxBuckets {
		return false
	}
	for i, b := range h.Bounds {
		if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= h.Bounds[i-1] {
			return false
		}
	}
	return !slices.ContainsFunc(h.Counts, func(n int64) bool { return n < 0 })
}

// valid reports whether a sum that was read back can be worked with.
func (s *sum) valid() bool {
	return (s.Histogram == nil || validHistogram(s.Histogram)) && (s.Counter == nil || s.Counter.N >= 0 && s.Counter.Events >= 0) &&
		(s.Samples == nil || s.Samples.valid())
}

// merge adds another sum, which stays as it is.
func (s *sum) merge(o *sum) {
	if o.Counter != nil {
		if s.Counter == nil {
			s.Counter = &metrics.Counter{}
		}
		s.Counter.N, s.Counter.Events = plus(s.Counter.N, o.Counter.N), plus(s.Counter.Events, o.Counter.Events)
	}
	if o.Histogram != nil {
		if s.Histogram == nil {
			s.Histogram = &metrics.Histogram{Bounds: o.Histogram.Bounds, Counts: make([]int64, len(o.Histogram.Counts))}
		}
		for i, n := range o.Histogram.Counts {
			j := len(s.Histogram.Bounds)
			if i < len(o.Histogram.Bounds) {
				// Other bounds than before: round up, which is the careful side of a
				// distribution of times.
				j, _ = slices.BinarySearch(s.Histogram.Bounds, o.Histogram.Bounds[i])
			}
			s.Histogram.Counts[j] = plus(s.Histogram.Counts[j], n)
		}
	}
	if o.Samples != nil {
		if s.Samples == nil {
			s.Samples = &sketch{}
		}
		s.Samples.merge(o.Samples)
	}
}

// plus does not overflow.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func (s *sum) count() (n int64) {
	if s.Counter != nil {
		n = plus(n, s.Counter.N)
	}
	if s.Histogram != nil {
		for _, c := range s.Histogram.Counts {
			n = plus(n, c)
		}
	}
	if s.Samples != nil {
		n = plus(n, s.Samples.N)
	}
	return n
}

// statistic is the value that is compared with limits.
type statistic struct {
	value float64
	// open: the value is that or more.
	open    bool
	percent bool
	detail  string
}

func (s statistic) format(v float64) string {
	if s.percent {
		return strconv.FormatFloat(v*100, 'g', 4, 64) + "%"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func (s statistic) String() string {
	text := s.format(s.value)
	if s.open {
		text = "more than " + text
	}
	return text + " (" + s.detail + ")"
}

// statistic is false when there is no data or it is of different kinds.
func (s *sum) statistic(quantile float64) (statistic, bool) {
	n := s.count()
	switch {
	case n == 0 || s.Counter != nil && (s.Histogram != nil || s.Samples != nil) || s.Histogram != nil && s.Samples != nil:
		return statistic{}, false
	case s.Counter != nil:
		return statistic{
			value: float64(s.Counter.Events) / float64(s.Counter.N), percent: true, detail: fmt.Sprintf("%d of %d", s.Counter.Events, s.Counter.N),
		}, true
	case s.Histogram != nil:
		if quantile <= 0 || quantile > 1 {
			quantile = 0.99
		}
		v, open := histogramQuantile(s.Histogram, n, quantile)
		return statistic{value: v, open: open, detail: fmt.Sprintf("the %s quantile of %s", strconv.FormatFloat(quantile, 'g', -1, 64), observations(n))}, true
	case quantile > 0 && quantile <= 1:
		return statistic{value: s.Samples.quantile(quantile), detail: fmt.Sprintf("the %s quantile of %s", strconv.FormatFloat(quantile, 'g', -1, 64), observations(n))}, true
	}
	return statistic{value: s.Samples.mean(), detail: "the mean of " + observations(n)}, true
}

// rank is which of n sorted observations the quantile is, from 1.
func rank(n int64, quantile float64) int64 {
	return min(max(int64(math.Ceil(quantile*float64(n))), 1), n)
}

// histogramQuantile interpolates inside a bucket. In the last one, which has no
// upper bound, it gives the lower one and true.
func histogramQuantile(h *metrics.Histogram, n int64, quantile float64) (float64, bool) {
	want, below := rank(n, quantile), int64(0)
	for i, c := range h.Counts {
		if c == 0 || plus(below, c) < want {
			below = plus(below, c)
			continue
		}
		if i == len(h.Bounds) {
			break
		}
		low := min(0, h.Bounds[0])
		if i > 0 {
			low = h.Bounds[i-1]
		}
		return low + (h.Bounds[i]-low)*(float64(want-below)/float64(c)), false
	}
	return h.Bounds[len(h.Bounds)-1], true
}
