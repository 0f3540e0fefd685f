package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

var percent = target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: 1}

// randomGraph is a graph of up to n nodes of every kind.
func randomGraph(rnd *rand.Rand, n int) *Graph {
	g := &Graph{Plan: "sha256:plan", Pools: map[string]int{"db": 1 + rnd.IntN(2)}}
	envs := []string{"", "", "staging", "prod"}
	for i := range 1 + rnd.IntN(n) {
		node := Node{ID: fmt.Sprintf("stage.n%d", i), Environment: envs[rnd.IntN(len(envs))]}
		for j := range i {
			if rnd.IntN(i+1) < 2 {
				node.After = append(node.After, j)
			}
		}
		node.RunIf = []RunIf{OnSuccess, OnSuccess, OnSuccess, OnSuccess, OnFailure, Always}[rnd.IntN(6)]
		if rnd.IntN(2) == 0 {
			node.OnFailure = Rollback
		}
		if rnd.IntN(4) == 0 {
			node.Pool = "db"
		}
		if rnd.IntN(6) == 0 {
			node.Gates = []Gate{{Name: "sre", Required: 1, From: []string{"group:sre"}, NotInitiator: true}}
			if rnd.IntN(2) == 0 {
				node.Gates[0].Expires = 100_000
			}
		}
		if rnd.IntN(8) == 0 {
			node.Timeout = Time(20 + rnd.IntN(4000))
		}
		node.Prepare = rnd.IntN(3) == 0
		switch rnd.IntN(5) {
		case 0:
			node.Kind = BarrierNode
			node.Gates, node.Environment, node.Pool, node.Timeout = nil, "", "", 0
		case 1, 2:
			node.Kind = RolloutNode
			node.Rollout = randomRollout(rnd)
		default:
			node.Kind = ActionNode
			node.Action = &Action{Class: schema.Once, Reconcile: rnd.IntN(2) == 0, Undo: rnd.IntN(2) == 0}
			node.Action.UndoReconcile = node.Action.Reconcile
			if rnd.IntN(2) == 0 {
				node.Action.Class = schema.Convergent
			}
			node.OnDoubt = []DoubtMode{AskDoubt, RetryDoubt, FailDoubt}[rnd.IntN(3)]
			if rnd.IntN(3) == 0 {
				node.Retry = &Retry{Attempts: 3, Delay: 10, MaxDelay: 100}
			}
		}
		g.Nodes = append(g.Nodes, node)
	}
	return g
}

func randomRollout(rnd *rand.Rand) *Rollout {
	r := &Rollout{Strategy: "canary"}
	if rnd.IntN(4) == 0 {
		r.Strategy = ""
	}
	caps := percent
	caps.Capacity = rnd.IntN(3) == 0
	for i := range 1 + rnd.IntN(3) {
		r.Targets = append(r.Targets, Target{Name: fmt.Sprint("t", i), Capabilities: caps})
		if i == 0 || rnd.IntN(2) == 0 {
			r.Waves = append(r.Waves, nil)
		}
		r.Waves[len(r.Waves)-1] = append(r.Waves[len(r.Waves)-1], i)
	}
	if rnd.IntN(2) == 0 {
		for _, w := range r.Waves {
			r.MaxDegraded = max(r.MaxDegraded, len(w))
		}
	}
	if r.Strategy != "" && rnd.IntN(3) == 0 {
		r.Strategy, r.MaxDegraded = oneByOne, 1
	}
	if rnd.IntN(2) == 0 {
		r.Verifies = []string{"healthz"}
	}
	if rnd.IntN(2) == 0 {
		r.Analysis = &Analysis{Interval: 500, Deadline: 5000, OnInconclusive: "abort"}
		if rnd.IntN(2) == 0 {
			r.Analysis.OnInconclusive = "hold"
		}
		for i, do := range []string{"hold", "abort", "continue"} {
			if rnd.IntN(4) == 0 {
				r.Analysis.SLOs = append(r.Analysis.SLOs, SLO{Name: fmt.Sprint("slo", i), OnExhausted: do})
			}
		}
	}
	if r.Strategy != "" && rnd.IntN(2) == 0 {
		r.Approvals = []Gate{{Name: "half", Required: 1}}
		r.Limits = []Limit{{Approval: "half", Weight: 25_000}}
		if rnd.IntN(2) == 0 {
			r.WhileWaiting = "stable"
		}
	}
	return r
}

// checkEnd holds what must be so when a run has closed.
func (w *world) checkEnd() {
	for _, n := range w.s.Nodes() {
		if n.Status != string(settled) {
			w.t.Fatalf("closed with %s %s\n%s", n.ID, n.Status, w.tail())
		}
		if n.Rollout == nil {
			continue
		}
		for _, tv := range n.Rollout.Targets {
			st := w.targets[n.ID+"/"+tv.Name]
			switch {
			case n.Outcome == Succeeded && st.weight != target.Full && st.stable != "r-new":
				w.t.Fatalf("%s promoted with %s at %s\n%s", n.ID, tv.Name, st.weight, w.tail())
			case n.Outcome == RolledBack && st.weight != 0 && tv.Stable != tv.Candidate:
				w.t.Fatalf("%s rolled back with %s at %s\n%s", n.ID, tv.Name, st.weight, w.tail())
			}
		}
	}
	for env, held := range w.locks {
		if held {
			w.t.Fatalf("closed with the lock of %s\n%s", env, w.tail())
		}
	}
	if n := len(w.s.InFlight()); n > 0 {
		w.t.Fatalf("closed with %d commands under way", n)
	}
}

var worlds = []trouble{
	{},
	{fail: 10, reject: 10},
	{lose: 5, crash: 3},
	{fail: 5, lose: 3, crash: 2, stop: 5, reject: 10, harm: 3, inconclusive: 30, unwind: 3},
	{harm: 10, inconclusive: 50, unwind: 20, crash: 5},
	{lose: 10, crash: 5, inconclusive: 20, vanish: 30},
	{sleep: 5, crash: 2, inconclusive: 20, reject: 5},
	{sleep: 10, fail: 5, lose: 3, stop: 5, harm: 2, unwind: 2},
}

// randomRun runs a random graph through a random world.
func randomRun(t *testing.T, seed uint64) Outcome {
	w := newWorld(t, randomGraph(rand.New(rand.NewPCG(seed, 1)), 12), seed, worlds[seed%uint64(len(worlds))])
	w.run()
	w.checkEnd()
	return w.s.Outcome()
}

// Every run ends, every folded journal equals the live state, and the guards
// hold throughout. FuzzRuns goes on where this test ends.
func TestRandomRunsEnd(t *testing.T) {
	const runs = 560
	outcomes := map[Outcome]int{}
	for seed := range uint64(runs) {
		outcomes[randomRun(t, seed)]++
	}
	t.Logf("outcomes: %v", outcomes)
	for _, o := range []Outcome{Succeeded, Failed, RolledBack, Rejected, Cancelled} {
		if outcomes[o] == 0 {
			t.Errorf("no run ended %s: the worlds are too kind", o)
		}
	}
}

func FuzzRuns(f *testing.F) {
	f.Add(uint64(400))
	f.Fuzz(func(t *testing.T, seed uint64) { randomRun(t, seed) })
}
