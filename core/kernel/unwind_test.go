package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// ran is a run of actions that all succeeded but for the last node, which fails.
func ran(t testing.TB, g *Graph) *State {
	g.Nodes = append(g.Nodes, Node{ID: "stage.last", Kind: ActionNode, Action: &Action{Class: schema.Once}})
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s := New(g)
	fold(t, s, RunOpened{Run: "r", Nonce: "n", Parallelism: len(g.Nodes)})
	for waiting := 1; waiting > 0; {
		waiting = 0
		for _, c := range s.InFlight() {
			if c.Node == "stage.last" {
				continue
			}
			waiting++
			fold(t, s, CommandSucceeded{Command: c.ID})
		}
	}
	return s
}

// fold is one event and what is decided upon it.
func fold(t testing.TB, s *State, f Fact) []Event {
	if err := s.Evolve(Event{At: s.Now() + 1, Fact: f}); err != nil {
		t.Fatal(err)
	}
	return s.Decide()
}

// undoEverything takes a run back and finishes what it asks for in a random order.
func undoEverything(t testing.TB, s *State, rnd *rand.Rand, each func(Event)) {
	tell := func(events []Event) {
		for _, e := range events {
			each(e)
		}
	}
	tell(fold(t, s, RunUnwinding{By: "bob", Undo: true}))
	for s.Idle() != Closed {
		under := s.InFlight()
		if len(under) == 0 {
			t.Fatalf("nothing is under way and the run is not closed: %+v", s.Nodes())
		}
		c := under[0]
		if rnd != nil {
			c = under[rnd.IntN(len(under))]
		}
		switch {
		case c.Kind == UndoAction:
			tell(fold(t, s, CommandSucceeded{Command: c.ID}))
		default:
			tell(fold(t, s, CommandFailed{Command: c.ID, Failure: Failure{Cancelled: true}}))
		}
	}
}

// Nothing is undone before all that was built on it, also where that is only
// reached through nodes that have nothing to undo.
func TestWhatOthersBuiltOnIsUndoneLast(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		g := &Graph{}
		var undone int
		for i := range 2 + rnd.IntN(30) {
			n := Node{ID: fmt.Sprint("stage.n", i), Kind: ActionNode, Action: &Action{Class: schema.Once, Undo: rnd.IntN(3) > 0}}
			if rnd.IntN(5) == 0 {
				n.Kind, n.Action = BarrierNode, nil
			} else if n.Action.Undo {
				undone++
			}
			for j := range i {
				if rnd.IntN(i+1) < 2 {
					n.After = append(n.After, j)
				}
			}
			g.Nodes = append(g.Nodes, n)
		}
		s := ran(t, g)
		// behind holds, for each node, all that come after it.
		behind := make([]map[string]bool, len(g.Nodes))
		for i := len(g.Nodes) - 1; i >= 0; i-- {
			behind[i] = map[string]bool{}
			for _, j := range s.succ[i] {
				behind[i][g.Nodes[j].ID] = true
				for id := range behind[j] {
					behind[i][id] = true
				}
			}
		}
		over := map[string]bool{}
		undoEverything(t, s, rnd, func(e Event) {
			switch f := e.Fact.(type) {
			case NodeUndone:
				over[f.Node] = true
			case NodeUndoing:
				for i := range g.Nodes {
					if n := &g.Nodes[i]; behind[s.index[f.Node]][n.ID] && n.Action != nil && n.Action.Undo && !over[n.ID] {
						t.Errorf("seed %d: %s is undone before %s", seed, f.Node, n.ID)
					}
				}
			}
		})
		if len(over) != undone {
			t.Errorf("seed %d: %d actions were undone, want %d", seed, len(over), undone)
		}
	}
}

// A process that takes over in the middle goes on with what is left.
func TestUndoingGoesOnAfterARestart(t *testing.T) {
	g := &Graph{}
	for i := range 50 {
		n := Node{ID: fmt.Sprint("stage.n", i), Kind: ActionNode, Action: &Action{Class: schema.Once, Undo: true}}
		if i > 0 {
			n.After = []int{i - 1}
		}
		g.Nodes = append(g.Nodes, n)
	}
	s := ran(t, g)
	fold(t, s, RunUnwinding{By: "bob", Undo: true})
	for _, c := range s.InFlight() {
		fold(t, s, CommandFailed{Command: c.ID, Failure: Failure{Cancelled: true}})
	}
	for step := 0; s.Idle() != Closed; step++ {
		if step > 100 {
			t.Fatal("the way back does not end")
		}
		saved, err := s.Save()
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Restore(g, saved); err != nil {
			t.Fatal(err)
		}
		for _, c := range s.InFlight() {
			fold(t, s, CommandSucceeded{Command: c.ID})
		}
	}
	for _, n := range s.Nodes()[:50] {
		if n.Outcome != RolledBack {
			t.Errorf("%s ended %s", n.ID, n.Outcome)
		}
	}
}

// checkGoingBack holds the count of what is on its way back to the nodes.
func (w *world) checkGoingBack() {
	back := slices.ContainsFunc(w.s.d.Nodes, func(n nodeState) bool { return n.onWayBack() })
	if w.s.GoingBack() != back {
		w.t.Fatalf("going back is %v, by the nodes it is %v\n%s", w.s.GoingBack(), back, w.tail())
	}
}

// A run asks after every step: were every node looked at, the time of a run would
// grow with the square of its size.
func TestGoingBackLooksAtNoNode(t *testing.T) {
	took := func(nodes int) time.Duration {
		g := &Graph{}
		for i := range nodes {
			g.Nodes = append(g.Nodes, Node{ID: fmt.Sprint("stage.n", i), Kind: ActionNode, Action: &Action{}})
		}
		s := New(g)
		best := time.Hour
		for range 5 {
			start := time.Now()
			for range 1000 {
				if s.GoingBack() {
					t.Fatal("a run that has not begun goes back")
				}
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	few, many := took(10), took(10_000)
	if many > 30*few+time.Millisecond {
		t.Errorf("1,000 questions take %v with 10 nodes, %v with 10,000", few, many)
	}
}

// The time of an undone action does not depend on how many there are.
func BenchmarkUndo(b *testing.B) {
	for _, size := range []int{1_000, 10_000} {
		for _, chain := range []bool{false, true} {
			b.Run(fmt.Sprintf("nodes=%d/chain=%v", size, chain), func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					g := &Graph{}
					for i := range size {
						n := Node{ID: fmt.Sprint("stage.n", i), Kind: ActionNode, Environment: "prod", Action: &Action{Class: schema.Once, Undo: true}}
						if chain && i > 0 {
							n.After = []int{i - 1}
						}
						g.Nodes = append(g.Nodes, n)
					}
					s := New(g)
					s.d.Opened, s.d.Parallelism, s.d.Envs["prod"].Held = true, 1, true
					for i := range g.Nodes {
						n := &s.d.Nodes[i]
						n.Status, n.Outcome, n.Ran, n.Pending = settled, Succeeded, true, 0
					}
					s.d.Unsettled, s.d.Envs["prod"].Unsettled = 0, 0
					s.derive()
					b.StartTimer()
					events := fold(b, s, RunUnwinding{By: "bob", Undo: true})
					for i := 0; i < len(events); i++ {
						if c, ok := events[i].Fact.(CommandIssued); ok && c.Kind == UndoAction {
							events = append(events, fold(b, s, CommandSucceeded{Command: c.ID})...)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(size), "ns/action")
			})
		}
	}
}
