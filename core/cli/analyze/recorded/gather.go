package recorded

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// gatherer makes moments from rows that come in the order of time.
type gatherer struct {
	recording *Recording
	yield     func(Moment) bool
	stopped   bool

	// rows are those of one time.
	rows []row
	// at is the end of the present moment; sums are its two releases.
	at      float64
	open    bool
	sums    [2]sum
	leftOut int
	// from is the end of the last moment, where there was one; first waits for the
	// second, which says how long it was.
	from  float64
	begun bool
	first *Moment

	counters map[[2]int32]*counter
	carried  [2]carry
}

// add takes a row; it is false when nobody wants more.
func (g *gatherer) add(x row) bool {
	if len(g.rows) > 0 && g.rows[0].t != x.t {
		g.take()
	}
	if g.stopped {
		return false
	}
	g.rows = append(g.rows, x)
	return true
}

// end is after the last row.
func (g *gatherer) end() {
	g.take()
	g.close()
	if g.first != nil && !g.stopped {
		g.first.From = g.first.To.Add(-max(g.recording.options.Interval, time.Minute))
		g.yield(*g.first)
	}
}

// take puts the rows of one time into their moment.
func (g *gatherer) take() {
	if len(g.rows) == 0 || g.stopped {
		return
	}
	at := g.rows[0].t
	if step := g.recording.options.Interval.Seconds(); step > 0 {
		at = math.Ceil(at/step) * step
	}
	if g.open && at != g.at {
		g.close()
	}
	g.at, g.open = at, true
	slices.SortStableFunc(g.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.release, b.release), cmp.Compare(a.series, b.series), cmp.Compare(a.le, b.le))
	})
	for rest := g.rows; len(rest) > 0 && !g.stopped; {
		n := 1
		for n < len(rest) && rest[n].release == rest[0].release && rest[n].series == rest[0].series {
			n++
		}
		g.reading(rest[:n])
		rest = rest[n:]
	}
	g.rows = g.rows[:0]
}

// leave counts a row that makes no sense.
func (g *gatherer) leave(why string, line int32) {
	g.leftOut++
	g.recording.leave(why, line)
}

// reading adds what one series says of its release at one time.
func (g *gatherer) reading(rows []row) {
	s := &g.sums[g.recording.role(&rows[0])]
	s.any = true
	switch g.recording.Form {
	case Samples:
		for _, x := range rows {
			switch {
			case !x.has[0]:
				s.absent = "the value is empty"
			case math.IsNaN(x.v[0]) || math.IsInf(x.v[0], 0):
				g.leave("the value is not a finite number", x.line)
				s.samples = append(s.samples, x.v[0])
			default:
				s.samples = append(s.samples, x.v[0])
			}
		}
	case Histogram:
		g.histogram(s, rows)
	default:
		for _, x := range rows[1:] {
			g.leave("there is one of the same time and release before", x.line)
		}
		g.counts(s, rows[0])
	}
}

// counts adds numbers of requests and bad ones.
func (g *gatherer) counts(s *sum, x row) {
	names := [2]string{colRequests, colErrors}
	n := 2
	if g.recording.Form == Events {
		names, n = [2]string{colErrors}, 1
	}
	single := x.series != 0 // of an answer: one number only
	for k := range n {
		switch {
		case !x.has[k] && !single:
			s.absent = names[k] + " is empty"
			return
		case x.has[k] && !sane(x.v[k]):
			g.leave(fmt.Sprintf("the number of %s makes no sense", names[k]), x.line)
			s.reason = fmt.Sprintf("%s of %v make no sense", names[k], x.v[k])
			return
		}
	}
	values := x.v[:n]
	if single {
		k := slices.Index(x.has[:], true)
		values = x.v[k : k+1]
	}
	if g.recording.options.Counter {
		added, why := g.counter(x.release, x.series, nil).Add(Time(x.t), values...)
		if why != "" {
			s.waits = true
			return
		}
		for i, c := range added.Counts {
			values[i] = float64(c)
		}
	}
	if !single && n == 2 && x.v[1] > x.v[0] {
		g.leave("there are more errors than requests", x.line)
	}
	for k := range n {
		if x.has[k] {
			s.has[k] = true
			s.counts[k] += x.v[k]
		}
	}
}

func sane(v float64) bool { return v >= 0 && v <= exact }

// counter of one series; a histogram's begins again when its buckets are others.
func (g *gatherer) counter(release, series int32, bounds []float64) *analysis.Delta {
	if g.counters == nil {
		g.counters = map[[2]int32]*counter{}
	}
	key := [2]int32{release, series}
	c := g.counters[key]
	if c == nil || !slices.Equal(c.bounds, bounds) {
		c = &counter{bounds: bounds}
		g.counters[key] = c
	}
	return &c.delta
}

type counter struct {
	delta  analysis.Delta
	bounds []float64
}

// close ends a moment.
func (g *gatherer) close() {
	if !g.open {
		return
	}
	m := Moment{T: g.at, To: Time(g.at), LeftOut: g.leftOut}
	m.Candidate, m.Stable = g.release(0), g.release(1)
	g.sums, g.open, g.leftOut = [2]sum{}, false, 0
	from, begun := g.from, g.begun
	g.from, g.begun = m.T, true
	if m.Candidate == nil && m.Stable == nil && m.LeftOut == 0 {
		return // the first reading of counters
	}
	m.From = Time(from)
	if !begun {
		g.first = &m
		return
	}
	if g.first != nil {
		length := m.To.Sub(g.first.To)
		g.first.From = g.first.To.Add(-length)
		g.stopped = !g.yield(*g.first)
		g.first = nil
	}
	g.stopped = g.stopped || !g.yield(m)
}

// release is what was measured of one; nil when nothing was said of it.
func (g *gatherer) release(role int) *metrics.Release {
	s, c := &g.sums[role], &g.carried[role]
	names := [2]string{"candidate", "stable"}
	out := &metrics.Release{ID: names[role]}
	switch {
	case !s.any:
		return nil
	case s.reason != "":
		out.NoData = s.reason
	case s.absent != "":
		out.NoData = s.absent
	case s.samples != nil:
		out.Samples = s.samples
	case s.buckets != nil:
		out.Histogram = &metrics.Histogram{Bounds: s.bounds, Counts: c.buckets(s.bounds, s.buckets)}
	case g.recording.Form == Counts && s.has[0] && s.has[1]:
		n, x := c.counts(s.counts)
		out.Counter = &metrics.Counter{N: n, Events: x}
	case g.recording.Form == Events && (s.has[0] || s.has[1]):
		_, x := c.counts([2]float64{0, s.counts[0] + s.counts[1]})
		out.Counter = &metrics.Counter{Events: x}
	case s.has[0]:
		out.NoData = "there are requests and no count of errors; where that means none, let the query of errors end with: or 0 * (the query of requests)"
	case s.has[1]:
		out.NoData = "there are errors and no count of requests"
	case s.waits:
		return nil
	default:
		out.NoData = "nothing was measured"
	}
	return out
}

// sum is what is known of one release in one moment.
type sum struct {
	any bool
	// waits: counters that were read for the first time.
	waits bool
	// reason and absent are why there is no data.
	reason, absent string
	counts         [2]float64
	has            [2]bool
	bounds         []float64
	buckets        []float64
	samples        []float64
}

// carry keeps what rounding has left over, since Prometheus counts in fractions.
type carry struct {
	rest   [2]float64
	bounds []float64
	over   []float64
}

func (c *carry) counts(v [2]float64) (n, x int64) {
	n, x = whole(v[0], &c.rest[0]), whole(v[1], &c.rest[1])
	if x > n && v[1] <= v[0] {
		c.rest[1] += float64(x - n)
		x = n
	}
	return n, x
}

func (c *carry) buckets(bounds, v []float64) []int64 {
	if !slices.Equal(bounds, c.bounds) {
		c.bounds, c.over = bounds, make([]float64, len(v))
	}
	out := make([]int64, len(v))
	for i := range v {
		out[i] = whole(v[i], &c.over[i])
	}
	return out
}

// whole rounds, and puts what is over to the next.
func whole(v float64, rest *float64) int64 {
	v += *rest
	n := max(math.Round(v), 0)
	*rest = v - n
	return int64(n)
}
