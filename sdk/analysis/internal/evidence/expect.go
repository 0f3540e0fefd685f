package evidence

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Rates is what is expected of two releases in one look.
type Rates struct {
	// Nc and Ns are the observations of candidate and stable, Pc and Ps their
	// shares of bad ones.
	Nc, Ns, Pc, Ps float64
	// Index is the variance of the counts over that of independent events; what is
	// below one is one.
	Index float64
	// Length of the look.
	Length time.Duration
}

// Goal is what Expect waits for.
type Goal int

// The goals: evidence of harm, and of being within the margin.
const (
	UntilHarm Goal = iota
	UntilShown
)

const (
	// budget is about how many looks Expect plays, in at least fewest and at most
	// mostTrials trials.
	budget, fewest, mostTrials = 50_000, 40, 400
	// finest is how many looks a trial of independent events is split into, where
	// they may be put together.
	finest = 150
	// far is how many looks are too many to play.
	far = 20_000
)

// Expect says how long it takes in the mean until the evidence reaches a level,
// which is a logarithm; false when that is never, or longer than can be told. It
// plays the comparison, with the same random numbers every time.
func Expect(c Config, x Rates, goal Goal, level float64) (time.Duration, bool) {
	c = c.normal()
	if !x.valid() {
		return 0, false
	}
	guess := c.guess(x, goal, level)
	if math.IsInf(guess, 0) || math.IsNaN(guess) || guess*float64(x.Length) > float64(math.MaxInt64)/100 {
		return 0, false
	}
	if together := math.Floor(guess / finest); c.Independent && together > 1 {
		x.Nc, x.Ns, x.Length = x.Nc*together, x.Ns*together, x.Length*time.Duration(together)
		guess /= together
	}
	if guess > far {
		return time.Duration(guess * float64(x.Length)), true
	}
	horizon := int(6*guess) + 20
	trials := int(min(max(budget/(guess+1), fewest), mostTrials))
	random := rand.New(rand.NewPCG(1, 2))
	sum, reached := 0.0, 0
	for range trials {
		test := New(c)
		now := time.Unix(1, 0)
		looks := 0
		for looks < horizon {
			looks++
			now = now.Add(x.Length)
			test.Observe(x.draw(random, now))
			test.Settle(now)
			e := 0.0
			if goal == UntilHarm {
				e = test.Harm()
			} else {
				e = test.Show(Whole)
			}
			if e >= level {
				reached++
				break
			}
		}
		sum += float64(looks)
	}
	if reached*2 < trials {
		return 0, false
	}
	return time.Duration(sum / float64(trials) * float64(x.Length)), true
}

func (x Rates) valid() bool {
	for _, v := range []float64{x.Nc, x.Ns} {
		if !(v > 0 && v <= 1e12) {
			return false
		}
	}
	return x.Pc >= 0 && x.Pc <= 1 && x.Ps >= 0 && x.Ps <= 1 && x.Length > 0
}

func (x Rates) draw(r *rand.Rand, to time.Time) Look {
	xc, xs := number(r, x.Nc, x.Pc, x.Index), number(r, x.Ns, x.Ps, x.Index)
	return Look{From: to.Add(-x.Length), To: to, Xc: xc, Xs: xs, Nc: x.Nc, Ns: x.Ns, Ec: x.Nc, Es: x.Ns}
}

// number draws how many of n observations are bad, each with probability p: a
// binomial number, or for an index above one a beta-binomial one, whose share is
// drawn first. Large ones are drawn from a normal distribution.
func number(r *rand.Rand, n, p, index float64) float64 {
	mean := n * p
	if mean > 100*max(index, 1) {
		return math.Round(min(max(mean+math.Sqrt(mean*(1-p)*max(index, 1))*r.NormFloat64(), 0), n))
	}
	if index >= 1.01 && p > 0 && p < 1 {
		// How much alike the observations of one look are.
		alike := min((index-1)/max(n-1, index), mostAlike)
		a, b := gamma(r, p*(1/alike-1)), gamma(r, (1-p)*(1/alike-1))
		if a+b > 0 {
			p = a / (a + b)
		}
	}
	return binomial(r, n, p)
}

// mostAlike keeps a look from being all bad or all good.
const mostAlike = 0.95

// binomial draws by going from one bad observation to the next one; where there are
// many, from a normal distribution.
func binomial(r *rand.Rand, n, p float64) float64 {
	switch {
	case p >= 1:
		return n
	case p > 0.5:
		return n - binomial(r, n, 1-p)
	case p <= 0:
		return 0
	case n*p > 1000:
		return math.Round(min(max(n*p+math.Sqrt(n*p*(1-p))*r.NormFloat64(), 0), n))
	}
	// What is over of a whole number of observations counts by chance.
	whole := math.Floor(n)
	if r.Float64() < n-whole {
		whole++
	}
	x, skip := 0.0, math.Log1p(-p)
	for at := math.Floor(math.Log(1-r.Float64())/skip) + 1; at <= whole; at += math.Floor(math.Log(1-r.Float64())/skip) + 1 {
		x++
	}
	return min(x, n)
}

// gamma draws from a gamma distribution of scale 1 (Marsaglia and Tsang, 2000).
func gamma(r *rand.Rand, shape float64) float64 {
	boost := 1.0
	if shape < 1 {
		boost = math.Pow(1-r.Float64(), 1/shape)
		shape++
	}
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-r.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return boost * d * v
		}
	}
}

// guess is about after how many looks the evidence gets there: as many as its mean
// takes.
func (c Config) guess(x Rates, goal Goal, level float64) float64 {
	gain := 0.0 // of a look
	share := x.Nc / (x.Nc + x.Ns)
	mc, ms := x.Nc*x.Pc, x.Ns*x.Ps
	border := 1 + c.Tolerance
	if goal == UntilShown {
		border = c.Margin
	}
	if border > 0 && mc+ms > 0 {
		p, p0 := mc/(mc+ms), border*share/(1+share*(border-1))
		if better := p > p0; better == (goal == UntilHarm) {
			gain = (mc + ms) * divergence(p, p0)
		}
		if gain > 0 && !c.Independent {
			// A block's bet gains little more than its share is off.
			off := math.Abs(p-p0) / p0
			if goal == UntilShown {
				off = math.Abs(p-p0) / (1 - p0)
			}
			gain = min(gain/max(x.Index, 1)/2, (1-math.Exp(-mc-ms))*off/2)
		}
	}
	if goal == UntilShown && c.MarginAbs > 0 && c.Dispersion >= 1 {
		t := Test{config: c}
		w := tally{Xc: 1e6 * mc, Nc: 1e6 * x.Nc, Xs: 1e6 * ms, Ns: 1e6 * x.Ns}
		gain = max(gain, t.absoluteMargin(&w, &Look{Nc: x.Nc, Xc: mc, Ns: x.Ns, Xs: ms}))
	}
	return (level + 1) / gain
}

// divergence of two binomial shares (Kullback and Leibler), in natural units.
func divergence(p, q float64) float64 {
	sum := 0.0
	for _, x := range [][2]float64{{p, q}, {1 - p, 1 - q}} {
		if x[0] > 0 {
			sum += x[0] * math.Log(x[0]/x[1])
		}
	}
	return sum
}

// Smallest is the least of some margins that a candidate with such rates is shown
// to be within in the mean, in the time that there is; false when there is none.
// Margins ascend.
func Smallest(c Config, x Rates, margins []float64, level float64, within time.Duration) (float64, bool) {
	i, _ := slices.BinarySearchFunc(margins, within, func(margin float64, within time.Duration) int {
		c.Margin = margin
		if d, ok := Expect(c, x, UntilShown, level); ok && d <= within {
			return 1
		}
		return -1
	})
	if i == len(margins) {
		return 0, false
	}
	return margins[i], true
}
