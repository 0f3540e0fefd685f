package evidence

import (
	"math"
	"slices"
	"sort"
)

// The alternatives of Harm, as multiples of 1+Tolerance, and the logarithms of
// their weights. Chosen so that three to twenty times the rate is seen nearly as
// soon as if the ratio were known, and what is close to the tolerance at all.
var (
	harmRatios  = [...]float64{1.15, 1.4, 2, 3, 4.5, 8, 20}
	harmWeights = logs(0.03, 0.04, 0.13, 0.28, 0.17, 0.27, 0.08)
)

// showWeights are the logarithms of the weights of the alternatives of Show:
// equal to stable, halfway to the margin, and better than stable.
var showWeights = logs(0.6, 0.15, 0.15, 0.1)

func showRatios(margin float64) [4]float64 { return [...]float64{1, math.Sqrt(margin), 0.75, 0.4} }

// more rungs, for the interval.
var more = [...]float64{0.02, 0.06, 0.15, 0.25, 0.55, 1.7, 60, 200}

func logs(v ...float64) []float64 {
	for i := range v {
		v[i] = math.Log(v[i])
	}
	return v
}

// rungs are ratios of rates at which the likelihood is followed.
type rungs struct {
	ratios, logs      []float64
	tolerance, margin int
	harm, show        []int
}

func rungsOf(c Config) *rungs {
	margin := c.Margin
	if margin == 0 {
		margin = 1.5
	}
	null := 1 + c.Tolerance
	all := append([]float64{null, margin}, more[:]...)
	for _, r := range harmRatios {
		all = append(all, r*null)
	}
	show := showRatios(margin)
	all = append(all, show[:]...)
	slices.Sort(all)
	all = slices.Compact(all)
	r := &rungs{ratios: all}
	for _, v := range all {
		r.logs = append(r.logs, math.Log(v))
	}
	at := func(v float64) int { return sort.SearchFloat64s(all, v) }
	r.tolerance, r.margin = at(null), at(margin)
	for _, v := range harmRatios {
		r.harm = append(r.harm, at(v*null))
	}
	for _, v := range show {
		r.show = append(r.show, at(v))
	}
	return r
}

// maxRungs is how many there can be.
const maxRungs = 2 + len(more) + len(harmRatios) + 4

// climb is the log likelihood of x events of the candidate among m, where its
// share of the exposure is share: x is binomial with r share / (1 + share(r-1)).
// What is the same for every r is left out.
func (r *rungs) climb(to []float64, share, x, m float64) {
	for i, ratio := range r.ratios {
		to[i] = x*r.logs[i] - m*math.Log(1+share*(ratio-1))
	}
}

// Interval is where the ratio of rates lies: below low, and above high, it is with
// probability alpha each, at whatever moment one looks. Where events are
// independent the ends are exact (what a mixture over the rungs does not rule
// out); else they are the wider of that and of an asymptotic confidence sequence
// over blocks (Waudby-Smith et al., arXiv 2103.06476). High is +Inf where there is
// no upper end.
func (t *Test) Interval(sc Scope, alpha float64) (low, high float64) {
	w := t.of(sc)
	low, high = t.rungs.interval(w.Rungs, math.Log(alpha))
	if t.config.Independent {
		return low, high
	}
	s := w.Blocks
	s.add(&w.Now)
	if s.N == 0 || s.A == 0 || s.B == 0 {
		return low, high
	}
	ratio := s.A / s.B
	variance := (s.AA - 2*ratio*s.AB + ratio*ratio*s.BB) / (s.A * s.A)
	const tuning = 0.1
	tn := s.N * tuning
	half := math.Sqrt(max(variance, 0) * (tn + 1) / tn * (math.Log(tn+1) - 2*math.Log(2*alpha)))
	if math.IsNaN(half) {
		return low, high
	}
	return min(low, ratio*math.Exp(-half)), max(high, ratio*math.Exp(half))
}

// interval is where the likelihood is more than alpha times its mixture: that
// over the larger ratios for the lower end, over the smaller ones for the upper.
func (r *rungs) interval(l floats, logAlpha float64) (low, high float64) {
	large, small := math.Inf(-1), math.Inf(-1)
	for j, i := range r.harm {
		large = LogAdd(large, harmWeights[j]+l[i])
	}
	for j, i := range r.show {
		small = LogAdd(small, showWeights[j]+l[i])
	}
	best := 0
	for i, v := range l {
		if v > l[best] {
			best = i
		}
	}
	n := len(l) - 1
	// The likelihood falls on both sides of its peak.
	first, last := best, best
	for first > 0 && l[first-1] > large+logAlpha {
		first--
	}
	for last < n && l[last+1] > small+logAlpha {
		last++
	}
	low, high = 0, math.Inf(1)
	if first > 0 {
		low = r.crossing(l, large+logAlpha, first-1)
	}
	if last < n {
		high = r.crossing(l, small+logAlpha, last)
	}
	return low, high
}

// crossing is where between rung i and the next the likelihood crosses a limit:
// a parabola through three rungs, halved until it is found.
func (r *rungs) crossing(l floats, limit float64, i int) float64 {
	k := max(min(i, len(l)-3), 0)
	if k > 0 && l[k] < l[k+1] { // rising: take the rung below
		k = max(i-1, 0)
	}
	at := func(x float64) float64 {
		x0, x1, x2 := r.logs[k], r.logs[k+1], r.logs[k+2]
		return l[k]*(x-x1)*(x-x2)/((x0-x1)*(x0-x2)) + l[k+1]*(x-x0)*(x-x2)/((x1-x0)*(x1-x2)) + l[k+2]*(x-x0)*(x-x1)/((x2-x0)*(x2-x1))
	}
	a, b := r.logs[i], r.logs[i+1]
	above := at(a) > limit
	for range 30 {
		if mid := (a + b) / 2; (at(mid) > limit) == above {
			a = mid
		} else {
			b = mid
		}
	}
	return math.Exp((a + b) / 2)
}

// Effect is by what factor the rate of the candidate is that of stable
// (Mantel-Haenszel over the looks), false when neither had an event.
func (t *Test) Effect(sc Scope) (float64, bool) {
	w := t.of(sc)
	a, b := w.Blocks.A+w.Now.A, w.Blocks.B+w.Now.B
	if a == 0 && b == 0 {
		return 0, false
	}
	return a / b, true
}
