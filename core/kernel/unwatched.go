package kernel

import (
	"slices"

	"github.com/runner-pipelines/runner/sdk/strategy"
)

// unwatched takes a span before now out of all that is to be watched: bakes,
// deadlines and timeouts go on for what is left of them. The time of a gate is
// people's and goes by the calendar. What may have happened meanwhile is looked at
// first: no weight rises before a measurement.
func (s *State) unwatched(span Time) {
	if span <= 0 {
		return
	}
	for id := range s.d.Timers {
		switch kind, _, _ := timerParts(id); kind {
		case "gate", "measure":
		default:
			s.d.Timers[id] += span
		}
	}
	for i := range s.d.Nodes {
		n := &s.d.Nodes[i]
		if n.Status == settled || n.Rollout == nil {
			continue
		}
		n.Rollout.unwatched(span)
		if n.def.Rollout.Analysis != nil && n.standsBetween() {
			n.Rollout.Blind, n.Rollout.MeasureDue = s.d.Now, true
			delete(s.d.Timers, nodeTimer("measure", n))
		}
		s.touch(i)
	}
}

func (r *rolloutState) unwatched(span Time) {
	for len(r.Unwatched) < len(r.Steps) {
		r.Unwatched = append(r.Unwatched, 0)
	}
	for i := range r.Unwatched {
		r.Unwatched[i] += span
	}
	if r.Wait.Until != 0 {
		r.Wait.Until += span
	}
	r.AskDirty = true
}

// blind reports whether traffic has been with a candidate while nobody watched,
// and nothing was measured since.
func (s *State) blind(n *nodeState) bool {
	return n.Rollout.Blind != 0 && s.measurable(n)
}

// stepAt is when the step would have been entered, had all time since been watched.
func (r *rolloutState) stepAt(i int) Time {
	at := TimeOf(r.Steps[i].At)
	if i < len(r.Unwatched) {
		at += r.Unwatched[i]
	}
	return at
}

// watchedSteps are the steps as the strategy sees them: a bake that counts from
// their moments counts only what was watched.
func (r *rolloutState) watchedSteps() []strategy.Step {
	steps := slices.Clone(r.Steps)
	for i := range steps {
		steps[i].At = r.stepAt(i).Time()
	}
	return steps
}
