package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
)

// budgets are what became of the error budgets of a stage that is about to start. Who
// goes back to an earlier run is not kept waiting for that.
func (e *Engine) budgets(ctx context.Context, j job, targets []kernel.PlannedTarget) ([]kernel.PlannedBudget, kernel.Fact) {
	stable, changed := map[string]*target.Release{}, false
	for _, t := range targets {
		stable[t.Name] = release(t.StableRelease)
		changed = changed || t.Stable != t.Candidate
	}
	if !changed || e.Plan.Replays != "" {
		return nil, nil
	}
	var last past
	var unable kernel.Fact
	found, err := plan.Budgets(ctx, j.node, stable, j.now, func(ctx context.Context, s *program.Slot, name string, history, block time.Duration) ([]analysis.Measured, error) {
		// There is no candidate yet: it is stable that is asked about.
		around := judging{candidate: map[string][]byte{}, stable: map[string][]byte{}}
		for _, t := range targets {
			around.candidate[t.Name], around.stable[t.Name] = t.StableRelease, t.StableRelease
		}
		last = e.past(ctx, j, s, name, around, *stable[name], j.now, history, block)
		if last.fact != nil {
			unable = last.fact
			return nil, errors.New("it could not be asked")
		}
		return last.windows, last.err
	})
	switch {
	case unable != nil:
		return nil, unable
	case err != nil:
		return nil, e.failed(ctx, j, last.plugin, err, j.node.Stage.Config.Analysis.Range, "")
	}
	var out []kernel.PlannedBudget
	for _, b := range found {
		out = append(out, kernel.PlannedBudget{SLO: b.SLO, Exhausted: b.Exhausted, Burning: b.Burning != "", Why: e.redact(b.Why)})
	}
	return out, nil
}

// burn looks at the SLOs, after the metrics. It gives the looks, what is remembered of
// them, and up to when they are complete.
func (e *Engine) burn(ctx context.Context, j job) (*analysis.Burn, []analysis.Look, kernel.Time, kernel.Fact) {
	set := j.node.Settings.Analysis
	burn := analysis.NewBurn(set.Objectives())
	if len(j.judging.burn) > 0 {
		if err := json.Unmarshal(j.judging.burn, burn); err != nil {
			return nil, nil, 0, kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Judge cannot go on", Detail: fmt.Sprintf("what it knows of error budgets cannot be read: %v", err)}}
		}
	}
	for _, b := range j.planned.Budgets {
		if b.Burning {
			burn.Accept(b.SLO)
		}
	}
	burn.StepBegan(j.judging.since.Time())
	if fact := e.seed(ctx, j, burn); fact != nil {
		return nil, nil, 0, fact
	}
	var looks []analysis.Look
	until := j.To
	for _, name := range j.Targets {
		for _, s := range j.node.SLOs {
			if !s.Of(name) {
				continue
			}
			from, _ := burn.Until(s.Name, name)
			look, complete, fact := e.look(ctx, j, s, name, kernel.TimeOf(from))
			if fact != nil {
				return nil, nil, 0, fact
			}
			burn.Observe(look)
			looks = append(looks, look)
			until = min(until, complete)
		}
	}
	return burn, looks, until, nil
}

// seed begins with the targets that are looked at for the first time.
func (e *Engine) seed(ctx context.Context, j job, burn *analysis.Burn) kernel.Fact {
	for _, o := range j.node.Settings.Analysis.SLOs {
		for _, s := range j.node.SLOs {
			if s.Name != o.Name {
				continue
			}
			for _, name := range j.Targets {
				if _, seeded := burn.Until(o.Name, name); seeded || !s.Of(name) {
					continue
				}
				until := j.From.Time().Add(-j.judging.ahead)
				var before []analysis.Measured
				if stable := release(j.judging.stable[name]); stable != nil && plan.KnowsPast(s) {
					history, block := o.Before()
					p := e.past(ctx, j, s, name, j.judging, *stable, until, history, block)
					if p.fact != nil {
						return p.fact
					}
					if p.err != nil && host.Explain(p.err, "") != nil {
						return e.failed(ctx, j, p.plugin, p.err, s.Use.Range, "")
					}
					before = p.windows
				}
				for i := range before {
					before[i].From, before[i].To = before[i].From.Add(j.judging.ahead), before[i].To.Add(j.judging.ahead)
				}
				burn.Seed(o.Name, name, before, j.From.Time())
			}
		}
	}
	return nil
}
