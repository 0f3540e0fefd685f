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
	// Block is the time that one cause ties events together, where it is longer than
	// that of the metric.
	Block time.Duration `json:"block,omitempty"`
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
	// lag is how many blocks apart two are that have no cause in common but what
	// candidate and stable share, such as the time of day.
	lag = 5
	// independent is the dispersion up to which events are taken to be
	// independent, and precise the error with which it must be known.
	independent, precise = 1.2, 0.12
	// upwards is the factor for what the past may not have shown.
	upwards = 1.5
)

// Learn looks at the past of the stable release, window by window in the order of
// time, best a day of it in windows of a block's length. It is what m.Compare.Past
// should be; it is never nil.
func Learn(m Metric, past []Measured) *Past {
	return LearnAll(m, past)
}

// LearnAll is Learn for a release that runs on several targets: windows of the
// same time are added up, as the judge adds up its targets.
func LearnAll(m Metric, targets ...[]Measured) *Past {
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
	past := windows(m, targets)
	all := sum{}
	for i := range past {
		all.merge(&past[i].sum)
		out.Minutes += max(past[i].to.Sub(past[i].from).Minutes(), 0)
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
	causes, enough := 1, true
	for b := range out.Rates {
		d := dispersion{length: block}
		total := 0.0
		for i := range past {
			bad, ok := c.bad(&past[i].sum, b, m.Better == "higher")
			if size := float64(past[i].sum.count()); ok && size > 0 {
				total += bad
				d.add(past[i].from, bad, size)
			}
		}
		out.Rates[b] = min(total/n, 1)
		phi, blocks, known := d.value()
		switch {
		case !known:
			enough = false
		case phi >= independent:
			out.Independent = false
			causes = max(causes, blocks)
			out.Dispersion = max(out.Dispersion, upwards*(1+(phi-1)*float64(blocks)))
		}
	}
	switch {
	case !enough:
		out.Independent, out.Dispersion = false, 0
	case out.Independent:
		out.Dispersion = 1
	}
	if causes > 1 {
		out.Block = time.Duration(causes) * block
	}
	return out
}

// window is what all targets measured in one window of the past.
type window struct {
	from, to time.Time
	sum      sum
}

// windows are in the order of time. Of those that begin at the same moment the
// first says when they end.
func windows(m Metric, targets [][]Measured) []window {
	var out []window
	for i, past := range targets {
		at := 0
		for _, p := range past {
			l := Look{From: p.From, To: p.To}
			one, _ := read(p.Release, l.seconds(m))
			if i == 0 {
				out = append(out, window{p.From, p.To, one})
				continue
			}
			for at < len(out) && out[at].from.Before(p.From) {
				at++
			}
			if at < len(out) && out[at].from.Equal(p.From) {
				out[at].sum.merge(&one)
			} else {
				out = slices.Insert(out, at, window{p.From, p.To, one})
			}
		}
	}
	return out
}

// dispersion is the variance of the counts of blocks over that of a binomial
// count. It looks at differences of blocks only, so that a slow drift, which
// candidate and stable share, is none.
type dispersion struct {
	length time.Duration

	at   time.Time
	x, n float64
	// last are the blocks before, newest first.
	last []counted
	// near and far are of neighbours, and of blocks lag apart.
	near, far quotient
}

type counted struct {
	at   time.Time
	x, n float64
}

// quotient is a sum of squares over what it is for independent events.
type quotient struct{ above, below, pairs, events float64 }

func (q *quotient) add(a, b counted) {
	n := a.n + b.n
	if n <= 1 {
		return
	}
	p := (a.x + b.x) / n
	d := a.x/a.n - b.x/b.n
	q.above += a.n * b.n / n * d * d
	q.below += p * (1 - p) / (1 - 1/n)
	q.pairs++
	q.events += (a.x + b.x) / 2
}

func (q *quotient) value() float64 { return q.above / q.below }

func (d *dispersion) add(at time.Time, bad, size float64) {
	if !d.at.IsZero() && at.Sub(d.at) >= d.length {
		d.end()
	}
	if d.at.IsZero() {
		d.at = at
	}
	d.x, d.n = d.x+bad, d.n+size
}

func (d *dispersion) end() {
	now := counted{d.at, d.x, d.n}
	d.at, d.x, d.n = time.Time{}, 0, 0
	if len(d.last) > 0 && now.at.Sub(d.last[0].at) > 2*d.length {
		d.last = nil // a gap
	}
	if len(d.last) > 0 {
		d.near.add(now, d.last[0])
	}
	if len(d.last) == lag {
		d.far.add(now, d.last[lag-1])
		d.last = d.last[:lag-1]
	}
	d.last = slices.Insert(d.last, 0, now)
}

// value is the dispersion and how many blocks one cause lasts; false when there
// is too little to tell.
func (d *dispersion) value() (phi float64, blocks int, known bool) {
	if d.n > 0 {
		d.end()
	}
	if !(d.far.below > 0 && d.near.below > 0 && d.far.events > 0) {
		return 0, 1, false
	}
	phi = d.far.value()
	if phi < independent {
		return phi, 1, math.Sqrt((3+d.far.pairs/d.far.events)/d.far.pairs) <= precise
	}
	// What neighbours have in common, as a part of what is more than chance.
	switch common := (phi - d.near.value()) / (phi - 1); {
	case common < 0.12:
		return (phi + d.near.value()) / 2, 1, true
	case common < 0.4:
		return phi, 2, true
	}
	return phi, lag, true
}
