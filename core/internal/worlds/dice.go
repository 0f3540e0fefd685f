package worlds

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Dice draw random numbers. Every trial has its own, seeded by its number, so
// that a row comes out the same whoever runs it.
type Dice struct{ *rand.Rand }

// NewDice are those of a trial of the row of this name.
func NewDice(row string, trial int) Dice {
	seed := uint64(14695981039346656037)
	for _, c := range []byte(row) {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	return Dice{rand.New(rand.NewPCG(seed, uint64(trial)))}
}

// Poisson draws a count of this mean.
func (d Dice) Poisson(mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean < 10 {
		n, left := 0.0, math.Exp(-mean)
		for p := d.Float64(); p > left; p *= d.Float64() {
			n++
		}
		return n
	}
	return distuv.Poisson{Lambda: mean, Src: d}.Rand()
}

// Binomial draws how many of n come up, each with probability p.
func (d Dice) Binomial(n, p float64) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - d.Binomial(n, 1-p)
	case n*p < 10:
		// Jump from success to success.
		k, at, log := 0.0, 0.0, math.Log1p(-p)
		for {
			at += math.Floor(math.Log(1-d.Float64())/log) + 1
			if at > n {
				return k
			}
			k++
		}
	}
	return distuv.Binomial{N: n, P: p, Src: d}.Rand()
}

func (d Dice) beta(a, b float64) float64 {
	return distuv.Beta{Alpha: a, Beta: b, Src: d}.Rand()
}
