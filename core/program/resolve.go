package program

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// resolve finds the components of one stage instance and checks what the file
// may say of each kind.
func (p *Program) resolve(st *scope.Stage) (*Node, hcl.Diagnostics) {
	n := &Node{ID: st.Addr.String(), Kind: kernel.ActionNode, Stage: st}
	set, diags := settings.Of(st)
	n.Settings = set
	c := st.Config
	switch {
	case c.Use != nil:
		slot, more := p.slot(st, MainTarget, ActionRole, c.Use, schema.KindAction, schema.KindTarget)
		diags = append(diags, more...)
		if slot == nil {
			return n, diags
		}
		if slot.Entry.Kind == schema.KindTarget {
			slot.Role = TargetRole
			n.Kind, n.Targets = kernel.RolloutNode, []*Slot{slot}
		} else {
			n.Action = slot
		}
	case len(c.Targets) > 0:
		n.Kind = kernel.RolloutNode
		for _, t := range c.Targets {
			slot, more := p.slot(st, t.Name, TargetRole, t.Use, schema.KindTarget)
			diags = append(diags, more...)
			if slot != nil {
				n.Targets = append(n.Targets, slot)
			}
		}
	}
	if n.Kind == kernel.ActionNode {
		diags = append(diags, p.resolveAction(n)...)
	} else {
		diags = append(diags, p.resolveRollout(n)...)
	}
	more := p.gates(n)
	return n, append(diags, more...)
}

// slot finds the component of one slot; nil when there is none.
func (p *Program) slot(st *scope.Stage, name string, role Role, use *config.Use, kinds ...schema.Kind) (*Slot, hcl.Diagnostics) {
	if use == nil {
		return nil, nil
	}
	entry, err := p.catalog.Component(use.Component, kinds...)
	if err != nil {
		return nil, placed(err, use.ComponentRange)
	}
	s := &Slot{Name: name, Role: role, Use: use, Entry: entry}
	if st.Environment != nil {
		s.Alias = st.Environment.Alias(entry.Plugin)
	}
	return s, nil
}

// placed turns a message about a name into one about its place in the file.
func placed(err error, at hcl.Range) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, d := range diag.Of(err).Diagnostics {
		hd := diagnostics.Error(at, d.Summary, "%s", d.Detail)
		if d.Code != "" {
			hd.Extra = diagnostics.Extra{Code: d.Code}
		}
		diags = append(diags, hd)
	}
	return diags
}

func (p *Program) resolveAction(n *Node) hcl.Diagnostics {
	c := n.Stage.Config
	var diags hcl.Diagnostics
	refuse := func(given bool, what string, at hcl.Range) {
		if given {
			diags = append(diags, misplaced(at, what, "is for a rollout", `component %q runs once and moves no traffic. Remove it, or use a component that is a target`, c.Use.Component))
		}
	}
	if c.Strategy != nil {
		refuse(true, "strategy", c.Strategy.Range)
	}
	if c.Analysis != nil {
		refuse(true, "analysis", c.Analysis.Range)
	}
	for _, v := range c.Verify {
		refuse(true, "verify", v.Range)
	}
	refuse(c.Waves != nil, "waves", rangeOf(c.Waves))
	refuse(c.MaxDegraded != nil, "max_degraded", rangeOf(c.MaxDegraded))
	refuse(c.WhileWaiting != nil, "while_waiting", rangeOf(c.WhileWaiting))
	if c.Rollback != nil {
		slot, more := p.slot(n.Stage, c.Rollback.Component, RollbackRole, c.Rollback, schema.KindAction)
		diags = append(diags, more...)
		n.Rollback = slot
	}
	return diags
}

func (p *Program) resolveRollout(n *Node) hcl.Diagnostics {
	c := n.Stage.Config
	var diags hcl.Diagnostics
	refuse := func(given bool, what, why string, at hcl.Range) {
		if given {
			diags = append(diags, misplaced(at, what, "belongs to an action", "%s", why))
		}
	}
	if c.Rollback != nil {
		refuse(true, "rollback", "the way back of a rollout is to give all traffic to the stable release again, which needs no component", c.Rollback.Range)
	}
	if c.Retry != nil {
		refuse(true, "retry", "the operations of a target state what should be so and are tried again by themselves", c.Retry.Range)
	}
	refuse(c.OnDoubt != nil, "on_doubt", "the operations of a target may be issued again, so they are never in doubt", rangeOf(c.OnDoubt))
	for _, pr := range c.Produces {
		refuse(true, "produces", "a rollout makes no artifact", pr.NameRange)
	}
	if c.Strategy != nil {
		slot, more := p.slot(n.Stage, c.Strategy.Component, StrategyRole, c.Strategy, schema.KindStrategy)
		diags = append(diags, more...)
		n.Strategy = slot
	}
	for _, v := range c.Verify {
		slot, more := p.slot(n.Stage, v.Name, VerifyRole, v.Use, schema.KindAction)
		diags = append(diags, more...)
		if slot != nil {
			n.Verifies = append(n.Verifies, slot)
		}
	}
	diags = append(diags, p.resolveAnalysis(n)...)
	if m, largest := n.Settings.MaxDegraded, largestWave(n.Settings.Waves); m > 0 && largest > m {
		diags = append(diags, diagnostics.Error(rangeOf(c.MaxDegraded), "Wave too large",
			"The targets of a wave move together, and one wave has %d of them, but max_degraded lets %d stand between 0 and 100 %% at once. Split the wave, or raise max_degraded.", largest, m))
	}
	return diags
}

func (p *Program) resolveAnalysis(n *Node) hcl.Diagnostics {
	c := n.Stage.Config
	if c.Analysis == nil {
		return nil
	}
	var diags hcl.Diagnostics
	if c.Strategy == nil {
		diags = append(diags, diagnostics.Error(c.Analysis.Range, "Analysis without a strategy",
			"Without a strategy all traffic goes to the candidate at once, and no verdict could come in time. Add a strategy block, such as canary, or use verify."))
	}
	if a := n.Settings.Analysis; a != nil && c.Strategy != nil && a.Deadline == 0 && c.Analysis.Deadline == nil {
		diags = append(diags, diagnostics.Error(c.Analysis.Range, "Missing deadline",
			"A step is passed on evidence, and evidence may never come. Say how long to wait for it, and what then: deadline = \"30m\" and on_inconclusive = \"abort\" (take the rollout back) or \"hold\" (ask people)."))
	}
	for i, m := range c.Analysis.Metrics {
		if m.Use == nil {
			slots, more := p.ready(n, m, &n.Settings.Analysis.Metrics[i])
			diags = append(diags, more...)
			n.Metrics = append(n.Metrics, slots...)
			continue
		}
		slot, more := p.slot(n.Stage, m.Name, MetricRole, m.Use, schema.KindMetrics)
		diags = append(diags, more...)
		if slot != nil {
			n.Metrics = append(n.Metrics, slot)
		}
	}
	for i, o := range c.Analysis.SLOs {
		slots, more := p.counters(n, o, &n.Settings.Analysis.SLOs[i])
		diags = append(diags, more...)
		n.SLOs = append(n.SLOs, slots...)
	}
	return diags
}

// counters finds what counts for an SLO.
func (p *Program) counters(n *Node, o *config.SLO, set *settings.SLO) ([]*Slot, hcl.Diagnostics) {
	if o.Use != nil {
		slot, diags := p.slot(n.Stage, o.Name, MetricRole, o.Use, schema.KindMetrics)
		if slot == nil {
			return nil, diags
		}
		return []*Slot{slot}, diags
	}
	if set.Metric == "" {
		return nil, nil
	}
	ready := &config.Metric{Name: set.Metric, Range: o.Metric.Range(), NameRange: o.Metric.Range()}
	slots, diags := p.ready(n, ready, &settings.Metric{Name: set.Metric})
	for _, s := range slots {
		s.Name = o.Name
	}
	return slots, diags
}

func largestWave(waves [][]string) int {
	largest := 1
	for _, w := range waves {
		largest = max(largest, len(w))
	}
	return largest
}

func misplaced(at hcl.Range, what, because, detail string, args ...any) *hcl.Diagnostic {
	return diagnostics.Error(at, "Misplaced "+what, "%s %s; %s.", strings.ToUpper(what[:1])+what[1:], because, fmt.Sprintf(detail, args...))
}

func rangeOf(e hcl.Expression) hcl.Range {
	if e == nil {
		return hcl.Range{}
	}
	return e.Range()
}

// gates turns the stage's approvals and gates, and its environment's approvals,
// into what the kernel asks: named approvals of a stage with a strategy when the
// strategy asks, everything else before the stage starts.
func (p *Program) gates(n *Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	names := map[string]bool{}
	unique := func(name string) string {
		for i, base := 2, name; names[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		names[name] = true
		return name
	}
	for _, a := range n.Settings.Approvals {
		if a.Name != "" && n.Strategy != nil {
			n.Approvals = append(n.Approvals, gateOf(unique(a.Name), a))
		}
	}
	for _, a := range n.Settings.Approvals {
		switch {
		case a.Name == "":
			n.Gates = append(n.Gates, gateOf(unique("approval"), a))
		case n.Strategy == nil:
			n.Gates = append(n.Gates, gateOf(unique(a.Name), a))
		}
	}
	if e := n.Stage.Environment; e != nil {
		approvals, more := settings.Environment(p.Scope, e)
		diags = append(diags, more...)
		for _, a := range approvals {
			n.Gates = append(n.Gates, gateOf(unique("environment"), a))
		}
	}
	for _, g := range n.Settings.Gates {
		if g.FailOn != "" {
			diags = append(diags, diagnostics.Error(g.Range, "Unknown component",
				"A gate with fail_on judges the findings of a scanner, and no declared plugin offers one. Plugins of this runner serve actions, targets, strategies and metrics; remove fail_on to ask people."))
			continue
		}
		name := g.Name
		if name == "" {
			name = "gate"
		}
		k := kernel.Gate{Name: unique(name), Required: 1, Message: g.Message}
		for _, in := range g.Inputs {
			k.Inputs = append(k.Inputs, inputOf(in))
			n.setDefault(k.Name, in.Name, in.Default)
		}
		n.Gates = append(n.Gates, k)
	}
	return diags
}

func gateOf(name string, a settings.Approval) kernel.Gate {
	return kernel.Gate{
		Name: name, Required: max(1, a.Required), From: a.From, NotInitiator: a.NotInitiator,
		Expires: kernel.Time(a.Expires.Milliseconds()),
	}
}

// checkBodies binds every slot with what is known now, for the mistakes in it.
func (p *Program) checkBodies(nodes []*Node) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, n := range nodes {
		for _, s := range n.Slots() {
			_, more := p.Bind(n, s, Surroundings{})
			diags = append(diags, more...)
		}
		_, more := settings.Products(n.Stage)
		diags = append(diags, more...)
	}
	diags = append(diags, p.checkPlugins()...)
	return diags
}

// Slots lists everything that a component fills.
func (n *Node) Slots() []*Slot {
	var out []*Slot
	for _, s := range []*Slot{n.Action, n.Rollback, n.Strategy} {
		if s != nil {
			out = append(out, s)
		}
	}
	out = append(out, n.Targets...)
	out = append(out, n.Verifies...)
	out = append(out, n.Metrics...)
	return append(out, n.SLOs...)
}
