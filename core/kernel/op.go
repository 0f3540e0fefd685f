package kernel

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// op is one operation through its attempts: at most one command is under way.
type op struct {
	// Cmd is the command under way; 0 for none.
	Cmd int64 `json:",omitempty"`
	// Last is the last command that was issued.
	Last *Command `json:",omitempty"`
	// Attempt counts commands since the operation began; 0 when it has not begun
	// or has succeeded.
	Attempt int `json:",omitempty"`
	// Losses counts commands that were lost since the operation began.
	Losses int `json:",omitempty"`
	// Failure is set while the last command's failure has not been dealt with.
	Failure *Failure `json:",omitempty"`
	// Lost: nobody knows what became of the last command.
	Lost bool `json:",omitempty"`
	// Doubt: nobody will ever know.
	Doubt bool `json:",omitempty"`
	// Backoff: the next attempt waits for a timer.
	Backoff bool `json:",omitempty"`
	// RetryAfter is the span after which to ask again about a lost command.
	RetryAfter Time `json:",omitempty"`
	// Reconcile is the question about a lost command that is under way.
	Reconcile int64 `json:",omitempty"`
	// Handle is that of the last command, which has ended.
	Handle *CommandHandled `json:",omitempty"`
}

// idle reports whether a new command may be issued without regard to the past.
func (o *op) idle() bool {
	return o.Cmd == 0 && o.Reconcile == 0 && !o.Backoff && o.Failure == nil && !o.Lost && !o.Doubt
}

// reset forgets the operation: the next command begins a new one.
func (o *op) reset() { *o = op{} }

const (
	// defaultAttempts bounds tries of what a plugin says can be tried again.
	defaultAttempts = 3
	// backAttempts bounds tries on a way back, which is tried again after any failure.
	backAttempts = 6
	// maxLosses bounds how often the process may die under the same operation.
	maxLosses = 3

	defaultDelay    Time = 1_000
	defaultMaxDelay Time = 60_000
	backDelay       Time = 200
)

// lane finds the operation that a command belongs to.
func (s *State) lane(c *Command) (*op, error) {
	if c.Kind == TakeLock || c.Kind == FreeLock {
		env := s.d.Envs[c.Env]
		if env == nil {
			return nil, fmt.Errorf("command %d: no environment %q in the plan", c.ID, c.Env)
		}
		return &env.Op, nil
	}
	n := s.node(c.Node)
	if n == nil {
		return nil, fmt.Errorf("command %d: no node %q in the plan", c.ID, c.Node)
	}
	switch c.Kind {
	case PlanNode:
		return &n.Plan, nil
	case RunAction:
		return &n.Run, nil
	case UndoAction:
		return &n.Undo, nil
	}
	r := n.Rollout
	if r == nil {
		return nil, fmt.Errorf("command %d: node %s has no rollout under way", c.ID, c.Node)
	}
	switch c.Kind {
	case AskStrategy:
		return &r.Ask, nil
	case Measure:
		return &r.Measure, nil
	}
	t := r.target(n.def, c.Target)
	if t == nil {
		return nil, fmt.Errorf("command %d: no target %q in %s", c.ID, c.Target, c.Node)
	}
	if c.Kind == Verify {
		for i, name := range n.def.Rollout.Verifies {
			if name == c.Verify {
				return &t.Verify[i].Op, nil
			}
		}
		return nil, fmt.Errorf("command %d: no verification %q in %s", c.ID, c.Verify, c.Node)
	}
	return &t.Op, nil
}

// issue asks for a command. A repeated attempt keeps the key of the first.
func (s *State) issue(c Command) {
	o, err := s.lane(&c)
	if err != nil {
		panic("kernel: " + err.Error())
	}
	c.ID = s.d.NextCommand
	c.Attempt = o.Attempt + 1
	if o.Last != nil && o.Attempt > 0 && sameOperation(o.Last, &c) {
		c.Key = o.Last.Key
	} else {
		c.Attempt = 1
		c.Key = s.key(c.Node+c.Env, c.Target+"\x00"+c.Verify, c.Kind, s.ordinal(&c))
	}
	s.emit(CommandIssued{c})
}

// ordinal tells apart operations of one kind on one thing. A run of an action
// is one operation for ever; operations of a rollout are counted by the command's id.
func (s *State) ordinal(c *Command) int {
	switch c.Kind {
	case RunAction, UndoAction, PlanNode:
		return 1
	}
	return int(c.ID)
}

func sameOperation(a, b *Command) bool {
	return a.Kind == b.Kind && a.Target == b.Target && a.Release == b.Release && a.Weight == b.Weight && a.Verify == b.Verify
}

func (s *State) issued(c Command) error {
	if c.ID < s.d.NextCommand {
		return fmt.Errorf("command %d was issued before", c.ID)
	}
	s.d.NextCommand = c.ID + 1
	switch c.Kind {
	case Cancel:
		if of := s.d.Commands[c.Of]; of != nil {
			of.Cancelling = true
		}
		return nil
	case Reconcile:
		of, err := s.laneOfLost(c.Of, c.Node)
		if err != nil {
			return err
		}
		of.Reconcile = c.ID
		of.Backoff = false
		s.d.Commands[c.ID] = &inflight{Command: c}
		return nil
	}
	o, err := s.lane(&c)
	if err != nil {
		return err
	}
	// A look at what is so may come between a loss and the next try.
	losses, looking := o.Losses, c.Kind == Observe || o.Last == nil
	*o = op{Cmd: c.ID, Last: &c, Attempt: c.Attempt}
	if c.Attempt > 1 || looking {
		o.Losses = losses
	}
	s.d.Commands[c.ID] = &inflight{Command: c}
	s.issuedToRollout(&c)
	return nil
}

// laneOfLost finds the operation of a node whose last command was lost.
func (s *State) laneOfLost(id int64, node string) (*op, error) {
	if n := s.node(node); n != nil {
		for _, o := range []*op{&n.Run, &n.Undo} {
			if o.Last != nil && o.Last.ID == id {
				return o, nil
			}
		}
	}
	return nil, fmt.Errorf("command %d was not lost", id)
}

// end takes a command out of what is under way.
func (s *State) end(id int64) (*inflight, *op, error) {
	c := s.d.Commands[id]
	if c == nil {
		return nil, nil, fmt.Errorf("command %d is not under way", id)
	}
	delete(s.d.Commands, id)
	if c.Kind == Reconcile {
		o, err := s.laneOfLost(c.Of, c.Node)
		if err != nil {
			return nil, nil, err
		}
		o.Reconcile = 0
		s.touchCommand(&c.Command)
		return c, o, nil
	}
	o, err := s.lane(&c.Command)
	if err != nil {
		return nil, nil, err
	}
	if o.Cmd == id {
		o.Cmd, o.Handle = 0, c.Handle
	}
	s.touchCommand(&c.Command)
	return c, o, nil
}

func (s *State) touchCommand(c *Command) {
	if c.Env != "" {
		s.dirtyEnv[c.Env] = true
		return
	}
	if i, ok := s.index[c.Node]; ok {
		s.touch(i)
	}
}

func (s *State) commandSucceeded(f CommandSucceeded) error {
	c, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	o.Attempt, o.Losses, o.Failure, o.Lost, o.Handle = 0, 0, nil, false, nil
	n := s.node(c.Node)
	switch c.Kind {
	case RunAction:
		n.Ran, n.Result = true, f.Result
	case UndoAction:
		n.Undone = undoneCarriedOut
		s.count(n)
	default:
		if n != nil && n.Rollout != nil {
			s.rolloutCommandSucceeded(n, &c.Command, f)
		}
	}
	return nil
}

func (s *State) commandFailed(id int64, f Failure) error {
	c, o, err := s.end(id)
	if err != nil {
		return err
	}
	if c.Kind == Reconcile {
		// The question failed: what it asked about stays unknown.
		o.Lost = true
		o.Losses++
		return nil
	}
	switch c.Kind {
	case TakeLock:
		// Waiting for a lock is the engine's; its failure is final, unless it was
		// given up because the process leaves.
		o.reset()
		if f.Cancelled {
			return nil
		}
		s.d.Envs[c.Env].Failed = failureText(&f, "the environment's lock could not be taken")
		s.touchEnv(c.Env)
	case FreeLock:
		// The lock of a run that has ended is taken over by the next one.
		o.reset()
		s.d.Envs[c.Env].Held = false
		s.touchEnv(c.Env)
	default:
		o.Failure = &f
	}
	return nil
}

func (s *State) commandLost(id int64) error {
	_, o, err := s.end(id)
	if err != nil {
		return err
	}
	o.Lost = true
	o.Losses++
	return nil
}

func (s *State) reconciled(f CommandReconciled) error {
	c, o, err := s.end(f.Command)
	if err != nil {
		return err
	}
	of := *o.Last
	switch f.State {
	case "not_started":
		o.Lost, o.Failure = false, nil
		o.Attempt--
		o.Cmd = 0
	case "running":
		o.Lost, o.RetryAfter = true, max(1, f.Retry)
	case "done":
		o.Lost = false
		// The lost command ends as if its answer had arrived.
		s.d.Commands[of.ID] = &inflight{Command: of}
		o.Cmd = of.ID
		if f.Succeeded != nil {
			succeeded := *f.Succeeded
			succeeded.Command = of.ID
			return s.commandSucceeded(succeeded)
		}
		failure := Failure{Summary: "Operation failed"}
		if f.Failed != nil {
			failure = f.Failed.Failure
		}
		return s.commandFailed(of.ID, failure)
	default:
		o.Lost, o.RetryAfter = f.Retry > 0, f.Retry
		o.Doubt = !o.Lost
	}
	s.touchCommand(&c.Command)
	return nil
}

// verdictOnOp is what is to be done about an operation that is not idle.
type verdictOnOp int

const (
	// opReady: issue the (next) command.
	opReady verdictOnOp = iota
	// opBusy: something is under way or waited for.
	opBusy
	// opFailed: it will not be tried again.
	opFailed
	// opDoubt: nobody knows whether it happened.
	opDoubt
)

// judgeOp deals with the past of an operation: it arms the timer of the next
// attempt, asks what became of a lost command, or gives up.
func (s *State) judgeOp(n *nodeState, o *op) verdictOnOp {
	switch {
	case o.Cmd != 0 || o.Reconcile != 0 || o.Backoff:
		return opBusy
	case o.Doubt:
		return opDoubt
	case o.Failure != nil && o.Failure.Cancelled && s.d.Stopping == "" && s.d.Unwinding == nil && !n.timedOut():
		// Cancelled by a process that has left: its turn comes again, unless it
		// must not happen twice and may have happened.
		if s.class(o.Last) != schema.Once || o.Failure.Effect == "none" {
			return opReady
		}
		return s.judgeLost(n, o)
	case o.Failure != nil:
		wait, again := s.retry(n, o)
		if !again {
			return opFailed
		}
		s.emit(TimerSet{ID: retryTimer(o.Last), At: s.d.Now + wait})
		return opBusy
	case o.Lost:
		return s.judgeLost(n, o)
	}
	return opReady
}

func (n *nodeState) timedOut() bool { return n != nil && n.TimedOut }

func (s *State) judgeLost(n *nodeState, o *op) verdictOnOp {
	if o.RetryAfter > 0 {
		s.emit(TimerSet{ID: retryTimer(o.Last), At: s.d.Now + o.RetryAfter})
		return opBusy
	}
	if o.Losses > maxLosses {
		if s.class(o.Last) == schema.Once {
			return opDoubt
		}
		return opFailed
	}
	if s.class(o.Last) != schema.Once {
		return opReady
	}
	if !s.reconciles(n, o.Last) {
		return opDoubt
	}
	if s.d.Stopping != "" {
		return opBusy
	}
	s.emit(CommandIssued{Command{
		ID: s.d.NextCommand, Key: o.Last.Key, Kind: Reconcile, Node: o.Last.Node, Attempt: 1, Of: o.Last.ID,
	}})
	return opBusy
}

func (s *State) reconciles(n *nodeState, c *Command) bool {
	switch {
	case n == nil || n.def.Action == nil:
		return false
	case c.Kind == UndoAction:
		return n.def.Action.UndoReconcile
	}
	return c.Kind == RunAction && n.def.Action.Reconcile
}

// retry says whether a failed operation is tried again, and after which span.
func (s *State) retry(n *nodeState, o *op) (Time, bool) {
	f, c := o.Failure, o.Last
	if f.Cancelled || n.timedOut() && c.Kind == RunAction {
		return 0, false
	}
	limit, delay, maxDelay := defaultAttempts, defaultDelay, defaultMaxDelay
	allowed := f.Retry != "" && (s.class(c) != schema.Once || f.Effect == "none")
	switch {
	case c.Back:
		limit, delay, allowed = backAttempts, backDelay, true
	case c.Kind == RunAction && n.def.Retry != nil:
		limit, delay, maxDelay = n.def.Retry.Attempts, n.def.Retry.Delay, n.def.Retry.MaxDelay
		allowed = f.Effect != "done"
	}
	if !allowed || o.Attempt >= limit || s.d.Unwinding != nil && !c.Back && c.Kind != UndoAction {
		return 0, false
	}
	return max(f.After, backoff(c.Key, o.Attempt, delay, maxDelay)), true
}

// backoff doubles with each attempt and is spread by up to a fifth either way,
// by the key, so that it is the same on every resume.
func backoff(key string, attempt int, delay, maxDelay Time) Time {
	d := delay
	for range attempt - 1 {
		if d *= 2; d >= maxDelay {
			d = maxDelay
			break
		}
	}
	var sum uint64 = 14695981039346656037
	for _, b := range binary.LittleEndian.AppendUint32([]byte(key), uint32(attempt)) {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return d*4/5 + Time(sum%uint64(max(1, d*2/5)))
}

func retryTimer(c *Command) string {
	return strings.Join([]string{"retry", c.Node + c.Env, c.Target, c.Verify, string(c.Kind)}, "\x1f")
}

func (s *State) timerSet(f TimerSet) {
	s.d.Timers[f.ID] = f.At
	if o := s.timerLane(f.ID); o != nil {
		o.Backoff, o.Failure, o.RetryAfter = true, nil, 0
	}
}

func (s *State) timerFired(f TimerFired) {
	delete(s.d.Timers, f.ID)
	if o := s.timerLane(f.ID); o != nil {
		o.Backoff = false
	}
	kind, node, rest := timerParts(f.ID)
	if i, ok := s.index[node]; ok {
		s.touch(i)
		s.nodeTimerFired(&s.d.Nodes[i], kind, rest)
	} else {
		s.dirtyEnv[node] = true
	}
}

func (s *State) timerLane(id string) *op {
	parts := strings.Split(id, "\x1f")
	if len(parts) != 5 || parts[0] != "retry" {
		return nil
	}
	c := Command{Node: parts[1], Target: parts[2], Verify: parts[3], Kind: CommandKind(parts[4])}
	if c.Kind == TakeLock || c.Kind == FreeLock {
		c.Node, c.Env = "", parts[1]
	}
	o, err := s.lane(&c)
	if err != nil {
		return nil
	}
	return o
}
