package evidence

import (
	"math"
	"time"
)

// someTime is a moment like any other.
var someTime = time.Unix(1, 0)

// Rates is what is expected of two releases in one block.
type Rates struct {
	// Nc and Ns are the observations of candidate and stable, Pc and Ps their
	// shares of bad ones.
	Nc, Ns, Pc, Ps float64
}

// Expect says after how many blocks, in the mean, Harm and Show reach a level,
// which is a logarithm; +Inf where they never do.
func Expect(c Config, x Rates, level float64) (harm, show float64) {
	harm, show = math.Inf(1), math.Inf(1)
	c = c.normal()
	if !(x.Nc > 0 && x.Ns > 0) {
		return harm, show
	}
	var toHarm, toShow growth
	if c.Independent {
		toHarm, toShow = c.binomialGrowth(x)
	} else {
		toHarm, toShow = c.betGrowth(x)
	}
	harm = toHarm.reach(level - math.Log1p(-reserve))
	forms := 0.0
	if c.Margin > 0 {
		forms++
	}
	if c.MarginAbs > 0 && c.Dispersion >= 1 {
		forms++
		toShow = append(toShow, grow{0, c.absoluteGrowth(x)})
	}
	if forms > 0 {
		show = toShow.reach(level + math.Log(forms))
	}
	return harm, show
}

// grow is an alternative: the logarithm of its capital, and what a block adds to it.
type grow struct{ start, block float64 }

type growth []grow

// late is by how much a mean time is longer than that in which the mean evidence
// gets there, as a logarithm: found by simulation.
const late = 0.35

// reach is the number of blocks until the capital has grown to a level.
func (g growth) reach(level float64) float64 {
	level += late
	short := func(t float64) bool {
		sum := math.Inf(-1)
		for _, x := range g {
			sum = logAdd(sum, x.start+x.block*t)
		}
		return sum < level
	}
	high := 1.0
	for short(high) {
		if high *= 2; high > 1e9 {
			return math.Inf(1)
		}
	}
	low := 0.0
	for range 40 {
		if mid := (low + high) / 2; short(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

func (c Config) binomialGrowth(x Rates) (harm, show growth) {
	events := x.Nc*x.Pc + x.Ns*x.Ps
	share := x.Nc / (x.Nc + x.Ns)
	p := x.Nc * x.Pc / events
	if events == 0 {
		return nil, nil
	}
	at := func(ratio float64) float64 { return p*math.Log(ratio) - math.Log(1+share*(ratio-1)) }
	null := 1 + c.Tolerance
	for j, r := range harmRatios {
		harm = append(harm, grow{harmWeights[j], events * (at(r*null) - at(null))})
	}
	if c.Margin > 0 {
		for j, r := range showRatios(c.Margin) {
			show = append(show, grow{showWeights[j], events * (at(r) - at(c.Margin))})
		}
	}
	return harm, show
}

// betGrowth is the mean of the logarithm of what a block's bets gain.
func (c Config) betGrowth(x Rates) (harm, show growth) {
	candidate, stable := c.counts(x.Nc*x.Pc), c.counts(x.Ns*x.Ps)
	var gainHarm, gainShow [len(bets)]float64
	for _, xc := range candidate {
		for _, xs := range stable {
			b := block{}
			b.add(c, &Look{To: someTime, Xc: xc.at, Xs: xs.at, Ec: x.Nc, Es: x.Ns})
			h, s := ones(), ones()
			b.bet(c, h, s)
			for j := range bets {
				gainHarm[j] += xc.p * xs.p * math.Log(max(h[j], 1e-12))
				gainShow[j] += xc.p * xs.p * math.Log(max(s[j], 1e-12))
			}
		}
	}
	for j := range bets {
		harm = append(harm, grow{math.Log(harmBets[j]), gainHarm[j]})
		if c.Margin > 0 {
			show = append(show, grow{math.Log(showBets[j]), gainShow[j]})
		}
	}
	return harm, show
}

func ones() floats {
	out := make(floats, len(bets))
	for i := range out {
		out[i] = 1
	}
	return out
}

func (c Config) absoluteGrowth(x Rates) float64 {
	t := Test{config: c}
	w := tally{Xc: 1e6 * x.Nc * x.Pc, Nc: 1e6 * x.Nc, Xs: 1e6 * x.Ns * x.Ps, Ns: 1e6 * x.Ns}
	return t.absoluteMargin(&w, &Look{Nc: x.Nc, Xc: x.Nc * x.Pc, Ns: x.Ns, Xs: x.Ns * x.Ps})
}

// point is a value and its probability.
type point struct{ at, p float64 }

// counts is the distribution of a count: Poisson, or negative binomial where
// counts are known to vary more, in at most points parts of it.
func (c Config) counts(mean float64) []point {
	const points = 48
	if mean <= 0 {
		return []point{{0, 1}}
	}
	index := max(c.Dispersion, 1)
	spread := math.Sqrt(mean * index)
	low, high := math.Floor(max(mean-8*spread, 0)), math.Ceil(mean+8*spread+10*index)
	step := max(math.Floor((high-low)/points/20), 1)
	var all []point
	sum := 0.0
	for k := low; k <= high; k += step {
		p := step * math.Exp(logCount(k, mean, index))
		all = append(all, point{k, p})
		sum += p
	}
	// Neighbours are put together until few are left.
	most := 1.0 / points
	var out []point
	for _, x := range all {
		x.p /= sum
		if n := len(out); n > 0 && out[n-1].p+x.p < most && out[n-1].at > 0 {
			last := &out[n-1]
			last.at = (last.at*last.p + x.at*x.p) / (last.p + x.p)
			last.p += x.p
			continue
		}
		out = append(out, x)
	}
	return out
}

// logCount is the logarithm of the probability of a count.
func logCount(k, mean, index float64) float64 {
	lk, _ := math.Lgamma(k + 1)
	if index < 1.01 {
		return k*math.Log(mean) - mean - lk
	}
	size := mean / (index - 1)
	a, _ := math.Lgamma(k + size)
	b, _ := math.Lgamma(size)
	return a - b - lk - size*math.Log(index) + k*math.Log1p(-1/index)
}
