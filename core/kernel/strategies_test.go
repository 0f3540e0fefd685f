package kernel

import (
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// makingReady asks for all candidates, and waits until they are there and verified.
func makingReady(s strategy.Snapshot) (d strategy.Decision, waits bool) {
	for _, t := range s.Targets {
		d.Wait.Ready = d.Wait.Ready || !t.Installed || !t.Verified
		d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Install})
	}
	return d, d.Wait.Ready
}

// testCanary is a canary without memory, as a plugin would have it.
func testCanary(s strategy.Snapshot) strategy.Decision {
	d, waits := makingReady(s)
	if waits {
		return d
	}
	steps := []target.Weight{5_000, 25_000, 50_000, target.Full}
	if s.FirstDeployment {
		steps = steps[3:]
	}
	for _, w := range steps {
		id := w.String()
		st, entered := s.Entered(id)
		if !entered {
			if w == 50_000 {
				for _, a := range s.Approvals {
					if a.Value != strategy.Yes {
						return strategy.Decision{Wait: strategy.Wait{Approval: a.Name}}
					}
				}
			}
			d.StepID, d.StepTitle = id, id
			for _, t := range s.Targets {
				d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: w})
			}
			d.Wait.Ready = true
			return d
		}
		for _, t := range s.Targets {
			if t.Observed < w {
				d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: max(w, t.Desired)})
				d.Wait.Ready = true
			}
		}
		if d.Wait.Ready {
			return d
		}
		if until := st.At.Add(time.Duration(bake) * time.Millisecond); s.Now.Before(until) && !s.FirstDeployment {
			return strategy.Decision{Wait: strategy.Wait{Until: until}}
		}
		if s.Step.Value == strategy.Inconclusive && !s.FirstDeployment && slices.IndexFunc(s.Steps, func(x strategy.Step) bool { return x.ID == id }) == len(s.Steps)-1 {
			return strategy.Decision{Wait: strategy.Wait{Verdict: true}}
		}
	}
	return strategy.Decision{Finish: true}
}

// oneByOne is the name of a strategy that moves one target after the other, so that
// a whole wave may be larger than what may be degraded at once.
const oneByOne = "one by one"

// testOneByOne finishes what stands between first, and gives a target that has lost
// its candidate its traffic again whenever that may be.
func testOneByOne(s strategy.Snapshot) strategy.Decision {
	d, waits := makingReady(s)
	if waits {
		return d
	}
	at := -1
	for i, t := range s.Targets {
		if t.Observed != target.Full && (at < 0 || s.Targets[at].Observed == 0 && t.Observed > 0) {
			at = i
		}
	}
	if at < 0 {
		return strategy.Decision{Finish: true}
	}
	t := s.Targets[at]
	next := t.Desired
	for _, w := range []target.Weight{5_000, 50_000, target.Full} {
		if next == t.Observed && w > next {
			next = w
		}
	}
	if next > 25_000 {
		for _, a := range s.Approvals {
			if a.Value != strategy.Yes {
				return strategy.Decision{Wait: strategy.Wait{Approval: a.Name}}
			}
		}
	}
	d.StepID = t.Name + " " + next.String()
	d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: next})
	d.Wait.Ready = true
	return d
}

// believing is the snapshot of a strategy that waits for nobody.
func believing(s strategy.Snapshot) strategy.Snapshot {
	s.Targets, s.Approvals = slices.Clone(s.Targets), slices.Clone(s.Approvals)
	for i := range s.Targets {
		s.Targets[i].Verified = true
	}
	for i := range s.Approvals {
		s.Approvals[i].Value = strategy.Yes
	}
	return s
}
