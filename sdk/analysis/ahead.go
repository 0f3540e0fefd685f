package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis/internal/evidence"
)

// Expected is the traffic that a rollout will have.
type Expected struct {
	// Candidate and Stable are observations a minute.
	Candidate, Stable float64
	// Rate is the share of bad observations, where the metric's Past has none.
	Rate float64
	// Interval is the time between looks, Bake the time that a step has.
	Interval, Bake time.Duration
	// Alpha and Part are the policy's Alpha and this metric's part of the evidence;
	// 0 is the constant Alpha, and all of it.
	Alpha, Part float64
}

// Ahead is what can be known before a rollout.
type Ahead struct {
	// See says when harm of this size will be seen.
	See []See `json:"see"`
	// Pass is when a candidate that is as good as stable will have been shown to be
	// within its margin, in the mean; 0 is never.
	Pass time.Duration `json:"pass,omitempty"`
	// Margin is the smallest ratio that such a candidate can be shown to be below
	// within the bake, 0 when there is none up to 100.
	Margin float64 `json:"margin,omitempty"`
	// Blind says that not even ten times as much harm will be seen within the bake.
	Blind bool `json:"blind,omitempty"`
	// Why says it in a sentence.
	Why string `json:"why"`
}

// See is a size of harm and the mean time until it is seen; 0 is never.
type See struct {
	Ratio float64       `json:"ratio"`
	After time.Duration `json:"after,omitempty"`
}

// Margins that Ahead tries.
var margins = []float64{1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100}

// Ahead says how long it will take the judge to see harm in a metric that is
// compared, and what it can show. Of a distribution it looks at the bound that
// tells most.
func (m Metric) Ahead(x Expected) Ahead {
	out := Ahead{}
	if m.Compare == nil {
		out.Why = m.Name + " is not compared with stable."
		return out
	}
	f := foresight{m: m, x: x}
	f.normal()
	for _, ratio := range []float64{2, 3, 10} {
		out.See = append(out.See, See{Ratio: ratio, After: f.see(ratio)})
	}
	out.Pass, out.Margin = f.pass()
	last := out.See[len(out.See)-1].After
	out.Blind = last == 0 || last > x.Bake
	out.Why = out.words(m.Name, x.Bake)
	return out
}

func (a *Ahead) words(name string, bake time.Duration) string {
	after := func(d time.Duration) string {
		if d == 0 {
			return "never"
		}
		return "after " + About(d)
	}
	text := fmt.Sprintf("%s: twice as much harm is seen %s, three times %s, ten times %s", name, after(a.See[0].After), after(a.See[1].After), after(a.See[2].After))
	if a.Pass > 0 {
		text += fmt.Sprintf("; a good candidate passes after %s", About(a.Pass))
	} else {
		text += "; no candidate can be shown to be within the margin"
	}
	if a.Blind {
		text += fmt.Sprintf("; with a bake of %s this analysis is blind", About(bake))
	} else if a.Margin > 0 {
		text += fmt.Sprintf("; in %s a ratio below %g can be shown", About(bake), a.Margin)
	}
	return text + "."
}

// About writes a time with two digits that say something.
func About(d time.Duration) string {
	count := func(n float64, unit string) string {
		text := fmt.Sprintf("%.2g", n)
		if n >= 100 {
			text = fmt.Sprintf("%.0f", n)
		}
		if text == "1" {
			return "1 " + unit
		}
		return text + " " + unit + "s"
	}
	switch {
	case d >= 48*time.Hour:
		return count(d.Hours()/24, "day")
	case d >= 2*time.Hour:
		return count(d.Hours(), "hour")
	case d >= time.Minute:
		return count(d.Minutes(), "minute")
	case d >= time.Second:
		return count(d.Seconds(), "second")
	}
	return "less than a second"
}

// foresight computes expected times.
type foresight struct {
	m     Metric
	x     Expected
	level float64
}

func (f *foresight) normal() {
	if !(f.x.Alpha > 0 && f.x.Alpha < 1) {
		f.x.Alpha = Alpha
	}
	if !(f.x.Part > 0 && f.x.Part <= 1) {
		f.x.Part = 1
	}
	f.level = -math.Log(f.x.Alpha)
}

// look is what one look is expected to see of the b-th comparison; where nothing
// may be assumed, one block.
func (f *foresight) look(c evidence.Config, rate, ratio float64) evidence.Rates {
	length := f.x.Interval
	block := c.Block
	if block <= 0 {
		block = evidence.DefaultBlock
	}
	if !c.Independent && length < block {
		length = block
	}
	if length <= 0 {
		length = time.Minute
	}
	index := 1.0
	if past := f.m.Compare.Past; past != nil && !past.Independent {
		index = past.Dispersion / upwards
	}
	n := length.Minutes()
	return evidence.Rates{Nc: f.x.Candidate * n, Ns: f.x.Stable * n, Pc: min(rate*ratio, 1), Ps: rate, Index: index, Length: length}
}

func (f *foresight) rates() []float64 {
	if past := f.m.Compare.Past; past != nil && len(past.Rates) > 0 {
		return past.Rates
	}
	return []float64{f.x.Rate}
}

// see is the time until harm of a size is seen: by the bound that is the quickest.
func (f *foresight) see(ratio float64) (soonest time.Duration) {
	c, rates := newCompared(f.m), f.rates()
	for b, rate := range rates {
		config := c.config(b)
		d, ok := evidence.Expect(config, f.look(config, rate, ratio), evidence.UntilHarm, f.level+math.Log(float64(len(rates))/f.x.Part))
		if ok && (soonest == 0 || d < soonest) {
			soonest = d
		}
	}
	return soonest
}

// pass is the time until a candidate as good as stable passes, and the smallest
// ratio that can be shown: by the bound that is the slowest.
func (f *foresight) pass() (after time.Duration, margin float64) {
	c := newCompared(f.m)
	for b, rate := range f.rates() {
		config := c.config(b)
		d, ok := evidence.Expect(config, f.look(config, rate, 1), evidence.UntilShown, f.level)
		if !ok || b > 0 && after == 0 {
			after = 0
		} else {
			after = max(after, d)
		}
		config.MarginAbs = 0
		m, ok := evidence.Smallest(config, f.look(config, rate, 1), margins, f.level, f.x.Bake)
		if !ok || b > 0 && margin == 0 {
			margin = 0
		} else {
			margin = max(margin, m)
		}
	}
	return after, margin
}
