package plan

import (
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

func ms(d time.Duration) kernel.Time { return kernel.Time(d.Milliseconds()) }

// graphOf is what the kernel needs to know of a program. Capabilities and limits
// are filled in as the nodes are planned.
func graphOf(p *program.Program) kernel.Graph {
	g := kernel.Graph{Pools: p.Pools, Nodes: make([]kernel.Node, len(p.Nodes))}
	for i, n := range p.Nodes {
		g.Nodes[i] = nodeOf(n)
	}
	return g
}

func nodeOf(n *program.Node) kernel.Node {
	k := kernel.Node{ID: n.ID, Kind: n.Kind, After: n.After, Environment: n.Environment(), Gates: n.Gates}
	if n.Kind == kernel.BarrierNode {
		return k
	}
	set := n.Settings
	k.Pool, k.Timeout = set.Pool, ms(set.Timeout)
	switch set.RunIf {
	case "failure":
		k.RunIf = kernel.OnFailure
	case "always":
		k.RunIf = kernel.Always
	}
	if set.OnFailure == "rollback" || set.OnFailure == "" && n.Kind == kernel.RolloutNode {
		k.OnFailure = kernel.Rollback
	}
	switch set.OnDoubt {
	case "retry":
		k.OnDoubt = kernel.RetryDoubt
	case "fail":
		k.OnDoubt = kernel.FailDoubt
	}
	if n.Stage.Config.Retry != nil {
		k.Retry = &kernel.Retry{Attempts: set.Retry.Attempts, Delay: ms(set.Retry.Delay), MaxDelay: ms(set.Retry.MaxDelay)}
	}
	k.Prepare = !set.When.IsKnown()
	if set.When.IsKnown() && set.When.False() {
		k.Skip = whenFalse
	}
	if n.Kind == kernel.RolloutNode {
		k.Rollout = rolloutOf(n)
		return k
	}
	k.Action = actionOf(n)
	if _, plans := n.Action.Entry.Operation("plan"); plans {
		k.Prepare = true
	}
	return k
}

func actionOf(n *program.Node) *kernel.Action {
	run, _ := n.Action.Entry.Operation("run")
	a := &kernel.Action{Class: run.Class, Reconcile: run.Reconcile}
	if a.Class == "" {
		a.Class = schema.Once
	}
	if n.Rollback != nil {
		op, _ := n.Rollback.Entry.Operation("run")
		a.Undo, a.UndoAlways, a.UndoClass, a.UndoReconcile = true, true, op.Class, op.Reconcile
	} else if op, ok := n.Action.Entry.Operation("undo"); ok {
		a.Undo, a.UndoClass, a.UndoReconcile = true, op.Class, op.Reconcile
	}
	return a
}

func rolloutOf(n *program.Node) *kernel.Rollout {
	set := n.Settings
	r := &kernel.Rollout{MaxDegraded: set.MaxDegraded, Approvals: n.Approvals}
	index := map[string]int{}
	for i, t := range n.Targets {
		caps := target.Capabilities{}
		if t.Entry.Target != nil {
			caps = *t.Entry.Target
		}
		r.Targets = append(r.Targets, kernel.Target{Name: t.Name, Capabilities: caps})
		index[t.Name] = i
	}
	for _, w := range set.Waves {
		wave := make([]int, len(w))
		for i, name := range w {
			wave[i] = index[name]
		}
		r.Waves = append(r.Waves, wave)
	}
	if len(r.Waves) == 0 {
		all := make([]int, len(r.Targets))
		for i := range all {
			all[i] = i
		}
		r.Waves = [][]int{all}
	}
	if n.Strategy != nil {
		r.Strategy = n.Strategy.Entry.Name
	}
	for _, v := range n.Verifies {
		r.Verifies = append(r.Verifies, v.Name)
	}
	if a := set.Analysis; a != nil {
		r.Analysis = &kernel.Analysis{Interval: ms(a.Shortest()), Deadline: ms(a.Deadline), OnInconclusive: a.OnInconclusive, OnNoData: a.OnNoData}
		for _, o := range a.SLOs {
			r.Analysis.SLOs = append(r.Analysis.SLOs, kernel.SLO{Name: o.Name, OnExhausted: o.OnExhausted})
		}
	}
	if set.WhileWaiting == "stable" {
		r.WhileWaiting = "stable"
	}
	return r
}

// known reports whether a value is wholly known, marks aside.
func known(v cty.Value) bool {
	v, _ = v.UnmarkDeep()
	return v.IsWhollyKnown()
}
