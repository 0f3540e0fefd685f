package explain

import (
	"testing"

	"github.com/runner-pipelines/runner/core/cli/series/seriestest"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

func TestVerdictsAreExplained(t *testing.T) {
	most := 0.05
	rollout := func(rules ...analysis.Metric) *seriestest.Rollout { return seriestest.New(t, "stage.web", rules...) }
	harm := rollout(seriestest.Independent("errors"), seriestest.Independent("errors of payments"))
	harm.Step(0, "5%")
	for s := 60; s <= 600; s += 60 {
		harm.Look(s, seriestest.Counts(s, "errors", "main", 1000, 10, 1000, 10), seriestest.Counts(s, "errors of payments", "main", 1000, 40, 1000, 10))
	}
	passes := rollout(seriestest.Independent("errors"))
	for i, title := range []string{"5%", "50%"} {
		passes.Step(600*i, title)
		passes.Look(600*i+60, seriestest.Counts(600*i+60, "errors", "main", 50, 1, 1000, 10))
		passes.Look(600*i+120, seriestest.Counts(600*i+120, "errors", "main", 100_000, 1000, 100_000, 1000))
	}
	unsure := rollout(seriestest.Independent("errors"), analysis.Metric{Name: "latency", Max: &most})
	unsure.Look(60, seriestest.Counts(60, "errors", "main", 50, 1, 1000, 10))
	limit := rollout(analysis.Metric{Name: "errors", Max: &most})
	limit.Look(60, seriestest.Counts(60, "errors", "main", 50, 10, 1000, 10))
	for name, tt := range map[string]struct {
		rollout *seriestest.Rollout
		outcome kernel.Outcome
		stage   string
	}{
		"judged-harm":   {harm, kernel.RolledBack, ""},
		"judged-limit":  {limit, kernel.RolledBack, ""},
		"judged-passes": {passes, kernel.Succeeded, "stage.web"},
		"judged-unsure": {unsure, "", "stage.web"},
	} {
		t.Run(name, func(t *testing.T) {
			in := story(tt.outcome, []kernel.NodeView{{ID: "stage.web", Kind: kernel.RolloutNode, Started: kernel.TimeOf(began), Outcome: tt.outcome}})
			in.Events = append(in.Events, tt.rollout.Events...)
			in.Stage = tt.stage
			golden(t, name, in)
		})
	}
}
