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
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

// judging is what a look at the metrics needs of the state.
type judging struct {
	state    []byte
	burn     []byte
	step     string
	since    kernel.Time
	evidence string
	// ahead is how far the run's time is before the clock of those who measure.
	ahead     time.Duration
	candidate map[string][]byte
	stable    map[string][]byte
	// share of the traffic that the candidate has, by target.
	share map[string]float64
}

func (e *Engine) judging(c kernel.Command) judging {
	j := judging{ahead: e.clock.Ahead(), candidate: map[string][]byte{}, stable: map[string][]byte{}, share: map[string]float64{}}
	j.state, j.step, j.since, j.evidence = e.State.Judging(c.Node)
	j.burn = e.State.Burn(c.Node)
	for _, name := range c.Targets {
		j.candidate[name], j.stable[name] = e.State.Releases(c.Node, name)
		j.share[name] = float64(e.State.Weight(c.Node, name)) / float64(target.Full)
	}
	return j
}

// measure reads every metric of every target and lets the judge say what it means.
func (e *Engine) measure(ctx context.Context, j job) kernel.Fact {
	set := j.node.Settings.Analysis
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	judge, fact := e.judge(ctx, j)
	if fact != nil {
		return fact
	}
	var looks []analysis.Look
	until := j.To
	for _, name := range j.Targets {
		for _, s := range j.node.Metrics {
			if !s.Of(name) {
				continue
			}
			from := kernel.TimeOf(judge.Until(s.Name, name))
			if own := set.Metric(s.Name).Interval; own > set.Shortest() && j.To.Time().Sub(from.Time()) < own {
				until = min(until, from)
				continue
			}
			look, complete, fact := e.look(ctx, j, s, name, max(from, j.From))
			if fact != nil {
				return fact
			}
			judge.Observe(look)
			looks = append(looks, look)
			until = min(until, complete)
		}
	}
	judge.Alone(j.judging.alone())
	f := kernel.Judged{Command: j.ID, Node: j.Node, Judge: analysis.Version}
	harm, step := judge.Harm(), judge.Step()
	var err error
	if len(set.SLOs) > 0 {
		burn, more, complete, fact := e.burn(ctx, j)
		if fact != nil {
			return fact
		}
		looks, until = append(looks, more...), min(until, complete)
		harm, step = burn.Judge(harm, step, len(set.Metrics) == 0)
		if f.Burn, err = json.Marshal(burn); err != nil {
			return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Measurement cannot be kept", Detail: err.Error()}}
		}
	}
	f.Harm, f.Step, f.Until = e.verdict(harm), e.verdict(step), max(until, j.From)
	shown := judge.Evidence()
	for i := range shown {
		e.redactEvidence(&shown[i])
	}
	if f.Looks, err = json.Marshal(looks); err == nil {
		f.State, err = json.Marshal(judge)
	}
	if err == nil && len(shown) > 0 {
		f.Shown, err = json.Marshal(shown)
	}
	if err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Measurement cannot be kept", Detail: err.Error()}}
	}
	sum := sha256.Sum256(append([]byte(j.judging.evidence), f.Looks...))
	f.Evidence = "sha256:" + hex.EncodeToString(sum[:])
	return f
}

// judge goes on where the last look left off; a new step begins its own evidence.
// The first look of a rollout learns from the past of the stable release.
func (e *Engine) judge(ctx context.Context, j job) (*analysis.State, kernel.Fact) {
	set := j.node.Settings.Analysis
	var judge *analysis.State
	if len(j.judging.state) > 0 {
		judge = analysis.New(nil)
		if err := json.Unmarshal(j.judging.state, judge); err != nil {
			return nil, kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Judge cannot go on", Detail: fmt.Sprintf("its state cannot be read: %v", err)}}
		}
	} else {
		all := set.Judged()
		if fact := e.learn(ctx, j, all); fact != nil {
			return nil, fact
		}
		judge = analysis.Policy{Alpha: set.Alpha}.New(all)
	}
	judge.StepBegan(j.judging.since.Time())
	return judge, nil
}

// learn gives each metric that is compared what is known of its past. Where there
// is none the judge assumes nothing; where it may be known in a moment it is asked
// for again.
func (e *Engine) learn(ctx context.Context, j job, all []analysis.Metric) kernel.Fact {
	set := j.node.Settings.Analysis
	for i := range all {
		if all[i].Compare == nil || set.History == 0 {
			continue
		}
		var pasts [][]analysis.Measured
		for _, name := range j.Targets {
			for _, s := range j.node.Metrics {
				stable := release(j.judging.stable[name])
				if s.Name != all[i].Name || !s.Of(name) || stable == nil || !plan.KnowsPast(s) {
					continue
				}
				p := e.past(ctx, j, s, name, j.judging, *stable, j.From.Time().Add(-j.judging.ahead), set.History, all[i].Compare.Block)
				if p.fact != nil {
					return p.fact
				}
				if p.err != nil && (host.Explain(p.err, "") != nil || diag.Of(p.err).Retry == diag.Safe) {
					return e.failed(ctx, j, p.plugin, p.err, s.Use.Range, "")
				}
				pasts = append(pasts, p.windows)
			}
		}
		all[i].Compare.Past = analysis.LearnAll(all[i], pasts...)
	}
	return nil
}

// past is the answer to a question about the past.
type past struct {
	windows []analysis.Measured
	// plugin was asked; err is what became of that.
	plugin host.Plugin
	err    error
	// fact is set where it could not be asked.
	fact kernel.Fact
}

// past asks for the past of a release at one target.
func (e *Engine) past(ctx context.Context, j job, s *program.Slot, name string, around judging, of target.Release, until time.Time, history, block time.Duration) past {
	plugin, bound, diags := e.ready(ctx, j.node, s, around.surroundings(name))
	if diags.HasErrors() {
		return past{fact: e.misconfigured(j, diags)}
	}
	c := e.call(j)
	c.Target = name
	windows, err := plan.Past(ctx, plugin, c, s, bound.Wire(), of, until, history, block)
	return past{windows: windows, plugin: plugin, err: err}
}

func release(raw []byte) *target.Release {
	var r target.Release
	if len(raw) == 0 || json.Unmarshal(raw, &r) != nil {
		return nil
	}
	return &r
}

// alone reports whether no target gives traffic to a stable release.
func (j *judging) alone() bool {
	for _, share := range j.share {
		if share < 1 {
			return false
		}
	}
	return len(j.share) > 0
}

func (j *judging) surroundings(name string) program.Surroundings {
	return program.Surroundings{
		Candidate: releaseValue(j.candidate[name]), Stable: releaseValue(j.stable[name]),
		Target: cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(name)}),
	}
}

func (e *Engine) redactEvidence(v *analysis.Evidence) {
	for _, text := range []*string{&v.Reason, &v.Whole.Why, &v.Step.Why} {
		*text = e.redact(*text)
	}
}

func (e *Engine) verdict(v analysis.Verdict) kernel.Verdict {
	return kernel.Verdict{Value: v.Value, N: v.N, Why: e.redact(v.Why), NoData: v.NoData}
}

// look measures one metric at one target.
func (e *Engine) look(ctx context.Context, j job, s *program.Slot, name string, from kernel.Time) (analysis.Look, kernel.Time, kernel.Fact) {
	var releases []target.Release
	for _, raw := range [][]byte{j.judging.candidate[name], j.judging.stable[name]} {
		if r := release(raw); r != nil {
			releases = append(releases, *r)
		}
	}
	look := analysis.Look{Metric: s.Name, Target: name, From: from.Time(), To: j.To.Time(), Share: j.judging.share[name]}
	if len(releases) == 0 {
		return look, j.To, kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Nothing to measure", Detail: "The target has not described the candidate of " + name + "."}}
	}
	plugin, bound, diags := e.ready(ctx, j.node, s, j.judging.surroundings(name))
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
