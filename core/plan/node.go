package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// rpcTimeout bounds one question to a plugin while planning.
const rpcTimeout = 2 * time.Minute

// nextTimeout bounds one question to a strategy, as it does in a run.
const nextTimeout = 5 * time.Second

// whenFalse is why a stage is skipped.
const whenFalse = "when is false"

// node plans one stage.
func (m *maker) node(ctx context.Context, n *program.Node, out *Node, k *kernel.Node) hcl.Diagnostics {
	if when := n.Settings.When; !when.IsKnown() {
		out.Maybe = true
	} else if when.False() {
		out.Skip = whenFalse
		return nil
	}
	if n.Kind == kernel.RolloutNode {
		return m.rollout(ctx, n, out, k)
	}
	return m.action(ctx, n, out)
}

// validate binds a slot and lets its plugin check the configuration.
func (m *maker) validate(ctx context.Context, n *program.Node, s *program.Slot, around program.Surroundings) (host.Plugin, *bind.Bound, hcl.Diagnostics) {
	bound, diags := m.prog.Bind(n, s, around)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	plugin, more := m.plugin(ctx, s)
	diags = append(diags, more...)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	said, err := plugin.Validate(ctx, s.Entry.Kind, s.Entry.Name, bound.Wire())
	diags = append(diags, bind.Diagnostics(bound, said, s.Use.Range)...)
	diags = append(diags, Problem(err, bound, s.Use.Range)...)
	return plugin, bound, diags
}

func (m *maker) plugin(ctx context.Context, s *program.Slot) (host.Plugin, hcl.Diagnostics) {
	spec, diags := m.prog.Spec(s)
	if diags.HasErrors() {
		return nil, diags
	}
	plugin, err := m.opts.Plugins.Get(ctx, spec)
	if err == nil {
		return plugin, diags
	}
	// What the plugin says of its own block is shown there.
	bound, at := m.prog.PluginBlock(s)
	return plugin, append(diags, Problem(err, bound, at)...)
}

// Problem places an error of a plugin in the file.
func Problem(err error, bound *bind.Bound, subject hcl.Range) hcl.Diagnostics {
	if err == nil {
		return nil
	}
	var p *diag.Problem
	if fault := host.Explain(err, ""); fault != nil {
		p = fault
	} else if errors.Is(err, context.DeadlineExceeded) {
		return hcl.Diagnostics{diagnostics.Error(subject, "Plugin does not answer",
			"It was asked about this and did not answer in time: %s. Nothing was changed. Try again; RUNNER_LOG=debug shows what it says meanwhile.", err)}
	} else if !errors.As(err, &p) {
		return hcl.Diagnostics{diagnostics.Error(subject, "Plugin failed", "%s.", strings.TrimSuffix(err.Error(), "."))}
	}
	if bound == nil {
		bound = &bind.Bound{}
	}
	return bind.Diagnostics(bound, p.Diagnostics, subject)
}

// Call is who asks while planning; keys are made from the plan's salt.
func (m *maker) call(n *program.Node, targetName, operation string) call.Call {
	return call.Call{
		Key:      uuid.NewSHA1(uuid.NameSpaceOID, []byte(fmt.Sprintf("%x\x00%s\x00%s\x00%s", m.plan.Salt, n.ID, targetName, operation))).String(),
		Pipeline: m.plan.Pipeline, Node: n.ID, Environment: n.Environment(), Target: targetName, Attempt: 1,
	}
}

func (m *maker) action(ctx context.Context, n *program.Node, out *Node) hcl.Diagnostics {
	s := n.Action
	out.Component = s.Entry.Name
	plugin, bound, diags := m.validate(ctx, n, s, program.Surroundings{})
	if n.Rollback != nil {
		_, _, more := m.validate(ctx, n, n.Rollback, program.Surroundings{})
		diags = append(diags, more...)
	}
	if diags.HasErrors() {
		return diags
	}
	if bound.Known() {
		out.Inputs = salted(m.plan.Salt, bound.Wire().JSON)
	} else {
		out.Deferred = paths(bound.Unknown())
	}
	if _, plans := s.Entry.Operation("plan"); plans {
		more := m.actionPlan(ctx, n, plugin, bound, out)
		diags = append(diags, more...)
	} else {
		out.Changes = []call.Change{{Action: call.Run, Subject: s.Entry.Name, Summary: "runs"}}
	}
	switch _, undo := s.Entry.Operation("undo"); {
	case n.Rollback != nil:
		out.WayBack, out.Back = call.BestEffort, "run "+n.Rollback.Entry.Name
	case undo:
		if out.WayBack == call.NoWayBack {
			out.WayBack = call.BestEffort
		}
		out.Back = "undo " + s.Entry.Name
	}
	return diags
}

func (m *maker) actionPlan(ctx context.Context, n *program.Node, plugin host.Plugin, bound *bind.Bound, out *Node) hcl.Diagnostics {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	s := n.Action
	p, err := plugin.PlanAction(ctx, m.call(n, "", "plan"), s.Entry.Name, bound.Wire())
	diags := bind.Diagnostics(bound, p.Diagnostics, s.Use.Range)
	diags = append(diags, Problem(err, bound, s.Use.Range)...)
	if diags.HasErrors() {
		return diags
	}
	if s.Entry.Outputs != nil && len(p.Outputs.JSON) > 0 {
		if _, err := bind.FromWire(p.Outputs, s.Entry.Outputs); err != nil {
			return append(diags, diagnostics.Error(s.Use.Range, "Outputs do not fit the schema",
				"What the plugin says that this stage will give is not what it declares: %s. This is a mistake in the plugin: tell its author, or use another version of it.", m.opts.Redactor.Redact(err.Error())))
		}
	}
	out.Changes, out.World, out.WayBack, out.EstimateMS = m.shown(p.Changes), WorldVersion(m.opts.Redactor, m.opts.Lineage, p.World), p.WayBack, p.Estimate.Milliseconds()
	switch {
	case p.Deferred != "":
		out.Deferred = append(out.Deferred, m.opts.Redactor.Redact(p.Deferred))
	case len(p.Changes) == 0:
		out.Unchanged = true
	}
	if len(p.Sealed) > 0 {
		out.Sealed = m.opts.Key.Seal(p.Sealed, planPlace(m.plan.Salt, n.ID))
	}
	return diags
}

// shown takes secrets out of what a plugin says that it would change.
func (m *maker) shown(changes []call.Change) []call.Change {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Subject, out[i].Summary = m.opts.Redactor.Redact(out[i].Subject), m.opts.Redactor.Redact(out[i].Summary)
	}
	return out
}

func paths(list []value.Path) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return out
}

func (m *maker) rollout(ctx context.Context, n *program.Node, out *Node, k *kernel.Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	out.Targets = make([]Target, len(n.Targets))
	var names []string
	unchanged := true
	stable := map[string]*target.Release{}
	for i, s := range n.Targets {
		t := &out.Targets[i]
		*t = Target{Name: s.Name, Component: s.Entry.Name}
		names = append(names, s.Entry.Name)
		plugin, bound, more := m.validate(ctx, n, s, program.Surroundings{})
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		found, more, err := ObserveTarget(ctx, plugin, m.call(n, s.Name, "observe"), s, bound, Identity{Salt: m.opts.Lineage, Artifacts: m.opts.Artifacts})
		more = append(more, Problem(err, bound, s.Use.Range)...)
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		*t = found.Target
		stable[s.Name] = found.StableRelease()
		t.Changes = m.shown(t.Changes)
		t.World, t.StableVersion = WorldVersion(m.opts.Redactor, m.opts.Lineage, t.World), m.opts.Redactor.Redact(t.StableVersion)
		diags = append(diags, Nameable(m.opts.Redactor, found, s)...)
		k.Rollout.Targets[i].Capabilities = t.Capabilities
		out.Deferred = append(out.Deferred, paths(bound.Unknown())...)
		unchanged = unchanged && t.Candidate != "" && t.Candidate == t.Stable
		diags = append(diags, Standing(found, s)...)
	}
	for _, s := range slices.Concat(n.Verifies, n.Metrics, n.SLOs) {
		_, _, more := m.validate(ctx, n, s, program.Surroundings{})
		if slices.Contains(n.SLOs, s) {
			more = slices.DeleteFunc(more, asOne)
		}
		diags = append(diags, more...)
	}
	out.Component = strings.Join(dedupe(names), ", ")
	out.Unchanged = unchanged
	out.Back, out.WayBack = backWords(out.Targets), wayBack(out.Targets)
	if diags.HasErrors() {
		return diags
	}
	if diags = append(diags, m.simulate(ctx, n, out, k)...); diags.HasErrors() {
		return diags
	}
	m.budgets(ctx, n, out, stable)
	return append(diags, m.forecast(ctx, n, out, stable)...)
}

// asOne is a warning that a metric does not tell releases apart. For an SLO that is meant.
func asOne(d *hcl.Diagnostic) bool {
	extra, ok := hcl.DiagnosticExtra[diagnostics.Extra](d)
	return ok && extra.Code == metrics.CodeNotApart && d.Severity == hcl.DiagWarning
}

// wayBack is exact where there is a release to go back to.
func wayBack(targets []Target) call.WayBack {
	for _, t := range targets {
		if t.Stable == "" {
			return call.BestEffort
		}
	}
	return call.Exact
}

func backWords(targets []Target) string {
	for _, t := range targets {
		if t.Stable == "" {
			return "remove the candidate: there is no earlier release"
		}
	}
	return "all traffic to the stable release"
}

func dedupe(names []string) []string {
	var out []string
	for _, n := range names {
		if len(out) == 0 || out[len(out)-1] != n {
			out = append(out, n)
		}
	}
	return out
}

// simulate runs the stage's strategy in a simulated world.
func (m *maker) simulate(ctx context.Context, n *program.Node, out *Node, k *kernel.Node) hcl.Diagnostics {
	next := ask(func(context.Context, strategy.Snapshot) (strategy.Decision, error) {
		return strategy.Decision{}, errors.New("the rollout has no strategy")
	})
	var diags hcl.Diagnostics
	var bound *bind.Bound
	subject := n.Stage.Config.Range
	if n.Strategy != nil {
		var plugin host.Plugin
		subject = n.Strategy.Use.Range
		plugin, bound, diags = m.validate(ctx, n, n.Strategy, program.Surroundings{})
		if diags.HasErrors() {
			return diags
		}
		if !bound.Known() {
			for _, p := range bound.Unknown() {
				diags = append(diags, diagnostics.Error(bound.Range(p), "Value not known",
					"A strategy is simulated before anything runs, so its configuration can only use variables, locals and the outside world."))
			}
			return diags
		}
		if diags = append(diags, unmet(n, k, false)...); diags.HasErrors() {
			return diags
		}
		wire := bound.Wire()
		next = func(ctx context.Context, s strategy.Snapshot) (strategy.Decision, error) {
			ctx, cancel := context.WithTimeout(ctx, nextTimeout)
			defer cancel()
			d, err := plugin.Next(ctx, n.Strategy.Entry.Name, wire, s)
			for _, text := range []*string{&d.Why, &d.Abort, &d.StepTitle, &d.StepID, &d.Wait.Approval, &d.Wait.Verification} {
				*text = m.opts.Redactor.Redact(*text)
			}
			return d, err
		}
	}
	sim, limits, err := simulate(ctx, *k, out.Targets, next)
	if err == nil && sim.First {
		// A first deployment goes straight to all traffic. What the next one would
		// do is refused today.
		_, _, err = simulate(ctx, *k, withStable(out.Targets), next)
	}
	if contract, ok := isContractError(err); ok {
		// What the strategy declares says it better than how its simulation failed.
		if lacks := unmet(n, k, true); lacks.HasErrors() {
			return append(diags, lacks...)
		}
		return append(diags, diagnostics.Error(subject, "Strategy cannot be carried out",
			"In the simulation of this rollout the strategy does what it must not, or what its targets cannot do: %s.\n\nCompare its attributes with what the stage and its targets offer. Where they fit, it is a mistake in the plugin of the strategy: take another version of it, or another strategy.", contract.what))
	}
	if err != nil {
		return append(diags, Problem(err, bound, subject)...)
	}
	out.Simulation = sim
	k.Rollout.Limits = limits
	if !sim.First {
		diags = append(diags, unasked(n, limits)...)
	}
	return diags
}

// withStable pretends that there is a stable release everywhere.
func withStable(targets []Target) []Target {
	out := slices.Clone(targets)
	for i := range out {
		out[i].Stable = "stable"
	}
	return out
}

// unmet says which needs of the strategy a target cannot meet. How it divides
// traffic counts only with weights: a strategy declares its default, and its
// configuration may be content with less.
func unmet(n *program.Node, k *kernel.Node, weights bool) hcl.Diagnostics {
	needs := n.Strategy.Entry.Strategy
	if needs == nil {
		return nil
	}
	rank := map[string]int{"": 0, "none": 0, "switch": 1, "percent": 2}
	var diags hcl.Diagnostics
	for i, t := range n.Targets {
		can := k.Rollout.Targets[i].Capabilities
		var lacks []string
		if needs.SideBySide && !can.SideBySide {
			lacks = append(lacks, "run two releases side by side")
		}
		if weights && rank[string(needs.Weights)] > rank[string(can.Weights)] {
			switch needs.Weights {
			case "percent":
				lacks = append(lacks, "divide traffic by percent")
			default:
				lacks = append(lacks, "switch traffic between two releases")
			}
		}
		if needs.ReleaseAddress && !can.ReleaseAddress {
			lacks = append(lacks, "give a candidate an address of its own")
		}
		if needs.ReleaseMetrics && !can.ReleaseMetrics {
			lacks = append(lacks, "tell metrics apart by release")
		}
		if len(lacks) > 0 {
			diags = append(diags, diagnostics.Error(n.Strategy.Use.Range, "Strategy asks more than its target can do",
				"Strategy %q needs a target that can %s; %q, which serves target %q, cannot. Choose another strategy or target.",
				n.Strategy.Entry.Name, strings.Join(lacks, " and "), t.Entry.Name, t.Name))
		}
	}
	return diags
}

// unasked warns of approvals that nobody will be asked for.
func unasked(n *program.Node, limits []kernel.Limit) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range n.Stage.Config.Approvals {
		asked := a.Name == ""
		for _, l := range limits {
			asked = asked || l.Approval == a.Name
		}
		if !asked {
			diags = append(diags, diagnostics.Error(a.Range, "Approval is never asked for",
				"The strategy does not ask for approval %q, so it would hold nothing back. Name it in the strategy's approve attribute, or remove the name to ask before the stage starts.", a.Name))
		}
	}
	return diags
}
