package kernel

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Time is the moment in UTC; the zero time for 0.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t)).UTC()
}

// TimeOf is the inverse of Time.Time; what is finer than a millisecond is cut off.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// Snapshot is what the strategy of a rollout may know now. It is taken when
// AskStrategy is carried out.
func (s *State) Snapshot(node string) (strategy.Snapshot, error) {
	n := s.node(node)
	if n == nil || n.Rollout == nil {
		return strategy.Snapshot{}, fmt.Errorf("node %s has no rollout under way", node)
	}
	return s.snapshot(n), nil
}

func (s *State) snapshot(n *nodeState) strategy.Snapshot {
	r := n.Rollout
	out := strategy.Snapshot{
		Rollout: s.d.Run + "/" + n.def.ID, Wave: r.Wave, Now: s.d.Now.Time(), FirstDeployment: r.First,
		Steps: r.watchedSteps(), Harm: r.Harm.public(), Step: s.stepVerdict(n).public(), Memory: r.Memory,
	}
	for _, i := range n.def.Rollout.Waves[r.Wave] {
		t, def := &r.Targets[i], &n.def.Rollout.Targets[i]
		if t.Done {
			continue
		}
		st := strategy.Target{
			Name: def.Name, Capabilities: def.Capabilities, Stable: t.Stable, Candidate: t.Candidate,
			Installed: t.Installed, Ready: t.Installed, Desired: t.Desired, Observed: t.Observed, Verified: t.Installed, Address: t.Address,
		}
		for j := range t.Verify {
			st.Verified = st.Verified && t.Verify[j].Value == strategy.Yes
		}
		out.Targets = append(out.Targets, st)
		if t.Op.Cmd != 0 {
			out.InFlight = append(out.InFlight, words(t.Op.Last.Kind)+" on "+def.Name)
		}
		if t.Op.Failure != nil {
			out.LastFailure = t.Op.Failure.Summary
		}
	}
	for i := range n.def.Rollout.Approvals {
		out.Approvals = append(out.Approvals, n.answer(n.def.Rollout.Approvals[i].Name))
	}
	for j, name := range n.def.Rollout.Verifies {
		out.Verifications = append(out.Verifications, s.verification(n, j, name))
	}
	byName := func(a, b strategy.Answer) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(out.Approvals, byName)
	slices.SortFunc(out.Verifications, byName)
	return out
}

func (v verdictState) public() strategy.Verdict {
	return strategy.Verdict{Value: v.Value, Since: v.Since.Time(), N: v.N}
}

func (n *nodeState) answer(gate string) strategy.Answer {
	a := strategy.Answer{Name: gate}
	g := n.gate(gate)
	switch {
	case g == nil:
	case g.Closed && g.Yes:
		a.Value, a.Since = strategy.Yes, g.Since.Time()
	case g.Closed:
		a.Value, a.Since = strategy.No, g.Since.Time()
	case g.Open:
		a.Value, a.Since = strategy.Pending, g.Since.Time()
	}
	return a
}

// verification is yes when it passed on every target of the wave, no when it
// failed on one.
func (s *State) verification(n *nodeState, j int, name string) strategy.Answer {
	r := n.Rollout
	a := strategy.Answer{Name: name, Value: strategy.Yes}
	for _, i := range n.def.Rollout.Waves[r.Wave] {
		t := &r.Targets[i]
		if t.Done {
			continue
		}
		v := &t.Verify[j]
		if since := v.Since.Time(); since.After(a.Since) {
			a.Since = since
		}
		switch {
		case v.Value == strategy.No:
			return strategy.Answer{Name: name, Value: strategy.No, Since: v.Since.Time()}
		case v.Value == strategy.Yes:
		case v.Op.Cmd != 0:
			a.Value = strategy.Pending
		case a.Value == strategy.Yes:
			a.Value = strategy.Unasked
		}
	}
	if a.Value != strategy.Yes {
		a.Since = time.Time{}
	}
	return a
}

// direct decides for a rollout without a strategy: install, verify, all traffic
// at once.
func (s *State) direct(n *nodeState) Decided {
	d := Decided{Node: n.def.ID, Wave: n.Rollout.Wave}
	installed, verified, full := true, true, true
	snap := s.snapshot(n)
	for _, t := range snap.Targets {
		installed = installed && t.Installed
		verified = verified && t.Verified
		full = full && t.Observed == target.Full
	}
	for _, t := range snap.Targets {
		d.Changes = append(d.Changes, Change{Target: t.Name, Kind: strategy.Install})
		if installed && verified {
			d.Changes = append(d.Changes, Change{Target: t.Name, Kind: strategy.SetWeight, Weight: target.Full})
		}
	}
	switch {
	case full:
		d.Finish, d.Why = true, "all traffic is with the candidate"
	case !installed:
		d.Wait.Ready, d.Why = true, "the candidate is being installed"
	case !verified:
		d.Wait.Ready, d.Why = true, "the candidate is being verified"
	default:
		d.StepID, d.StepTitle = "100", "100%"
		d.Wait.Ready, d.Why = true, "straight to 100%"
	}
	return d
}

// DecisionOf turns what a strategy said into the fact that ends AskStrategy.
func DecisionOf(c Command, d strategy.Decision) Decided {
	f := Decided{
		Command: c.ID, Node: c.Node, Wave: c.Wave, StepID: d.StepID, StepTitle: d.StepTitle,
		Finish: d.Finish, Abort: d.Abort, Memory: d.Memory, Why: d.Why,
		Wait: Wait{
			Until: TimeOf(d.Wait.Until), Verdict: d.Wait.Verdict, Approval: d.Wait.Approval,
			Verification: d.Wait.Verification, Ready: d.Wait.Ready,
		},
	}
	for _, c := range d.Changes {
		f.Changes = append(f.Changes, Change(c))
	}
	return f
}
