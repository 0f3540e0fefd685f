package kernel

import (
	"fmt"
	"strings"
)

// canStart reports whether a node that has its turn could get a place now.
func (s *State) canStart() bool {
	return len(s.ready) > 0 && s.d.Stopping == "" && s.d.Slots < s.d.Parallelism && s.startable()
}

// startable drops what is no longer ready from the head of the queue.
func (s *State) startable() bool {
	for len(s.ready) > 0 {
		n := &s.d.Nodes[s.ready[0]]
		if n.Status == waiting && n.Pending == 0 {
			return true
		}
		s.ready = s.ready[1:]
	}
	return false
}

// startReady gives places to nodes whose turn has come, first come first served.
// A node that lacks its lock or its pool is looked at again when that changes.
func (s *State) startReady() {
	for s.canStart() {
		i := s.ready[0]
		s.ready = s.ready[1:]
		n := &s.d.Nodes[i]
		pool := n.def.Pool
		switch {
		case !s.poolFree(n):
			s.poolWaiters[pool] = append(s.poolWaiters[pool], i)
		case !s.lockHeld(n):
			// The lock's arrival brings it here again; its place may serve another.
			if pool != "" {
				s.wakePool(pool)
			}
		default:
			s.emit(NodeStarted{Node: n.def.ID})
			if pool != "" && s.d.PoolUse[pool] < s.g.Pools[pool] {
				s.wakePool(pool)
			}
		}
	}
}

func (s *State) poolFree(n *nodeState) bool {
	p := n.def.Pool
	return p == "" || n.Pool || s.d.PoolUse[p] < s.g.Pools[p]
}

// lockHeld reports whether the node's environment is ours, and asks for it if not.
func (s *State) lockHeld(n *nodeState) bool {
	if n.def.Environment == "" {
		return true
	}
	env := s.d.Envs[n.def.Environment]
	if env.Held && env.Op.Cmd == 0 {
		return true
	}
	if env.Failed == "" && env.Op.idle() && s.d.Stopping == "" {
		s.issue(Command{Kind: TakeLock, Env: n.def.Environment})
	}
	return false
}

// decideNode looks at one node of which something changed.
func (s *State) decideNode(i int) {
	n := &s.d.Nodes[i]
	for j := range n.Gates {
		if g := &n.Gates[j]; g.Open && n.Status != settled {
			s.closeGate(n, g)
		}
	}
	switch n.Status {
	case waiting:
		s.decideWaiting(i, n)
	case preparing:
		s.decidePreparing(n)
	case gated:
		s.decideGated(n)
	case running:
		if n.def.Kind == RolloutNode {
			s.decideRollout(n)
		} else {
			s.decideAction(n)
		}
	case undoing:
		s.decideUndo(n)
	case settled:
		if n.beingUndone() {
			s.decideUndo(n)
		}
	}
}

func (s *State) decideWaiting(i int, n *nodeState) {
	if n.Pending > 0 {
		return
	}
	switch {
	case n.def.Kind == BarrierNode:
		if n.Unsatisfied > 0 {
			s.settle(n, NotRun, "not everything before it succeeded")
		} else {
			s.settle(n, Succeeded, "")
		}
	case s.d.Unwinding != nil:
		s.settle(n, NotRun, "the run was taken back")
	case n.def.RunIf == OnSuccess && n.Unsatisfied > 0:
		s.settle(n, NotRun, "a stage that it waits for did not succeed")
	case n.def.RunIf == OnFailure && n.Unsatisfied == 0:
		s.settle(n, Skipped, "nothing before it failed")
	case n.def.Skip != "":
		s.settle(n, Skipped, n.def.Skip)
	case n.def.Environment != "" && s.d.Envs[n.def.Environment].Failed != "":
		s.settle(n, Failed, s.d.Envs[n.def.Environment].Failed)
	default:
		s.ready = append(s.ready, i)
	}
}

func (s *State) decidePreparing(n *nodeState) {
	if n.Planned == nil {
		switch s.judgeOp(n, &n.Plan) {
		case opReady:
			switch {
			case s.d.Unwinding != nil:
				s.settle(n, Cancelled, "the run was taken back")
			case s.d.Stopping == "" && s.lockHeld(n):
				s.issue(Command{Kind: PlanNode, Node: n.def.ID})
			}
		case opFailed, opDoubt:
			f := n.Plan.Failure
			switch {
			case f == nil || !f.Cancelled:
				s.settle(n, Failed, failureText(f, "the stage could not be planned"))
			case s.d.Unwinding != nil:
				s.settle(n, Cancelled, "the run was taken back")
			}
		}
		return
	}
	switch {
	case s.d.Unwinding != nil:
		s.settle(n, Cancelled, "the run was taken back")
	case n.Planned.Skip != "":
		s.settle(n, Skipped, n.Planned.Skip)
	case n.def.Kind == RolloutNode && unchanged(n.Planned.Targets):
		s.settle(n, Succeeded, "the release is in place already")
	default:
		if spent := n.spent(abort); len(spent) > 0 {
			s.settle(n, Failed, spent[0].Why)
		}
	}
}

func unchanged(targets []PlannedTarget) bool {
	for _, t := range targets {
		if t.Stable != t.Candidate {
			return false
		}
	}
	return len(targets) > 0
}

func (s *State) settle(n *nodeState, o Outcome, why string) {
	if len(s.d.Timers) > 0 {
		for _, id := range sortedKeys(s.d.Timers) {
			if _, of, _ := timerParts(id); of == n.def.ID {
				s.emit(TimerDropped{ID: id})
			}
		}
	}
	s.emit(NodeSettled{Node: n.def.ID, Outcome: o, Why: why})
}

func nodeTimer(kind string, n *nodeState) string { return kind + "\x1f" + n.def.ID }

// timerParts are what a timer is for, whose it is (a node's or an environment's),
// and what tells it from others of theirs.
func timerParts(id string) (kind, of, rest string) {
	kind, of, _ = strings.Cut(id, "\x1f")
	of, rest, _ = strings.Cut(of, "\x1f")
	return kind, of, rest
}

// nodeTimerFired folds the timers that belong to a node as a whole.
func (s *State) nodeTimerFired(n *nodeState, kind, name string) {
	r := n.Rollout
	switch {
	case kind == "gate":
		if g := n.gate(name); g != nil && g.Open {
			g.Expired = true
		}
	case kind == "timeout":
		n.TimedOut = true
	case r == nil:
	case kind == "until":
		r.AskDirty = true
	case kind == "measure":
		r.MeasureDue = true
	case kind == "deadline":
		r.DeadlinePassed = true
		if a := n.def.Rollout.Analysis; a != nil && r.goesOn(a) {
			r.AskDirty = true
		}
	}
}

func (s *State) nodeStarted(n *nodeState) {
	if n.Started == 0 {
		n.Started = s.d.Now
	}
	s.takePlaces(n)
	if n.def.needsPreparation() && n.Planned == nil {
		n.Status = preparing
		return
	}
	n.Status = running
}

func (s *State) takePlaces(n *nodeState) {
	if !n.Slot {
		n.Slot = true
		s.d.Slots++
	}
	if p := n.def.Pool; p != "" && !n.Pool {
		n.Pool = true
		s.d.PoolUse[p]++
	}
}

// freePlaces gives back the node's slot and, unless it keeps it, its place in the pool.
func (s *State) freePlaces(n *nodeState, keepPool bool) {
	if n.Slot {
		n.Slot = false
		s.d.Slots--
	}
	if p := n.def.Pool; p != "" && n.Pool && !keepPool {
		n.Pool = false
		s.d.PoolUse[p]--
		s.wakePool(p)
	}
}

// wakePool lets the next node try that waits for a place in the pool.
func (s *State) wakePool(pool string) {
	for w := s.poolWaiters[pool]; len(w) > 0; w = w[1:] {
		if n := &s.d.Nodes[w[0]]; n.Status == waiting && n.Pending == 0 {
			s.touch(w[0])
			s.poolWaiters[pool] = w[1:]
			return
		}
	}
	delete(s.poolWaiters, pool)
}

func (s *State) nodePlanned(n *nodeState, f NodePlanned) error {
	c, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	if c.Kind != PlanNode {
		return fmt.Errorf("command %d is not %s", f.Command, PlanNode)
	}
	o.reset()
	n.Planned = &f
	if f.Skip != "" {
		return nil
	}
	if n.def.Kind == RolloutNode {
		if len(f.Targets) != len(n.def.Rollout.Targets) {
			return fmt.Errorf("node %s was planned with %d targets, it has %d", n.def.ID, len(f.Targets), len(n.def.Rollout.Targets))
		}
		if unchanged(f.Targets) || len(n.spent(abort)) > 0 {
			return nil
		}
	}
	if s.openStartGates(n) == 0 {
		n.Status = running
	} else {
		n.Status = gated
		s.freePlaces(n, false)
	}
	return nil
}

func (s *State) nodeSettled(i int, n *nodeState, f NodeSettled) {
	if n.Status == settled {
		return
	}
	s.freePlaces(n, false)
	n.Status, n.Outcome, n.Why, n.Ended = settled, f.Outcome, f.Why, s.d.Now
	s.d.Unsettled--
	for j := range n.Gates {
		n.Gates[j].Open = false
	}
	for _, j := range s.succ[i] {
		m := &s.d.Nodes[j]
		m.Pending--
		if !f.Outcome.Satisfies() {
			m.Unsatisfied++
		}
		if m.Pending == 0 {
			s.touch(j)
		}
	}
	if e := n.def.Environment; e != "" {
		s.d.Envs[e].Unsettled--
		s.dirtyEnv[e] = true
	}
}

// decideEnvs deals with environments of which something changed.
func (s *State) decideEnvs() {
	for len(s.dirtyEnv) > 0 {
		for _, name := range sortedKeys(s.dirtyEnv) {
			delete(s.dirtyEnv, name)
			s.decideEnv(name, s.d.Envs[name])
		}
	}
}

func (s *State) decideEnv(name string, env *envState) {
	if env == nil {
		return
	}
	if env.Op.Cmd != 0 {
		return
	}
	if env.Held && s.envDone(name, env) {
		s.issue(Command{Kind: FreeLock, Env: name})
	}
}

// envDone reports whether the lock is to be freed: all stages are settled, or
// the run leaves and none of the environment's rollouts stands between.
func (s *State) envDone(name string, env *envState) bool {
	if env.Unsettled == 0 {
		return env.undoing == 0 && (s.d.Unwinding == nil || !s.undoLeft())
	}
	if s.d.Stopping == "" {
		return false
	}
	for _, c := range s.d.Commands {
		if n := s.node(c.Node); n != nil && n.def.Environment == name {
			return false
		}
	}
	for i := range s.d.Nodes {
		if n := &s.d.Nodes[i]; n.def.Environment == name && n.standsBetween() {
			return false
		}
	}
	return true
}

func (s *State) lockTaken(f LockTaken) error {
	_, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	o.reset()
	env := s.d.Envs[f.Env]
	env.Held, env.Fence = true, f.Fence
	s.touchEnv(f.Env)
	return nil
}

func (s *State) lockFreed(f LockFreed) error {
	_, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	o.reset()
	s.d.Envs[f.Env].Held = false
	s.touchEnv(f.Env)
	return nil
}

func (s *State) touchEnv(name string) {
	for i := range s.d.Nodes {
		if n := &s.d.Nodes[i]; n.def.Environment == name && (n.Status != settled && n.Pending == 0 || n.beingUndone()) {
			s.touch(i)
		}
	}
}

func failureText(f *Failure, otherwise string) string {
	if f == nil {
		return otherwise
	}
	if f.Detail != "" {
		return f.Summary + ": " + f.Detail
	}
	return f.Summary
}
