// Package worlds makes up services whose truth is known, minute by minute: the
// requests and errors of a candidate and of the stable release beside it. Whoever
// wants to know what the judge does plays it in them.
//
// Start with New and ask for every Minute in order, or hand it to Play. Everything
// that is random comes from Dice, so that the same seed gives the same world. Count
// says how sure a share is that came of many trials.
package worlds

import (
	"math"
)

// Traffic is what two releases get, in requests a minute, and the share of them
// that fails.
type Traffic struct {
	Name              string
	Candidate, Stable float64
	Base              float64
}

// Nature is how errors come about.
type Nature string

const (
	Independent Nature = "independent errors"
	Drift       Nature = "shared drift"
	Outage      Nature = "shared outage"
	BetaMinutes Nature = "index 3, a minute and release"
	Bursts      Nature = "index 3, bursts of 60 s"
	Unaligned   Nature = "index 3, bursts of 60 s, unaligned"
	LongBursts  Nature = "index 3, bursts of 180 s"
)

// Index is how much larger the variance of the errors of a minute is than that of
// independent ones, in the natures that have one.
const Index = 3

// World is one service. Both releases live in it.
type World struct {
	nature  Nature
	traffic Traffic
	// effect multiplies the candidate's rate of errors.
	effect float64
	index  float64
	dice   Dice

	phase, phase2 float64 // of the drift
	outageAt      float64 // minutes
	fleets        [2]fleet
}

// fleet is the part of twenty nodes that serves one release, and their bursts.
type fleet struct {
	nodes, perNode, calm, rate float64
	starts                     []float64
}

const nodes = 20

// New is a world in which the candidate fails so many times as often as stable.
func New(n Nature, t Traffic, effect float64, d Dice) *World {
	return WithIndex(n, t, effect, Index, d)
}

// WithIndex is New with another index, at least 1.
func WithIndex(n Nature, t Traffic, effect, index float64, d Dice) *World {
	w := &World{nature: n, traffic: t, effect: effect, index: index, dice: d, phase: d.Float64(), phase2: d.Float64(), outageAt: 55 * d.Float64()}
	total := t.Candidate + t.Stable
	w.fleets[0] = w.fleet(nodes*t.Candidate/total, total/nodes)
	w.fleets[1] = w.fleet(nodes*t.Stable/total, total/nodes)
	return w
}

// burstMinutes is how long a burst lasts.
func (w *World) burstMinutes() float64 {
	if w.nature == LongBursts {
		return 3
	}
	return 1
}

// fleet: a burst fails half of a node's requests. Bursts are as frequent as gives
// the index, and cause at most four fifths of the errors.
func (w *World) fleet(n, perNode float64) fleet {
	f := fleet{nodes: n, perNode: perNode, calm: w.traffic.Base}
	mean, burst := perNode*w.traffic.Base, perNode/2
	busy := min((w.index-1)*mean/(burst*burst), 0.8*mean/burst) // node-minutes in a burst, a minute
	f.rate = busy / w.burstMinutes()
	f.calm = w.traffic.Base - busy*burst/perNode
	return f
}

// bursting is how many node-minutes of the window [from, to) are in a burst.
// Windows must follow one another.
func (w *World) bursting(f *fleet, from, to float64) float64 {
	length := w.burstMinutes()
	for range int(w.dice.Poisson(f.nodes * f.rate * (to - from))) {
		at := from + w.dice.Float64()*(to-from)
		if w.nature == Bursts {
			at = math.Floor(from)
		}
		f.starts = append(f.starts, at)
	}
	sum, left := 0.0, f.starts[:0]
	for _, at := range f.starts {
		sum += max(min(to, at+length)-max(from, at), 0)
		if at+length > to {
			left = append(left, at)
		}
	}
	f.starts = left
	return sum
}

// Window is what both releases saw in a while: the requests N and the errors X of
// the candidate (c) and of stable (s).
type Window struct{ Nc, Xc, Ns, Xs float64 }

// Minute draws one minute in so many equal windows. Minutes are drawn in order.
func (w *World) Minute(m, parts int) []Window {
	var fixed [2]float64
	if w.nature == BetaMinutes {
		for i, n := range []float64{w.traffic.Candidate, w.traffic.Stable} {
			p := w.traffic.Base
			if i == 0 {
				p = min(p*w.effect, 1)
			}
			if n <= w.index {
				continue
			}
			icc := (w.index - 1) / (n - 1)
			k := 1/icc - 1
			if fixed[i] = p; p > 0 && p < 1 {
				fixed[i] = w.dice.beta(p*k, (1-p)*k)
			}
		}
	}
	if w.nature == Bursts && parts > 1 { // a burst holds for the whole minute
		for i := range fixed {
			fixed[i] = w.failing(i, w.bursting(&w.fleets[i], float64(m), float64(m+1)), 1)
		}
	}
	out := make([]Window, parts)
	for k := range out {
		from, to := float64(m)+float64(k)/float64(parts), float64(m)+float64(k+1)/float64(parts)
		load, p := w.shared((from + to) / 2)
		rates := [2]float64{p * w.effect, p}
		switch {
		case w.nature == BetaMinutes || w.nature == Bursts && parts > 1:
			rates = fixed
		case w.nature == Bursts || w.nature == Unaligned || w.nature == LongBursts:
			for i := range rates {
				rates[i] = w.failing(i, w.bursting(&w.fleets[i], from, to), to-from)
			}
		}
		o := &out[k]
		o.Nc, o.Ns = w.dice.Poisson(w.traffic.Candidate*load*(to-from)), w.dice.Poisson(w.traffic.Stable*load*(to-from))
		o.Xc, o.Xs = w.dice.Binomial(o.Nc, min(rates[0], 1)), w.dice.Binomial(o.Ns, min(rates[1], 1))
	}
	return out
}

// failing is the share of a release's requests that fail when so many of its
// node-minutes are in a burst.
func (w *World) failing(release int, bursting, length float64) float64 {
	f := &w.fleets[release]
	p := f.calm + min(bursting/(f.nodes*length), 1)*0.5
	if release == 0 {
		p *= w.effect
	}
	return p
}

// shared is what the time does to both releases: a factor of their load and the
// rate of errors.
func (w *World) shared(minute float64) (load, p float64) {
	load, p = 1, w.traffic.Base
	switch w.nature {
	case Drift:
		p *= 1 + 0.8*math.Sin(2*math.Pi*(minute/60+w.phase))
		load = 1 + 0.5*math.Sin(2*math.Pi*(minute/90+w.phase2))
	case Outage:
		if minute >= w.outageAt && minute < w.outageAt+5 {
			p = 0.3
		}
	}
	return load, p
}

// Before is a world in which the stable release serves all, for the history.
func Before(n Nature, t Traffic, d Dice) *World { return BeforeWithIndex(n, t, Index, d) }

// BeforeWithIndex is Before with another index.
func BeforeWithIndex(n Nature, t Traffic, index float64, d Dice) *World {
	if n == Outage {
		n = Independent
	}
	return WithIndex(n, Traffic{Name: t.Name, Candidate: 0, Stable: t.Candidate + t.Stable, Base: t.Base}, 1, index, d)
}
