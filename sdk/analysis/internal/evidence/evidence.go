// Package evidence weighs two streams of bad events against each other. It knows
// numbers only: no metric, no clock, no words.
//
// Start with New, hand every Look to Observe, say Restart when a step begins,
// and ask Harm and Show. Both are e-processes: nonnegative, of mean at most one
// while the hypothesis that they speak against holds, whenever one stops. So the
// probability that one ever reaches 1/alpha is at most alpha (Ville's
// inequality), however often it is looked at.
//
// Harm speaks against "the candidate has at most 1+Tolerance times the rate of
// stable"; Show against "it has at least Margin times the rate, and at least
// MarginAbs more".
//
// Two ways of counting are kept side by side, and Config.Independent says which
// one decides. Where events come independently, each of them counts: given m
// events, those of the candidate are binomial, and the likelihood ratio is
// averaged over a few alternatives (Lindon and Malek, arXiv 2011.03567). Where
// nothing may be assumed, a block of time counts once: its share of events is a
// bet with a bounded gain, whatever ties the events of a block together
// (Waudby-Smith and Ramdas, arXiv 2010.09686). The absolute margin is the
// e-variable of Turner, Ly and Grünwald for two proportions (arXiv 2106.02693).
package evidence

import (
	"math"
	"time"
)

// Config says what is compared. It does not change during a rollout.
type Config struct {
	// Tolerance is how much worse the candidate may be, as a share of the rate of stable.
	Tolerance float64
	// Margin is the ratio of rates that Show rules out; at most 1 is none.
	Margin float64
	// MarginAbs is the difference of rates that Show rules out; 0 is none.
	MarginAbs float64
	// Independent says that events come independently of each other.
	Independent bool
	// Dispersion is the variance of counts over that of independent events, for
	// the absolute margin; 0 is unknown, and then that margin is not used.
	Dispersion float64
	// Base is the rate of bad events that is expected; 0 is unknown.
	Base float64
	// Block is the time within which anything may tie events together.
	Block time.Duration
}

// Look is what was seen of both releases in one window.
type Look struct {
	From, To time.Time
	// Xc and Xs are bad events of candidate and stable among Nc and Ns observations.
	Xc, Xs, Nc, Ns float64
	// Ec and Es are the exposures that the events are compared by: in proportion
	// to them events are expected when the releases are equal.
	Ec, Es float64
	// Before says that the window began before the step.
	Before bool
}

// Scope is which evidence is asked for.
type Scope int

// The scopes: the whole rollout, and since the last Restart.
const (
	Whole Scope = iota
	Step
)

// Test is one comparison. It marshals to JSON; its Config does not, and has to
// be the same afterwards.
type Test struct {
	config Config
	rungs  *rungs
	s      state
}

// state is what is kept.
type state struct {
	Whole tally `json:"whole"`
	Step  tally `json:"step"`
	// Fresh is, for each alternative of Harm, the logarithm of the capital put on
	// it, in units of its present value.
	Fresh floats `json:"fresh"`
	// Restarts counts the steps that brought fresh capital.
	Restarts int `json:"restarts,omitempty"`
}

// New begins a comparison.
func New(c Config) *Test {
	t := &Test{config: c.normal()}
	t.rungs = rungsOf(t.config)
	t.s.Whole, t.s.Step = t.tally(), t.tally()
	t.s.Fresh = make(floats, len(harmWeights))
	for j := range t.s.Fresh {
		t.s.Fresh[j] = math.Log1p(-reserve)
	}
	for j := range t.s.Whole.Harm {
		t.s.Whole.Harm[j] *= 1 - reserve
	}
	return t
}

// DefaultBlock is the length of a block where Config has none.
const DefaultBlock = time.Minute

func (c Config) normal() Config {
	if !(c.Tolerance >= 0 && c.Tolerance <= 1000) {
		c.Tolerance = 0
	}
	if !(c.Margin > 1+1e-6 && c.Margin <= 1000) {
		c.Margin = 0
	}
	if !(c.MarginAbs > 0 && c.MarginAbs < 1) {
		c.MarginAbs = 0
	}
	if c.Dispersion != 0 && !(c.Dispersion >= 1) {
		c.Dispersion = 1
	}
	if !(c.Base >= 0 && c.Base <= 1) {
		c.Base = 0
	}
	if c.Block <= 0 {
		c.Block = DefaultBlock
	}
	return c
}

// reserve is the part of Harm's capital that is kept for the steps to come: a
// candidate that is well at 5 % may be ill at 50 %, and what it was well for
// must not have to be made up first.
const reserve = 0.02

// portion of the reserve that the n-th restart brings; they sum to less than one.
func portion(n int) float64 {
	return reserve * 6 / (math.Pi * math.Pi) / float64(n*n)
}

// Restart forgets the evidence of the step, and puts fresh capital on Harm.
func (t *Test) Restart() {
	if t.s.Step.empty() {
		return
	}
	t.s.Step = t.tally()
	t.s.Restarts++
	fresh := portion(t.s.Restarts)
	w := &t.s.Whole
	for j := range t.s.Fresh {
		t.s.Fresh[j] = LogAdd(t.s.Fresh[j], math.Log(fresh)-(w.Rungs[t.rungs.harm[j]]-w.Rungs[t.rungs.tolerance]))
	}
	if w.Now.open() { // the bets on this block are made
		w.Owed += fresh
		return
	}
	w.fund(fresh)
}

// Observe takes one look. Looks come in the order of time; several of the same
// window are several targets. What is no number, negative or more than was
// observed is left out.
func (t *Test) Observe(l Look) {
	if !l.valid() {
		return
	}
	var climb [maxRungs]float64
	if m := l.Xc + l.Xs; m > 0 {
		t.rungs.climb(climb[:], l.Ec/(l.Ec+l.Es), l.Xc, m)
	}
	t.s.Whole.observe(t, &l, &climb)
	if !l.Before {
		t.s.Step.observe(t, &l, &climb)
	}
}

func (l *Look) valid() bool {
	for _, v := range [...]float64{l.Xc, l.Xs, l.Nc, l.Ns, l.Ec, l.Es} {
		if !(v >= 0 && v <= most) {
			return false
		}
	}
	return l.Ec > 0 && l.Es > 0
}

// most is the largest number that is worked with.
const most = 1e300

// Settle ends the block that is complete at a moment, for all its looks have
// come. The zero time ends it in any case.
func (t *Test) Settle(now time.Time) {
	t.s.Whole.settle(t, now)
	t.s.Step.settle(t, now)
}

// Harm is the logarithm of the evidence that the candidate does harm.
func (t *Test) Harm() float64 {
	w := &t.s.Whole
	if !t.config.Independent {
		return logOf(w.Harm)
	}
	var terms [len(harmRatios)]float64
	null := w.Rungs[t.rungs.tolerance]
	for j, i := range t.rungs.harm {
		terms[j] = harmWeights[j] + w.Rungs[i] - null + t.s.Fresh[j]
	}
	return bounded(logSum(terms[:]))
}

// Show is the logarithm of the evidence that the candidate is not worse than its
// margin: the mean of the two forms of it, where there are two.
func (t *Test) Show(sc Scope) float64 {
	w, sum, forms := t.of(sc), math.Inf(-1), 0
	if t.config.Margin > 0 {
		forms++
		if t.config.Independent {
			var terms [4]float64
			null := w.Rungs[t.rungs.margin]
			for j, i := range t.rungs.show {
				terms[j] = showWeights[j] + w.Rungs[i] - null
			}
			sum = logSum(terms[:])
		} else {
			sum = logOf(w.Show)
		}
	}
	if t.absolute() {
		forms++
		sum = LogAdd(sum, w.Abs)
	}
	if forms == 0 {
		return 0
	}
	return bounded(sum - math.Log(float64(forms)))
}

func (t *Test) absolute() bool { return t.config.MarginAbs > 0 && t.config.Dispersion >= 1 }

func (t *Test) of(sc Scope) *tally {
	if sc == Step {
		return &t.s.Step
	}
	return &t.s.Whole
}

// bounded keeps a logarithm where its exponential is a number.
func bounded(v float64) float64 { return max(min(v, 690), -690) }

// LogAdd is the logarithm of the sum of two numbers that are given by theirs.
func LogAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// logSum is the logarithm of a sum of exponentials.
func logSum(terms []float64) float64 {
	most := terms[0]
	for _, v := range terms {
		most = max(most, v)
	}
	sum := 0.0
	for _, v := range terms {
		if v > most-40 { // what is less is lost in the sum
			sum += math.Exp(v - most)
		}
	}
	return most + math.Log(sum)
}

func logOf(wealth floats) float64 {
	sum := 0.0
	for _, w := range wealth {
		sum += w
	}
	return bounded(math.Log(sum))
}

// Counts are bad and all observations of candidate and stable.
func (t *Test) Counts(sc Scope) (xc, nc, xs, ns float64) {
	w := t.of(sc)
	return w.Xc, w.Nc, w.Xs, w.Ns
}

// Seen reports whether there was anything to compare.
func (t *Test) Seen(sc Scope) bool { return !t.of(sc).empty() }
