package kernel

import (
	"encoding/json"
	"fmt"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

type phase string

const (
	forward phase = "forward"
	// back: the way back is under way.
	back phase = "back"
	// settling: every wave is done, the candidates become stable.
	settling phase = "settling"
	// halted: a failure left things as they are.
	halted phase = "halted"
	closed phase = "closed"
)

// rolloutState is the rollout of one node.
type rolloutState struct {
	Phase phase
	// HaltedFrom is the phase in which the rollout halted.
	HaltedFrom phase `json:",omitempty"`
	First      bool  `json:",omitempty"`
	Wave       int   `json:",omitempty"`
	Targets    []targetState
	Result     string `json:",omitempty"`
	// Why and Outcome are those of the way back.
	Why     string  `json:",omitempty"`
	Outcome Outcome `json:",omitempty"`

	// What the strategy said last of this wave.
	Steps []strategy.Step `json:",omitempty"`
	// Unwatched are spans by index into Steps: how much of the time since the step
	// was entered nobody watched. Missing ones are 0.
	Unwatched []Time `json:",omitempty"`
	Wait      Wait   `json:",omitzero"`
	Decided   bool   `json:",omitempty"`
	Finished  bool   `json:",omitempty"`
	Abort     string `json:",omitempty"`
	Memory    []byte `json:",omitempty"`
	Ask       op     `json:",omitzero"`
	// AskDirty: something changed since the strategy was asked.
	AskDirty bool `json:",omitempty"`
	// AskedAt is when the strategy was asked last.
	AskedAt Time `json:",omitempty"`
	// Broken is how the strategy broke its contract.
	Broken string `json:",omitempty"`

	Measure     op   `json:",omitzero"`
	MeasureFrom Time `json:",omitempty"`
	MeasureDue  bool `json:",omitempty"`
	Harm        verdictState
	Step        verdictState
	JudgeState  json.RawMessage `json:",omitempty"`
	BurnState   json.RawMessage `json:",omitempty"`
	Evidence    string          `json:",omitempty"`
	// Blind is until when nobody has watched; no weight rises before a measurement
	// that covers it.
	Blind Time `json:",omitempty"`
	// DeadlinePassed for evidence of the present step.
	DeadlinePassed bool `json:",omitempty"`
	// Parked: all traffic is with the stable release while people are waited for.
	Parked bool `json:",omitempty"`
}

type verdictState struct {
	Value strategy.VerdictValue `json:",omitempty"`
	Since Time                  `json:",omitempty"`
	N     int64                 `json:",omitempty"`
	Why   string                `json:",omitempty"`
	// Data says that there was something to judge.
	Data bool `json:",omitempty"`
}

// targetState is one target of a rollout.
type targetState struct {
	Stable    string `json:",omitempty"`
	Candidate string
	// Done: the candidate was stable before the rollout began.
	Done    bool            `json:",omitempty"`
	Address string          `json:",omitempty"`
	Release json.RawMessage `json:",omitempty"`
	World   string          `json:",omitempty"`

	WantInstall bool          `json:",omitempty"`
	WantRetire  bool          `json:",omitempty"`
	Desired     target.Weight `json:",omitempty"`

	Installed bool          `json:",omitempty"`
	Observed  target.Weight `json:",omitempty"`
	// Scaled is the candidate's capacity.
	Scaled target.Weight `json:",omitempty"`
	// Stale: what is so must be observed before anything is built on it.
	Stale bool `json:",omitempty"`

	// MayInstall and MayWeigh: a command was issued after which the candidate
	// may be installed, or have traffic; the way back has to deal with it.
	MayInstall bool `json:",omitempty"`
	MayWeigh   bool `json:",omitempty"`

	// StableScaled, Unsettled: steps of the way back that are done.
	StableScaled bool   `json:",omitempty"`
	Unsettled    bool   `json:",omitempty"`
	Settled      bool   `json:",omitempty"`
	Retired      bool   `json:",omitempty"`
	BackFailed   string `json:",omitempty"`
	BackDone     bool   `json:",omitempty"`

	Op     op
	Verify []verifyState `json:",omitempty"`
}

type verifyState struct {
	Op    op                   `json:",omitzero"`
	Value strategy.AnswerValue `json:",omitempty"`
	Since Time                 `json:",omitempty"`
	Why   string               `json:",omitempty"`
	// Void: what is under way looks at a candidate that is gone.
	Void bool `json:",omitempty"`
}

func (r *rolloutState) target(def *Node, name string) *targetState {
	for i := range def.Rollout.Targets {
		if def.Rollout.Targets[i].Name == name {
			return &r.Targets[i]
		}
	}
	return nil
}

// resume makes everything be looked at again: the world may have moved.
func (r *rolloutState) resume() {
	r.AskDirty = true
	r.Ask.Losses, r.Measure.Losses = 0, 0
	if r.Phase == halted {
		r.Phase = r.HaltedFrom
		r.Ask.Failure, r.Measure.Failure = nil, nil
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		t.Op.Losses = 0
		if !t.Done && t.Op.Cmd == 0 && r.Phase == forward {
			t.Op.Failure = nil
			t.Stale = t.MayInstall
		}
		for j := range t.Verify {
			t.Verify[j].Op.Losses = 0
		}
	}
}

// standsBetween reports whether a rollout of the node is not finished while its
// candidates have some of the traffic.
func (n *nodeState) standsBetween() bool {
	r := n.Rollout
	if r == nil || n.Status == settled || r.Phase == closed {
		return false
	}
	for i := range r.Targets {
		if t := &r.Targets[i]; !t.Done && (t.MayWeigh || t.Observed > 0) {
			return true
		}
	}
	return false
}

// openRollout begins the rollout of a node that was planned and admitted.
func (s *State) openRollout(n *nodeState) {
	first := true
	for _, t := range n.Planned.Targets {
		if t.Stable != "" {
			first = false
		}
	}
	s.noteBudgets(n)
	s.emit(RolloutOpened{Node: n.def.ID, First: first})
	if n.def.Timeout > 0 {
		s.emit(TimerSet{ID: nodeTimer("timeout", n), At: s.d.Now + n.def.Timeout})
	}
}

func (s *State) rolloutOpened(n *nodeState, f RolloutOpened) error {
	if n.def.Rollout == nil || n.Planned == nil || len(n.Planned.Targets) != len(n.def.Rollout.Targets) {
		return fmt.Errorf("node %s was not planned as a rollout", n.def.ID)
	}
	r := &rolloutState{Phase: forward, First: f.First, AskDirty: true, Targets: make([]targetState, len(n.def.Rollout.Targets))}
	for i, p := range n.Planned.Targets {
		t := &r.Targets[i]
		*t = targetState{
			Stable: p.Stable, Candidate: p.Candidate, World: p.World, Done: p.Stable == p.Candidate,
			Observed: p.Weight, Desired: p.Weight, MayWeigh: p.Weight > 0, MayInstall: p.Weight > 0,
			Verify: make([]verifyState, len(n.def.Rollout.Verifies)),
		}
	}
	if n.def.Rollout.Analysis != nil {
		r.Harm.Value, r.Step.Value = strategy.Inconclusive, strategy.Inconclusive
	}
	n.Rollout = r
	s.watchFrom(r)
	s.freePlaces(n, true)
	return nil
}

func (s *State) applyToRollout(n *nodeState, fact Fact) error {
	r := n.Rollout
	switch f := fact.(type) {
	case WaveEntered:
		if f.Wave < 0 || f.Wave >= len(n.def.Rollout.Waves) {
			return fmt.Errorf("node %s has no wave %d", n.def.ID, f.Wave)
		}
		r.Wave = f.Wave
		r.Steps, r.Unwatched, r.Wait, r.Decided, r.Finished, r.Memory = nil, nil, Wait{}, false, false, nil
		r.AskDirty, r.DeadlinePassed = true, false
		r.Ask.reset()
		if n.def.Rollout.Analysis != nil {
			r.Step = verdictState{Value: strategy.Inconclusive, Since: s.d.Now}
		}
		for i := range n.def.Rollout.Approvals {
			if g := n.gate(n.def.Rollout.Approvals[i].Name); g != nil {
				*g = gateState{Name: g.Name, Kind: g.Kind}
			}
		}
	case Decided:
		return s.foldDecision(n, f)
	case Judged:
		return s.judged(n, f)
	case Verified:
		return s.verified(n, f)
	case TargetObserved:
		return s.targetObserved(n, f)
	case RolloutAborting:
		r.Phase, r.Why, r.Outcome = back, f.Why, f.Outcome
		for i := range r.Targets {
			t := &r.Targets[i]
			if t.Op.Cmd == 0 {
				t.Op.reset()
			}
		}
	case RolloutHalted:
		r.HaltedFrom, r.Phase, r.Why = r.Phase, halted, f.Why
	case RolloutParked:
		r.Parked, r.AskDirty = f.On, true
	case RolloutSettling:
		r.Phase = settling
	case TargetLeft:
		t := r.target(n.def, f.Target)
		if t == nil {
			return fmt.Errorf("no target %q in %s", f.Target, f.Node)
		}
		if r.Phase == settling {
			t.Retired = true
			break
		}
		t.BackDone = true
		if f.Failed {
			t.BackFailed = f.Why
		}
	case RolloutClosed:
		r.Phase, r.Result = closed, f.Result
	default:
		return fmt.Errorf("a fact that no rollout understands")
	}
	return nil
}

// issuedToRollout notes what an issued command may do to the world.
func (s *State) issuedToRollout(c *Command) {
	n := s.node(c.Node)
	if n == nil || n.Rollout == nil {
		return
	}
	r := n.Rollout
	switch c.Kind {
	case AskStrategy:
		r.AskDirty, r.AskedAt = false, s.d.Now
	case Measure:
		r.MeasureDue = false
	}
	t := r.target(n.def, c.Target)
	if t == nil {
		return
	}
	switch {
	case c.Kind == Verify:
		for i, name := range n.def.Rollout.Verifies {
			if name == c.Verify {
				t.Verify[i].Void = false
			}
		}
	case c.Kind == Install:
		t.MayInstall = true
	case c.Kind == SetWeight && c.Release == t.Candidate && c.Weight > 0:
		t.MayWeigh = true
	}
}

func (s *State) rolloutCommandSucceeded(n *nodeState, c *Command, f CommandSucceeded) {
	r := n.Rollout
	t := r.target(n.def, c.Target)
	if t == nil {
		return
	}
	r.AskDirty = true
	t.World = f.World
	switch c.Kind {
	case Install:
		t.Installed, t.Address, t.Release = true, f.Address, f.Release
	case Scale:
		if c.Release == t.Candidate {
			t.Scaled = c.Weight
		} else {
			t.StableScaled = true
		}
	case SetWeight:
		s.weightSet(n, t, c)
	case Settle:
		if c.Release == t.Candidate {
			t.Settled = true
		} else {
			t.Unsettled = true
		}
	case Retire:
		if c.Release == t.Candidate {
			t.Installed, t.MayInstall, t.WantInstall, t.WantRetire = false, false, false, false
			t.BackDone = r.Phase == back
		} else {
			t.Retired = true
		}
	}
}

func (s *State) weightSet(n *nodeState, t *targetState, c *Command) {
	if c.Release == t.Candidate {
		t.Observed = c.Weight
	} else {
		t.Observed = target.Full - c.Weight
	}
	if t.Observed == 0 {
		t.MayWeigh = false
	}
	s.watchFrom(n.Rollout)
}

// watchFrom notes since when a candidate has traffic, however that became known:
// the answer that said so may have been lost, or the weight stood there before.
func (s *State) watchFrom(r *rolloutState) {
	for i := range r.Targets {
		if t := &r.Targets[i]; !t.Done && t.Observed > 0 && r.MeasureFrom == 0 {
			r.MeasureFrom = s.d.Now
		}
	}
}

func (s *State) targetObserved(n *nodeState, f TargetObserved) error {
	_, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	*o = op{Losses: o.Losses}
	t := n.Rollout.target(n.def, f.Target)
	if t == nil {
		return fmt.Errorf("no target %q in %s", f.Target, f.Node)
	}
	t.Stale = false
	t.Observed, t.World = f.Weight, f.World
	t.MayWeigh = f.Weight > 0
	s.watchFrom(n.Rollout)
	if !f.Installed {
		t.Installed, t.Address = false, ""
		for i := range t.Verify {
			v := &t.Verify[i]
			if *v = (verifyState{Op: v.Op, Void: v.Op.Cmd != 0}); !v.Void {
				v.Op.reset()
			}
		}
	}
	n.Rollout.AskDirty = true
	return nil
}

func (s *State) verified(n *nodeState, f Verified) error {
	c, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	o.reset()
	t := n.Rollout.target(n.def, c.Target)
	for i, name := range n.def.Rollout.Verifies {
		if t != nil && name == f.Name {
			v := &t.Verify[i]
			if v.Void {
				v.Void = false
				continue
			}
			v.Value, v.Since, v.Why = strategy.Yes, s.d.Now, f.Why
			if !f.OK {
				v.Value = strategy.No
			}
		}
	}
	n.Rollout.AskDirty = true
	return nil
}

func (s *State) judged(n *nodeState, f Judged) error {
	c, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	o.reset()
	r := n.Rollout
	if r.Blind != 0 && c.To >= r.Blind {
		r.Blind, r.AskDirty = 0, true
	}
	r.MeasureFrom, r.JudgeState, r.BurnState, r.Evidence = max(r.MeasureFrom, f.Until), f.State, f.Burn, f.Evidence
	if r.Harm.set(f.Harm, s.d.Now) {
		r.AskDirty = true
	}
	if r.Step.set(f.Step, s.d.Now) {
		r.AskDirty = true
	}
	return nil
}

// set takes a verdict over and reports whether its value changed. Harm that was
// shown stays shown.
func (v *verdictState) set(to Verdict, now Time) (changed bool) {
	if v.Value == strategy.Fail {
		return false
	}
	changed = v.Value != to.Value
	if changed {
		v.Since = now
	}
	v.Value, v.N, v.Why, v.Data = to.Value, to.N, to.Why, !to.NoData
	return changed
}

// decideRollout goes on with the rollout of a node.
func (s *State) decideRollout(n *nodeState) {
	if n.Rollout == nil {
		if s.d.Unwinding != nil {
			s.settle(n, Cancelled, "the run was taken back")
		} else if s.d.Stopping == "" && s.lockHeld(n) {
			s.openRollout(n)
		}
		return
	}
	if n.Rollout.Phase == closed {
		s.settleRollout(n)
		return
	}
	if !s.lockHeld(n) {
		if why := s.d.Envs[n.def.Environment].Failed; why != "" && n.Rollout.Phase != halted {
			s.emit(RolloutHalted{Node: n.def.ID, Why: why})
		}
		return
	}
	switch n.Rollout.Phase {
	case forward:
		s.decideForward(n)
	case back:
		s.decideBack(n)
	case settling:
		s.decideSettling(n)
	case halted:
		if s.d.Unwinding != nil {
			s.emit(RolloutAborting{Node: n.def.ID, Why: "the run was taken back", Outcome: RolledBack})
		}
	}
}

func (s *State) settleRollout(n *nodeState) {
	switch r := n.Rollout; r.Result {
	case "promoted":
		s.settle(n, Succeeded, "")
	case "failed":
		s.settle(n, RollbackFailed, r.Why)
	default:
		s.settle(n, r.Outcome, r.Why)
	}
}
