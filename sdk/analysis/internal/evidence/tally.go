package evidence

import (
	"math"
	"time"
)

// tally is the evidence of one scope.
type tally struct {
	// Xc, Xs, Nc and Ns add up what was seen.
	Xc float64 `json:"xc,omitempty"`
	Xs float64 `json:"xs,omitempty"`
	Nc float64 `json:"nc,omitempty"`
	Ns float64 `json:"ns,omitempty"`
	// Rungs are log likelihoods given the number of events, one for each ratio of rates.
	Rungs floats `json:"rungs"`
	// Harm and Show are the capitals of the bets on the shares of blocks.
	Harm floats `json:"harm"`
	Show floats `json:"show"`
	// Owed is capital for Harm that comes when the present block ends.
	Owed float64 `json:"owed,omitempty"`
	// Abs is the logarithm of the evidence against the absolute margin.
	Abs float64 `json:"abs,omitempty"`
	// Blocks sums up the blocks that have ended, Now is the one that has not.
	Blocks spread `json:"blocks,omitzero"`
	Now    block  `json:"now,omitzero"`
}

func (t *Test) tally() tally {
	return tally{Rungs: make(floats, len(t.rungs.ratios)), Harm: append(floats(nil), harmBets[:]...), Show: append(floats(nil), showBets[:]...)}
}

func (w *tally) empty() bool { return w.Nc == 0 && w.Ns == 0 && w.Xc == 0 && w.Xs == 0 }

func (w *tally) observe(t *Test, l *Look, climb *[maxRungs]float64) {
	if w.Now.due(t.config.Block, l.From) {
		w.end(t)
	}
	if t.absolute() {
		w.Abs = bounded(w.Abs + t.absoluteMargin(w, l))
	}
	w.Xc, w.Xs, w.Nc, w.Ns = min(w.Xc+l.Xc, most), min(w.Xs+l.Xs, most), min(w.Nc+l.Nc, most), min(w.Ns+l.Ns, most)
	if l.Xc+l.Xs > 0 {
		for i := range w.Rungs {
			w.Rungs[i] += climb[i]
		}
	}
	w.Now.add(t.config, l)
}

func (w *tally) settle(t *Test, now time.Time) {
	if w.Now.open() && (now.IsZero() || w.Now.due(t.config.Block, now)) {
		w.end(t)
	}
}

func (w *tally) end(t *Test) {
	w.Blocks.add(&w.Now)
	w.Now.bet(t.config, w.Harm, w.Show)
	w.Now = block{}
	w.fund(w.Owed)
	w.Owed = 0
}

func (w *tally) fund(capital float64) {
	for j := range w.Harm {
		w.Harm[j] = min(w.Harm[j]+capital*harmBets[j], most)
	}
}

// block is a stretch of time whose events may all have one cause.
type block struct {
	Start time.Time `json:"start,omitzero"`
	// Look is the length of the last look.
	Look time.Duration `json:"look,omitempty"`
	// Events is how many there were; Harm and Show are the events of candidate
	// and stable, each divided by the share that it has at the border of the
	// hypothesis, so that their mean is Events there.
	Events float64 `json:"events,omitempty"`
	Harm   float64 `json:"harm,omitempty"`
	Show   float64 `json:"show,omitempty"`
	// HarmMost and ShowMost are the largest that Harm and Show could be for one event.
	HarmMost float64 `json:"harm_most,omitempty"`
	ShowMost float64 `json:"show_most,omitempty"`
	// A and B are the events of candidate and stable weighed by the other's share
	// of the exposure; they are equal in the mean when the rates are.
	A float64 `json:"a,omitempty"`
	B float64 `json:"b,omitempty"`
}

func (b *block) open() bool { return !b.Start.IsZero() }

// due reports whether the block is over at a moment. Windows are rarely whole
// minutes, so a twentieth may be missing, but not half a look.
func (b *block) due(length time.Duration, now time.Time) bool {
	return b.open() && now.Sub(b.Start) >= length-min(length/20, b.Look/2)
}

func (b *block) add(c Config, l *Look) {
	if !b.open() {
		b.Start = l.From
		if l.From.IsZero() {
			b.Start = l.To
		}
	}
	b.Look = l.To.Sub(l.From)
	share := l.Ec / (l.Ec + l.Es)
	if !(share > 1e-9 && share < 1-1e-9) {
		return
	}
	odds := share / (1 - share)
	harm := 1 + 1/((1+c.Tolerance)*odds)
	show := 1 + c.Margin*odds
	b.HarmMost, b.ShowMost = max(b.HarmMost, harm), max(b.ShowMost, show)
	b.Events += l.Xc + l.Xs
	b.Harm += l.Xc * harm
	b.Show += l.Xs * show
	b.A += l.Xc * (1 - share)
	b.B += l.Xs * share
}

// The bets: which part of the capital is put on a block, and how the capital of
// Harm and of Show is split between them. The large ones are for what is plain to
// see, the small ones for what is not.
var (
	bets     = [...]float64{0.95, 0.57, 0.27}
	harmBets = [...]float64{0.35, 0.55, 0.1}
	showBets = [...]float64{0.2, 0.4, 0.4}
)

// mostGain is the factor by which one block can multiply the evidence.
const mostGain = 4

// bet plays the block. At the border of the hypothesis the mean of the gain is
// one whatever ties the events together, for the mean of a share is.
func (b *block) bet(c Config, harm, show floats) {
	if !(b.Events > 0) || b.Events > most {
		return
	}
	play := func(capital floats, t, largest float64) {
		limit := 1.0
		if largest > mostGain {
			limit = (mostGain - 1) / (largest - 1)
		}
		for j := range capital {
			capital[j] = min(capital[j]*(1+min(bets[j], limit)*(t-1)), most)
		}
	}
	play(harm, b.Harm/b.Events, b.HarmMost)
	if c.Margin > 0 {
		play(show, b.Show/b.Events, b.ShowMost)
	}
}

// spread sums up blocks for the interval.
type spread struct {
	N  float64 `json:"n,omitempty"`
	A  float64 `json:"a,omitempty"`
	B  float64 `json:"b,omitempty"`
	AA float64 `json:"aa,omitempty"`
	AB float64 `json:"ab,omitempty"`
	BB float64 `json:"bb,omitempty"`
}

func (s *spread) add(b *block) {
	const big = 1e140 // squares stay numbers
	if b.A > big || b.B > big || s.AA > most/2 || s.AB > most/2 || s.BB > most/2 {
		return
	}
	s.N++
	s.A, s.B = s.A+b.A, s.B+b.B
	s.AA, s.AB, s.BB = s.AA+b.A*b.A, s.AB+b.A*b.B, s.BB+b.B*b.B
}

// absoluteMargin is what one look adds to the logarithm of the evidence against
// "the rate of the candidate is at least MarginAbs above that of stable".
//
// Each observation of the candidate multiplies by 1+(x-a)u and each of stable by
// 1+(x-b)v, where x is 1 for a bad event, a-b = MarginAbs and Nc u + Ns v = 0.
// With rates p and q the logarithm of the mean is at most
// Nc (p-a) u + Ns (q-b) v = Nc u (p-q-MarginAbs), and u is negative.
func (t *Test) absoluteMargin(w *tally, l *Look) float64 {
	if !(l.Nc > 0 && l.Ns > 0) || l.Xc > l.Nc || l.Xs > l.Ns {
		return 0
	}
	const prior = 500 // observations that the expected rate is worth
	delta := t.config.MarginAbs
	q := (w.Xc + w.Xs + prior*t.config.Base + 0.1) / (w.Nc + w.Ns + prior + 1)
	b := min(max(q-delta*l.Nc/(l.Nc+l.Ns), 0), 1-delta)
	a := b + delta
	if !(a > q && a < 1) {
		return 0
	}
	u := max((q-a)/(a*(1-a)), -0.999/(1-a))
	v := -l.Nc * u / l.Ns
	if b > 0 && v > 0.999/b {
		v = 0.999 / b
		u = -v * l.Ns / l.Nc
	}
	return (l.Xc*math.Log1p((1-a)*u) + (l.Nc-l.Xc)*math.Log1p(-a*u) +
		l.Xs*math.Log1p((1-b)*v) + (l.Ns-l.Xs)*math.Log1p(-b*v)) / t.config.Dispersion
}
