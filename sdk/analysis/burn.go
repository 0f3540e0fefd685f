package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/strategy"
)

// Burn remembers how fast a service uses up its error budgets, as far back as the
// pairs of its SLOs look. It marshals to JSON; its size depends on the number of
// SLOs and targets only. Where the windows of a pair end is known to a twelfth of
// their length.
type Burn struct{ state burnState }

type burnState struct {
	SLOs   []*burning `json:"slos"`
	StepAt time.Time  `json:"step_at,omitzero"`
}

// burning is one SLO.
type burning struct {
	SLO
	Tracks []*track `json:"tracks,omitempty"`
	// Began is, pair by pair, how fast the budget burned before the candidate had
	// traffic; zero for a pair that did not.
	Began [2]rates `json:"began"`
	// Accepted: people, or the pipeline, were asked about it.
	Accepted bool `json:"accepted,omitempty"`
	// Harm is why it is harm; it is never taken back.
	Harm *Verdict `json:"harm,omitempty"`
}

// rates are burn rates over the windows of a pair.
type rates struct {
	Long  float64 `json:"long,omitempty"`
	Short float64 `json:"short,omitempty"`
}

// track is what was counted at one target.
type track struct {
	Target string    `json:"target"`
	Until  time.Time `json:"until"`
	// Rings are of the windows long and short of each pair.
	Rings [4]ring `json:"rings"`
	// Step is how long was measured since the step began, N how much.
	Step time.Duration `json:"step,omitempty"`
	N    float64       `json:"n,omitempty"`
	// Reason is why the last look added nothing.
	Reason string `json:"reason,omitempty"`
}

const (
	// parts of a window are counted on their own; one more is kept.
	parts = 12
	// covered is how much of a window must have been measured.
	covered = 0.95
	// fewest is how many bad observations there must be in the long window: a handful
	// is no rate.
	fewest = 10
	// worse is how many times as fast a budget must burn that burned before.
	worse = 2
)

// ring counts the last parts of a window. Part i lies at i modulo its length.
type ring struct {
	Last    int64              `json:"last"`
	N       [parts + 1]float64 `json:"n"`
	Bad     [parts + 1]float64 `json:"bad"`
	Seconds [parts + 1]float64 `json:"s"`
}

// NewBurn knows nothing yet.
func NewBurn(slos []SLO) *Burn {
	b := &Burn{}
	for _, o := range slos {
		b.state.SLOs = append(b.state.SLOs, &burning{SLO: o})
	}
	return b
}

func (b *Burn) find(slo string) *burning {
	for _, o := range b.state.SLOs {
		if o.Name == slo {
			return o
		}
	}
	return nil
}

func (o *burning) track(target string) *track {
	for _, t := range o.Tracks {
		if t.Target == target {
			return t
		}
	}
	return nil
}

// Until is the end of the last look at an SLO of a target, where the next one begins;
// false before Seed.
func (b *Burn) Until(slo, target string) (time.Time, bool) {
	if o := b.find(slo); o != nil {
		if t := o.track(target); t != nil {
			return t.Until, true
		}
	}
	return time.Time{}, false
}

// Seed begins with a target: what was measured there before until, in the order of
// time, may be nothing. The next look begins where that ends. A budget that burns too
// fast now did so before the candidate had traffic.
func (b *Burn) Seed(slo, target string, past []Measured, until time.Time) {
	o := b.find(slo)
	if o == nil || o.track(target) != nil {
		return
	}
	t := &track{Target: target, Until: until}
	o.Tracks = append(o.Tracks, t)
	last := until.Add(-o.Pairs()[0].Short)
	for _, p := range past {
		if one, _ := read(p.Release, 0); one.Counter != nil && !p.To.After(until) {
			t.count(o, p.From, p.To, float64(one.Counter.N), float64(one.Counter.Events))
			if p.To.After(last) {
				last, t.Until = p.To, p.To
			}
		}
	}
	for i, pair := range o.Pairs() {
		if r, beyond := o.beyond(i, pair); beyond {
			o.Began[i] = rates{max(o.Began[i].Long, r.Long), max(o.Began[i].Short, r.Short)}
		}
	}
}

// Burning says how fast the budget of an SLO burns beyond the factors of its pairs;
// false when it does not.
func (b *Burn) Burning(slo string) (string, bool) {
	if o := b.find(slo); o != nil {
		for i, pair := range o.Pairs() {
			if r, beyond := o.beyond(i, pair); beyond {
				return o.says(pair, r), true
			}
		}
	}
	return "", false
}

// Accept says that somebody was asked about a budget that burned before the rollout,
// so that it does not hold the steps back.
func (b *Burn) Accept(slo string) {
	if o := b.find(slo); o != nil {
		o.Accepted = true
	}
}

// StepBegan starts a new step. Told again of the step that it knows, it keeps what
// was seen since.
func (b *Burn) StepBegan(at time.Time) {
	if at.Equal(b.state.StepAt) {
		return
	}
	b.state.StepAt = at
	for _, o := range b.state.SLOs {
		for _, t := range o.Tracks {
			t.Step, t.N = 0, 0
		}
	}
}

// Observe takes one look at the SLO that Look.Metric names: candidate and stable are
// added up. One that is not new is ignored, and so is one at a target without Seed.
func (b *Burn) Observe(l Look) {
	o := b.find(l.Metric)
	if o == nil {
		return
	}
	t := o.track(l.Target)
	if t == nil || l.From.Before(t.Until) || !l.To.After(l.From) {
		return
	}
	t.Until, t.Reason = l.To, ""
	n, bad, seen := 0.0, 0.0, false
	both := []sum{}
	one, reason := read(l.Candidate, 0)
	both = append(both, one)
	if l.Stable != nil {
		var why string
		if one, why = read(*l.Stable, 0); reason == "" {
			reason = why
		}
		both = append(both, one)
	}
	for _, one := range both {
		if c := one.Counter; c != nil {
			n, bad, seen = n+float64(c.N), bad+float64(c.Events), true
		} else if one.Histogram != nil || one.Samples != nil {
			reason = "an SLO needs counts, and this is a distribution"
		}
	}
	if !seen {
		t.Reason = clip(reason)
		return
	}
	t.count(o, l.From, l.To, n, bad)
	if !l.From.Before(b.state.StepAt) {
		t.Step += l.To.Sub(l.From)
		t.N += n
	}
}

// count spreads what was counted evenly over a span.
func (t *track) count(o *burning, from, to time.Time, n, bad float64) {
	for i, w := range o.windows() {
		t.Rings[i].add(w/parts, from, to, n, bad)
	}
}

// windows are those of the pairs, in the order of the rings.
func (o *burning) windows() []time.Duration {
	var out []time.Duration
	for _, p := range o.Pairs() {
		out = append(out, p.Long, p.Short)
	}
	return out
}

// part is the number of the part that a moment lies in.
func part(width time.Duration, at time.Time) int64 {
	i := at.UnixNano() / int64(width)
	if at.UnixNano()%int64(width) < 0 {
		i--
	}
	return i
}

func (r *ring) add(width time.Duration, from, to time.Time, n, bad float64) {
	span := to.Sub(from).Seconds()
	if width <= 0 || span <= 0 {
		return
	}
	last := part(width, to.Add(-1))
	for i := max(r.Last+1, last-parts); i <= last; i++ {
		at := place(i)
		r.N[at], r.Bad[at], r.Seconds[at] = 0, 0, 0
	}
	r.Last = max(r.Last, last)
	for i := max(part(width, from), r.Last-parts); i <= last; i++ {
		begin := time.Unix(0, i*int64(width))
		end := begin.Add(width)
		if from.After(begin) {
			begin = from
		}
		if to.Before(end) {
			end = to
		}
		s := end.Sub(begin).Seconds()
		at := place(i)
		r.N[at], r.Bad[at], r.Seconds[at] = short(r.N[at]+n*s/span), short(r.Bad[at]+bad*s/span), short(r.Seconds[at]+s)
	}
}

// short keeps what is written down short.
func short(v float64) float64 { return math.Round(v*1000) / 1000 }

func place(i int64) int64 { return ((i % (parts + 1)) + parts + 1) % (parts + 1) }

// sum is of the parts up to a moment.
func (r *ring) sum(width time.Duration, until time.Time) (n, bad, seconds float64) {
	last := part(width, until.Add(-1))
	for i := max(r.Last-parts, last-parts); i <= min(r.Last, last); i++ {
		at := place(i)
		n, bad, seconds = n+r.N[at], bad+r.Bad[at], seconds+r.Seconds[at]
	}
	return n, bad, seconds
}

// rate is the burn rate over a window, of all targets that were measured throughout;
// false when there is none.
func (o *burning) rate(window int) (rate, n, bad float64, known bool) {
	width := o.windows()[window]
	var until time.Time
	for _, t := range o.Tracks {
		if t.Until.After(until) {
			until = t.Until
		}
	}
	for _, t := range o.Tracks {
		tn, tbad, seconds := t.Rings[window].sum(width/parts, until)
		if seconds >= covered*width.Seconds() {
			n, bad, known = n+tn, bad+tbad, true
		}
	}
	if !known || n == 0 {
		return 0, 0, 0, known
	}
	return bad / n / o.allowed(), n, bad, true
}

// beyond reports whether both windows of a pair burn beyond its factor.
func (o *burning) beyond(i int, pair Pair) (rates, bool) {
	long, _, bad, known := o.rate(2 * i)
	short, _, _, both := o.rate(2*i + 1)
	return rates{long, short}, known && both && bad >= fewest && long >= pair.Factor && short >= pair.Factor
}

func (o *burning) says(pair Pair, r rates) string {
	return fmt.Sprintf("%s burns its error budget %s times too fast over %s and %s times over %s; %g times in both is too fast",
		o.Name, times(r.Short), About(pair.Short), times(r.Long), About(pair.Long), pair.Factor)
}

func times(rate float64) string {
	if rate >= 100 {
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%.3g", rate)
}

// Judge adds to the verdicts of the metrics what the SLOs say: harm when a budget
// burns too fast, in both windows of a pair. One that did so before the candidate had
// traffic is harm once it burns twice as fast as then; until it is better the step
// is not passed, unless that was accepted. Alone says that there are no metrics:
// then a step is passed when each SLO was measured since it began for the shortest of
// its windows, and does not burn. Ask after all looks of a moment.
func (b *Burn) Judge(harm, step Verdict, alone bool) (Verdict, Verdict) {
	if alone {
		step = b.step()
		harm = step
	}
	for _, o := range b.state.SLOs {
		o.settle()
		if o.Harm != nil && harm.Value != strategy.Fail {
			harm = *o.Harm
		}
		for i, pair := range o.Pairs() {
			if o.Began[i] == (rates{}) || o.Accepted || step.Value == strategy.Fail {
				continue
			}
			r, _ := o.beyond(i, pair)
			step.Value, step.NoData = strategy.Inconclusive, false
			step.Why = o.says(pair, r) + ". That began before the candidate had traffic, so it is not blamed, and the step is not passed while it lasts."
		}
	}
	return harm, step
}

// settle looks for harm, and forgets what burned before once it is better.
func (o *burning) settle() {
	for i, pair := range o.Pairs() {
		r, beyond := o.beyond(i, pair)
		began := o.Began[i]
		switch {
		case !beyond:
			if _, _, _, known := o.rate(2*i + 1); known {
				o.Began[i] = rates{}
			}
		case o.Harm != nil || r.Long < worse*began.Long || r.Short < worse*began.Short:
		default:
			_, n, _, _ := o.rate(2 * i)
			why := o.says(pair, r)
			if began != (rates{}) {
				why += fmt.Sprintf("; before the candidate had traffic it was %s and %s times", times(began.Short), times(began.Long))
			}
			o.Harm = &Verdict{Value: strategy.Fail, N: int64(n), Metric: o.Name, Why: why + "."}
		}
	}
}

// step is the verdict on the step by SLOs alone.
func (b *Burn) step() Verdict {
	out := Verdict{Value: strategy.Pass, N: math.MaxInt64}
	for _, o := range b.state.SLOs {
		need := o.Pairs()[0].Short
		seen, n, reason := time.Duration(math.MaxInt64), 0.0, ""
		for _, t := range o.Tracks {
			seen, n = min(seen, t.Step), n+t.N
			if t.Reason != "" {
				reason = ": " + t.Reason
			}
		}
		if len(o.Tracks) == 0 {
			seen = 0
		}
		late := Verdict{Value: strategy.Inconclusive, N: int64(n), Metric: o.Name, NoData: n == 0}
		fast, _, _, known := o.rate(1)
		switch pair := o.Pairs()[0]; {
		case n == 0:
			late.Why = fmt.Sprintf("%s has no data since the step began%s.", o.Name, reason)
			return late
		case float64(seen) < covered*float64(need) || !known:
			late.Why = fmt.Sprintf("%s was measured for %s since the step began, %s are needed%s.", o.Name, About(seen), About(need), reason)
			return late
		case fast >= pair.Factor && !(o.Accepted && o.Began[0] != (rates{})):
			late.Why = fmt.Sprintf("%s burns its error budget %s times too fast over %s, and whether it goes on is not known yet.", o.Name, times(fast), About(pair.Short))
			return late
		}
		out.N = min(out.N, int64(n))
		if out.Why != "" {
			out.Why += "; "
		}
		out.Why += fmt.Sprintf("%s burns its error budget at %s times the speed that it lasts for, over %s", o.Name, times(fast), About(need))
	}
	out.Why += "."
	return out
}

// MarshalJSON implements json.Marshaler.
func (b *Burn) MarshalJSON() ([]byte, error) { return json.Marshal(b.state) }

// UnmarshalJSON refuses what MarshalJSON cannot have written.
func (b *Burn) UnmarshalJSON(raw []byte) error {
	var in burnState
	if err := json.Unmarshal(raw, &in); err != nil {
		return err
	}
	damaged := errors.New("it is damaged")
	bad := func(v float64) bool { return !(v >= 0) || math.IsInf(v, 0) }
	for _, o := range in.SLOs {
		if o == nil || !(o.Objective > 0 && o.Objective < 1) || o.Window <= 0 {
			return damaged
		}
		for _, t := range o.Tracks {
			if t == nil || bad(t.N) {
				return damaged
			}
			for i := range t.Rings {
				r := &t.Rings[i]
				if slices.ContainsFunc(r.N[:], bad) || slices.ContainsFunc(r.Bad[:], bad) || slices.ContainsFunc(r.Seconds[:], bad) {
					return damaged
				}
			}
		}
	}
	b.state = in
	return nil
}
