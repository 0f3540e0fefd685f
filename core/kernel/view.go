package kernel

import (
	"cmp"
	"slices"

	"github.com/runner-pipelines/runner/sdk/target"
)

// Idle is why a run has nothing to do at the moment.
type Idle string

const (
	// Busy: commands are under way, timers are armed, or rollouts are watched.
	Busy Idle = ""
	// Closed: the run has ended.
	Closed Idle = "closed"
	// Stopped: the run was asked to stop and nothing is under way any more.
	Stopped Idle = "stopped"
	// WaitingForPeople: nothing goes on without an answer, and none of the run's
	// rollouts stands between 0 and 100 %.
	WaitingForPeople Idle = "waiting"
	// Halted: a rollout failed and stays as it is until it is resumed or taken back.
	Halted Idle = "halted"
)

// Idle tells the engine whether to stay.
func (s *State) Idle() Idle {
	switch {
	case s.d.Outcome != "":
		return Closed
	case len(s.d.Commands) > 0:
		return Busy
	case s.d.Stopping != "":
		return Stopped
	case s.wakes() || len(s.dirty) > 0:
		return Busy
	}
	people, halting := false, false
	for i := range s.d.Nodes {
		n := &s.d.Nodes[i]
		if n.Status == settled {
			continue
		}
		for j := range n.Gates {
			people = people || n.Gates[j].Open
		}
		if r := n.Rollout; r != nil && r.Phase == halted {
			halting = true
		} else if n.standsBetween() {
			return Busy
		}
	}
	switch {
	case halting:
		return Halted
	case people:
		return WaitingForPeople
	}
	return Busy
}

// Exposed lists the nodes whose rollouts are on their way forward while
// candidates have some of the traffic.
func (s *State) Exposed() []string {
	var out []string
	for i := range s.d.Nodes {
		if n := &s.d.Nodes[i]; n.standsBetween() && n.Rollout.Phase == forward {
			out = append(out, n.def.ID)
		}
	}
	return out
}

// GoingBack reports whether traffic is being given back, or an action undone. It is
// asked after every step of a run, and so does not look at every node.
func (s *State) GoingBack() bool { return s.returning > 0 }

// count takes a node that was changed into account for GoingBack.
func (s *State) count(n *nodeState) {
	now := n.onWayBack()
	switch {
	case now && !n.returning:
		s.returning++
	case !now && n.returning:
		s.returning--
	}
	n.returning = now
}

func (n *nodeState) onWayBack() bool {
	return n.Status == undoing || n.beingUndone() || n.Status != settled && n.Rollout != nil && n.Rollout.Phase == back
}

// wakes reports whether a timer will make something go on. The end of a gate's
// time only takes it away, and nothing goes on in a rollout that has halted: its
// timers stay for when it is resumed.
func (s *State) wakes() bool {
	for id := range s.d.Timers {
		kind, of, _ := timerParts(id)
		if kind == "gate" {
			continue
		}
		if n := s.node(of); n == nil || n.Rollout == nil || n.Rollout.Phase != halted {
			return true
		}
	}
	return false
}

// Now is the time of the latest event.
func (s *State) Now() Time { return s.d.Now }

// Events counts the events folded so far.
func (s *State) Events() int64 { return s.d.Events }

// Run is the run's id; empty before it is opened.
func (s *State) Run() string { return s.d.Run }

// Initiator started the run.
func (s *State) Initiator() string { return s.d.Initiator }

// Outcome of the run; empty while it is open.
func (s *State) Outcome() Outcome { return s.d.Outcome }

// Holds lists the environments whose locks the run has taken and not freed.
func (s *State) Holds() []string {
	var out []string
	for _, name := range sortedKeys(s.d.Envs) {
		if s.d.Envs[name].Held {
			out = append(out, name)
		}
	}
	return out
}

// Stopping is how the run was asked to stop; empty when it was not.
func (s *State) Stopping() StopMode { return s.d.Stopping }

// Timers are the armed timers with their moments.
func (s *State) Timers() map[string]Time { return s.d.Timers }

// Unsettled lists the last commands of actions which have ended and which a
// Reconcile may ask about, each with its last handle.
func (s *State) Unsettled() []InFlight {
	var out []InFlight
	for i := range s.d.Nodes {
		n := &s.d.Nodes[i]
		for _, o := range []*op{&n.Run, &n.Undo} {
			if o.Last == nil || o.Cmd != 0 || !o.Lost && o.Failure == nil {
				continue
			}
			f := InFlight{Command: *o.Last}
			if o.Handle != nil {
				f.HandleID, f.Handle = o.Handle.ID, o.Handle.Opaque
			}
			out = append(out, f)
		}
	}
	return out
}

// InFlight lists the commands under way, oldest first, each with its last handle.
func (s *State) InFlight() []InFlight {
	out := make([]InFlight, 0, len(s.d.Commands))
	for _, c := range s.d.Commands {
		f := InFlight{Command: c.Command}
		if c.Handle != nil {
			f.HandleID, f.Handle = c.Handle.ID, c.Handle.Opaque
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b InFlight) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// InFlight is a command under way.
type InFlight struct {
	Command
	HandleID string
	Handle   []byte
}

// NodeView is what is known of one node.
type NodeView struct {
	ID      string       `json:"id"`
	Kind    NodeKind     `json:"kind"`
	Env     string       `json:"environment,omitempty"`
	Status  string       `json:"status"`
	Outcome Outcome      `json:"outcome,omitempty"`
	Why     string       `json:"why,omitempty"`
	Started Time         `json:"started,omitempty"`
	Ended   Time         `json:"ended,omitempty"`
	Gates   []GateView   `json:"gates,omitempty"`
	Rollout *RolloutView `json:"rollout,omitempty"`
}

// GateView is an open or closed gate.
type GateView struct {
	Name    string   `json:"name"`
	Kind    GateKind `json:"kind"`
	Open    bool     `json:"open"`
	Yes     bool     `json:"yes,omitempty"`
	Since   Time     `json:"since,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Why     string   `json:"why,omitempty"`
	// Given counts those who approved, of Required.
	Given        int      `json:"given"`
	Required     int      `json:"required"`
	From         []string `json:"from,omitempty"`
	NotInitiator bool     `json:"not_initiator,omitempty"`
	Inputs       []Input  `json:"inputs,omitempty"`
}

// RolloutView is where a rollout stands.
type RolloutView struct {
	Phase   string       `json:"phase"`
	Wave    int          `json:"wave"`
	Waves   int          `json:"waves"`
	Step    string       `json:"step,omitempty"`
	Since   Time         `json:"since,omitempty"`
	Until   Time         `json:"until,omitempty"`
	Waits   string       `json:"waits,omitempty"`
	Why     string       `json:"why,omitempty"`
	Parked  bool         `json:"parked,omitempty"`
	Between bool         `json:"between,omitempty"`
	Harm    Verdict      `json:"harm"`
	Verdict Verdict      `json:"verdict"`
	Targets []TargetView `json:"targets"`
}

// TargetView is where a target stands.
type TargetView struct {
	Name      string        `json:"name"`
	Stable    string        `json:"stable,omitempty"`
	Candidate string        `json:"candidate"`
	Weight    target.Weight `json:"weight"`
	Address   string        `json:"address,omitempty"`
	Installed bool          `json:"installed,omitempty"`
	Settled   bool          `json:"settled,omitempty"`
}

// KeepsLock lists the nodes of an environment whose rollouts stand between two
// releases: no other run may have the environment before they are finished.
func (s *State) KeepsLock(env string) []string {
	var out []string
	for i := range s.d.Nodes {
		if n := &s.d.Nodes[i]; n.def.Environment == env && n.standsBetween() {
			out = append(out, n.def.ID)
		}
	}
	return out
}

// Nodes tells what is known of every node, in the plan's order.
func (s *State) Nodes() []NodeView {
	out := make([]NodeView, len(s.d.Nodes))
	for i := range s.d.Nodes {
		out[i] = s.view(&s.d.Nodes[i])
	}
	return out
}

// Node tells what is known of one node.
func (s *State) Node(id string) (NodeView, bool) {
	n := s.node(id)
	if n == nil {
		return NodeView{}, false
	}
	return s.view(n), true
}

func (s *State) view(n *nodeState) NodeView {
	v := NodeView{
		ID: n.def.ID, Kind: n.def.Kind, Env: n.def.Environment, Status: string(n.Status), Outcome: n.Outcome,
		Why: n.Why, Started: n.Started, Ended: n.Ended,
	}
	if n.Status == waiting {
		v.Status = "waiting"
	}
	for i := range n.Gates {
		if g := &n.Gates[i]; g.Open || g.Closed {
			def := n.gateDef(g.Name)
			gv := GateView{Name: g.Name, Kind: g.Kind, Open: g.Open, Yes: g.Yes, Since: g.Since, Subject: g.Subject,
				Why: g.Why, Required: max(1, def.Required), From: def.From, NotInitiator: def.NotInitiator, Inputs: def.Inputs}
			if g.Kind == DoubtGate {
				gv.Inputs = []Input{{Name: "outcome", Type: "string", Optional: true,
					Description: `"happened" (the default) to go on, "again" to run it once more`}}
			}
			people := map[string]bool{}
			for _, a := range g.Answers {
				if a.Yes && s.counts(def, a) {
					people[a.Who] = true
				}
			}
			gv.Given = len(people)
			v.Gates = append(v.Gates, gv)
		}
	}
	if n.Rollout != nil {
		v.Rollout = s.rolloutView(n)
	}
	return v
}

func (s *State) rolloutView(n *nodeState) *RolloutView {
	r := n.Rollout
	v := &RolloutView{
		Phase: string(r.Phase), Wave: r.Wave, Waves: len(n.def.Rollout.Waves), Until: r.Wait.Until, Why: r.Why, Parked: r.Parked,
		Between: n.standsBetween(), Harm: r.Harm.view(), Verdict: s.stepVerdict(n).view(), Waits: r.Wait.words(),
	}
	if len(r.Steps) > 0 {
		st := r.Steps[len(r.Steps)-1]
		v.Step, v.Since = st.Title, TimeOf(st.At)
	}
	for i := range r.Targets {
		t := &r.Targets[i]
		weight := t.Observed
		if t.Done || t.Settled {
			weight = target.Full
		}
		v.Targets = append(v.Targets, TargetView{
			Name: n.def.Rollout.Targets[i].Name, Stable: t.Stable, Candidate: t.Candidate, Weight: weight,
			Address: t.Address, Installed: t.Installed, Settled: t.Settled,
		})
	}
	return v
}

func (v verdictState) view() Verdict { return Verdict{Value: v.Value, N: v.N, Why: v.Why} }

func (w Wait) words() string {
	switch {
	case w.Approval != "":
		return "approval " + w.Approval
	case w.Verification != "":
		return "verification " + w.Verification
	case w.Verdict:
		return "verdict"
	case w.Ready:
		return "ready"
	case w.Until != 0:
		return "bake"
	}
	return ""
}

// Result is what a node's action gave; nil when it gave nothing or was not run.
func (s *State) Result(id string) []byte {
	if n := s.node(id); n != nil {
		return n.Result
	}
	return nil
}

// Burn is what was remembered of the node's error budgets at the last look.
func (s *State) Burn(id string) []byte {
	if n := s.node(id); n != nil && n.Rollout != nil {
		return n.Rollout.BurnState
	}
	return nil
}

// Planned is what was found when the node was planned; nil before.
func (s *State) Planned(id string) *NodePlanned {
	if n := s.node(id); n != nil {
		return n.Planned
	}
	return nil
}

// Answers are the values that people gave with their approvals of the node, by gate.
func (s *State) Answers(id string) map[string]map[string][]byte {
	n := s.node(id)
	if n == nil {
		return nil
	}
	out := map[string]map[string][]byte{}
	for i := range n.Gates {
		g := &n.Gates[i]
		for _, a := range g.Answers {
			if !a.Yes || !g.Yes {
				continue
			}
			if out[g.Name] == nil {
				out[g.Name] = map[string][]byte{}
			}
			for k, v := range a.Values {
				out[g.Name][k] = v
			}
		}
	}
	return out
}

// Releases are the candidate and the stable release of a target as the target
// describes them, in JSON; nil where they are not known.
func (s *State) Releases(node, name string) (candidate, stable []byte) {
	n := s.node(node)
	if n == nil || n.Rollout == nil {
		return nil, nil
	}
	for i := range n.def.Rollout.Targets {
		if n.def.Rollout.Targets[i].Name == name {
			candidate = n.Rollout.Targets[i].Release
			if n.Planned != nil {
				stable = n.Planned.Targets[i].StableRelease
			}
		}
	}
	return candidate, stable
}

// Weight is what a target was last seen to give to the candidate.
func (s *State) Weight(node, name string) target.Weight {
	n := s.node(node)
	if n == nil || n.Rollout == nil {
		return 0
	}
	for i := range n.def.Rollout.Targets {
		if n.def.Rollout.Targets[i].Name == name {
			return n.Rollout.Targets[i].Observed
		}
	}
	return 0
}

// Judging is what the judge needs to go on: its state after the last look, the
// id and start of the present step, and the digest of the evidence so far.
func (s *State) Judging(node string) (state []byte, step string, since Time, evidence string) {
	n := s.node(node)
	if n == nil || n.Rollout == nil {
		return nil, "", 0, ""
	}
	r := n.Rollout
	if len(r.Steps) > 0 {
		st := r.Steps[len(r.Steps)-1]
		step, since = st.ID, TimeOf(st.At)
	}
	return r.JudgeState, step, since, r.Evidence
}
