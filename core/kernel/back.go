package kernel

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/target"
)

// decideBack goes on with the way back: on every target at once the stable
// release gets its capacity and all traffic, then the candidate is retired. It
// asks no strategy and needs no judge.
func (s *State) decideBack(n *nodeState) {
	r := n.Rollout
	for i := range r.Targets {
		for j := range r.Targets[i].Verify {
			s.cancel(r.Targets[i].Verify[j].Op.Cmd)
		}
	}
	s.cancel(r.Ask.Cmd)
	s.cancel(r.Measure.Cmd)
	done, failed := true, ""
	for i := range r.Targets {
		t := &r.Targets[i]
		if !s.backTarget(n, i, t) {
			done = false
		} else if t.BackFailed != "" {
			failed = t.BackFailed
		}
	}
	if !done || len(s.commandsOf(n)) > 0 {
		return
	}
	if failed != "" {
		s.emit(RolloutClosed{Node: n.def.ID, Result: "failed", Why: failed})
	} else {
		s.emit(RolloutClosed{Node: n.def.ID, Result: "aborted", Why: r.Why})
	}
	s.settleRollout(n)
}

// backTarget takes one target back and reports whether it is done.
func (s *State) backTarget(n *nodeState, i int, t *targetState) bool {
	if t.Done || t.BackDone {
		return true
	}
	def := &n.def.Rollout.Targets[i]
	if t.Op.Cmd != 0 {
		if c := s.d.Commands[t.Op.Cmd]; c != nil && (!c.Back || s.d.Stopping == StopNow) {
			s.cancel(t.Op.Cmd)
		}
		return false
	}
	c := s.backCommand(n, def, t)
	if c.Kind == "" {
		return true
	}
	if t.Op.Last != nil && t.Op.Last.Back {
		switch s.judgeOp(n, &t.Op) {
		case opBusy:
			return false
		case opFailed, opDoubt:
			return s.backFailed(n, def, t)
		}
	}
	if s.d.Stopping != StopNow {
		s.issue(c)
	}
	return false
}

// backCommand is the next command of the way back; none when it is done.
func (s *State) backCommand(n *nodeState, def *Target, t *targetState) Command {
	c := Command{Node: n.def.ID, Target: def.Name, Back: true}
	switch {
	case t.MayWeigh && t.Stable == "":
		c.Kind, c.Release, c.Weight = SetWeight, t.Candidate, 0
	case t.MayWeigh && def.Capabilities.Capacity && !t.StableScaled:
		c.Kind, c.Release, c.Weight = Scale, t.Stable, target.Full
	case t.MayWeigh:
		c.Kind, c.Release, c.Weight = SetWeight, t.Stable, target.Full
	case t.Settled && !t.Unsettled && t.Stable != "":
		c.Kind, c.Release = Settle, t.Stable
	case t.MayInstall:
		c.Kind, c.Release = Retire, t.Candidate
	}
	return c
}

// backFailed is called when a step of the way back will not be tried again. A
// candidate without traffic that cannot be removed is told and left; anything
// else needs people.
func (s *State) backFailed(n *nodeState, def *Target, t *targetState) bool {
	why := failureText(t.Op.Failure, "the plugin's process was lost again and again")
	if t.Op.Last.Kind == Retire {
		s.emit(TargetLeft{Node: n.def.ID, Target: def.Name, Why: fmt.Sprintf("release %s has no traffic but could not be removed: %s", t.Candidate, why)})
		return true
	}
	s.emit(TargetLeft{Node: n.def.ID, Target: def.Name, Failed: true,
		Why: fmt.Sprintf("%s of the way back on target %q failed: %s", words(t.Op.Last.Kind), def.Name, why)})
	return true
}

// decideSettling makes every candidate the stable release, then retires what
// was stable before.
func (s *State) decideSettling(n *nodeState) {
	if s.d.Unwinding != nil && !s.retiring(n) {
		s.emit(RolloutAborting{Node: n.def.ID, Why: s.unwindingWhy(), Outcome: RolledBack})
		return
	}
	if s.d.Stopping != "" {
		s.stopForward(n)
		return
	}
	r := n.Rollout
	settledAll := true
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Done || t.Settled {
			continue
		}
		settledAll = false
		c := Command{Kind: Settle, Node: n.def.ID, Target: n.def.Rollout.Targets[i].Name, Release: t.Candidate}
		if s.settleStep(n, t, c) {
			s.rolloutFailed(n, fmt.Sprintf("settle on target %q failed: %s", c.Target, failureText(t.Op.Failure, "the plugin's process was lost again and again")))
			return
		}
	}
	if !settledAll {
		return
	}
	done := true
	for i := range r.Targets {
		t := &r.Targets[i]
		if t.Done || t.Stable == "" || t.Retired {
			continue
		}
		c := Command{Kind: Retire, Node: n.def.ID, Target: n.def.Rollout.Targets[i].Name, Release: t.Stable}
		if s.settleStep(n, t, c) {
			s.emit(TargetLeft{Node: n.def.ID, Target: c.Target, Why: fmt.Sprintf("release %s has no traffic but could not be removed: %s", t.Stable, failureText(t.Op.Failure, "its process was lost"))})
			continue
		}
		done = false
	}
	if done && len(s.commandsOf(n)) == 0 {
		s.emit(RolloutClosed{Node: n.def.ID, Result: "promoted"})
		s.settleRollout(n)
	} else if done {
		for _, id := range s.commandsOf(n) {
			s.cancel(id)
		}
	}
}

// retiring reports whether an earlier stable release may be gone already.
func (s *State) retiring(n *nodeState) bool {
	for i := range n.Rollout.Targets {
		t := &n.Rollout.Targets[i]
		if t.Retired || t.Op.Last != nil && t.Op.Last.Kind == Retire {
			return true
		}
	}
	return false
}

// settleStep issues one command of the settling and reports whether it failed for good.
func (s *State) settleStep(n *nodeState, t *targetState, c Command) (failed bool) {
	if t.Op.Last != nil && t.Op.Last.Kind == c.Kind {
		switch s.judgeOp(n, &t.Op) {
		case opBusy:
			return false
		case opFailed, opDoubt:
			return true
		}
	} else if t.Op.Cmd != 0 {
		return false
	}
	s.issue(c)
	return false
}
