package kernel

import (
	"fmt"

	"github.com/runner-pipelines/runner/sdk/strategy"
)

// decideMeasure keeps the timers of an analysis armed and asks for
// measurements when they are due.
func (s *State) decideMeasure(n *nodeState) {
	r, a := n.Rollout, n.def.Rollout.Analysis
	s.armUntil(n)
	if a == nil {
		return
	}
	s.armDeadline(n)
	switch s.judgeOp(n, &r.Measure) {
	case opBusy:
		return
	case opFailed, opDoubt:
		// No measurement is no evidence; the deadline decides what that means.
		if r.Measure.Failure != nil && !r.MeasureDue {
			s.armMeasure(n)
			return
		}
	}
	if !s.measurable(n) {
		return
	}
	if r.MeasureDue {
		s.issue(Command{Kind: Measure, Node: n.def.ID, Wave: r.Wave, Targets: s.measured(n), From: r.MeasureFrom, To: s.d.Now})
		return
	}
	s.armMeasure(n)
}

func (s *State) armMeasure(n *nodeState) {
	id := nodeTimer("measure", n)
	if s.d.Timers[id] == 0 {
		s.emit(TimerSet{ID: id, At: s.d.Now + n.def.Rollout.Analysis.Interval})
	}
}

// measured lists the targets whose candidates have traffic.
func (s *State) measured(n *nodeState) []string {
	var names []string
	for i := range n.Rollout.Targets {
		if t := &n.Rollout.Targets[i]; !t.Done && t.Observed > 0 {
			names = append(names, n.def.Rollout.Targets[i].Name)
		}
	}
	return names
}

func (s *State) measurable(n *nodeState) bool {
	return n.Rollout.MeasureFrom > 0 && !n.Rollout.Parked && len(s.measured(n)) > 0
}

// armUntil arms the timer of the moment that the strategy waits for.
func (s *State) armUntil(n *nodeState) {
	r, id := n.Rollout, nodeTimer("until", n)
	at := s.d.Timers[id]
	switch until := r.Wait.Until; {
	case until == at:
	case until > s.d.Now && r.Decided:
		s.emit(TimerSet{ID: id, At: until})
	case at != 0:
		s.emit(TimerDropped{ID: id})
	}
}

// armDeadline arms the timer after which missing evidence is decided upon. It
// counts from the start of the present step.
func (s *State) armDeadline(n *nodeState) {
	r, a := n.Rollout, n.def.Rollout.Analysis
	if a.Deadline == 0 || len(r.Steps) == 0 || r.DeadlinePassed {
		return
	}
	id := nodeTimer("deadline", n)
	at := r.stepAt(len(r.Steps)-1) + a.Deadline
	if s.d.Timers[id] != at {
		s.emit(TimerSet{ID: id, At: at})
	}
}

// decideEvidence does what the author wrote for a step whose deadline came
// before its evidence.
func (s *State) decideEvidence(n *nodeState) {
	r, a := n.Rollout, n.def.Rollout.Analysis
	if a == nil || !r.DeadlinePassed || !r.Wait.Verdict || s.stepVerdict(n).Value != strategy.Inconclusive || len(r.Steps) == 0 {
		return
	}
	step, what := r.Steps[len(r.Steps)-1], "not enough evidence"
	if !r.Step.Data {
		what = "no data"
	}
	why := fmt.Sprintf("%s at the deadline of step %q", what, step.Title)
	if v := s.stepVerdict(n); v.Why != "" {
		why += ": " + v.Why
	}
	if r.late(a) == "abort" {
		s.emit(RolloutAborting{Node: n.def.ID, Why: why, Outcome: RolledBack})
		return
	}
	s.ask(n, evidenceGate(n), EvidenceGate, why)
}

// late is what the author wrote for a step without evidence, or without data.
func (r *rolloutState) late(a *Analysis) string {
	if !r.Step.Data && a.OnNoData != "" {
		return a.OnNoData
	}
	return a.OnInconclusive
}

// goesOn reports whether the author wants a step to be passed that nothing speaks
// against and nothing for.
func (r *rolloutState) goesOn(a *Analysis) bool {
	if !r.DeadlinePassed || r.Step.Value != strategy.Inconclusive {
		return false
	}
	do := r.late(a)
	return do == "promote" || do == "continue"
}

// evidenceGate is the name of the gate that lets people go on without evidence.
func evidenceGate(n *nodeState) string {
	r := n.Rollout
	if len(r.Steps) == 0 {
		return ""
	}
	return fmt.Sprintf("evidence-%d-%s", r.Wave, r.Steps[len(r.Steps)-1].ID)
}

// stepVerdict is the step's verdict as the strategy sees it: people may have
// let it pass.
func (s *State) stepVerdict(n *nodeState) verdictState {
	v := n.Rollout.Step
	if a := n.def.Rollout.Analysis; a != nil && n.Rollout.goesOn(a) {
		v.Value, v.Why = strategy.Pass, "the deadline came, and the pipeline says to go on without enough evidence"
	}
	if v.Value == strategy.Pass && s.blind(n) {
		v = verdictState{Value: strategy.Inconclusive, Since: n.Rollout.Blind, N: v.N, Why: "nothing was measured since nobody watched"}
	}
	if g := n.gate(evidenceGate(n)); g != nil && g.Closed && g.Yes && v.Value == strategy.Inconclusive {
		v.Value, v.Since, v.Why = strategy.Pass, g.Since, g.Why
	}
	return v
}
