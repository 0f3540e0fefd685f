package kernel

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// halfway is a canary over two targets with an analysis and a timeout, of which the
// second target's weight is about to be set and the first one's has just been: the
// timers of a bake, of the metrics, of the evidence and of the stage are armed.
func halfway(t *testing.T, others ...Node) *State {
	t.Helper()
	g := &Graph{Nodes: append([]Node{{
		ID: "stage.release", Kind: RolloutNode, Timeout: 3_600_000,
		Rollout: &Rollout{
			Strategy: "canary", Targets: []Target{{Name: "eu", Capabilities: percent}, {Name: "us", Capabilities: percent}},
			Waves: [][]int{{0, 1}}, Analysis: &Analysis{Interval: 60_000, Deadline: 1_800_000, OnInconclusive: "abort"},
		},
	}}, others...)}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s := New(g)
	fold(t, s, RunOpened{Run: "r", Nonce: "n", Parallelism: 2})
	for {
		c := next(t, s, "stage.release")
		switch {
		case c.Kind == SetWeight && c.Target == "us":
			return s
		case c.Kind == PlanNode:
			f := NodePlanned{Command: c.ID, Node: c.Node, Digest: "d"}
			for _, name := range []string{"eu", "us"} {
				f.Targets = append(f.Targets, PlannedTarget{Name: name, Stable: "r-old", Candidate: "r-new", World: "w"})
			}
			fold(t, s, f)
		case c.Kind == AskStrategy:
			snap, err := s.Snapshot(c.Node)
			if err != nil {
				t.Fatal(err)
			}
			fold(t, s, DecisionOf(c, testCanary(snap)))
		default:
			fold(t, s, CommandSucceeded{Command: c.ID, World: "w"})
		}
	}
}

// next is the oldest command of a node that is under way.
func next(t *testing.T, s *State, node string) Command {
	t.Helper()
	for _, c := range s.InFlight() {
		if c.Node == node {
			return c.Command
		}
	}
	t.Fatalf("nothing is under way for %s: %+v", node, s.Nodes())
	return Command{}
}

func refuse(t *testing.T, s *State, node string) {
	t.Helper()
	fold(t, s, CommandFailed{Command: next(t, s, node).ID, Failure: Failure{Summary: "Refused", Effect: "none"}})
}

// A rollout that has halted waits for people. Its process need not stay for the
// timers of what does not go on: the evidence, the metrics, the stage's end.
func TestAHaltedRolloutIsLeftAtOnce(t *testing.T) {
	s := halfway(t)
	armed := sortedKeys(s.Timers())
	if want := []string{"deadline\x1fstage.release", "measure\x1fstage.release", "timeout\x1fstage.release"}; !cmp.Equal(want, armed) {
		t.Fatalf("the timers are %q, want %q: the run stands elsewhere", armed, want)
	}
	refuse(t, s, "stage.release")
	if got := s.Idle(); got != Halted {
		t.Fatalf("the run is %q with the timers %q, want %q", got, sortedKeys(s.Timers()), Halted)
	}
	// What is left of the stage's time holds again for who resumes it, and what
	// nobody watched does not count.
	before := s.Timers()["timeout\x1fstage.release"]
	fold(t, s, RunResumed{Host: "h", Initiator: "alice", Parallelism: 1, Unwatched: 900_000})
	if got, want := s.Timers()["timeout\x1fstage.release"], before+900_000; got != want {
		t.Errorf("the stage's time ends at %d, want %d", got, want)
	}
	if s.Idle() != Busy {
		t.Errorf("a resumed rollout is %q", s.Idle())
	}
}

// What goes on beside a halted rollout keeps the process.
func TestATimerOfAnotherStageKeepsTheProcess(t *testing.T) {
	s := halfway(t, Node{ID: "stage.other", Kind: ActionNode, Action: &Action{}, Retry: &Retry{Attempts: 2, Delay: 5_000, MaxDelay: 5_000}})
	refuse(t, s, "stage.release")
	refuse(t, s, "stage.other")
	if len(s.InFlight()) > 0 || !slices.ContainsFunc(sortedKeys(s.Timers()), func(id string) bool { return id[:5] == "retry" }) {
		t.Fatalf("no second attempt is due: %+v", s.InFlight())
	}
	if got := s.Idle(); got != Busy {
		t.Errorf("the run is %q though a stage will be tried again", got)
	}
}

// A journal by other hands may hold a timer of any name.
func TestATimerOfNobodyBreaksNothing(t *testing.T) {
	s := New(&Graph{Nodes: []Node{{ID: "stage.a", Kind: ActionNode, Action: &Action{}}}})
	fold(t, s, TimerSet{ID: "nobody", At: 1})
	fold(t, s, RunOpened{Run: "r", Nonce: "n", Parallelism: 1})
	fold(t, s, CommandSucceeded{Command: next(t, s, "stage.a").ID})
	if s.Outcome() != Succeeded {
		t.Errorf("the run %q", s.Outcome())
	}
}

// A way back that halted, because its environment was lost, is none until it is resumed.
func TestAWayBackIsKnownAfterARestartAndAHalt(t *testing.T) {
	s := halfway(t)
	is := func(when string, want bool) {
		t.Helper()
		if s.GoingBack() != want {
			t.Errorf("%s: going back is %v", when, !want)
		}
	}
	is("forward", false)
	fold(t, s, RolloutAborting{Node: "stage.release", Why: "harm", Outcome: RolledBack})
	is("aborted", true)
	saved, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	if s, err = Restore(s.g, saved); err != nil {
		t.Fatal(err)
	}
	is("restored", true)
	fold(t, s, RolloutHalted{Node: "stage.release", Why: "the lock was lost"})
	is("halted", false)
	fold(t, s, RunResumed{Host: "h", Initiator: "alice", Parallelism: 1})
	is("resumed", true)
}
