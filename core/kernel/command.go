package kernel

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// CommandKind is what the engine is asked to do.
type CommandKind string

const (
	// PlanNode resolves a node's inputs, evaluates its when, observes its targets.
	// It ends with NodePlanned.
	PlanNode CommandKind = "plan_node"
	// RunAction and UndoAction end with CommandSucceeded.
	RunAction  CommandKind = "run_action"
	UndoAction CommandKind = "undo_action"
	// Observe ends with TargetObserved.
	Observe CommandKind = "observe"
	// Install, Scale, SetWeight, Settle and Retire end with CommandSucceeded.
	Install   CommandKind = "install"
	Scale     CommandKind = "scale"
	SetWeight CommandKind = "set_weight"
	Settle    CommandKind = "settle"
	Retire    CommandKind = "retire"
	// AskStrategy ends with Decided.
	AskStrategy CommandKind = "ask_strategy"
	// Measure ends with Judged.
	Measure CommandKind = "measure"
	// Verify ends with Verified.
	Verify CommandKind = "verify"
	// TakeLock ends with LockTaken, FreeLock with LockFreed.
	TakeLock CommandKind = "take_lock"
	FreeLock CommandKind = "free_lock"
	// Reconcile asks what became of the command Of. It ends with CommandReconciled.
	Reconcile CommandKind = "reconcile"
	// Cancel asks the command Of to stop. It has no end of its own.
	Cancel CommandKind = "cancel"
)

// Command is symbolic: it holds no configuration and no secret. The engine
// binds both just before the call. Any command may also end with CommandFailed or
// CommandLost.
type Command struct {
	// ID counts from 1 within the run.
	ID int64 `json:"id"`
	// Key is the idempotency key: equal for every attempt at the same operation.
	Key  string      `json:"key,omitempty"`
	Kind CommandKind `json:"kind"`
	Node string      `json:"node,omitempty"`
	// Attempt counts from 1.
	Attempt int `json:"attempt,omitempty"`
	// Target is a label within the node.
	Target string `json:"target,omitempty"`
	// Release is the id that Install, Scale, SetWeight, Settle and Retire speak of.
	Release string `json:"release,omitempty"`
	// Weight is that of SetWeight, or the capacity of Scale.
	Weight target.Weight `json:"weight,omitempty"`
	// Expect is the world version that SetWeight expects.
	Expect string `json:"expect,omitempty"`
	// Targets that Measure looks at.
	Targets []string `json:"targets,omitempty"`
	// Wave of AskStrategy and Measure.
	Wave int `json:"wave,omitempty"`
	// From and To are the window of Measure.
	From Time `json:"from,omitempty"`
	To   Time `json:"to,omitempty"`
	// Verify is the name of what to verify.
	Verify string `json:"verify,omitempty"`
	// Env is the environment of TakeLock and FreeLock.
	Env string `json:"env,omitempty"`
	// Of is the command that Reconcile and Cancel speak of.
	Of int64 `json:"of,omitempty"`
	// Back: the command belongs to a way back, which must not wait for a store.
	Back bool `json:"back,omitempty"`
}

// EndOf is the command that a fact ends; 0 for none.
func EndOf(fact Fact) int64 {
	switch f := fact.(type) {
	case NodePlanned:
		return f.Command
	case LockTaken:
		return f.Command
	case LockFreed:
		return f.Command
	case CommandSucceeded:
		return f.Command
	case CommandFailed:
		return f.Command
	case CommandLost:
		return f.Command
	case CommandReconciled:
		return f.Command
	case Decided:
		return f.Command
	case Judged:
		return f.Command
	case Verified:
		return f.Command
	case TargetObserved:
		return f.Command
	}
	return 0
}

// class says what repeating the command does.
func (s *State) class(c *Command) schema.Class {
	switch c.Kind {
	case RunAction:
		if n := s.node(c.Node); n != nil && n.def.Action != nil {
			return n.def.Action.Class
		}
		return schema.Once
	case UndoAction:
		if n := s.node(c.Node); n != nil && n.def.Action != nil && n.def.Action.UndoClass != "" {
			return n.def.Action.UndoClass
		}
		return schema.Convergent
	}
	return schema.Convergent
}

// key derives the idempotency key of an operation: a UUID from run, node,
// operation and ordinal, fit for the client tokens of cloud APIs.
func (s *State) key(node, target string, kind CommandKind, ordinal int) string {
	space, err := uuid.Parse(s.d.Nonce)
	if err != nil {
		space = uuid.NewSHA1(uuid.NameSpaceOID, []byte(s.d.Nonce))
	}
	return uuid.NewSHA1(space, fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", node, target, kind, ordinal)).String()
}
