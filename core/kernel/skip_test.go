package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What plan knows not to run asks for nothing: no lock, no place, no plugin.
func TestASkippedNodeAsksForNothing(t *testing.T) {
	const why = "when is false"
	g := &Graph{Pools: map[string]int{"db": 1}, Nodes: []Node{
		{ID: "stage.action", Kind: ActionNode, Environment: "prod", Pool: "db", Prepare: true, Skip: why, Action: &Action{Undo: true},
			Gates: []Gate{{Name: "sre", Required: 1}}},
		{ID: "stage.rollout", Kind: RolloutNode, Environment: "prod", Skip: why, After: []int{0},
			Rollout: &Rollout{Targets: []Target{{Name: "main", Capabilities: percent}}, Waves: [][]int{{0}}}},
		{ID: "stage.after", Kind: ActionNode, After: []int{1}, Action: &Action{}},
	}}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s := New(g)
	var got []string
	tell := func(events []Event) {
		for _, e := range events {
			got = append(got, e.Fact.FactType()+" "+nodeOf(e.Fact))
			if c, ok := e.Fact.(CommandIssued); ok {
				got[len(got)-1] += string(c.Kind) + " " + c.Node + c.Env
			}
		}
	}
	tell(fold(t, s, RunOpened{Run: "r", Nonce: "n", Parallelism: 1}))
	tell(fold(t, s, CommandSucceeded{Command: next(t, s, "stage.after").ID}))
	want := []string{
		"node.settled stage.action", "node.settled stage.rollout",
		"node.started stage.after", "command.issued run_action stage.after", "node.settled stage.after", "run.closed ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was decided (-want +got):\n%s", diff)
	}
	for _, n := range s.Nodes()[:2] {
		if n.Outcome != Skipped || n.Why != why {
			t.Errorf("%s is %s: %s", n.ID, n.Outcome, n.Why)
		}
	}
	if s.Outcome() != Succeeded {
		t.Errorf("the run %s", s.Outcome())
	}
}
