package kernel

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Time is a moment in milliseconds since 1970, UTC; a span where a name says so.
type Time int64

// Graph is what a run is made of. It is part of the plan and never changes.
type Graph struct {
	// Plan is the plan's digest.
	Plan string `json:"plan"`
	// Nodes in an order in which every node comes after those it waits for.
	Nodes []Node `json:"nodes"`
	// Pools by name with how many nodes may hold a place at once.
	Pools map[string]int `json:"pools,omitempty"`
}

// NodeKind is what a node does.
type NodeKind string

const (
	// ActionNode runs one action.
	ActionNode NodeKind = "action"
	// RolloutNode moves traffic on one or more targets.
	RolloutNode NodeKind = "rollout"
	// BarrierNode does nothing; others wait for it instead of for many.
	BarrierNode NodeKind = "barrier"
)

// RunIf says on which outcome of its predecessors a node runs.
type RunIf string

const (
	// OnSuccess runs when all succeeded or were skipped. It is the zero value.
	OnSuccess RunIf = ""
	// OnFailure runs when at least one did not.
	OnFailure RunIf = "failure"
	// Always runs in any case.
	Always RunIf = "always"
)

// FailureMode is what a failed node does.
type FailureMode string

const (
	// Stop leaves things as they are. It is the zero value.
	Stop FailureMode = ""
	// Rollback takes the node's way back.
	Rollback FailureMode = "rollback"
)

// DoubtMode is what happens when nobody knows the outcome of a once operation.
type DoubtMode string

const (
	// AskDoubt asks people. It is the zero value.
	AskDoubt DoubtMode = ""
	// RetryDoubt issues the operation again.
	RetryDoubt DoubtMode = "retry"
	// FailDoubt counts it as failed.
	FailDoubt DoubtMode = "fail"
)

// Node is one stage instance, or a barrier.
type Node struct {
	// ID is the address, such as stage.release["prod"].
	ID   string   `json:"id"`
	Kind NodeKind `json:"kind"`
	// After holds the indexes of the nodes it waits for, all smaller than its own.
	After       []int  `json:"after,omitempty"`
	RunIf       RunIf  `json:"run_if,omitempty"`
	Environment string `json:"environment,omitempty"`
	Pool        string `json:"pool,omitempty"`
	// Prepare: the node's inputs are resolved and it is planned when it starts.
	// Rollouts, and nodes with gates, always are.
	Prepare bool `json:"prepare,omitempty"`
	// Skip is why the node does not run, where that is known since the plan. It
	// needs no lock for that.
	Skip string `json:"skip,omitempty"`
	// Gates are answered, in any order, before the node does anything.
	Gates []Gate `json:"gates,omitempty"`
	// Timeout is a span; 0 for none.
	Timeout   Time        `json:"timeout,omitempty"`
	Retry     *Retry      `json:"retry,omitempty"`
	OnFailure FailureMode `json:"on_failure,omitempty"`
	OnDoubt   DoubtMode   `json:"on_doubt,omitempty"`
	Action    *Action     `json:"action,omitempty"`
	Rollout   *Rollout    `json:"rollout,omitempty"`
}

// Retry is the author's own word on trying again after any failure.
type Retry struct {
	// Attempts in all, the first included.
	Attempts int `json:"attempts"`
	// Delay before the second attempt; it doubles up to MaxDelay. Spans.
	Delay    Time `json:"delay"`
	MaxDelay Time `json:"max_delay"`
}

// Action is how an action node may be repeated and taken back.
type Action struct {
	Class schema.Class `json:"class"`
	// Reconcile: the plugin can tell what became of a lost run.
	Reconcile bool `json:"reconcile,omitempty"`
	// Undo: there is a way back.
	Undo bool `json:"undo,omitempty"`
	// UndoClass is the class of the way back.
	UndoClass schema.Class `json:"undo_class,omitempty"`
	// UndoAlways: the way back works without a successful run (a rollback block).
	UndoAlways bool `json:"undo_always,omitempty"`
	// UndoReconcile: the plugin can tell what became of a lost way back.
	UndoReconcile bool `json:"undo_reconcile,omitempty"`
}

// Rollout is what a rollout node moves, and how.
type Rollout struct {
	Targets []Target `json:"targets"`
	// Waves are indexes into Targets; those of a wave move together.
	Waves [][]int `json:"waves"`
	// MaxDegraded is how many targets may stand between 0 and 100 % at once; 0 for no limit.
	MaxDegraded int `json:"max_degraded,omitempty"`
	// Strategy is the component's name; empty for straight to 100 %.
	Strategy string `json:"strategy,omitempty"`
	// Verifies are names of what must hold on a candidate before it gets traffic.
	Verifies []string `json:"verifies,omitempty"`
	// Approvals that the strategy may ask for.
	Approvals []Gate    `json:"approvals,omitempty"`
	Analysis  *Analysis `json:"analysis,omitempty"`
	// Limits hold weights down until approvals are given, as seen in the simulation.
	Limits []Limit `json:"limits,omitempty"`
	// WhileWaiting is "stable" to give all traffic back to the stable release
	// while only people are waited for.
	WhileWaiting string `json:"while_waiting,omitempty"`
}

// Target is one target of a rollout.
type Target struct {
	Name         string              `json:"name"`
	Capabilities target.Capabilities `json:"capabilities"`
}

// Limit is the highest weight that may be reached in a wave without an approval.
type Limit struct {
	Approval string        `json:"approval"`
	Weight   target.Weight `json:"weight"`
}

// Analysis is when to measure and how long to wait for evidence. Spans.
type Analysis struct {
	Interval Time `json:"interval"`
	// Deadline counts from the start of a step; 0 for none.
	Deadline Time `json:"deadline,omitempty"`
	// OnInconclusive is "abort", "hold" or "promote".
	OnInconclusive string `json:"on_inconclusive,omitempty"`
	// OnNoData is "abort", "hold" or "continue"; empty does as OnInconclusive.
	OnNoData string `json:"on_no_data,omitempty"`
	SLOs     []SLO  `json:"slos,omitempty"`
}

// SLO is what an error budget that is spent means before a rollout.
type SLO struct {
	Name string `json:"name"`
	// OnExhausted is "hold", "abort" or "continue".
	OnExhausted string `json:"on_exhausted"`
}

// GateKind is what a gate asks.
type GateKind string

const (
	// ApprovalGate asks whether to go on.
	ApprovalGate GateKind = "approval"
	// DoubtGate asks whether a lost operation happened.
	DoubtGate GateKind = "doubt"
	// EvidenceGate asks whether to go on without enough evidence.
	EvidenceGate GateKind = "evidence"
	// BudgetGate asks whether a rollout may start although an error budget is spent.
	BudgetGate GateKind = "budget"
)

// Gate is what must be answered before something goes on.
type Gate struct {
	Name string `json:"name"`
	// Required is how many people must approve, at least 1.
	Required int `json:"required"`
	// From lists who may: "user:NAME" or "group:NAME"; empty for anybody.
	From []string `json:"from,omitempty"`
	// NotInitiator: who started the run does not count.
	NotInitiator bool `json:"not_initiator,omitempty"`
	// Expires is the span after which a missing answer is a no; 0 for never.
	Expires Time `json:"expires,omitempty"`
	// Message for who is asked.
	Message string  `json:"message,omitempty"`
	Inputs  []Input `json:"inputs,omitempty"`
}

// Input is a typed value that an answer carries.
type Input struct {
	Name string `json:"name"`
	// Type expression as in a schema.
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	// Optional inputs have a default in the pipeline file.
	Optional bool `json:"optional,omitempty"`
}

// Validate checks what New relies on: order of nodes, indexes, kinds.
func (g *Graph) Validate() error {
	seen := make(map[string]bool, len(g.Nodes))
	for i := range g.Nodes {
		n := &g.Nodes[i]
		if seen[n.ID] {
			return fmt.Errorf("node %s: listed twice", n.ID)
		}
		seen[n.ID] = true
		for _, a := range n.After {
			if a < 0 || a >= i {
				return fmt.Errorf("node %s: waits for node %d, which does not come before it", n.ID, a)
			}
		}
		if n.Pool != "" && g.Pools[n.Pool] < 1 {
			return fmt.Errorf("node %s: pool %q has no places", n.ID, n.Pool)
		}
		switch n.Kind {
		case ActionNode:
			if n.Action == nil {
				return fmt.Errorf("node %s: action missing", n.ID)
			}
		case RolloutNode:
			if err := n.Rollout.validate(); err != nil {
				return fmt.Errorf("node %s: %w", n.ID, err)
			}
		case BarrierNode:
		default:
			return fmt.Errorf("node %s: unknown kind %q", n.ID, n.Kind)
		}
	}
	return nil
}

func (r *Rollout) validate() error {
	if r == nil || len(r.Targets) == 0 {
		return fmt.Errorf("rollout without targets")
	}
	waves := make(map[int]int)
	for _, w := range r.Waves {
		for _, t := range w {
			if t < 0 || t >= len(r.Targets) {
				return fmt.Errorf("wave names target %d", t)
			}
			waves[t]++
		}
	}
	for i := range r.Targets {
		if waves[i] != 1 {
			return fmt.Errorf("target %q is in %d waves", r.Targets[i].Name, waves[i])
		}
	}
	if a := r.Analysis; a != nil && a.Interval <= 0 {
		return fmt.Errorf("analysis without interval")
	}
	return nil
}

// needsPreparation reports whether the node passes through PlanNode.
func (n *Node) needsPreparation() bool {
	return n.Prepare || n.Kind == RolloutNode || len(n.Gates) > 0
}
