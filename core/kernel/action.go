package kernel

const (
	undoneUnderWay = "under_way"
	// undoneCarriedOut: the way back succeeded and is not settled yet.
	undoneCarriedOut = "carried_out"
	undoneOK         = "ok"
	undoneFailed     = "failed"
)

// decideAction goes on with a running action.
func (s *State) decideAction(n *nodeState) {
	if n.Run.Cmd != 0 && (n.TimedOut || s.d.Unwinding != nil || s.d.Stopping == StopNow) {
		s.cancel(n.Run.Cmd)
		return
	}
	if n.Ran && n.Run.Cmd == 0 && n.Run.Failure == nil {
		s.settle(n, Succeeded, "")
		return
	}
	switch s.judgeOp(n, &n.Run) {
	case opReady:
		s.runAction(n)
	case opDoubt:
		s.resolveDoubt(n)
	case opFailed:
		s.actionFailed(n)
	case opBusy:
		if n.Run.Backoff && s.d.Unwinding != nil {
			s.settle(n, Cancelled, "the run was taken back")
		}
	}
}

func (s *State) runAction(n *nodeState) {
	switch {
	case s.d.Unwinding != nil:
		s.settle(n, Cancelled, "the run was taken back")
	case s.d.Stopping != "" || !s.lockHeld(n):
	default:
		if n.def.Timeout > 0 {
			s.emit(TimerSet{ID: nodeTimer("timeout", n), At: s.d.Now + n.def.Timeout})
		}
		s.issue(Command{Kind: RunAction, Node: n.def.ID})
	}
}

// actionFailed is called when an action will not be tried again.
func (s *State) actionFailed(n *nodeState) {
	f := n.Run.Failure
	if f != nil && f.Cancelled && !n.TimedOut {
		if s.d.Unwinding == nil {
			return
		}
		if s.undoable(n) {
			s.emit(NodeUndoing{Node: n.def.ID, Why: "the run was taken back"})
		} else {
			s.settle(n, Cancelled, "the run was taken back")
		}
		return
	}
	why := failureText(f, "the plugin's process was lost again and again")
	if n.TimedOut {
		why = "timed out: " + why
	}
	s.failAction(n, why)
}

func (s *State) failAction(n *nodeState, why string) {
	if n.def.OnFailure == Rollback && s.undoable(n) {
		s.emit(NodeUndoing{Node: n.def.ID, Why: why})
		return
	}
	s.settle(n, Failed, why)
}

// undoable reports whether there is something to undo and a way to.
func (s *State) undoable(n *nodeState) bool {
	a := n.def.Action
	return a != nil && a.Undo && (n.Ran || a.UndoAlways && n.Run.Last != nil)
}

func (s *State) resolveDoubt(n *nodeState) {
	switch n.def.OnDoubt {
	case RetryDoubt:
		s.runAction(n)
	case FailDoubt:
		s.failAction(n, "nobody knows whether the operation happened: its process was lost")
	default:
		closed, yes := s.ask(n, doubtGate, DoubtGate, "nobody knows whether the operation happened: its process was lost")
		g := n.gate(doubtGate)
		switch {
		case !closed && s.d.Unwinding != nil:
			s.settle(n, Cancelled, "the run was taken back while it was in doubt whether the operation happened")
		case !closed:
		case !yes:
			s.settle(n, Failed, "in doubt; "+g.Why)
		case g.again():
			if s.d.Stopping == "" {
				s.runAction(n)
			}
		default:
			s.settle(n, Succeeded, "in doubt; "+g.Why)
		}
	}
}

// cancel asks a command to stop, once.
func (s *State) cancel(id int64) {
	c := s.d.Commands[id]
	if c == nil || c.Cancelling {
		return
	}
	s.emit(CommandIssued{Command{ID: s.d.NextCommand, Kind: Cancel, Node: c.Node, Target: c.Target, Of: id, Back: true}})
}

func (s *State) nodeUndoing(n *nodeState) {
	n.Undo.reset()
	if n.Status == settled {
		n.Undone = undoneUnderWay
		s.d.Undoing++
		if env := s.d.Envs[n.def.Environment]; env != nil {
			env.undoing++
		}
		return
	}
	n.Status = undoing
}

func (s *State) nodeUndone(i int, n *nodeState, f NodeUndone) {
	if n.beingUndone() {
		s.d.Undoing--
		if env := s.d.Envs[n.def.Environment]; env != nil {
			env.undoing--
		}
	}
	if f.OK {
		n.Undone, n.Outcome = undoneOK, RolledBack
	} else {
		n.Undone, n.Outcome = undoneFailed, RollbackFailed
	}
	n.Why = f.Why
	if e := n.def.Environment; e != "" {
		s.dirtyEnv[e] = true
	}
	if s.undo != nil {
		s.undo.done(s, i)
	}
}

// decideUndo goes on with the way back of an action.
func (s *State) decideUndo(n *nodeState) {
	if n.Undone == undoneCarriedOut {
		s.undoEnded(n, true, "")
		return
	}
	switch s.judgeOp(n, &n.Undo) {
	case opReady:
		if s.d.Stopping != StopNow && s.lockHeld(n) {
			s.issue(Command{Kind: UndoAction, Node: n.def.ID, Back: true})
		}
	case opFailed:
		s.undoEnded(n, false, failureText(n.Undo.Failure, "the plugin's process was lost again and again"))
	case opDoubt:
		s.undoEnded(n, false, "nobody knows whether the way back happened: its process was lost")
	case opBusy:
		if n.Undo.Cmd != 0 && s.d.Stopping == StopNow {
			s.cancel(n.Undo.Cmd)
		}
	}
}

func (s *State) undoEnded(n *nodeState, ok bool, why string) {
	if n.Status == settled {
		s.emit(NodeUndone{Node: n.def.ID, OK: ok, Why: why})
		return
	}
	if ok {
		s.settle(n, RolledBack, failureText(n.Run.Failure, "undone"))
	} else {
		s.settle(n, RollbackFailed, why)
	}
}

// beingUndone reports whether the way back of a settled node is not over.
func (n *nodeState) beingUndone() bool {
	return n.Status == settled && (n.Undone == undoneUnderWay || n.Undone == undoneCarriedOut)
}
