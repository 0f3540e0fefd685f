package kernel

import "slices"

// unwinding is which finished actions of a run that is taken back are still to be
// undone. It is made when everything forward has ended, and goes on with each
// action that was undone, so that the whole costs no more than the graph has edges.
type unwinding struct {
	// left counts actions to undo, those under way included.
	left int
	// blockers counts, for each node, those directly behind it that are to be
	// undone or are blocked themselves.
	blockers []int
	// todo: the node itself is to be undone.
	todo []bool
	// ready are nodes whose turn has come, in no order.
	ready []int
}

func newUnwinding(s *State) *unwinding {
	u := &unwinding{blockers: make([]int, len(s.d.Nodes)), todo: make([]bool, len(s.d.Nodes))}
	for i := len(s.d.Nodes) - 1; i >= 0; i-- {
		u.todo[i] = s.toUndo(&s.d.Nodes[i])
		if u.todo[i] {
			u.left++
			if u.blockers[i] == 0 {
				u.ready = append(u.ready, i)
			}
		}
		if u.holds(i) {
			for _, before := range s.g.Nodes[i].After {
				u.blockers[before]++
			}
		}
	}
	return u
}

// holds reports whether what the node waits for must not be undone yet.
func (u *unwinding) holds(i int) bool { return u.todo[i] || u.blockers[i] > 0 }

// done takes a node out whose way back is over, and lets those before it have
// their turn.
func (u *unwinding) done(s *State, i int) {
	if !u.todo[i] {
		return
	}
	u.todo[i] = false
	u.left--
	for free := []int{i}; len(free) > 0; {
		i, free = free[0], free[1:]
		if u.holds(i) {
			continue
		}
		for _, before := range s.g.Nodes[i].After {
			if u.blockers[before]--; u.blockers[before] > 0 {
				continue
			}
			if u.todo[before] {
				u.ready = append(u.ready, before)
			} else {
				free = append(free, before)
			}
		}
	}
}

// undoLeft reports whether a run that unwinds still has finished actions to undo.
func (s *State) undoLeft() bool {
	if s.d.Unwinding == nil || !s.d.Unwinding.Undo {
		return false
	}
	if s.undo != nil {
		return s.undo.left > 0
	}
	for i := range s.d.Nodes {
		if s.toUndo(&s.d.Nodes[i]) {
			return true
		}
	}
	return false
}

func (s *State) toUndo(n *nodeState) bool {
	return n.Status == settled && n.Outcome == Succeeded && n.Undone == "" && n.Ran && s.undoable(n) ||
		n.beingUndone()
}

// decideUnwinding undoes finished actions of a run that is taken back, once
// everything forward has ended, those that others built on last.
func (s *State) decideUnwinding() {
	if s.d.Unwinding == nil || !s.d.Unwinding.Undo || s.d.Unsettled > 0 || s.d.Stopping == StopNow {
		return
	}
	if s.undo == nil {
		s.undo = newUnwinding(s)
	}
	// An action that is undone without a call, such as one whose way back has
	// succeeded already, gives others their turn.
	for len(s.undo.ready) > 0 || len(s.dirty) > 0 {
		ready := s.undo.ready
		s.undo.ready = nil
		slices.Sort(ready)
		for _, i := range slices.Backward(ready) {
			if n := &s.d.Nodes[i]; n.Undone == "" {
				s.emit(NodeUndoing{Node: n.def.ID, Why: s.d.Unwinding.Why})
			}
		}
		s.decideDirty()
	}
	for name, env := range s.d.Envs {
		// Locks are kept while anything is left to undo.
		if env.Held {
			s.dirtyEnv[name] = true
		}
	}
	s.decideEnvs()
}
