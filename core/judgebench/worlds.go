package main

import (
	"math"
)

// traffic is what two releases get, in requests a minute, and the share of them
// that fails.
type traffic struct {
	Name              string
	Candidate, Stable float64
	Base              float64
}

// nature is how errors come about.
type nature string

const (
	independent nature = "independent errors"
	drift       nature = "shared drift"
	outage      nature = "shared outage"
	betaMinutes nature = "index 3, a minute and release"
	bursts      nature = "index 3, bursts of 60 s"
	unaligned   nature = "index 3, bursts of 60 s, unaligned"
	longBursts  nature = "index 3, bursts of 180 s"
)

// index is how much larger the variance of the errors of a minute is than that of
// independent ones, in the natures that have one.
const index = 3

// world is one run's nature. Both releases live in it.
type world struct {
	nature  nature
	traffic traffic
	// effect multiplies the candidate's rate of errors.
	effect float64
	dice   dice

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

func newWorld(n nature, t traffic, effect float64, d dice) *world {
	w := &world{nature: n, traffic: t, effect: effect, dice: d, phase: d.Float64(), phase2: d.Float64(), outageAt: 55 * d.Float64()}
	total := t.Candidate + t.Stable
	w.fleets[0] = w.fleet(nodes*t.Candidate/total, total/nodes)
	w.fleets[1] = w.fleet(nodes*t.Stable/total, total/nodes)
	return w
}

// burstMinutes is how long a burst lasts.
func (w *world) burstMinutes() float64 {
	if w.nature == longBursts {
		return 3
	}
	return 1
}

// fleet: a burst fails half of a node's requests. Bursts are as frequent as gives
// the index, and cause at most four fifths of the errors.
func (w *world) fleet(n, perNode float64) fleet {
	f := fleet{nodes: n, perNode: perNode, calm: w.traffic.Base}
	mean, burst := perNode*w.traffic.Base, perNode/2
	busy := min((index-1)*mean/(burst*burst), 0.8*mean/burst) // node-minutes in a burst, a minute
	f.rate = busy / w.burstMinutes()
	f.calm = w.traffic.Base - busy*burst/perNode
	return f
}

// bursting is how many node-minutes of the window [from, to) are in a burst.
// Windows must follow one another.
func (w *world) bursting(f *fleet, from, to float64) float64 {
	length := w.burstMinutes()
	for range int(w.dice.poisson(f.nodes * f.rate * (to - from))) {
		at := from + w.dice.Float64()*(to-from)
		if w.nature == bursts {
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

// window is what both releases saw in [from, to) minutes.
type window struct{ nc, xc, ns, xs float64 }

// minute draws one minute in so many equal windows.
func (w *world) minute(m, parts int) []window {
	var fixed [2]float64
	if w.nature == betaMinutes {
		for i, n := range []float64{w.traffic.Candidate, w.traffic.Stable} {
			p := w.traffic.Base
			if i == 0 {
				p = min(p*w.effect, 1)
			}
			if n <= index {
				continue
			}
			icc := (index - 1) / (n - 1)
			k := 1/icc - 1
			fixed[i] = w.dice.beta(p*k, (1-p)*k)
		}
	}
	if w.nature == bursts && parts > 1 { // a burst holds for the whole minute
		for i := range fixed {
			fixed[i] = w.failing(i, w.bursting(&w.fleets[i], float64(m), float64(m+1)), 1)
		}
	}
	out := make([]window, parts)
	for k := range out {
		from, to := float64(m)+float64(k)/float64(parts), float64(m)+float64(k+1)/float64(parts)
		load, p := w.shared((from + to) / 2)
		rates := [2]float64{p * w.effect, p}
		switch {
		case w.nature == betaMinutes || w.nature == bursts && parts > 1:
			rates = fixed
		case w.nature == bursts || w.nature == unaligned || w.nature == longBursts:
			for i := range rates {
				rates[i] = w.failing(i, w.bursting(&w.fleets[i], from, to), to-from)
			}
		}
		o := &out[k]
		o.nc, o.ns = w.dice.poisson(w.traffic.Candidate*load*(to-from)), w.dice.poisson(w.traffic.Stable*load*(to-from))
		o.xc, o.xs = w.dice.binomial(o.nc, min(rates[0], 1)), w.dice.binomial(o.ns, min(rates[1], 1))
	}
	return out
}

// failing is the share of a release's requests that fail when so many of its
// node-minutes are in a burst.
func (w *world) failing(release int, bursting, length float64) float64 {
	f := &w.fleets[release]
	p := f.calm + min(bursting/(f.nodes*length), 1)*0.5
	if release == 0 {
		p *= w.effect
	}
	return p
}

// shared is what the time does to both releases: a factor of their load and the
// rate of errors.
func (w *world) shared(minute float64) (load, p float64) {
	load, p = 1, w.traffic.Base
	switch w.nature {
	case drift:
		p *= 1 + 0.8*math.Sin(2*math.Pi*(minute/60+w.phase))
		load = 1 + 0.5*math.Sin(2*math.Pi*(minute/90+w.phase2))
	case outage:
		if minute >= w.outageAt && minute < w.outageAt+5 {
			p = 0.3
		}
	}
	return load, p
}

// before is a world in which the stable release serves all, for the history.
func before(n nature, t traffic, d dice) *world {
	if n == outage {
		n = independent
	}
	return newWorld(n, traffic{Name: t.Name, Candidate: 0, Stable: t.Candidate + t.Stable, Base: t.Base}, 1, d)
}
