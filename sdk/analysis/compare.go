package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis/internal/evidence"
)

// Compare is how a metric of the candidate is compared with that of stable. What
// is compared are shares of bad observations: for a counter its events (those
// that are none where Better is "higher"); for a histogram or samples the
// observations beyond a bound, for several bounds.
type Compare struct {
	// Tolerance is how much worse than stable is no harm: 0.1 is ten percent more
	// bad observations.
	Tolerance float64 `json:"tolerance"`
	// Margin is the ratio of shares that must be ruled out before a step is
	// passed, above 1; 0 is none. MarginAbs is the same as a difference of shares,
	// between 0 and 1; 0 is none. Ruling out one of them is enough.
	Margin    float64 `json:"margin,omitempty"`
	MarginAbs float64 `json:"margin_abs,omitempty"`
	// Critical metrics share half of what the analysis may err, and so are decided
	// sooner; the others share the rest in proportion to Weight, 0 being 1. Where
	// all are critical or none is, they share all of it.
	Critical bool    `json:"critical,omitempty"`
	Weight   float64 `json:"weight,omitempty"`
	// Block is the time within which one cause may tie events together; 0 is a minute.
	Block time.Duration `json:"block,omitempty"`
	// Rate says that the events of a counter have no denominator: they are
	// compared by time and the candidate's share of the traffic.
	Rate bool `json:"rate,omitempty"`
	// Past is what is known of stable from before the rollout. Without it no
	// independence is assumed.
	Past *Past `json:"past,omitempty"`
}

// Standard is what is used where nothing else is said: a tolerance of a tenth,
// and half as many bad observations again, or half a percentage point more, as
// margin.
func Standard() *Compare {
	return &Compare{Tolerance: 0.1, Margin: 1.5, MarginAbs: 0.005}
}

const (
	// maxBounds limits the bounds at which a distribution is compared.
	maxBounds = 8
	// leastBase is how many observations of stable choose the bounds where there is no past.
	leastBase = 100
	// trailing is the time over which exposure is counted where looks are shorter.
	trailing = time.Minute
)

// compared is what is known of one metric by comparison, on all targets together.
type compared struct {
	metric Metric
	// base collects stable until bounds can be chosen.
	base   sum
	bounds []float64
	// chosen: what to compare at is known.
	chosen bool
	tests  []*evidence.Test
	until  time.Time
	// reason is why the last look said nothing.
	reason string
}

func newCompared(m Metric) *compared {
	c := &compared{metric: m}
	if past := m.Compare.Past; past != nil && len(past.Bounds) > 0 {
		c.choose(past.Bounds[:min(len(past.Bounds), maxBounds)])
	}
	return c
}

// choose fixes what is compared: for a distribution the bounds.
func (c *compared) choose(bounds []float64) {
	c.chosen, c.bounds, c.base = true, slices.Clone(bounds), sum{}
	for i := range c.size() {
		c.tests = append(c.tests, evidence.New(c.config(i)))
	}
}

// size is how many comparisons there are: each bound, in one direction or both.
func (c *compared) size() int {
	n := max(len(c.bounds), 1)
	if c.metric.Better == "same" {
		n *= 2
	}
	return n
}

// direction of the i-th comparison: its bound, whether what is low is bad, and
// whether the releases change places.
func (c *compared) direction(i int) (bound int, low, swapped bool) {
	n := max(len(c.bounds), 1)
	second := i >= n
	distribution := len(c.bounds) > 0
	return i % n, distribution && (c.metric.Better == "higher" || second),
		!distribution && (second || c.metric.Compare.Rate && c.metric.Better == "higher")
}

func (c *compared) config(i int) evidence.Config {
	how := c.metric.Compare
	out := evidence.Config{Tolerance: how.Tolerance, Margin: how.Margin, MarginAbs: how.MarginAbs, Block: how.Block}
	if how.Rate {
		out.MarginAbs = 0
	}
	if past := how.Past; past != nil {
		out.Independent, out.Dispersion = past.Independent, past.Dispersion
		out.Block = max(out.Block, past.Block)
		bound, low, _ := c.direction(i)
		if bound < len(past.Rates) {
			out.Base = past.Rates[bound]
			if len(c.bounds) > 0 && low != (c.metric.Better == "higher") {
				out.Base = 1 - out.Base
			}
		}
	}
	return out
}

// observe takes a look that counts: its window is new.
func (c *compared) observe(l *Look, x *series, stepAt time.Time) {
	c.reason = ""
	if l.To.After(c.until) {
		c.until = l.To
	}
	if l.Stable == nil {
		c.reason = "the stable release was not measured"
		return
	}
	candidate, reason := read(l.Candidate, l.seconds(c.metric))
	stable, stableReason := read(*l.Stable, l.seconds(c.metric))
	switch {
	case reason != "":
		c.reason = clip("candidate: " + reason)
	case stableReason != "":
		c.reason = clip("stable: " + stableReason)
	}
	nc, ns := float64(candidate.count()), float64(stable.count())
	if c.metric.Compare.Rate && l.Share > 0 && l.Share < 1 {
		nc, ns = nc*l.Share, ns*(1-l.Share)
	}
	if !c.chosen && !c.learn(&stable) {
		return
	}
	e := evidence.Look{From: l.From, To: l.To, Nc: nc, Ns: ns, Ec: nc, Es: ns, Before: l.From.Before(stepAt)}
	if !c.metric.Compare.Rate && l.To.Sub(l.From) < trailing && !l.From.IsZero() {
		e.Ec, e.Es = x.Recent.add(l.From, l.To, stepAt, nc, ns)
	}
	switch {
	case c.reason != "":
	case e.Ec <= 0:
		c.reason = "the candidate has no traffic"
	case e.Es <= 0:
		c.reason = "the stable release has no traffic to compare with"
	}
	for i, t := range c.tests {
		bound, low, swapped := c.direction(i)
		e := e
		var okc, oks bool
		e.Xc, okc = c.bad(&candidate, bound, low)
		e.Xs, oks = c.bad(&stable, bound, low)
		if !okc || !oks {
			if c.reason == "" {
				c.reason = "candidate and stable were measured in different ways"
			}
			continue
		}
		if swapped {
			e.Xc, e.Xs, e.Nc, e.Ns, e.Ec, e.Es = e.Xs, e.Xc, e.Ns, e.Nc, e.Es, e.Ec
		}
		t.Observe(e)
	}
}

// learn chooses bounds by what stable does, and is true when a look may count.
func (c *compared) learn(stable *sum) bool {
	if stable.Counter != nil {
		c.choose(nil)
		return true
	}
	c.base.merge(stable)
	if c.base.count() < leastBase {
		if c.reason == "" {
			c.reason = fmt.Sprintf("the stable release has %s, and %d are needed to choose what to compare", observations(c.base.count()), leastBase)
		}
		return false
	}
	if bounds := c.base.bounds(); len(bounds) > 0 {
		c.choose(bounds)
		return false // what has chosen the bounds is no evidence
	}
	c.reason = "the distribution of the stable release has no bound that tells anything"
	return false
}

// bad counts the bad observations, false where the data are of another kind.
func (c *compared) bad(s *sum, bound int, low bool) (float64, bool) {
	if len(c.bounds) == 0 {
		switch {
		case s.Histogram != nil || s.Samples != nil:
			return 0, false
		case s.Counter == nil:
			return 0, true
		case c.metric.Better == "higher" && !c.metric.Compare.Rate:
			return float64(s.Counter.N - s.Counter.Events), true
		}
		return float64(s.Counter.Events), true
	}
	if s.Counter != nil {
		return 0, false
	}
	beyond := s.beyond(c.bounds[bound])
	if low {
		return float64(s.count()) - beyond, true
	}
	return beyond, true
}

// harm is the logarithm of the evidence of harm: the mean over the comparisons,
// which is evidence whatever ties them together.
func (c *compared) harm() float64 {
	if len(c.tests) == 0 {
		return 0
	}
	if len(c.tests) == 1 {
		return c.tests[0].Harm()
	}
	total := math.Inf(-1)
	for _, t := range c.tests {
		total = evidence.LogAdd(total, t.Harm())
	}
	return total - math.Log(float64(len(c.tests)))
}

// worst is the comparison with the most evidence of harm.
func (c *compared) worst() int {
	worst := 0
	for i, t := range c.tests {
		if t.Harm() > c.tests[worst].Harm() {
			worst = i
		}
	}
	return worst
}

// show is the logarithm of the least evidence that the candidate is within its
// margin, over the comparisons, and which one it is of.
func (c *compared) show(sc scope) (float64, int) {
	if len(c.tests) == 0 {
		return 0, 0
	}
	least, at := math.Inf(1), 0
	for i, t := range c.tests {
		if e := t.Show(sc.evidence()); e < least {
			least, at = e, i
		}
	}
	return least, at
}

func (c *compared) restart() {
	c.reason = ""
	for _, t := range c.tests {
		t.Restart()
	}
}

func (c *compared) settle() {
	for _, t := range c.tests {
		t.Settle(c.until)
	}
}

// recent is how many observations there were in the last minute, for looks that
// are shorter.
type recent struct {
	Slots []slot `json:"slots,omitempty"`
}

type slot struct {
	At int64   `json:"at"` // milliseconds since 1970
	C  float64 `json:"c"`
	S  float64 `json:"s"`
}

// add takes a look's counts and gives those of the trailing minute, of this step
// only: another step has other shares.
func (r *recent) add(from, to, stepAt time.Time, c, s float64) (float64, float64) {
	first := max(to.Add(-trailing).UnixMilli(), stepAt.UnixMilli())
	r.Slots = slices.DeleteFunc(r.Slots, func(x slot) bool { return x.At < first })
	at := from.UnixMilli()
	if n := len(r.Slots); n > 0 && at-r.Slots[n-1].At < 1000 {
		r.Slots[n-1].C += c
		r.Slots[n-1].S += s
	} else if at >= first {
		r.Slots = append(r.Slots, slot{At: at, C: c, S: s})
	} else {
		return c, s
	}
	c, s = 0, 0
	for _, x := range r.Slots {
		c, s = c+x.C, s+x.S
	}
	return c, s
}

// seconds is what a window counts as for a metric without a denominator, else 0.
func (l *Look) seconds(m Metric) int64 {
	if m.Compare == nil || !m.Compare.Rate {
		return 0
	}
	return max(int64(math.Ceil(l.To.Sub(l.From).Seconds())), 1)
}

// bounds are those at which it is worth while to compare with this distribution.
func (s *sum) bounds() []float64 {
	const rare, common = 0.005, 0.9
	n := float64(s.count())
	var out []float64
	switch {
	case s.Histogram != nil && s.Samples == nil && s.Counter == nil:
		for _, b := range s.Histogram.Bounds {
			if share := s.beyond(b) / n; share >= rare && share <= common {
				out = append(out, b)
			}
		}
		for len(out) > maxBounds {
			half := out[:0]
			for i := 0; i < len(out); i += 2 {
				half = append(half, out[i])
			}
			out = half
		}
	case s.Samples != nil && s.Histogram == nil && s.Counter == nil:
		for _, q := range []float64{0.25, 0.5, 0.75, 0.9, 0.95, 0.99} {
			if b := s.Samples.quantile(q); len(out) == 0 || b > out[len(out)-1] {
				out = append(out, b)
			}
		}
	}
	return out
}

// beyond counts the observations above a bound. Inside a bucket they are taken to
// lie evenly.
func (s *sum) beyond(bound float64) float64 {
	switch {
	case s.Samples != nil:
		return s.Samples.above(bound)
	case s.Histogram == nil:
		return 0
	}
	h, n := s.Histogram, 0.0
	for i := len(h.Counts) - 1; i >= 0; i-- {
		low := math.Inf(-1)
		if i > 0 {
			low = h.Bounds[i-1]
		}
		if low >= bound {
			n += float64(h.Counts[i])
			continue
		}
		if i < len(h.Bounds) && h.Bounds[i] > bound && !math.IsInf(low, -1) {
			n += float64(h.Counts[i]) * (h.Bounds[i] - bound) / (h.Bounds[i] - low)
		}
		break
	}
	return n
}
