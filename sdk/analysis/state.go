package analysis

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis/internal/evidence"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// State is what a judge remembers of one rollout. It marshals to JSON. Its size
// depends on the number of metrics and targets and not on what was observed.
type State struct {
	metrics []Metric
	// series by metric and target, in the order of their first look.
	series []*series
	stepAt time.Time
	alpha  float64
	// compared by metric, nil where the metric is not compared; weights sum to one.
	compared []*compared
	weights  []float64
	// harmed is the first harm that was seen; it is never taken back.
	harmed *Verdict
	// alone: the candidate has all of the traffic.
	alone bool
}

// New starts a rollout. The metrics are those of the whole rollout.
func New(metrics []Metric) *State { return Policy{}.New(metrics) }

// New starts a rollout under a policy.
func (p Policy) New(metrics []Metric) *State {
	s := &State{metrics: slices.Clone(metrics), alpha: p.Alpha}
	if !(s.alpha > 0 && s.alpha < 1) {
		s.alpha = Alpha
	}
	s.compared = make([]*compared, len(metrics))
	for i := range s.metrics {
		s.metrics[i].MinCount = max(s.metrics[i].MinCount, 1)
		if s.metrics[i].Compare != nil {
			s.compared[i] = newCompared(s.metrics[i])
		}
	}
	s.weights = weights(s.metrics)
	return s
}

// Observe takes one look. A look at a metric that was not given to New is
// ignored; so is one that begins before the last look at the same metric and
// target has ended, so that nothing counts twice.
func (s *State) Observe(l Look) {
	i := slices.IndexFunc(s.metrics, func(m Metric) bool { return m.Name == l.Metric })
	if i < 0 {
		return
	}
	m := s.metrics[i]
	j := slices.IndexFunc(s.series, func(x *series) bool { return x.Metric == l.Metric && x.Target == l.Target })
	if j < 0 {
		s.series = append(s.series, &series{Metric: l.Metric, Target: l.Target})
		j = len(s.series) - 1
	}
	if !s.series[j].observe(&l, m, s.stepAt) {
		return
	}
	if c := s.compared[i]; c != nil {
		c.observe(&l, s.series[j], s.stepAt)
	}
	if s.harmed != nil || m.Min == nil && m.Max == nil {
		return
	}
	for _, scope := range []scope{whole, step} {
		if v, beyond := s.beyond(scope, m); beyond {
			s.harmed = &v
			return
		}
	}
}

// Until is the end of the last look at a metric of a target: what comes next begins
// there. It is zero before the first.
func (s *State) Until(metric, target string) time.Time {
	for _, x := range s.series {
		if x.Metric == metric && x.Target == target {
			return x.Until
		}
	}
	return time.Time{}
}

// Metrics are what New was given.
func (s *State) Metrics() []Metric { return slices.Clone(s.metrics) }

// StepBegan starts the evidence of a new step. Looks whose window began before
// count for the whole rollout only. Told again of the step that it knows, it
// keeps what was seen since.
func (s *State) StepBegan(at time.Time) {
	if at.Equal(s.stepAt) {
		return
	}
	s.stepAt = at
	for _, x := range s.series {
		x.Step = sum{}
		x.Reason = ""
	}
	for _, c := range s.compared {
		if c != nil {
			c.restart()
		}
	}
}

// Alone says whether the candidate has all of the traffic now, so that nothing is left
// to compare it with: then a step is passed on limits, and on enough observations.
// A State does not remember it.
func (s *State) Alone(alone bool) { s.alone = alone }

// Harm is over the whole rollout: fail once any metric was beyond a limit with
// enough observations, or there was enough evidence that what is compared is worse than
// its tolerance; pass when every metric has enough, is within its limits and was
// shown to be within its margin. Ask after all looks of a moment: it settles them.
func (s *State) Harm() Verdict {
	if s.Failed() {
		return *s.harmed
	}
	return s.judge(whole)
}

// Failed reports whether Harm is a fail, and is quicker.
func (s *State) Failed() bool {
	s.settle()
	if s.harmed == nil {
		if v, harm := s.harm(); harm {
			s.harmed = &v
		}
	}
	return s.harmed != nil
}

// Step is since the step began: pass when every metric has enough observations,
// is within its limits and was shown to be within its margin. Ask after all looks
// of a moment: it settles them.
func (s *State) Step() Verdict {
	s.settle()
	for _, m := range s.metrics {
		if m.Min == nil && m.Max == nil {
			continue
		}
		if v, beyond := s.beyond(step, m); beyond {
			return v
		}
	}
	return s.judge(step)
}

// scope is which evidence is asked for.
type scope bool

const (
	whole scope = false
	step  scope = true
)

func (sc scope) since() string {
	if sc == step {
		return " since the step began"
	}
	return ""
}

// evidence is the scope's name in the room of the numbers.
func (sc scope) evidence() evidence.Scope {
	if sc == step {
		return evidence.Step
	}
	return evidence.Whole
}

// of is the evidence of one series.
func (sc scope) of(x *series) *sum {
	if sc == step {
		return &x.Step
	}
	return &x.Whole
}

// together adds up the targets.
func (s *State) together(sc scope, metric string) (sum, string) {
	var all sum
	reason := ""
	for _, x := range s.series {
		if x.Metric == metric {
			all.merge(sc.of(x))
			if x.Reason != "" {
				reason = x.Reason
			}
		}
	}
	return all, reason
}

// beyond looks for a limit that is broken, on all targets together or on one.
func (s *State) beyond(sc scope, m Metric) (Verdict, bool) {
	all, _ := s.together(sc, m.Name)
	if v, ok := m.beyond(sc, &all, ""); ok {
		return v, true
	}
	for _, x := range s.series {
		if x.Metric == m.Name {
			if v, ok := m.beyond(sc, sc.of(x), x.Target); ok {
				return v, true
			}
		}
	}
	return Verdict{}, false
}

func (m Metric) beyond(sc scope, data *sum, target string) (Verdict, bool) {
	if data.count() < m.MinCount {
		return Verdict{}, false
	}
	seen, ok := data.statistic(m.Quantile)
	if !ok {
		return Verdict{}, false
	}
	where := ""
	if target != "" {
		where = fmt.Sprintf(" on target %q", target)
	}
	why := func(side string, limit float64) Verdict {
		return Verdict{Value: strategy.Fail, N: data.count(), Why: fmt.Sprintf(
			"%s is %s%s%s, %s its limit of %s.", m.Name, seen, where, sc.since(), side, seen.format(limit))}
	}
	// Beyond the last bucket only the lower end of the value is known.
	if m.Max != nil && (seen.value > *m.Max || seen.open && seen.value >= *m.Max) {
		return why("above", *m.Max), true
	}
	if m.Min != nil && seen.value < *m.Min && !seen.open {
		return why("below", *m.Min), true
	}
	return Verdict{}, false
}

// judge says pass or not enough evidence: what is beyond a limit was looked for.
func (s *State) judge(sc scope) Verdict {
	if len(s.metrics) == 0 {
		return Verdict{Value: strategy.NoAnalysis, Why: "There is nothing to analyse."}
	}
	var passed []string
	least := int64(math.MaxInt64)
	weakest := shown{metric: -1}
	for i, m := range s.metrics {
		n := s.candidates(sc, i)
		least = min(least, n)
		if m.Compare == nil || m.Min != nil || m.Max != nil {
			data, reason := s.together(sc, m.Name)
			text, ok := m.within(sc, &data, reason)
			if !ok {
				return Verdict{Value: strategy.Inconclusive, N: n, Why: text, NoData: n == 0}
			}
			passed = append(passed, text)
		}
		if s.compared[i] == nil {
			continue
		}
		if sc == step && s.alone && n >= m.MinCount {
			passed = append(passed, m.Name+" has nothing to compare, since the candidate has all of the traffic")
			continue
		}
		x := s.shown(sc, i)
		if !x.enough || n < m.MinCount {
			return s.hold(sc, x, n)
		}
		if weakest.metric < 0 || x.e < weakest.e {
			x.others = weakest.others
			weakest = x
		}
		weakest.others++
	}
	out := Verdict{Value: strategy.Pass, N: least}
	if weakest.metric >= 0 {
		var text string
		out, text = s.pass(sc, weakest)
		out.N = least
		passed = append(passed, text)
	}
	out.Why = strings.Join(passed, "; ") + "."
	return out
}

// within says that the metric is known to be within its limits, or why it is not.
func (m Metric) within(sc scope, data *sum, reason string) (string, bool) {
	n := data.count()
	switch {
	case m.Min == nil && m.Max == nil:
		return fmt.Sprintf("%s has no limit, so nothing can be said of it.", m.Name), false
	case n == 0 && reason != "":
		return fmt.Sprintf("%s has no data%s: %s.", m.Name, sc.since(), reason), false
	case n == 0:
		return fmt.Sprintf("%s has no data%s.", m.Name, sc.since()), false
	case n < m.MinCount:
		return fmt.Sprintf("%s has %s%s, %d are needed.", m.Name, observations(n), sc.since(), m.MinCount), false
	}
	seen, ok := data.statistic(m.Quantile)
	if !ok {
		return fmt.Sprintf("%s has data of kinds that cannot be added up%s.", m.Name, sc.since()), false
	}
	if seen.open && (m.Max != nil || seen.value < *m.Min) {
		return fmt.Sprintf("%s is %s, and whether that is within its %s cannot be told: the buckets end there.", m.Name, seen, m.limits(seen)), false
	}
	return fmt.Sprintf("%s is %s, within its %s", m.Name, seen, m.limits(seen)), true
}

func (m Metric) limits(seen statistic) string {
	switch {
	case m.Min == nil:
		return "limit of " + seen.format(*m.Max)
	case m.Max == nil:
		return "limit of " + seen.format(*m.Min)
	}
	return fmt.Sprintf("limits of %s and %s", seen.format(*m.Min), seen.format(*m.Max))
}

func observations(n int64) string {
	if n == 1 {
		return "1 observation"
	}
	return fmt.Sprintf("%d observations", n)
}

// saved is the JSON form of a State.
type saved struct {
	Version string    `json:"version"`
	Alpha   float64   `json:"alpha,omitempty"`
	Metrics []Metric  `json:"metrics"`
	Series  []*series `json:"series,omitempty"`
	StepAt  time.Time `json:"step_at,omitzero"`
	Harmed  *Verdict  `json:"harmed,omitempty"`
	// Compared is by metric; null where the metric is not compared.
	Compared []*savedCompared `json:"compared,omitempty"`
}

// MarshalJSON writes all that Unmarshal needs to go on.
func (s *State) MarshalJSON() ([]byte, error) {
	out := saved{Version: Version, Alpha: s.alpha, Metrics: s.metrics, Series: s.series, StepAt: s.stepAt, Harmed: s.harmed}
	for _, c := range s.compared {
		one, err := c.save()
		if err != nil {
			return nil, fmt.Errorf("state of the judge: %w", err)
		}
		out.Compared = append(out.Compared, one)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads a State. It fails on one that a version of the judge has
// written that this one does not know.
func (s *State) UnmarshalJSON(b []byte) error {
	var in saved
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("state of the judge: %w", err)
	}
	if in.Version != Version && in.Version != static {
		return fmt.Errorf("state of the judge: it was written by version %q, this is %q", in.Version, Version)
	}
	for _, x := range in.Series {
		if x == nil || !x.Whole.valid() || !x.Step.valid() {
			return fmt.Errorf("state of the judge: it is damaged")
		}
	}
	out := Policy{Alpha: in.Alpha}.New(in.Metrics)
	if in.Version == Version && len(in.Compared) != len(out.compared) {
		return fmt.Errorf("state of the judge: it is damaged")
	}
	for i, c := range in.Compared {
		if err := out.compared[i].load(c); err != nil {
			return fmt.Errorf("state of the judge: %w", err)
		}
	}
	out.series, out.stepAt, out.harmed = in.Series, in.StepAt, in.Harmed
	*s = *out
	return nil
}
