package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
)

// labelRun is the label of a release that names the run which installed it.
const labelRun = "runner.run"

// planRollout observes every target of a rollout as it is now.
func (e *Engine) planRollout(ctx context.Context, j job) kernel.Fact {
	made := e.Plan.Node(j.Node)
	f := kernel.NodePlanned{Command: j.ID, Node: j.Node}
	var parts [][]byte
	for i, s := range j.node.Targets {
		plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{})
		if diags.HasErrors() {
			return e.misconfigured(j, diags)
		}
		c := e.call(j)
		c.Target = s.Name
		found, diags, err := plan.ObserveTarget(ctx, plugin, c, s, bound, e.identity())
		if err != nil {
			return e.failed(ctx, j, plugin, err, s.Use.Range, "")
		}
		if diags.HasErrors() {
			return e.misconfigured(j, diags)
		}
		if diags := append(plan.Standing(found, s), plan.Nameable(e.Redactor, found, s)...); diags.HasErrors() {
			return e.misconfigured(j, diags)
		}
		found.Target.World = e.world(found.Target.World)
		if made != nil && !made.Targets[i].Capabilities.Equal(found.Capabilities) {
			return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Target can do something else than planned",
				Detail: "What target " + s.Name + " can do has changed since the plan was made, so the planned steps may not hold. Plan again.", Where: s.Use.Range.String(), Effect: "none"}}
		}
		p := kernel.PlannedTarget{
			Name: s.Name, Stable: found.Target.Stable, Candidate: found.Candidate, Weight: found.Weights[found.Candidate], World: found.Target.World,
		}
		if moved := movedSince(made, i, found); moved != "" {
			f.Moved = moved
		}
		if p.Stable == p.Candidate {
			p.Weight = 0
		}
		if r := found.StableRelease(); r != nil {
			if raw, err := json.Marshal(r); err == nil {
				p.StableRelease = e.Redactor.Bytes(raw)
			}
		}
		f.Targets = append(f.Targets, p)
		parts = append(parts, bound.Wire().JSON, []byte(p.Stable), []byte(p.Candidate), []byte(p.World))
	}
	budgets, fact := e.budgets(ctx, j, f.Targets)
	if fact != nil {
		return fact
	}
	f.Budgets = budgets
	for _, b := range budgets {
		if b.Exhausted || b.Burning {
			// Who lets it start answers to this.
			parts = append(parts, []byte(b.Why))
		}
	}
	f.Digest = e.Plan.InputsDigest(parts...)
	return f
}

// movedSince says how a target differs from what the plan saw.
func movedSince(made *plan.Node, i int, found *plan.Observed) string {
	if made == nil {
		return ""
	}
	switch was := made.Targets[i]; {
	case was.Stable != found.Target.Stable && was.Stable == "":
		return fmt.Sprintf("target %s had no stable release, now it is %s", was.Name, found.Target.Stable)
	case was.Stable != found.Target.Stable:
		return fmt.Sprintf("the stable release of target %s was %s, now it is %s", was.Name, was.Stable, found.Target.Stable)
	case was.World != "" && was.World != found.Target.World:
		return "somebody has changed target " + was.Name + " since"
	}
	return ""
}

func (e *Engine) identity() plan.Identity {
	return plan.Identity{Salt: e.Plan.Lineage, Artifacts: e.ArtifactDir}
}

// targetCommand does one operation of a target.
func (e *Engine) targetCommand(ctx context.Context, j job) kernel.Fact {
	s := slotNamed(j.node.Targets, j.Target)
	plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{})
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	limit := weightTimeout
	switch j.Kind {
	case kernel.Install, kernel.Retire:
		limit = installTimeout
	case kernel.Observe:
		limit = observeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, name, config := e.call(j), s.Entry.Name, bound.Wire()
	if j.Kind == kernel.Observe {
		seen, err := plugin.Observe(ctx, c, name, config)
		if err != nil {
			return e.failed(ctx, j, plugin, err, s.Use.Range, "")
		}
		return e.observed(j, seen)
	}
	if gone := e.notOurs(ctx, j); gone != nil {
		return gone
	}
	log := e.newSink(j)
	var out host.Outcome
	var err error
	switch j.Kind {
	case kernel.Install:
		out, err = plugin.Install(ctx, c, name, config, target.Release{ID: j.Release, Labels: map[string]string{labelRun: e.Config.Run.ID}}, log)
	case kernel.SetWeight:
		out, err = plugin.SetWeight(ctx, c, name, config, j.Release, j.Weight, plan.ExpectedWorld(j.Expect), log)
	case kernel.Scale:
		out, err = plugin.Scale(ctx, c, name, config, j.Release, j.Weight, log)
	case kernel.Settle:
		out, err = plugin.Settle(ctx, c, name, config, j.Release, log)
	case kernel.Retire:
		out, err = plugin.Retire(ctx, c, name, config, j.Release, log)
	}
	ref := log.close()
	if err != nil {
		return e.failed(ctx, j, plugin, err, s.Use.Range, ref)
	}
	f := kernel.CommandSucceeded{Command: j.ID, World: e.world(out.World), Logs: ref}
	if out.Release != nil {
		f.Address = e.redact(out.Release.Address)
		if raw, err := json.Marshal(out.Release); err == nil {
			f.Release = e.Redactor.Bytes(raw)
		}
	}
	return f
}

func (e *Engine) observed(j job, seen target.Observation) kernel.Fact {
	f := kernel.TargetObserved{Command: j.ID, Node: j.Node, Target: j.Target, Stable: seen.Stable, World: e.world(seen.World)}
	for _, p := range j.planned.Targets {
		if p.Name == j.Target {
			f.Weight = seen.Weights[p.Candidate]
			f.Installed = slices.ContainsFunc(seen.Releases, func(r target.Release) bool { return r.ID == p.Candidate })
		}
	}
	return f
}

func (e *Engine) askStrategy(ctx context.Context, j job) kernel.Fact {
	s := j.node.Strategy
	plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{})
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var err error
	if j.snapshot.Memory, err = e.recall(j, j.snapshot.Memory); err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Memory of the strategy cannot be opened", Detail: err.Error()}}
	}
	d, err := plugin.Next(ctx, s.Entry.Name, bound.Wire(), j.snapshot)
	if err != nil {
		return e.failed(ctx, j, plugin, err, s.Use.Range, "")
	}
	return kernel.DecisionOf(j.Command, e.decided(j, d))
}
