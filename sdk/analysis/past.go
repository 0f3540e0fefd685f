package analysis

import (
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/metrics"
)

// Past is what is known of a metric of the stable release from before the
// rollout. Learn makes it.
type Past struct {
	// Independent says that bad events came independently of each other, so that
	// each of them may count as evidence.
	Independent bool `json:"independent,omitempty"`
	// Dispersion is the variance of the counts of bad events over that of
	// independent ones, rounded up; 0 when there were too few to tell.
	Dispersion float64 `json:"dispersion,omitempty"`
	// Rates are the shares of bad observations: one, or one for each of Bounds.
	Rates []float64 `json:"rates,omitempty"`
	// Bounds at which a distribution is compared.
	Bounds []float64 `json:"bounds,omitempty"`
	// PerMinute is the number of observations a minute.
	PerMinute float64 `json:"per_minute,omitempty"`
	// Minutes is how much of the time was measured.
	Minutes float64 `json:"minutes,omitempty"`
}

// Measured is one window of the past.
type Measured struct {
	From, To time.Time
	Release  metrics.Release
}

const (
	// stretch is the time within which the rate is taken to be steady: what is
	// slower than that is drift, which candidate and stable share.
	stretch = 30 * time.Minute
	// ties is how many blocks are put together to see causes that last longer than one.
	ties = 5
	// independent is the dispersion up to which events are taken to be
	// independent, and precise the error with which it must be known.
	independent, precise = 1.2, 0.1
	// upwards is the factor for what the past may not have shown.
	upwards = 1.5
)

// Learn looks at the past of the stable release, window by window in the order of
// time, best a day of it in windows of a block's length. It is what m.Compare.Past
// should be; it is never nil.
func Learn(m Metric, past []Measured) *Past {
	out := &Past{}
	how := m.Compare
	if how == nil {
		how = Standard()
		m.Compare = how
	}
	block := how.Block
	if block <= 0 {
		block = time.Minute
	}
	all, counts := sum{}, make([]sum, len(past))
	for i, p := range past {
		l := Look{From: p.From, To: p.To}
		counts[i], _ = read(p.Release, l.seconds(m))
		all.merge(&counts[i])
		out.Minutes += max(p.To.Sub(p.From).Minutes(), 0)
	}
	n := float64(all.count())
	if n == 0 {
		return out
	}
	if out.Minutes > 0 {
		out.PerMinute = n / out.Minutes
	}
	c := &compared{metric: m}
	if all.Counter == nil {
		if out.Bounds = all.bounds(); len(out.Bounds) == 0 {
			return out
		}
		c.bounds = out.Bounds
	}
	out.Independent = true
	out.Rates = make([]float64, max(len(out.Bounds), 1))
	for b := range out.Rates {
		short, long := dispersion{length: block}, dispersion{length: ties * block}
		total := 0.0
		for i := range counts {
			bad, ok := c.bad(&counts[i], b, m.Better == "higher")
			if size := float64(counts[i].count()); ok && size > 0 {
				total += bad
				short.add(past[i].From, bad, size)
				long.add(past[i].From, bad, size)
			}
		}
		out.Rates[b] = min(total/n, 1)
		near, known := short.value()
		far, knownFar := long.value()
		if !known {
			return &Past{Rates: out.Rates, Bounds: out.Bounds, PerMinute: out.PerMinute, Minutes: out.Minutes}
		}
		out.Independent = out.Independent && near < independent
		worst := max(near, 1)
		if knownFar {
			worst = max(worst, far)
		}
		if worst >= independent {
			out.Dispersion = max(out.Dispersion, worst*upwards)
		}
	}
	if out.Independent && out.Dispersion == 0 {
		out.Dispersion = 1
	}
	return out
}

// dispersion is the variance of the counts of blocks over that of a binomial
// count, the rate being steady within each stretch.
type dispersion struct {
	length time.Duration

	blockAt, stretchAt time.Time
	// x and n of the block; of the stretch their sums, the sum of x²/n, and the
	// number of blocks.
	x, n, sx, sn, sxx, blocks float64
	// above and below are what is divided; df are the degrees of freedom, events
	// all bad ones.
	above, below, df, events float64
}

func (d *dispersion) add(at time.Time, bad, size float64) {
	if !d.blockAt.IsZero() && at.Sub(d.blockAt) >= d.length {
		d.endBlock()
	}
	if !d.stretchAt.IsZero() && at.Sub(d.stretchAt) >= stretch {
		d.endStretch()
	}
	if d.blockAt.IsZero() {
		d.blockAt = at
	}
	if d.stretchAt.IsZero() {
		d.stretchAt = at
	}
	d.x, d.n = d.x+bad, d.n+size
}

func (d *dispersion) endBlock() {
	if d.n > 0 {
		d.sx, d.sn, d.sxx, d.blocks = d.sx+d.x, d.sn+d.n, d.sxx+d.x*d.x/d.n, d.blocks+1
	}
	d.x, d.n, d.blockAt = 0, 0, time.Time{}
}

func (d *dispersion) endStretch() {
	d.endBlock()
	if d.blocks > 1 {
		p := d.sx / d.sn
		d.above += d.sxx - d.sx*p
		d.below += (d.blocks - 1) * p * (1 - p)
		d.df += d.blocks - 1
		d.events += d.sx
	}
	d.sx, d.sn, d.sxx, d.blocks, d.stretchAt = 0, 0, 0, 0, time.Time{}
}

// value is false when there is too little to tell.
func (d *dispersion) value() (float64, bool) {
	d.endStretch()
	if d.below <= 0 || d.events <= 0 {
		return 0, false
	}
	phi := d.above / d.below
	perBlock := d.events / d.df
	return phi, phi >= independent || math.Sqrt((2+1/perBlock)/d.df) <= precise
}

// base is the share of bad observations that is expected, 0 when it is unknown.
func (p *Past) base() float64 {
	if p == nil || len(p.Rates) == 0 {
		return 0
	}
	return slices.Max(p.Rates)
}
