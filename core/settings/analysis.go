package settings

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

// What a pipeline can want when evidence is late.
const (
	Abort    = "abort"
	Hold     = "hold"
	Promote  = "promote"
	Continue = "continue"
)

const defaultHistory = 24 * time.Hour

// Analysis of a rollout.
type Analysis struct {
	// Interval between measurements.
	Interval time.Duration
	// Deadline is 0 when not given, OnInconclusive (Abort, Hold, Promote) and
	// OnNoData (Abort, Hold, Continue) then empty.
	Deadline       time.Duration
	OnInconclusive string
	OnNoData       string
	// Alpha is the probability of an abort for no reason; 0 is the judge's own.
	Alpha float64
	// History is how much of the past of stable the judge learns from; 0 is none.
	History time.Duration
	Metrics []Metric
	SLOs    []SLO
	Range   hcl.Range
}

// SLO is an objective with its error budget.
type SLO struct {
	analysis.SLO
	Config *config.SLO
	// OnExhausted says what a rollout does before it starts when nothing is left of the
	// budget: Hold, Abort or Continue.
	OnExhausted string
	// Metric is the ready-made metric that counts; empty where there is a use block.
	Metric string
}

// Objectives are the SLOs as the judge knows them.
func (a *Analysis) Objectives() []analysis.SLO {
	out := make([]analysis.SLO, len(a.SLOs))
	for i, o := range a.SLOs {
		out[i] = o.SLO
	}
	return out
}

// Metric finds a metric by name; it must be there.
func (a *Analysis) Metric(name string) *Metric {
	for i := range a.Metrics {
		if a.Metrics[i].Name == name {
			return &a.Metrics[i]
		}
	}
	return nil
}

// Shortest is the interval of the metric that is measured most often.
func (a *Analysis) Shortest() time.Duration {
	shortest := a.Interval
	for _, m := range a.Metrics {
		shortest = min(shortest, m.Interval)
	}
	return shortest
}

// Judged is what the judge is told of the metrics, in their order.
func (a *Analysis) Judged() []analysis.Metric {
	out := make([]analysis.Metric, len(a.Metrics))
	for i, m := range a.Metrics {
		out[i] = analysis.Metric{Name: m.Name, Better: m.Better, Min: m.Min, Max: m.Max, Quantile: m.Quantile, MinCount: m.MinCount}
		if m.Compare != nil {
			how := *m.Compare
			out[i].Compare = &how
		}
	}
	return out
}

// Metric is one thing measured. The numbers are as for analysis.Metric.
type Metric struct {
	Config *config.Metric
	Name   string
	// Better is "lower", "higher" or "same"; empty where each target says it.
	Better   string
	Min, Max *float64
	MinCount int64
	Quantile float64
	// Compare is nil for a metric that only has limits.
	Compare *analysis.Compare
	// Interval is the analysis' where the metric has none of its own.
	Interval time.Duration
}

func (r *reader) analysis(a *config.Analysis) *Analysis {
	if a == nil {
		return nil
	}
	out := &Analysis{
		Range:    a.Range,
		Interval: r.positive(a.Interval, "interval", defaultInterval),
		Deadline: r.positive(a.Deadline, "deadline", 0),
		History:  r.duration(a.History, "history", defaultHistory),
	}
	if a.OnInconclusive != nil {
		out.OnInconclusive = r.oneOf(a.OnInconclusive, "on_inconclusive", Abort, Hold, Promote)
	}
	if (a.Deadline == nil) != (a.OnInconclusive == nil) {
		r.add(diagnostics.Error(a.Range, "Incomplete analysis",
			"deadline says how long to wait for enough evidence, and on_inconclusive what to do then. Give both, or neither."))
	}
	if a.OnNoData != nil {
		out.OnNoData = r.oneOf(a.OnNoData, "on_no_data", Hold, Abort, Continue)
		if a.Deadline == nil {
			r.add(diagnostics.Error(a.OnNoData.Range(), "Incomplete analysis",
				"on_no_data says what to do when there is no data at the deadline. Say how long to wait: deadline = \"30m\"."))
		}
	}
	if alpha := r.optionalNumber(a.Alpha, "alpha"); alpha != nil {
		if out.Alpha = *alpha; *alpha <= 0 || *alpha > 0.5 {
			r.add(diagnostics.Error(a.Alpha.Range(), "Value out of range", "alpha is the probability of aborting a good release, above 0 and at most 0.5, such as 0.05."))
		}
	}
	standard := r.comparison(a.Comparison, *analysis.Standard())
	for _, m := range a.Metrics {
		out.Metrics = append(out.Metrics, r.metric(m, out.Interval, standard))
	}
	for _, o := range a.SLOs {
		out.SLOs = append(out.SLOs, r.slo(o))
	}
	return out
}

// The windows of an SLO that make sense: the burn rates of a shorter one would be
// looked at over seconds.
const (
	standardWindow = 30 * 24 * time.Hour
	shortestWindow = 24 * time.Hour
	longestWindow  = 366 * 24 * time.Hour
)

func (r *reader) slo(o *config.SLO) SLO {
	out := SLO{
		Config: o, SLO: analysis.SLO{Name: o.Name, Objective: 0.999, Window: r.positive(o.Window, "window", standardWindow)},
		OnExhausted: r.oneOf(o.OnExhausted, "on_exhausted", Hold, Abort, Continue),
	}
	if v := r.optionalNumber(o.Objective, "objective"); v != nil {
		if out.Objective = *v / 100; !(*v > 0 && *v < 100) || out.Objective >= 1 {
			r.add(diagnostics.Error(o.Objective.Range(), "Value out of range",
				"An objective is the percentage of observations that are good, above 0 and below 100, such as 99.9. With 100 there would be no budget to use."))
		}
	}
	if out.Window < shortestWindow || out.Window > longestWindow {
		r.add(diagnostics.Error(o.Window.Range(), "Value out of range", "The window of an SLO is from a day to a year, such as \"30d\"."))
		out.Window = standardWindow
	}
	if o.Metric != nil {
		out.Metric = r.text(o.Metric, "metric")
	}
	return out
}

func (r *reader) metric(m *config.Metric, interval time.Duration, standard analysis.Compare) Metric {
	out := Metric{
		Config: m, Name: m.Name,
		Min:      r.optionalNumber(m.Min, "min"),
		Max:      r.optionalNumber(m.Max, "max"),
		MinCount: int64(r.whole(m.MinCount, "min_count", 1, 1, 1<<40)),
		Interval: r.positive(m.Interval, "interval", interval),
	}
	limited := out.Min != nil || out.Max != nil
	if !limited || m.Compares() {
		out.Compare = r.compared(m, standard)
	}
	switch {
	case m.Better != nil && limited:
		out.Better = r.oneOf(m.Better, "better", "lower", "higher")
	case m.Better != nil:
		out.Better = r.oneOf(m.Better, "better", "lower", "higher", "same")
	case m.Use == nil && !limited:
	case out.Max != nil && out.Min == nil:
		out.Better = "lower"
	case out.Min != nil && out.Max == nil:
		out.Better = "higher"
	default:
		r.add(diagnostics.Error(m.Range, "Missing attribute", `Say which values are good: better = "lower" or better = "higher".`))
	}
	if out.Min != nil && out.Max != nil && *out.Min > *out.Max {
		r.add(diagnostics.Error(m.Min.Range(), "Invalid limits", "min is above max, so no value is good."))
	}
	if q := r.optionalNumber(m.Quantile, "quantile"); q != nil {
		out.Quantile = *q
		if *q <= 0 || *q >= 1 {
			r.add(diagnostics.Error(m.Quantile.Range(), "Value out of range", "A quantile lies between 0 and 1, such as 0.99."))
		}
	}
	return out
}

// comparison reads what an analysis or a metric says, over what holds else. Who
// says one margin means that one: the other does not let a worse candidate pass.
func (r *reader) comparison(c config.Comparison, out analysis.Compare) analysis.Compare {
	if v := r.optionalNumber(c.Tolerance, "tolerance"); v != nil {
		if out.Tolerance = *v; *v < 0 || *v > 10 {
			r.add(diagnostics.Error(c.Tolerance.Range(), "Value out of range", "A tolerance lies between 0 and 10: 0.1 is a tenth more bad requests than stable, which is no harm."))
		}
	}
	if c.Margin != nil || c.MarginAbs != nil {
		out.Margin, out.MarginAbs = 0, 0
	}
	if v := r.optionalNumber(c.Margin, "margin"); v != nil {
		if out.Margin = *v; *v <= 1 || *v > 100 {
			r.add(diagnostics.Error(c.Margin.Range(), "Value out of range", "A margin is a ratio above 1 and at most 100: 1.5 is half as many bad requests again, which must be ruled out before a step is passed."))
		}
	}
	out.MarginAbs = r.points(c.MarginAbs, out.MarginAbs)
	out.Block = r.positive(c.Block, "block", out.Block)
	if c.Block != nil && out.Block < time.Second {
		r.add(diagnostics.Error(c.Block.Range(), "Value out of range", "A block is the time within which one cause ties errors together, at least a second."))
	}
	return out
}

// compared is the comparison of one metric.
func (r *reader) compared(m *config.Metric, standard analysis.Compare) *analysis.Compare {
	out := r.comparison(m.Comparison, standard)
	if v := r.optionalNumber(m.Weight, "weight"); v != nil {
		if out.Weight = *v; *v <= 0 || *v > 1000 {
			r.add(diagnostics.Error(m.Weight.Range(), "Value out of range", "The weight of a metric lies above 0 and is at most 1000; 1 is the usual one."))
		}
	}
	out.Critical = r.boolean(m.Critical, "critical", false)
	out.Rate = r.boolean(m.Rate, "rate", false)
	return &out
}

// points is a difference of shares: "0.5pp", which are percentage points, or 0.005.
func (r *reader) points(expr hcl.Expression, otherwise float64) float64 {
	if expr == nil {
		return otherwise
	}
	v, ok := r.known(expr, "margin_abs", cty.DynamicPseudoType)
	if !ok {
		return otherwise
	}
	out, err := points(v)
	if err != nil {
		r.add(diagnostics.Error(expr.Range(), "Invalid margin", "margin_abs is a difference of shares above 0 and below 1: \"0.5pp\" is half a percentage point, and so is 0.005."))
		return otherwise
	}
	return out
}

func points(v cty.Value) (float64, error) {
	var out float64
	if v.Type() == cty.String {
		text, isPoints := strings.CutSuffix(strings.TrimSpace(v.AsString()), "pp")
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return 0, err
		}
		if out = f; isPoints {
			out /= 100
		}
	} else {
		n, err := convert.Convert(v, cty.Number)
		if err != nil {
			return 0, err
		}
		out, _ = n.AsBigFloat().Float64()
	}
	if !(out > 0 && out < 1) {
		return 0, errors.New("out of range")
	}
	return out, nil
}
