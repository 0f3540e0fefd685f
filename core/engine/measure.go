package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// judging is what a look at the metrics needs of the state.
type judging struct {
	state    []byte
	step     string
	since    kernel.Time
	evidence string
	// ahead is how far the run's time is before the clock of those who measure.
	ahead     time.Duration
	candidate map[string][]byte
	stable    map[string][]byte
}

func (e *Engine) judging(c kernel.Command) judging {
	j := judging{ahead: e.clock.Ahead(), candidate: map[string][]byte{}, stable: map[string][]byte{}}
	j.state, j.step, j.since, j.evidence = e.State.Judging(c.Node)
	for _, name := range c.Targets {
		j.candidate[name], j.stable[name] = e.State.Releases(c.Node, name)
	}
	return j
}

// measure reads every metric of every target and lets the judge say what it means.
func (e *Engine) measure(ctx context.Context, j job) kernel.Fact {
	set := j.node.Settings.Analysis
	judge, err := e.judge(set, j.judging)
	if err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Judge cannot go on", Detail: err.Error()}}
	}
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	var looks []analysis.Look
	until := j.To
	for _, name := range j.Targets {
		for _, s := range j.node.Metrics {
			look, complete, fact := e.look(ctx, j, s, name)
			if fact != nil {
				return fact
			}
			judge.Observe(look)
			looks = append(looks, look)
			until = min(until, complete)
		}
	}
	f := kernel.Judged{Command: j.ID, Node: j.Node, Judge: analysis.Version, Until: max(until, j.From)}
	f.Harm, f.Step = e.verdict(judge.Harm()), e.verdict(judge.Step())
	if f.Looks, err = json.Marshal(looks); err == nil {
		f.State, err = json.Marshal(judge)
	}
	if err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Measurement cannot be kept", Detail: err.Error()}}
	}
	sum := sha256.Sum256(append([]byte(j.judging.evidence), f.Looks...))
	f.Evidence = "sha256:" + hex.EncodeToString(sum[:])
	return f
}

// judge goes on where the last look left off; a new step begins its own evidence.
func (e *Engine) judge(set *settings.Analysis, from judging) (*analysis.State, error) {
	judge := analysis.New(judged(set))
	if len(from.state) > 0 {
		if err := json.Unmarshal(from.state, judge); err != nil {
			return nil, fmt.Errorf("its state cannot be read: %w", err)
		}
	}
	judge.StepBegan(from.since.Time())
	return judge, nil
}

func judged(set *settings.Analysis) []analysis.Metric {
	out := make([]analysis.Metric, len(set.Metrics))
	for i, m := range set.Metrics {
		out[i] = analysis.Metric{Name: m.Name, Better: m.Better, Min: m.Min, Max: m.Max, Quantile: m.Quantile, MinCount: m.MinCount}
	}
	return out
}

func (e *Engine) verdict(v analysis.Verdict) kernel.Verdict {
	return kernel.Verdict{Value: v.Value, N: v.N, Why: e.redact(v.Why)}
}

// look measures one metric at one target.
func (e *Engine) look(ctx context.Context, j job, s *program.Slot, name string) (analysis.Look, kernel.Time, kernel.Fact) {
	var releases []target.Release
	for _, raw := range [][]byte{j.judging.candidate[name], j.judging.stable[name]} {
		var r target.Release
		if len(raw) > 0 && json.Unmarshal(raw, &r) == nil {
			releases = append(releases, r)
		}
	}
	look := analysis.Look{Metric: s.Name, Target: name, From: j.From.Time(), To: j.To.Time()}
	if len(releases) == 0 {
		return look, j.To, kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Nothing to measure", Detail: "The target has not described the candidate of " + name + "."}}
	}
	plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{
		Candidate: releaseValue(j.judging.candidate[name]), Stable: releaseValue(j.judging.stable[name]),
		Target: cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(name)}),
	})
	if diags.HasErrors() {
		return look, 0, e.misconfigured(j, diags)
	}
	c := e.call(j)
	c.Target = name
	m, err := plugin.Measure(ctx, c, s.Entry.Name, bound.Wire(), releases, look.From.Add(-j.judging.ahead), look.To.Add(-j.judging.ahead))
	if err != nil {
		return look, 0, e.failed(ctx, j, plugin, err, s.Use.Range, "")
	}
	for i := range m.Releases {
		m.Releases[i].NoData = e.redact(m.Releases[i].NoData)
		switch r := m.Releases[i]; r.ID {
		case releases[0].ID:
			look.Candidate = r
		default:
			look.Stable = &r
		}
	}
	if look.Candidate.ID == "" {
		look.Candidate = metrics.Release{ID: releases[0].ID, NoData: "the plugin has not answered for this release"}
	}
	complete := j.To
	if !m.CompleteUntil.IsZero() {
		complete = min(complete, kernel.TimeOf(m.CompleteUntil.Add(j.judging.ahead).Truncate(time.Millisecond)))
	}
	look.To = complete.Time()
	return look, complete, nil
}
