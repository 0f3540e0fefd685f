package kernel

// away lets time pass that nobody watches.
func (w *world) away() Time {
	if w.trouble.sleep == 0 || w.chance(30) {
		return 0
	}
	span := Time(1 + w.rnd.IntN(20_000))
	w.now += span
	w.unseen += span
	for _, n := range w.g.Nodes {
		if r := n.Rollout; r != nil && r.Analysis != nil {
			for _, t := range r.Targets {
				if st := w.targets[n.ID+"/"+t.Name]; st.weight > 0 && st.stable != st.candidate {
					w.blind[n.ID] = w.now
				}
			}
		}
	}
	return span
}

// sleep is what a laptop does.
func (w *world) sleep() {
	if span := w.away(); span > 0 {
		w.add(RunUnwatched{Span: span})
	}
}

// checkWatched holds bakes to the time that was watched.
func (w *world) checkWatched(fact Fact) {
	switch f := fact.(type) {
	case WaveEntered:
		delete(w.seenAt, f.Node)
	case Decided:
		watched := w.now - w.unseen
		if f.StepID == "" || f.Command == 0 || w.s.node(f.Node).def.Rollout.Strategy == oneByOne {
			return
		}
		if before, ok := w.seenAt[f.Node]; ok && watched-before < bake {
			w.t.Fatalf("step %s of %s after %d ms that were watched, %d are asked for\n%s", f.StepID, f.Node, watched-before, bake, w.tail())
		}
		w.seenAt[f.Node] = watched
	}
}

// checkEnded holds EndOf to what the state says is under way.
func (w *world) checkEnded(fact Fact) {
	if id := EndOf(fact); id != 0 && w.s.d.Commands[id] != nil {
		w.t.Fatalf("command %d is under way after %s\n%s", id, fact.FactType(), w.tail())
	}
	if _, closed := fact.(RunClosed); closed {
		for id := range w.open {
			w.t.Fatalf("closed, and no fact has ended command %d\n%s", id, w.tail())
		}
	}
	switch f := fact.(type) {
	case RunResumed:
		// Nobody waits for these any more.
		for id, kind := range w.open {
			if kind == TakeLock || kind == FreeLock {
				delete(w.open, id)
			}
		}
	case CommandIssued:
		if f.Kind != Cancel {
			w.open[f.ID] = f.Kind
		}
	}
	delete(w.open, EndOf(fact))
}

// bake of testCanary.
const bake Time = 2_000
