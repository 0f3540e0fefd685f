package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/sdk/target"
)

// gateState is one gate of a node.
type gateState struct {
	Name    string
	Kind    GateKind
	Open    bool           `json:",omitempty"`
	Closed  bool           `json:",omitempty"`
	Yes     bool           `json:",omitempty"`
	Since   Time           `json:",omitempty"`
	Subject string         `json:",omitempty"`
	Why     string         `json:",omitempty"`
	Expired bool           `json:",omitempty"`
	Answers []GateAnswered `json:",omitempty"`
}

func (n *nodeState) gate(name string) *gateState {
	for i := range n.Gates {
		if n.Gates[i].Name == name {
			return &n.Gates[i]
		}
	}
	return nil
}

// gateDef is what the plan says of a gate; gates that the kernel makes itself
// ask one person.
func (n *nodeState) gateDef(name string) *Gate {
	for i := range n.def.Gates {
		if n.def.Gates[i].Name == name {
			return &n.def.Gates[i]
		}
	}
	if n.def.Rollout != nil {
		for i := range n.def.Rollout.Approvals {
			if n.def.Rollout.Approvals[i].Name == name {
				return &n.def.Rollout.Approvals[i]
			}
		}
	}
	return &Gate{Name: name, Required: 1}
}

// openStartGates counts the gates before the node's start that are not closed with yes.
func (s *State) openStartGates(n *nodeState) int {
	open := 0
	for i := range n.def.Gates {
		if g := n.gate(n.def.Gates[i].Name); g == nil || !g.Closed || !g.Yes {
			open++
		}
	}
	for _, b := range n.spent(hold) {
		if g := n.gate(budgetGate(b)); g == nil || !g.Closed || !g.Yes {
			open++
		}
	}
	return open
}

// subject is what an answer to a gate is about: the plan, the node with its
// resolved inputs, and the evidence so far.
func (s *State) subject(n *nodeState, gate string) string {
	about := struct {
		Plan, Node, Gate, Inputs string
		Wave                     int
		Weights                  map[string]target.Weight `json:",omitempty"`
		Evidence                 string                   `json:",omitempty"`
		Command                  int64                    `json:",omitempty"`
	}{Plan: s.g.Plan, Node: n.def.ID, Gate: gate}
	if n.Planned != nil {
		about.Inputs = n.Planned.Digest
	}
	if r := n.Rollout; r != nil {
		about.Wave, about.Evidence = r.Wave, r.Evidence
		about.Weights = map[string]target.Weight{}
		for i := range r.Targets {
			about.Weights[n.def.Rollout.Targets[i].Name] = r.Targets[i].Observed
		}
	}
	if gate == doubtGate && n.Run.Last != nil {
		about.Command = n.Run.Last.ID
	}
	b, err := json.Marshal(about)
	if err != nil {
		panic("kernel: subject: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ask opens a gate unless it is open, and reports whether it was closed, and how.
func (s *State) ask(n *nodeState, name string, kind GateKind, why string) (closed, yes bool) {
	g := n.gate(name)
	// Each lost command is a doubt of its own.
	anew := kind == DoubtGate && g != nil && g.Subject != s.subject(n, name)
	if g == nil || !g.Open && !g.Closed || anew {
		s.emit(GateOpened{Node: n.def.ID, Gate: name, Kind: kind, Subject: s.subject(n, name), Why: why})
		if d := n.gateDef(name).Expires; d > 0 {
			s.emit(TimerSet{ID: gateTimer(n, name), At: s.d.Now + d})
		}
		g = n.gate(name)
	}
	return g.Closed, g.Yes
}

func gateTimer(n *nodeState, gate string) string { return nodeTimer("gate", n) + "\x1f" + gate }

// Expires is when the time of an open gate is up; 0 for never.
func (s *State) Expires(node, gate string) Time {
	n := s.node(node)
	if n == nil {
		return 0
	}
	return s.d.Timers[gateTimer(n, gate)]
}

// closeGate counts the answers of an open gate.
func (s *State) closeGate(n *nodeState, g *gateState) {
	def := n.gateDef(g.Name)
	var yes []string
	for _, a := range g.Answers {
		if !s.counts(def, a) {
			continue
		}
		if !a.Yes {
			s.emit(GateClosed{Node: n.def.ID, Gate: g.Name, Yes: false, Why: "rejected by " + a.Who + remark(a.Comment)})
			return
		}
		if !slices.Contains(yes, a.Who) {
			yes = append(yes, a.Who)
		}
	}
	if len(yes) >= max(1, def.Required) {
		s.emit(GateClosed{Node: n.def.ID, Gate: g.Name, Yes: true, Why: "approved by " + strings.Join(yes, ", ")})
	} else if g.Expired {
		s.emit(GateClosed{Node: n.def.ID, Gate: g.Name, Yes: false, Why: "nobody answered in time"})
	}
}

// counts reports whether this person may answer. A rejection by anybody whom
// the gate lets answer counts, the initiator's own too.
func (s *State) counts(def *Gate, a GateAnswered) bool {
	if a.Yes && def.NotInitiator && a.Who == s.d.Initiator {
		return false
	}
	if len(def.From) == 0 {
		return true
	}
	for _, f := range def.From {
		if name, ok := strings.CutPrefix(f, "user:"); ok && name == a.Who {
			return true
		}
		if name, ok := strings.CutPrefix(f, "group:"); ok && slices.Contains(a.Groups, name) {
			return true
		}
	}
	return false
}

func remark(comment string) string {
	if comment == "" {
		return ""
	}
	return ": " + comment
}

func (s *State) gateOpened(n *nodeState, f GateOpened) {
	g := n.gate(f.Gate)
	if g == nil {
		n.Gates = append(n.Gates, gateState{Name: f.Gate})
		g = &n.Gates[len(n.Gates)-1]
	}
	*g = gateState{Name: f.Gate, Kind: f.Kind, Open: true, Since: s.d.Now, Subject: f.Subject, Why: f.Why}
	s.touchRolloutGate(n)
}

func (s *State) touchRolloutGate(n *nodeState) {
	if n.Rollout != nil {
		n.Rollout.AskDirty = true
	}
}

// gateAnswered keeps an answer that speaks of the gate's subject; another
// subject is another question.
func (s *State) gateAnswered(n *nodeState, f GateAnswered) {
	if g := n.gate(f.Gate); g != nil && g.Open && !g.Closed && g.Subject == f.Subject {
		g.Answers = append(g.Answers, f)
	}
}

func (s *State) gateClosed(n *nodeState, f GateClosed) {
	if g := n.gate(f.Gate); g != nil {
		g.Closed, g.Open, g.Yes, g.Why = true, false, f.Yes, f.Why
		g.Since = s.d.Now
	}
	s.touchRolloutGate(n)
	if n.Status == gated && s.openStartGates(n) == 0 {
		// Its turn comes again, as it did before it was planned.
		n.Status = waiting
	}
}

// decideGated asks for every gate before the node's start.
func (s *State) decideGated(n *nodeState) {
	if s.d.Unwinding != nil {
		s.settle(n, Cancelled, "the run was taken back")
		return
	}
	for i := range n.def.Gates {
		def := &n.def.Gates[i]
		closed, yes := s.ask(n, def.Name, ApprovalGate, def.Message)
		if closed && !yes {
			s.settle(n, Rejected, n.gate(def.Name).Why)
			return
		}
	}
	for _, b := range n.spent(hold) {
		if closed, yes := s.ask(n, budgetGate(b), BudgetGate, b.Why); closed && !yes {
			s.settle(n, Rejected, n.gate(budgetGate(b)).Why)
			return
		}
	}
}

// doubtGate is the name of the gate that asks what became of a lost operation.
const doubtGate = "in-doubt"

// again reads the answer to a doubt: whether to issue the operation again.
func (g *gateState) again() bool {
	for _, a := range g.Answers {
		var outcome string
		if json.Unmarshal(a.Values["outcome"], &outcome) == nil && outcome == "again" {
			return true
		}
	}
	return false
}
