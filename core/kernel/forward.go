package kernel

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// decideForward goes on with a rollout that moves towards its candidates.
func (s *State) decideForward(n *nodeState) {
	r := n.Rollout
	if why, outcome := s.mustAbort(n); why != "" {
		s.emit(RolloutAborting{Node: n.def.ID, Why: why, Outcome: outcome})
		return
	}
	if s.d.Stopping != "" {
		s.stopForward(n)
		return
	}
	busy := false
	for _, i := range n.def.Rollout.Waves[r.Wave] {
		t := &r.Targets[i]
		if t.Done {
			continue
		}
		b, failure := s.decideTarget(n, i, t)
		busy = busy || b
		if failure != "" {
			s.rolloutFailed(n, failure)
			return
		}
	}
	if s.decideMeasure(n); r.Phase != forward {
		return
	}
	if r.Decided && r.Wait.Approval != "" {
		s.ask(n, r.Wait.Approval, ApprovalGate, n.gateDef(r.Wait.Approval).Message)
	}
	if busy || s.parkWhileWaiting(n) {
		return
	}
	s.decideStep(n)
}

// mustAbort holds the invariants that end a rollout whatever its strategy says.
func (s *State) mustAbort(n *nodeState) (why string, outcome Outcome) {
	r := n.Rollout
	switch {
	case s.d.Unwinding != nil:
		return s.unwindingWhy(), RolledBack
	case r.Harm.Value == strategy.Fail:
		return "harm: " + r.Harm.Why, RolledBack
	case n.TimedOut:
		return "timed out", RolledBack
	case r.Abort != "":
		return r.Abort, RolledBack
	}
	for i := range r.Targets {
		for j := range r.Targets[i].Verify {
			if v := &r.Targets[i].Verify[j]; v.Value == strategy.No {
				return fmt.Sprintf("verification %q failed on target %q: %s", n.def.Rollout.Verifies[j], n.def.Rollout.Targets[i].Name, v.Why), RolledBack
			}
		}
	}
	for i := range n.Gates {
		if g := &n.Gates[i]; g.Closed && !g.Yes {
			return fmt.Sprintf("%s %q: %s", g.Kind, g.Name, g.Why), RolledBack
		}
	}
	return "", ""
}

func (s *State) unwindingWhy() string {
	why := "taken back by " + s.d.Unwinding.By
	if s.d.Unwinding.Why != "" {
		why += ": " + s.d.Unwinding.Why
	}
	return why
}

// rolloutFailed is called when an operation or the strategy failed for good.
func (s *State) rolloutFailed(n *nodeState, why string) {
	if n.def.OnFailure == Rollback {
		s.emit(RolloutAborting{Node: n.def.ID, Why: why, Outcome: RolledBack})
		return
	}
	s.emit(RolloutHalted{Node: n.def.ID, Why: why})
}

// stopForward lets what is under way end; with StopNow it is cancelled.
func (s *State) stopForward(n *nodeState) {
	if s.d.Stopping != StopNow {
		return
	}
	for _, id := range s.commandsOf(n) {
		s.cancel(id)
	}
}

// commandsOf lists the commands under way for a node, oldest first.
func (s *State) commandsOf(n *nodeState) []int64 {
	r := n.Rollout
	var ids []int64
	add := func(o *op) {
		if o.Cmd != 0 {
			ids = append(ids, o.Cmd)
		}
	}
	add(&r.Ask)
	add(&r.Measure)
	for i := range r.Targets {
		add(&r.Targets[i].Op)
		for j := range r.Targets[i].Verify {
			add(&r.Targets[i].Verify[j].Op)
		}
	}
	slices.Sort(ids)
	return ids
}

// decideTarget makes one target of the wave be as it should be, one command at
// a time. It reports whether something is under way, and what failed for good.
func (s *State) decideTarget(n *nodeState, i int, t *targetState) (busy bool, failure string) {
	def := &n.def.Rollout.Targets[i]
	for j := range t.Verify {
		if b, why := s.decideVerify(n, def, t, j); why != "" {
			return false, why
		} else if b {
			busy = true
		}
	}
	switch s.judgeOp(n, &t.Op) {
	case opBusy:
		return true, ""
	case opFailed, opDoubt:
		return false, fmt.Sprintf("%s on target %q failed: %s", words(t.Op.Last.Kind), def.Name, failureText(t.Op.Failure, "the plugin's process was lost again and again"))
	}
	c := Command{Node: n.def.ID, Target: def.Name, Release: t.Candidate}
	want := t.Desired
	if n.Rollout.Parked {
		want = 0
	}
	switch {
	case t.Stale || t.Op.Lost:
		c.Kind, c.Release = Observe, ""
	case (t.WantInstall || t.Desired > 0) && !t.Installed && !t.WantRetire:
		c.Kind = Install
	case want > t.Observed && s.held(n, t) != "":
		return busy, ""
	case want > t.Observed && def.Capabilities.Capacity && t.Scaled < want:
		c.Kind, c.Weight = Scale, want
	case want != t.Observed:
		c.Kind, c.Weight, c.Expect = SetWeight, want, t.World
	case t.WantRetire && t.Observed == 0 && t.Installed:
		c.Kind = Retire
	default:
		return busy, ""
	}
	s.issue(c)
	return true, ""
}

// decideVerify asks for one verification of an installed candidate.
func (s *State) decideVerify(n *nodeState, def *Target, t *targetState, j int) (busy bool, failure string) {
	v := &t.Verify[j]
	if !t.Installed || v.Value == strategy.Yes || v.Value == strategy.No {
		return false, ""
	}
	switch s.judgeOp(n, &v.Op) {
	case opReady:
		s.issue(Command{Kind: Verify, Node: n.def.ID, Target: def.Name, Release: t.Candidate, Verify: n.def.Rollout.Verifies[j]})
	case opFailed, opDoubt:
		return false, fmt.Sprintf("verification %q on target %q could not be carried out: %s", n.def.Rollout.Verifies[j], def.Name, failureText(v.Op.Failure, "its process was lost"))
	}
	return true, ""
}

// held says why the target's weight must not rise now; empty when it may.
func (s *State) held(n *nodeState, t *targetState) string {
	r := n.Rollout
	if r.Harm.Value == strategy.Fail {
		return "harm was shown"
	}
	if s.blind(n) {
		return "nothing was measured since nobody watched"
	}
	for j := range t.Verify {
		if t.Verify[j].Value != strategy.Yes {
			return fmt.Sprintf("verification %q is missing", n.def.Rollout.Verifies[j])
		}
	}
	for _, l := range n.def.Rollout.Limits {
		if t.Desired <= l.Weight {
			continue
		}
		if closed, yes := s.ask(n, l.Approval, ApprovalGate, n.gateDef(l.Approval).Message); !closed || !yes {
			return fmt.Sprintf("approval %q is missing", l.Approval)
		}
	}
	if m := n.def.Rollout.MaxDegraded; m > 0 && t.Observed == 0 && s.degraded(n, t) >= m {
		return fmt.Sprintf("%d targets stand between 0 and 100 %% already", m)
	}
	return ""
}

// degraded counts the other targets that stand, or may stand, between.
func (s *State) degraded(n *nodeState, but *targetState) int {
	count := 0
	for i := range n.Rollout.Targets {
		t := &n.Rollout.Targets[i]
		if t != but && !t.Done && (t.MayWeigh && t.Observed < target.Full || t.Op.Failure != nil) {
			count++
		}
	}
	return count
}

// parkWhileWaiting gives all traffic back to the stable release while only
// people are waited for, where the stage asks for that.
func (s *State) parkWhileWaiting(n *nodeState) bool {
	r := n.Rollout
	waits := r.Decided && r.Wait.Approval != "" && r.Wait.Until == 0 && !r.Wait.Verdict && !s.answered(n, r.Wait.Approval)
	switch {
	case r.Parked && !waits:
		s.emit(RolloutParked{Node: n.def.ID, On: false})
		return true
	case !r.Parked && waits && !r.AskDirty && n.def.Rollout.WhileWaiting == "stable" && n.standsBetween():
		s.emit(RolloutParked{Node: n.def.ID, On: true})
		return true
	}
	return r.Parked
}

func (s *State) answered(n *nodeState, gate string) bool {
	g := n.gate(gate)
	return g != nil && g.Closed
}

// decideStep asks the strategy, or acts on what it said.
func (s *State) decideStep(n *nodeState) {
	r := n.Rollout
	if r.Broken != "" {
		s.rolloutFailed(n, fmt.Sprintf("strategy %q broke its contract: %s", n.def.Rollout.Strategy, r.Broken))
		return
	}
	if done := s.waveDone(n); done || r.Finished {
		if done {
			s.finishWave(n)
		}
		return
	}
	s.decideEvidence(n)
	switch s.judgeOp(n, &r.Ask) {
	case opBusy:
		return
	case opFailed, opDoubt:
		s.rolloutFailed(n, fmt.Sprintf("strategy %q gave no answer: %s", n.def.Rollout.Strategy, failureText(r.Ask.Failure, "its process was lost again and again")))
		return
	}
	if !r.AskDirty && r.Ask.Attempt == 0 {
		return
	}
	if n.def.Rollout.Strategy == "" {
		s.emit(s.direct(n))
		return
	}
	s.issue(Command{Kind: AskStrategy, Node: n.def.ID, Wave: r.Wave})
}

// waveDone reports whether the strategy has finished the wave and every
// candidate in it has all traffic, or there was nothing to do.
func (s *State) waveDone(n *nodeState) bool {
	r := n.Rollout
	for _, i := range n.def.Rollout.Waves[r.Wave] {
		if t := &r.Targets[i]; !t.Done && (!r.Finished || t.Observed != target.Full) {
			return false
		}
	}
	return true
}

func (s *State) finishWave(n *nodeState) {
	r := n.Rollout
	if r.Wave+1 < len(n.def.Rollout.Waves) {
		s.emit(WaveEntered{Node: n.def.ID, Wave: r.Wave + 1})
		return
	}
	s.emit(RolloutSettling{Node: n.def.ID})
}

// foldDecision folds what a strategy said.
func (s *State) foldDecision(n *nodeState, f Decided) error {
	r := n.Rollout
	if f.Command != 0 {
		_, o, err := s.end(f.Command)
		if err != nil {
			return err
		}
		o.reset()
	} else {
		r.AskDirty, r.AskedAt = false, s.d.Now
	}
	if r.Phase != forward || f.Wave != r.Wave {
		return nil
	}
	if r.Broken = s.breach(n, &f); r.Broken != "" {
		return nil
	}
	// The moment may have come while the answer was on its way.
	r.AskDirty = r.AskDirty || f.Wait.Until != 0 && f.Wait.Until <= s.d.Now
	r.Decided, r.Wait, r.Finished, r.Abort, r.Memory = true, f.Wait, f.Finish, f.Abort, f.Memory
	if f.StepID != "" && !slices.ContainsFunc(r.Steps, func(st strategy.Step) bool { return st.ID == f.StepID }) {
		r.Steps = append(r.Steps, strategy.Step{ID: f.StepID, Title: f.StepTitle, At: s.d.Now.Time()})
		r.DeadlinePassed = false
		if n.def.Rollout.Analysis != nil {
			r.Step = verdictState{Value: strategy.Inconclusive, Since: s.d.Now}
		}
	}
	for _, c := range f.Changes {
		t := r.target(n.def, c.Target)
		switch c.Kind {
		case strategy.Install:
			t.WantInstall = true
		case strategy.SetWeight:
			t.Desired = c.Weight
		case strategy.Retire:
			t.WantRetire = true
		}
	}
	return nil
}

// breach says how a decision breaks the contract of a strategy; empty when it does not.
func (s *State) breach(n *nodeState, f *Decided) string {
	r := n.Rollout
	if len(f.Memory) > strategy.MaxMemory {
		return fmt.Sprintf("its memory has %d bytes, %d are allowed", len(f.Memory), strategy.MaxMemory)
	}
	if f.Abort != "" {
		return ""
	}
	wave := n.def.Rollout.Waves[r.Wave]
	changes := false
	desired := make([]target.Weight, len(r.Targets))
	for i := range r.Targets {
		desired[i] = r.Targets[i].Desired
	}
	for _, c := range f.Changes {
		i := slices.IndexFunc(wave, func(i int) bool { return n.def.Rollout.Targets[i].Name == c.Target })
		if i < 0 {
			return fmt.Sprintf("it speaks of target %q, which is not in this wave", c.Target)
		}
		t, def := &r.Targets[wave[i]], &n.def.Rollout.Targets[wave[i]]
		if t.Done {
			continue
		}
		switch c.Kind {
		case strategy.Install:
			changes = changes || !t.Installed
		case strategy.SetWeight:
			switch {
			case !def.Capabilities.Allows(c.Weight):
				return fmt.Sprintf("it asks for weight %s on target %q, which cannot have it", c.Weight, c.Target)
			case c.Weight < t.Desired:
				return fmt.Sprintf("it lowers the weight of target %q from %s to %s; the way back is not a strategy's", c.Target, t.Desired, c.Weight)
			}
			desired[wave[i]] = c.Weight
			changes = changes || c.Weight != t.Observed
		case strategy.Retire:
			if t.Observed > 0 || t.Desired > 0 {
				return fmt.Sprintf("it retires the candidate of target %q, which has traffic", c.Target)
			}
			changes = changes || t.Installed
		default:
			return fmt.Sprintf("it asks for a change of unknown kind %q", c.Kind)
		}
	}
	if f.Finish {
		for _, i := range wave {
			if t := &r.Targets[i]; !t.Done && desired[i] != target.Full {
				return fmt.Sprintf("it finishes while target %q is meant to be at %s", n.def.Rollout.Targets[i].Name, desired[i])
			}
		}
		return ""
	}
	if changes {
		return ""
	}
	return s.breachOfWait(n, f)
}

// breachOfWait says why a decision that changes nothing waits for what never comes.
func (s *State) breachOfWait(n *nodeState, f *Decided) string {
	w, r := f.Wait, n.Rollout
	if w == (Wait{}) {
		return "it changes nothing and waits for nothing"
	}
	comes := w.Until > r.AskedAt
	var never []string
	if w.Until != 0 && !comes {
		never = append(never, "a moment that has passed")
	}
	if w.Verdict {
		if comes = comes || n.def.Rollout.Analysis != nil; n.def.Rollout.Analysis == nil {
			never = append(never, "a verdict although the stage has no analysis")
		}
	}
	if w.Approval != "" {
		offered := slices.ContainsFunc(n.def.Rollout.Approvals, func(g Gate) bool { return g.Name == w.Approval })
		if offered && !s.answered(n, w.Approval) {
			comes = true
		} else {
			never = append(never, fmt.Sprintf("approval %q although the stage has no such block, or has the answer already", w.Approval))
		}
	}
	if w.Verification != "" || w.Ready {
		open := false
		for _, i := range n.def.Rollout.Waves[r.Wave] {
			t := &r.Targets[i]
			open = open || !t.Done && (t.Op.Cmd != 0 || t.Desired != t.Observed || t.WantInstall && !t.Installed || t.Stale)
			for j := range t.Verify {
				open = open || t.WantInstall && t.Verify[j].Value != strategy.Yes && t.Verify[j].Value != strategy.No
			}
		}
		if comes = comes || open; !open {
			never = append(never, "what is so already")
		}
	}
	if comes {
		return ""
	}
	return "it waits for " + strings.Join(never, ", and for ")
}

func words(k CommandKind) string { return strings.ReplaceAll(string(k), "_", " ") }
