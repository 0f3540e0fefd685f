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
		harm, _ := f.after(ratio, m.Compare.Margin)
		out.See = append(out.See, See{Ratio: ratio, After: harm})
	}
	_, out.Pass = f.after(1, m.Compare.Margin)
	for _, margin := range margins {
		f.ratioOnly = true
		if _, pass := f.after(1, margin); pass > 0 && pass <= x.Bake {
			out.Margin = margin
			break
		}
	}
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
		return "after " + about(d)
	}
	text := fmt.Sprintf("%s: twice as much harm is seen %s, three times %s, ten times %s", name, after(a.See[0].After), after(a.See[1].After), after(a.See[2].After))
	if a.Pass > 0 {
		text += fmt.Sprintf("; a good candidate passes after %s", about(a.Pass))
	} else {
		text += "; no candidate can be shown to be within the margin"
	}
	if a.Blind {
		text += fmt.Sprintf("; with a bake of %s this analysis is blind", about(bake))
	} else if a.Margin > 0 {
		text += fmt.Sprintf("; in %s a ratio below %g can be shown", about(bake), a.Margin)
	}
	return text + "."
}

// about writes a time with two digits that say something.
func about(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.2g days", d.Hours()/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%.2g hours", d.Hours())
	case d >= 100*time.Minute:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	case d >= time.Minute:
		return fmt.Sprintf("%.2g minutes", d.Minutes())
	}
	return fmt.Sprintf("%.2g seconds", d.Seconds())
}

// foresight computes expected times.
type foresight struct {
	m         Metric
	x         Expected
	level     float64
	ratioOnly bool
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

// after is the time until harm of a size is seen, and until the candidate is
// shown to be within a margin; 0 is never.
func (f *foresight) after(ratio, margin float64) (harm, show time.Duration) {
	c := newCompared(f.m)
	n, rates := 1, []float64{f.x.Rate}
	if past := f.m.Compare.Past; past != nil && len(past.Rates) > 0 {
		n, rates = len(past.Rates), past.Rates
	}
	for b, rate := range rates {
		config := c.config(b)
		config.Margin = margin
		if f.ratioOnly {
			config.MarginAbs = 0
		}
		block := config.Block
		if block <= 0 {
			block = evidence.DefaultBlock
		}
		scale := block.Minutes()
		r := evidence.Rates{Nc: f.x.Candidate * scale, Ns: f.x.Stable * scale, Pc: min(rate*ratio, 1), Ps: rate}
		h, _ := evidence.Expect(config, r, f.level-math.Log(f.x.Part)+math.Log(float64(n)))
		_, s := evidence.Expect(config, r, f.level)
		wait := f.x.Interval / 2
		if !config.Independent {
			wait = max(f.x.Interval, block) / 2
		}
		if d := duration(h, block, wait); d > 0 && (harm == 0 || d < harm) {
			harm = d
		}
		if d := duration(s, block, wait); b == 0 || d == 0 || show != 0 && d > show {
			show = d
		}
	}
	return harm, show
}

// duration is 0 for what takes longer than ten years.
func duration(blocks float64, block, wait time.Duration) time.Duration {
	if t := blocks * float64(block); t < 10*365*24*float64(time.Hour) {
		return time.Duration(t) + wait
	}
	return 0
}
