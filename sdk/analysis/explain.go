package analysis

import (
	"fmt"
	"math"
	"strconv"

	"github.com/runner-pipelines/runner/sdk/analysis/internal/evidence"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// weights are the parts of the evidence of harm that the metrics have.
// Parts are the parts of the evidence that the metrics have; 0 for those that are
// not compared.
func Parts(all []Metric) []float64 { return weights(all) }

func weights(all []Metric) []float64 {
	var sums [2]float64 // not critical, critical
	kind := func(c *Compare) int {
		if c.Critical {
			return 1
		}
		return 0
	}
	weight := func(c *Compare) float64 {
		if c.Weight > 0 && c.Weight <= 1e6 {
			return c.Weight
		}
		return 1
	}
	for _, m := range all {
		if m.Compare != nil {
			sums[kind(m.Compare)] += weight(m.Compare)
		}
	}
	share := 1.0
	if sums[0] > 0 && sums[1] > 0 {
		share = 0.5
	}
	out := make([]float64, len(all))
	for i, m := range all {
		if m.Compare != nil {
			out[i] = share * weight(m.Compare) / sums[kind(m.Compare)]
		}
	}
	return out
}

func (s *State) settle() {
	for _, c := range s.compared {
		if c != nil {
			c.settle()
		}
	}
}

// evidenceOfHarm is the weighted mean of the metrics' evidence, as a logarithm,
// and the metric that has most of it, -1 when nothing is compared.
func (s *State) evidenceOfHarm() (float64, int) {
	total, most, lead := math.Inf(-1), math.Inf(-1), -1
	for i, c := range s.compared {
		if c == nil {
			continue
		}
		e := math.Log(s.weights[i])
		if s.metrics[i].MinCount > 1 && s.candidates(whole, i) < s.metrics[i].MinCount {
			e = math.Inf(-1)
		} else {
			e += c.harm()
		}
		if lead < 0 || e > most {
			lead, most = i, e
		}
		total = evidence.LogAdd(total, e)
	}
	return total, lead
}

// candidates counts the observations of the candidate.
func (s *State) candidates(sc scope, metric int) (n int64) {
	for _, x := range s.series {
		if x.Metric == s.metrics[metric].Name {
			n = plus(n, sc.of(x).count())
		}
	}
	return n
}

func (s *State) needed() float64 { return 1 / s.alpha }

// harm is true when there is enough evidence that something compared is worse
// than its tolerance.
func (s *State) harm() (Verdict, bool) {
	e, lead := s.evidenceOfHarm()
	if lead < 0 || e < -math.Log(s.alpha) {
		return Verdict{}, false
	}
	c := s.compared[lead]
	v := s.effect(whole, lead, c.worst())
	v.Value, v.N, v.E = strategy.Fail, s.candidates(whole, lead), math.Exp(min(e, 690))
	why := c.seen(nil, whole, c.worst(), v)
	why = append(why, "; the evidence of harm is "...)
	why = number(why, v.E)
	why = append(why, ", and "...)
	why = number(why, v.Needed)
	v.Why = string(append(why, " is enough to abort."...))
	return v, true
}

// shown is how far a metric was shown to be within its margin.
type shown struct {
	metric int
	// e is the logarithm of the least evidence, of the comparison at.
	e  float64
	at int
	// seen: there was something to compare. enough: it is a pass.
	seen, enough bool
	// others counts the metrics of which this one has the least evidence.
	others int
}

func (s *State) shown(sc scope, i int) shown {
	c := s.compared[i]
	x := shown{metric: i}
	x.e, x.at = c.show(sc)
	x.seen = len(c.tests) > 0 && c.tests[x.at].Seen(sc.evidence())
	x.enough = x.seen && x.e >= -math.Log(s.alpha)
	return x
}

// pass says that all that is compared was shown to be within its margin; x is
// what has the least evidence of it.
func (s *State) pass(sc scope, x shown) (Verdict, string) {
	v := s.effect(sc, x.metric, x.at)
	v.Value, v.E = strategy.Pass, math.Exp(x.e)
	why := s.compared[x.metric].seen(nil, sc, x.at, v)
	why = append(why, "; it was shown to be within its margin (evidence "...)
	why = number(why, v.E)
	why = append(why, ", and "...)
	why = number(why, v.Needed)
	why = append(why, " is enough)"...)
	if x.others > 1 {
		why = fmt.Appendf(why, ", and so was what else is compared (%d)", x.others-1)
	}
	return v, string(why)
}

// hold says why a metric is not passed.
func (s *State) hold(sc scope, x shown, n int64) Verdict {
	c := s.compared[x.metric]
	name := c.metric.Name
	if !x.seen {
		reason := c.reason
		for _, other := range s.series {
			if other.Metric == name && reason == "" {
				reason = other.Reason
			}
		}
		if reason != "" {
			reason = ": " + reason
		}
		return Verdict{
			Value: strategy.Inconclusive, N: n, Metric: name, Needed: s.needed(), NoData: true,
			Why: name + " has nothing to compare" + sc.since() + reason + ".",
		}
	}
	v := s.effect(sc, x.metric, x.at)
	v.Value, v.N, v.E = strategy.Inconclusive, n, math.Exp(x.e)
	harm, _ := s.evidenceOfHarm()
	why := c.seen(make([]byte, 0, 512), sc, x.at, v)
	why = append(why, "; this is not enough evidence: "...)
	why = number(why, v.E)
	why = append(why, " of being within its margin and "...)
	why = number(why, math.Exp(min(harm, 690)))
	why = append(why, " of harm, where "...)
	why = number(why, v.Needed)
	why = append(why, " decides; "...)
	if x.enough {
		v.Why = string(fmt.Appendf(why, "%s has %s, %d are needed.", name, observations(n), c.metric.MinCount))
		return v
	}
	v.Why = string(append(c.wanted(why, sc, x.at, x.e, harm, -math.Log(s.alpha)), '.'))
	return v
}

// wanted says what would change the verdict.
func (c *compared) wanted(why []byte, sc scope, at int, show, harm, enough float64) []byte {
	if c.reason != "" {
		why = append(why, "at the last look "...)
		return append(why, c.reason...)
	}
	const slow = 0.2 // a logarithm too small to go on from
	if show < slow && harm < slow {
		return append(why, "it takes more traffic to tell"...)
	}
	most, text := show, " more observations of the candidate like these would show it to be within its margin"
	if harm > show {
		most, text = harm, " more observations of the candidate like these would show harm"
	}
	_, nc, _, _ := c.counts(sc, at)
	why = append(why, "about "...)
	why = number(why, math.Ceil(nc*max(enough/most-1, 0.01)))
	return append(why, text...)
}

// effect fills in what a comparison has seen.
func (s *State) effect(sc scope, i, at int) Verdict {
	c := s.compared[i]
	v := Verdict{Metric: c.metric.Name, Needed: s.needed()}
	t := c.tests[at]
	ratio, seen := t.Effect(sc.evidence())
	if !seen {
		return v
	}
	low, high := t.Interval(sc.evidence(), s.alpha)
	if _, _, swapped := c.direction(at); swapped {
		ratio, low, high = 1/ratio, 1/high, 1/low
	}
	finite := func(f float64) float64 {
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return 0
		}
		return f
	}
	v.Effect, v.Low, v.High = finite(ratio), finite(low), finite(high)
	return v
}

// counts are the bad and all observations of candidate and stable.
func (c *compared) counts(sc scope, at int) (xc, nc, xs, ns float64) {
	xc, nc, xs, ns = c.tests[at].Counts(sc.evidence())
	if _, _, swapped := c.direction(at); swapped {
		xc, nc, xs, ns = xs, ns, xc, nc
	}
	return xc, nc, xs, ns
}

// seen says in words what a comparison has seen.
func (c *compared) seen(b []byte, sc scope, at int, v Verdict) []byte {
	bound, low, _ := c.direction(at)
	xc, nc, xs, ns := c.counts(sc, at)
	b = append(b, c.metric.Name...)
	if len(c.bounds) > 0 {
		if low {
			b = append(b, " up to "...)
		} else {
			b = append(b, " above "...)
		}
		b = strconv.AppendFloat(b, c.bounds[bound], 'g', 4, 64)
	}
	b = append(b, sc.since()...)
	b = append(b, ": "...)
	of := func(x, n float64) {
		b = number(b, math.Round(x))
		if c.metric.Compare.Rate {
			b = append(b, " in "...)
			b = number(b, n)
			b = append(b, " s"...)
			return
		}
		b = append(b, " of "...)
		b = number(b, n)
		if n > 0 {
			b = append(b, " ("...)
			b = strconv.AppendFloat(b, 100*x/n, 'g', 3, 64)
			b = append(b, "%)"...)
		}
	}
	if !c.metric.Compare.Rate && len(c.bounds) == 0 && c.metric.Better == "higher" {
		b = append(b, "failing "...)
	}
	of(xc, nc)
	b = append(b, " in the candidate, "...)
	of(xs, ns)
	b = append(b, " in stable"...)
	if xc == 0 && xs == 0 {
		return b
	}
	switch {
	case v.Effect == 0 && v.Low > 0:
		b = append(b, ", at least "...)
		b = number(b, v.Low)
		return append(b, " times as often"...)
	case v.Effect == 0:
		return b
	}
	b = append(b, ", "...)
	b = number(b, v.Effect)
	b = append(b, " times as often (the true ratio is "...)
	if v.High == 0 {
		b = append(b, "at least "...)
		b = number(b, v.Low)
	} else {
		b = append(b, "between "...)
		b = number(b, v.Low)
		b = append(b, " and "...)
		b = number(b, v.High)
	}
	return append(b, ')')
}

// number writes three digits that say something, and whole numbers in full.
func number(b []byte, v float64) []byte {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.AppendInt(b, int64(v), 10)
	case math.Abs(v) >= 100 && math.Abs(v) < 1e9:
		return strconv.AppendInt(b, int64(math.Round(v)), 10)
	case math.Abs(v) < 0.001:
		return append(b, "less than 0.001"...)
	}
	return strconv.AppendFloat(b, v, 'g', 3, 64)
}

// Evidence is what is known of one metric by comparison, for reports.
type Evidence struct {
	Metric string `json:"metric"`
	// Harm is the evidence of harm over the whole rollout, and HarmNeeded how much
	// of it would abort if the other metrics had none. Show is the evidence since
	// the step began of being within the margin, and ShowNeeded what is enough.
	Harm       float64 `json:"harm"`
	HarmNeeded float64 `json:"harm_needed"`
	Show       float64 `json:"show"`
	ShowNeeded float64 `json:"show_needed"`
	// Whole and Step say what was seen, as in a verdict.
	Whole Verdict `json:"whole"`
	Step  Verdict `json:"step"`
	// Reason is why the last look said nothing.
	Reason string `json:"reason,omitempty"`
	// Past is what is known of stable from before the rollout.
	Past *Past `json:"past,omitempty"`
}

// Evidence lists what is compared, in the order of the metrics. It changes nothing.
func (s *State) Evidence() []Evidence {
	var out []Evidence
	for i, c := range s.compared {
		if c == nil {
			continue
		}
		show, at := c.show(step)
		e := Evidence{Metric: c.metric.Name, Harm: math.Exp(c.harm()), HarmNeeded: 1 / (s.alpha * s.weights[i]), Show: math.Exp(show), ShowNeeded: s.needed(), Reason: c.reason, Past: c.metric.Compare.Past}
		describe := func(sc scope, at int) Verdict {
			if len(c.tests) == 0 || !c.tests[at].Seen(sc.evidence()) {
				return Verdict{Metric: c.metric.Name, NoData: true, Why: c.metric.Name + " has nothing to compare" + sc.since() + "."}
			}
			v := s.effect(sc, i, at)
			v.N = s.candidates(sc, i)
			v.Why = string(append(c.seen(nil, sc, at, v), '.'))
			return v
		}
		e.Whole, e.Step = describe(whole, c.worst()), describe(step, at)
		out = append(out, e)
	}
	return out
}
