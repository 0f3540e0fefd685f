package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checkBudgets: nothing is touched by a rollout that must not start.
func (w *world) checkBudgets(c Command) {
	n := w.s.node(c.Node)
	if n == nil || n.Planned == nil || c.Kind != Install && c.Kind != SetWeight && c.Kind != AskStrategy {
		return
	}
	for _, b := range n.Planned.Budgets {
		if !b.Exhausted && !b.Burning {
			continue
		}
		g := n.gate("slo." + b.SLO)
		switch n.def.Rollout.onExhausted(b.SLO) {
		case "continue", "":
		case "hold":
			if g != nil && g.Closed && g.Yes {
				continue
			}
			fallthrough
		default:
			w.t.Fatalf("%s in %s though the budget of %s is spent\n%s", c.Kind, c.Node, b.SLO, w.tail())
		}
	}
}

// budgeted is a rollout with an SLO of which a budget was found.
func budgeted(t *testing.T, onExhausted string, b PlannedBudget) (*State, []string) {
	t.Helper()
	g := &Graph{Nodes: []Node{{ID: "stage.web", Kind: RolloutNode, Rollout: &Rollout{
		Strategy: "canary", Targets: []Target{{Name: "main", Capabilities: percent}}, Waves: [][]int{{0}},
		Analysis: &Analysis{Interval: 1000, Deadline: 5000, OnInconclusive: "abort", SLOs: []SLO{{Name: b.SLO, OnExhausted: onExhausted}}},
	}}}}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s := New(g)
	fold(t, s, RunOpened{Run: "r", Nonce: "n", Parallelism: 1})
	c := next(t, s, "stage.web")
	return s, said(fold(t, s, NodePlanned{
		Command: c.ID, Node: c.Node, Digest: "d", Targets: []PlannedTarget{{Name: "main", Stable: "r-old", Candidate: "r-new"}}, Budgets: []PlannedBudget{b},
	}))
}

// said are the facts of a decision, with their words.
func said(events []Event) []string {
	var out []string
	for _, e := range events {
		text := e.Fact.FactType()
		switch f := e.Fact.(type) {
		case CommandIssued:
			text += " " + string(f.Kind)
		case GateOpened:
			text += " " + string(f.Kind) + " " + f.Gate + ": " + f.Why
		case GateClosed:
			text += ": " + f.Why
		case Noted:
			text += ": " + f.Text
		case NodeSettled:
			text += " " + string(f.Outcome) + ": " + f.Why
		case RunClosed:
			text += " " + string(f.Outcome)
		}
		out = append(out, text)
	}
	return out
}

func TestASpentBudgetIsTheFirstQuestion(t *testing.T) {
	spent := PlannedBudget{SLO: "availability", Exhausted: true, Why: "120 % is used"}
	burning := PlannedBudget{SLO: "availability", Burning: true, Why: "20 times too fast"}
	for _, x := range []struct {
		why, onExhausted string
		budget           PlannedBudget
		want             []string
	}{
		{"something is left", "abort", PlannedBudget{SLO: "availability", Why: "12 % is used"}, []string{"noted: 12 % is used", "rollout.opened", "command.issued ask_strategy"}},
		{"people are asked", "hold", spent, []string{"gate.opened budget slo.availability: 120 % is used"}},
		{"also when it burns", "hold", burning, []string{"gate.opened budget slo.availability: 20 times too fast"}},
		{"the stage ends", "abort", spent, []string{"node.settled failed: 120 % is used", "run.closed failed"}},
		{"also when it burns", "abort", burning, []string{"node.settled failed: 20 times too fast", "run.closed failed"}},
		{"it goes on", "continue", spent, []string{"noted: 120 % is used; the pipeline says to go on", "rollout.opened", "command.issued ask_strategy"}},
		{"a word that is not known holds", "", spent, []string{"gate.opened budget slo.availability: 120 % is used"}},
	} {
		t.Run(x.why, func(t *testing.T) {
			_, got := budgeted(t, x.onExhausted, x.budget)
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Errorf("decided (-want +got):\n%s", diff)
			}
		})
	}
}

// What people say holds for what was found: the budget is not asked for again.
func TestPeopleAnswerForASpentBudget(t *testing.T) {
	for _, x := range []struct {
		yes  bool
		want []string
	}{
		{true, []string{"gate.closed: approved by bob", "node.started", "rollout.opened", "command.issued ask_strategy"}},
		{false, []string{"gate.closed: rejected by bob", "node.settled rejected: rejected by bob", "run.closed rejected"}},
	} {
		s, _ := budgeted(t, "hold", PlannedBudget{SLO: "availability", Exhausted: true, Why: "spent"})
		if s.Idle() != WaitingForPeople {
			t.Fatalf("the run is %q", s.Idle())
		}
		g := s.Nodes()[0].Gates[0]
		fold(t, s, GateAnswered{Node: "stage.web", Gate: g.Name, Subject: "sha256:other", Who: "eve", How: "test", Yes: true})
		got := said(fold(t, s, GateAnswered{Node: "stage.web", Gate: g.Name, Subject: g.Subject, Who: "bob", How: "test", Yes: x.yes}))
		if diff := cmp.Diff(x.want, got); diff != "" {
			t.Errorf("decided (-want +got):\n%s", diff)
		}
	}
}
