package kernel

import (
	"fmt"
	"slices"
)

// State is all that is known of one run. It is not safe for use by more than
// one goroutine.
type State struct {
	g     *Graph
	d     data
	index map[string]int
	succ  [][]int

	// What follows is derived from d and rebuilt by Restore.
	dirty    []int
	isDirty  []bool
	ready    []int
	dirtyEnv map[string]bool
	// poolWaiters are nodes whose turn has come but for a place in their pool.
	poolWaiters map[string][]int
	// returning counts the nodes that are on their way back.
	returning int
	decided   []Event
	undo      *unwinding
}

// data is what a snapshot holds.
type data struct {
	Run         string
	Nonce       string
	Initiator   string
	Parallelism int
	Now         Time
	Events      int64
	Opened      bool
	Outcome     Outcome
	Stopping    StopMode
	Unwinding   *RunUnwinding
	NextCommand int64
	Nodes       []nodeState
	Commands    map[int64]*inflight
	Timers      map[string]Time
	Envs        map[string]*envState
	Slots       int
	PoolUse     map[string]int
	Unsettled   int
	Undoing     int
}

// inflight is a command without an end.
type inflight struct {
	Command
	Handle     *CommandHandled `json:",omitempty"`
	Cancelling bool            `json:",omitempty"`
}

type status string

const (
	waiting   status = ""
	preparing status = "preparing"
	gated     status = "gated"
	running   status = "running"
	undoing   status = "undoing"
	settled   status = "settled"
)

type nodeState struct {
	def *Node
	// returning: the node is among those that State.returning counts.
	returning bool
	// Pending counts unsettled predecessors, Unsatisfied those that settled
	// without satisfying.
	Pending     int
	Unsatisfied int           `json:",omitempty"`
	Status      status        `json:",omitempty"`
	Outcome     Outcome       `json:",omitempty"`
	Why         string        `json:",omitempty"`
	Started     Time          `json:",omitempty"`
	Ended       Time          `json:",omitempty"`
	Slot        bool          `json:",omitempty"`
	Pool        bool          `json:",omitempty"`
	Planned     *NodePlanned  `json:",omitempty"`
	Plan        op            `json:",omitzero"`
	Run         op            `json:",omitzero"`
	Undo        op            `json:",omitzero"`
	TimedOut    bool          `json:",omitempty"`
	Ran         bool          `json:",omitempty"`
	Undone      string        `json:",omitempty"`
	Gates       []gateState   `json:",omitempty"`
	Result      []byte        `json:",omitempty"`
	Rollout     *rolloutState `json:",omitempty"`
}

// envState is the lock of one environment.
type envState struct {
	Held      bool
	Fence     int64
	Op        op
	Unsettled int
	Failed    string
	// undoing counts nodes whose way back is under way; derived.
	undoing int
}

// New is a run of which nothing has happened yet. The graph must be valid.
func New(g *Graph) *State {
	s := &State{g: g}
	s.d = data{
		Nodes: make([]nodeState, len(g.Nodes)), Commands: map[int64]*inflight{}, Timers: map[string]Time{},
		Envs: map[string]*envState{}, PoolUse: map[string]int{}, NextCommand: 1, Unsettled: len(g.Nodes),
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		s.d.Nodes[i].Pending = len(n.After)
		if n.Environment != "" {
			env := s.d.Envs[n.Environment]
			if env == nil {
				env = &envState{}
				s.d.Envs[n.Environment] = env
			}
			env.Unsettled++
		}
		for j := range n.Gates {
			s.d.Nodes[i].Gates = append(s.d.Nodes[i].Gates, gateState{Name: n.Gates[j].Name, Kind: ApprovalGate})
		}
	}
	s.derive()
	return s
}

func (s *State) derive() {
	g := s.g
	s.index = make(map[string]int, len(g.Nodes))
	s.succ = make([][]int, len(g.Nodes))
	s.isDirty = make([]bool, len(g.Nodes))
	s.dirtyEnv = map[string]bool{}
	s.poolWaiters = map[string][]int{}
	s.dirty, s.ready, s.decided, s.undo, s.returning = nil, nil, nil, nil, 0
	for i := range g.Nodes {
		s.index[g.Nodes[i].ID] = i
		s.d.Nodes[i].def = &g.Nodes[i]
		for _, a := range g.Nodes[i].After {
			s.succ[a] = append(s.succ[a], i)
		}
		n := &s.d.Nodes[i]
		s.count(n)
		if n.Status != settled && n.Pending == 0 || n.beingUndone() {
			s.touch(i)
		}
		if env := s.d.Envs[n.def.Environment]; env != nil && n.beingUndone() {
			env.undoing++
		}
	}
	for env := range s.d.Envs {
		s.dirtyEnv[env] = true
	}
}

func (s *State) node(id string) *nodeState {
	i, ok := s.index[id]
	if !ok {
		return nil
	}
	return &s.d.Nodes[i]
}

// touch marks a node to be looked at by the next Decide.
func (s *State) touch(i int) {
	if !s.isDirty[i] {
		s.isDirty[i] = true
		s.dirty = append(s.dirty, i)
	}
}

func (s *State) touchAll() {
	for i := range s.d.Nodes {
		if s.d.Nodes[i].Status != settled {
			s.touch(i)
		}
	}
}

// Evolve folds one event into the state. It changes nothing but the state and
// decides nothing. It fails only on an event that cannot follow what came before;
// the state is of no use then.
func (s *State) Evolve(e Event) (err error) {
	// Facts that no kernel wrote may speak of what is not there, such as the rollout
	// of an action. That is an event that cannot follow, too.
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%s does not fit what came before it: %v", e.Fact.FactType(), problem)
		}
	}()
	if e.At > s.d.Now {
		s.d.Now = e.At
	}
	s.d.Events++
	if err := s.apply(e.Fact); err != nil {
		return fmt.Errorf("%s: %w", e.Fact.FactType(), err)
	}
	return nil
}

func (s *State) apply(fact Fact) error {
	switch f := fact.(type) {
	case RunOpened:
		if s.d.Opened {
			return fmt.Errorf("the run is open already")
		}
		s.d.Opened, s.d.Run, s.d.Nonce, s.d.Initiator = true, f.Run, f.Nonce, f.Initiator
		s.d.Parallelism = max(1, f.Parallelism)
		s.touchAll()
	case RunResumed:
		s.resume(f)
		s.unwatched(f.Unwatched)
	case RunUnwatched:
		s.unwatched(f.Span)
	case RunStopping:
		s.d.Stopping = f.Mode
		s.touchAll()
		for env := range s.d.Envs {
			s.dirtyEnv[env] = true
		}
	case RunUnwinding:
		if s.d.Unwinding == nil {
			s.d.Unwinding = &f
		} else if f.Undo {
			s.d.Unwinding.Undo = true
		}
		s.touchAll()
	case RunClosed:
		s.d.Outcome = f.Outcome
	case LockTaken:
		return s.lockTaken(f)
	case LockFreed:
		return s.lockFreed(f)
	case TimerSet:
		s.timerSet(f)
	case TimerDropped:
		delete(s.d.Timers, f.ID)
	case TimerFired:
		s.timerFired(f)
	case CommandIssued:
		return s.issued(f.Command)
	case CommandHandled:
		if c := s.d.Commands[f.Command]; c != nil {
			c.Handle = &f
		}
	case CommandSucceeded:
		return s.commandSucceeded(f)
	case CommandFailed:
		return s.commandFailed(f.Command, f.Failure)
	case CommandLost:
		return s.commandLost(f.Command)
	case CommandReconciled:
		return s.reconciled(f)
	case Noted:
	default:
		return s.applyToNode(fact)
	}
	return nil
}

func (s *State) applyToNode(fact Fact) error {
	id := nodeOf(fact)
	i, ok := s.index[id]
	if !ok {
		return fmt.Errorf("no node %q in the plan", id)
	}
	n := &s.d.Nodes[i]
	s.touch(i)
	defer s.count(n)
	switch f := fact.(type) {
	case NodeStarted:
		s.nodeStarted(n)
	case NodePlanned:
		return s.nodePlanned(n, f)
	case NodeSettled:
		s.nodeSettled(i, n, f)
	case NodeUndoing:
		s.nodeUndoing(n)
	case NodeUndone:
		s.nodeUndone(i, n, f)
	case GateOpened:
		s.gateOpened(n, f)
	case GateAnswered:
		s.gateAnswered(n, f)
	case GateClosed:
		s.gateClosed(n, f)
	case RolloutOpened:
		return s.rolloutOpened(n, f)
	default:
		if n.Rollout == nil {
			return fmt.Errorf("node %s has no rollout under way", id)
		}
		return s.applyToRollout(n, fact)
	}
	return nil
}

func nodeOf(fact Fact) string {
	switch f := fact.(type) {
	case NodeStarted:
		return f.Node
	case NodePlanned:
		return f.Node
	case NodeSettled:
		return f.Node
	case NodeUndoing:
		return f.Node
	case NodeUndone:
		return f.Node
	case GateOpened:
		return f.Node
	case GateAnswered:
		return f.Node
	case GateClosed:
		return f.Node
	case RolloutOpened:
		return f.Node
	case WaveEntered:
		return f.Node
	case Decided:
		return f.Node
	case Judged:
		return f.Node
	case Verified:
		return f.Node
	case TargetObserved:
		return f.Node
	case RolloutAborting:
		return f.Node
	case RolloutHalted:
		return f.Node
	case RolloutParked:
		return f.Node
	case RolloutSettling:
		return f.Node
	case TargetLeft:
		return f.Node
	case RolloutClosed:
		return f.Node
	}
	return ""
}

// Decide says what should happen now and folds it into the state already:
// append the events to the journal, then carry out the commands among them. It is
// called at the live end only, never while a journal is folded. A second call
// without an event between returns nothing.
func (s *State) Decide() []Event {
	if !s.d.Opened || s.d.Outcome != "" {
		return nil
	}
	s.decided = nil
	for len(s.dirty) > 0 || len(s.dirtyEnv) > 0 || s.canStart() {
		s.decideDirty()
		s.startReady()
		s.decideEnvs()
	}
	s.decideUnwinding()
	s.decideClosing()
	return s.decided
}

// decideDirty looks at every node of which something changed.
func (s *State) decideDirty() {
	for len(s.dirty) > 0 {
		i := s.dirty[0]
		s.dirty = s.dirty[1:]
		s.isDirty[i] = false
		s.decideNode(i)
	}
}

// emit records a decision and folds it.
func (s *State) emit(f Fact) {
	s.decided = append(s.decided, Event{At: s.d.Now, Fact: f})
	s.d.Events++
	if err := s.apply(f); err != nil {
		// A decision that cannot be folded would be written to the journal and
		// make it unreadable; the property tests prove that there is none.
		panic(fmt.Sprintf("kernel: %s: %v", f.FactType(), err))
	}
}

// decideClosing ends the run when nothing is left to do.
func (s *State) decideClosing() {
	if s.d.Unsettled > 0 || s.d.Undoing > 0 || len(s.d.Commands) > 0 || s.d.Outcome != "" {
		return
	}
	for _, env := range s.d.Envs {
		if env.Held || env.Op.Cmd != 0 {
			return
		}
	}
	if s.undoLeft() {
		return
	}
	s.emit(RunClosed{Outcome: s.runOutcome()})
}

// runOutcome is the worst that happened to a node, by what people must do about it.
func (s *State) runOutcome() Outcome {
	count := map[Outcome]int{}
	for i := range s.d.Nodes {
		count[s.d.Nodes[i].Outcome]++
	}
	for _, o := range []Outcome{RollbackFailed, Failed, RolledBack, Rejected} {
		if count[o] > 0 {
			return o
		}
	}
	if s.d.Unwinding != nil || count[Cancelled] > 0 {
		return Cancelled
	}
	return Succeeded
}

// resume forgets what died with the process that went before: its locks, and
// that it was asked to stop.
func (s *State) resume(f RunResumed) {
	s.d.Stopping = ""
	s.d.Parallelism = max(1, f.Parallelism)
	for name, env := range s.d.Envs {
		// Who goes on takes the lock again; one that only waits to be freed is freed.
		env.Held = env.Held && s.envDone(name, env)
		env.Failed, env.Op = "", op{}
		s.dirtyEnv[name] = true
	}
	for id, c := range s.d.Commands {
		// Nobody waits for these any more, and asking again costs nothing.
		if c.Kind == Cancel || c.Kind == TakeLock || c.Kind == FreeLock {
			delete(s.d.Commands, id)
		} else {
			c.Cancelling = false
		}
	}
	for i := range s.d.Nodes {
		n := &s.d.Nodes[i]
		if n.Status == settled && !n.beingUndone() {
			continue
		}
		n.Plan.Losses, n.Run.Losses, n.Undo.Losses = 0, 0, 0
		if n.Rollout != nil {
			n.Rollout.resume()
			s.count(n)
		}
		s.touch(i)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
