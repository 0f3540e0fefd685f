package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/target"
)

// pastTimeout bounds how long a plan asks one metric for the past.
const pastTimeout = 20 * time.Second

// forecast says what the analysis of a rollout can see. What cannot be known now is
// no error: the judge will find out.
func (m *maker) forecast(ctx context.Context, n *program.Node, out *Node, stable map[string]*target.Release) hcl.Diagnostics {
	set := n.Settings.Analysis
	if set == nil || out.Simulation == nil || out.Simulation.First || out.Unchanged {
		return nil
	}
	var diags hcl.Diagnostics
	judged := set.Judged()
	parts := analysis.Parts(judged)
	for i, j := range judged {
		if j.Compare == nil {
			continue
		}
		if !besides(out.Simulation) {
			diags = append(diags, diagnostics.Warning(set.Metrics[i].Config.Range, "Analysis compares nothing",
				"This metric is compared with the stable release, and this strategy never gives both releases traffic for a while. Use a strategy with steps between 0 and 100 %%, or set a limit with max or min."))
			continue
		}
		f := Forecast{Metric: j.Name}
		past, unknown := m.past(ctx, n, set, j, stable)
		if unknown != "" {
			f.Unknown = m.opts.Redactor.Redact(unknown)
		} else {
			j.Compare.Past = past
			f.PerMinute, f.Independent = past.PerMinute, past.Independent
			if len(past.Bounds) == 0 {
				f.Share = past.Rates[0]
			}
			f.Steps = forecastSteps(j, out.Simulation, set, parts[i])
			if len(f.Steps) > 0 && !slices.ContainsFunc(f.Steps, func(s ForecastStep) bool { return !s.Blind }) {
				diags = append(diags, blind(set.Metrics[i].Config.Range, f))
			}
		}
		out.Forecast = append(out.Forecast, f)
	}
	return diags
}

// besides reports whether both releases have traffic at one of the steps.
func besides(sim *Simulation) bool {
	return slices.ContainsFunc(sim.Steps, func(st Step) bool { return st.Weight > 0 && st.Weight < target.Full })
}

// Traffic says for people what stable has.
func (f Forecast) Traffic() string {
	text := fmt.Sprintf("stable has %.0f a minute", f.PerMinute)
	if f.PerMinute < 100 {
		text = fmt.Sprintf("stable has %.2g a minute", f.PerMinute)
	}
	if f.Share > 0 {
		text += fmt.Sprintf(", %.2g %% of them bad", 100*f.Share)
	}
	return text
}

func blind(at hcl.Range, f Forecast) *hcl.Diagnostic {
	longest := slices.MaxFunc(f.Steps, func(a, b ForecastStep) int { return int(a.TimeMS - b.TimeMS) })
	when := "could not be seen at all"
	if see := longest.See[len(longest.See)-1]; see.AfterMS > 0 {
		when = "would be seen after " + analysis.About(milliseconds(see.AfterMS))
	}
	return diagnostics.Warning(at, "Analysis is blind",
		"In this metric %s. A candidate that is ten times as bad %s, and step %q has %s. "+
			"Give the steps more time (bake, deadline) or more traffic, measure something that happens more often, or set a limit with max.",
		f.Traffic(), when, longest.Title, analysis.About(milliseconds(longest.TimeMS)))
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// past is what the judge will learn, as far as it can be known now, or why it cannot.
func (m *maker) past(ctx context.Context, n *program.Node, set *settings.Analysis, j analysis.Metric, stable map[string]*target.Release) (*analysis.Past, string) {
	ctx, cancel := context.WithTimeout(ctx, pastTimeout)
	defer cancel()
	history := set.History
	if history == 0 {
		history = time.Hour // it is not learned from, but the traffic must be known
	}
	var pasts [][]analysis.Measured
	for _, t := range n.Targets {
		release := stable[t.Name]
		for _, s := range n.Metrics {
			if s.Name != j.Name || !s.Of(t.Name) || release == nil {
				continue
			}
			if !KnowsPast(s) {
				return nil, fmt.Sprintf("the component %q does not know the past", s.Entry.Name)
			}
			past, err := m.readPast(ctx, n, s, t.Name, *release, history, j.Compare.Block)
			if err != nil {
				return nil, err.Error()
			}
			pasts = append(pasts, past)
		}
	}
	learned := analysis.LearnAll(j, pasts...)
	if learned.PerMinute == 0 || len(learned.Rates) == 0 {
		return nil, "stable had no traffic that was measured"
	}
	if set.History == 0 {
		learned = &analysis.Past{Rates: learned.Rates, Bounds: learned.Bounds, PerMinute: learned.PerMinute, Minutes: learned.Minutes}
	}
	return learned, ""
}

// readPast asks for the past of stable, which is what candidate is called here.
func (m *maker) readPast(ctx context.Context, n *program.Node, s *program.Slot, targetName string, stable target.Release, history, block time.Duration) ([]analysis.Measured, error) {
	value := program.ReleaseValue(stable)
	plugin, bound, diags := m.validate(ctx, n, s, program.Surroundings{
		Candidate: value, Stable: value, Target: cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(targetName)}),
	})
	if diags.HasErrors() || !bound.Known() {
		return nil, errors.New("its configuration is not known yet")
	}
	past, err := Past(ctx, plugin, m.call(n, targetName, "past"), s, bound.Wire(), stable, m.opts.Now, history, block)
	if err != nil {
		return nil, fmt.Errorf("the past could not be read: %w", err)
	}
	return past, nil
}

// budgets are those of the stage's SLOs now. The run looks again when the stage
// starts.
func (m *maker) budgets(ctx context.Context, n *program.Node, out *Node, stable map[string]*target.Release) {
	if out.Unchanged {
		return
	}
	read := func(ctx context.Context, s *program.Slot, targetName string, history, block time.Duration) ([]analysis.Measured, error) {
		return m.readPast(ctx, n, s, targetName, *stable[targetName], history, block)
	}
	found, err := Budgets(ctx, n, stable, m.opts.Now, read)
	if err != nil {
		for _, o := range n.Settings.Analysis.Objectives() {
			found = append(found, Budget{SLO: o.Name}.unknown(err.Error()))
		}
	}
	for i := range found {
		for _, text := range []*string{&found[i].Unknown, &found[i].Burning, &found[i].Why} {
			*text = m.opts.Redactor.Redact(*text)
		}
	}
	out.Budgets = found
}

// forecastSteps looks at each step at which both releases have traffic.
func forecastSteps(j analysis.Metric, sim *Simulation, set *settings.Analysis, part float64) []ForecastStep {
	var out []ForecastStep
	for _, st := range sim.Steps {
		share := float64(st.Weight) / float64(target.Full)
		given := st.BakeMS
		if st.Evidence {
			given = max(given, set.Deadline.Milliseconds())
		}
		if share <= 0 || share >= 1 || given == 0 {
			continue
		}
		per := j.Compare.Past.PerMinute
		ahead := j.Ahead(analysis.Expected{
			Candidate: share * per, Stable: (1 - share) * per,
			Interval: set.Shortest(), Bake: milliseconds(given), Alpha: set.Alpha, Part: part,
		})
		one := ForecastStep{
			Title: st.Title, Weight: st.Weight, TimeMS: given, PassMS: ahead.Pass.Milliseconds(), Margin: ahead.Margin, Blind: ahead.Blind,
		}
		for _, see := range ahead.See {
			one.See = append(one.See, ForecastSee{Ratio: see.Ratio, AfterMS: see.After.Milliseconds()})
		}
		out = append(out, one)
	}
	return out
}
