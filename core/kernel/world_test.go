package kernel

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// world carries out commands the way an engine, plugins and clouds would, and
// fails on purpose. It checks what must hold in every world.
type world struct {
	t       *testing.T
	g       *Graph
	rnd     *rand.Rand
	s       *State
	journal []Event
	now     Time
	trouble trouble

	effects map[string]int // effects of once operations by key
	targets map[string]*site
	locks   map[string]bool
	issued  map[string]string // key → operation
	harmAt  map[string]bool
	log     []string
	// unseen is how much of the time until now nobody watched; seenAt is how much
	// had been watched when a node entered its present step, blind until when nobody had
	// watched a node with traffic, by node.
	unseen Time
	seenAt map[string]Time
	blind  map[string]Time
	// open are the commands without an end.
	open map[int64]CommandKind
	// eager: strategies take every verification and approval for given, so that
	// only the kernel's guards hold the weights down.
	eager bool
	// verifying are the lives of the candidates that commands look at.
	verifying map[int64]int
}

// trouble is how likely things go wrong, in percent.
type trouble struct {
	fail, lose, crash, stop, reject, harm, inconclusive, unwind, sleep int
	// vanish: a candidate is found to be gone when it is looked at.
	vanish int
}

// site is one target out in the world.
type site struct {
	stable, candidate string
	installed         bool
	settled           string
	weight            target.Weight
	// verified are the verifications that hold of the candidate that is there;
	// lives counts the candidates that were.
	verified map[string]bool
	lives    int
}

func newWorld(t *testing.T, g *Graph, seed uint64, tr trouble) *world {
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, g: g, rnd: rand.New(rand.NewPCG(seed, 7)), trouble: tr, now: 1_000_000,
		effects: map[string]int{}, targets: map[string]*site{}, locks: map[string]bool{}, issued: map[string]string{}, harmAt: map[string]bool{},
		seenAt: map[string]Time{}, blind: map[string]Time{}, open: map[int64]CommandKind{}, verifying: map[int64]int{}}
	for _, n := range g.Nodes {
		if n.Rollout == nil {
			continue
		}
		for i, tg := range n.Rollout.Targets {
			st := &site{stable: "r-old", candidate: "r-new", verified: map[string]bool{}}
			if len(n.Rollout.Targets) == 1 && w.chance(20) {
				st.stable = "" // first deployment
			}
			if i > 0 && w.chance(10) {
				st.stable = "r-new" // nothing to do here
			}
			w.targets[n.ID+"/"+tg.Name] = st
		}
	}
	w.eager = w.chance(40)
	w.s = New(g)
	w.add(RunOpened{Run: "run-1", Nonce: "5e6f8d3a-3f0a-4a3b-9f11-1b8f0a3c2d10", Plan: g.Plan, Initiator: "alice", Parallelism: 1 + w.rnd.IntN(4)})
	return w
}

func (w *world) chance(percent int) bool { return w.rnd.IntN(100) < percent }

// add journals one event and what the kernel decides upon it.
func (w *world) add(facts ...Fact) {
	for _, f := range facts {
		e := Event{At: w.now, Fact: f}
		if err := w.s.Evolve(e); err != nil {
			w.t.Fatalf("evolve: %v\n%s", err, w.tail())
		}
		w.record(e)
	}
	for _, e := range w.s.Decide() {
		w.record(e)
		if c, ok := e.Fact.(CommandIssued); ok {
			w.checkIssued(c.Command)
		}
	}
	w.checkLookedAt()
	w.checkGoingBack()
	if again := w.s.Decide(); len(again) > 0 {
		w.t.Fatalf("a second Decide says %v\n%s", again, w.tail())
	}
}

func (w *world) record(e Event) {
	b, err := json.Marshal(e)
	if err != nil {
		w.t.Fatal(err)
	}
	var back Event
	if err := json.Unmarshal(b, &back); err != nil {
		w.t.Fatal(err)
	}
	w.journal = append(w.journal, back)
	w.checkWatched(back.Fact)
	w.checkEnded(back.Fact)
	w.log = append(w.log, string(b))
}

func (w *world) tail() string {
	out := ""
	for _, n := range w.s.Nodes() {
		b, _ := json.Marshal(n)
		out += string(b) + "\n"
	}
	shown := 0
	for i := len(w.log) - 1; i >= 0 && shown < 40; i-- {
		if !strings.Contains(w.log[i], "gate.answered") || shown < 3 {
			out = w.log[i] + "\n" + out
			shown++
		}
	}
	return out
}

// checkIssued holds the kernel to its guards.
func (w *world) checkIssued(c Command) {
	if c.Kind == Cancel || c.Kind == Reconcile {
		return
	}
	what := fmt.Sprint(c.Kind, c.Node, c.Target, c.Release, c.Weight, c.Verify, c.Env)
	if before, ok := w.issued[c.Key]; ok && before != what {
		w.t.Fatalf("key %s serves %q and %q", c.Key, before, what)
	}
	w.issued[c.Key] = what
	w.checkBudgets(c)
	if n := w.s.node(c.Node); n != nil && n.def.Environment != "" && !w.locks[n.def.Environment] {
		w.t.Fatalf("%s in %s without its lock\n%s", c.Kind, c.Node, w.tail())
	}
	if c.Kind == Verify {
		w.verifying[c.ID] = w.targets[c.Node+"/"+c.Target].lives
	}
	if c.Kind != SetWeight || c.Back {
		return
	}
	n := w.s.node(c.Node)
	st := w.targets[c.Node+"/"+c.Target]
	if c.Weight > st.weight {
		if until := w.blind[c.Node]; until != 0 && st.weight > 0 {
			w.t.Fatalf("weight rises though nothing was measured since nobody watched until %d\n%s", until, w.tail())
		}
		if w.harmAt[c.Node] {
			w.t.Fatalf("weight rises after harm was shown\n%s", w.tail())
		}
		for _, name := range n.def.Rollout.Verifies {
			if !st.verified[name] {
				w.t.Fatalf("weight %s without verification %q\n%s", c.Weight, name, w.tail())
			}
		}
		for _, l := range n.def.Rollout.Limits {
			if c.Weight > l.Weight && !(n.gate(l.Approval) != nil && n.gate(l.Approval).Yes) {
				w.t.Fatalf("weight %s without approval %q\n%s", c.Weight, l.Approval, w.tail())
			}
		}
	}
	if m := n.def.Rollout.MaxDegraded; m > 0 && c.Weight > st.weight {
		between := 0
		for _, tg := range n.def.Rollout.Targets {
			other := w.targets[c.Node+"/"+tg.Name]
			if tg.Name == c.Target || other.stable != other.candidate && other.weight > 0 && other.weight < target.Full {
				between++
			}
		}
		if between > m {
			w.t.Fatalf("%d targets degraded, %d allowed\n%s", between, m, w.tail())
		}
	}
}

// checkLookedAt: a candidate that is known to have traffic is looked at, or will be.
func (w *world) checkLookedAt() {
	for i := range w.s.d.Nodes {
		n := &w.s.d.Nodes[i]
		r := n.Rollout
		if n.Status == settled || r == nil || r.Phase != forward || n.def.Rollout.Analysis == nil || r.Parked || w.s.d.Stopping != "" || !w.s.lockHeld(n) {
			continue
		}
		if len(w.s.measured(n)) > 0 && r.Measure.idle() && w.s.d.Timers[nodeTimer("measure", n)] == 0 {
			w.t.Fatalf("nobody looks at %s, which has traffic\n%s", n.def.ID, w.tail())
		}
	}
}

// run goes on until the run is closed, or for ever is too long.
func (w *world) run() {
	idleStops := 0
	for step := 0; w.s.Idle() != Closed; step++ {
		if step > 20_000 {
			w.t.Fatalf("the run does not end\n%s", w.tail())
		}
		w.now += Time(w.rnd.IntN(50))
		if w.chance(w.trouble.crash) {
			w.crash()
			continue
		}
		if w.chance(w.trouble.sleep) {
			w.sleep()
			continue
		}
		if w.trouble.unwind > 0 && w.rnd.IntN(2000) < w.trouble.unwind {
			w.add(RunUnwinding{By: "bob", Undo: w.chance(50)})
			continue
		}
		if w.s.Stopping() == "" && w.trouble.stop > 0 && w.rnd.IntN(1000) < w.trouble.stop {
			mode := StopAfter
			if w.chance(50) {
				mode = StopNow
			}
			w.add(RunStopping{Mode: mode})
			continue
		}
		switch w.s.Idle() {
		case Stopped:
			w.resumeRun()
			continue
		case WaitingForPeople:
			w.answer()
			continue
		case Halted:
			if idleStops++; idleStops > 3 {
				w.add(RunUnwinding{By: "carol"})
			} else {
				w.crash()
			}
			continue
		}
		if cmds := w.s.InFlight(); len(cmds) > 0 && (len(w.s.Timers()) == 0 || w.chance(80)) {
			w.finish(cmds[w.rnd.IntN(len(cmds))])
			continue
		}
		if w.anyOpenGate() && w.chance(30) {
			w.answer()
			continue
		}
		if !w.fireTimer() {
			if w.anyOpenGate() {
				w.answer()
				continue
			}
			if len(w.s.InFlight()) == 0 {
				w.t.Fatalf("nothing under way, no timer, no gate, and yet busy\n%s", w.tail())
			}
		}
	}
}

// crash throws the state away and folds the journal anew.
func (w *world) crash() {
	before, err := w.s.Save()
	if err != nil {
		w.t.Fatal(err)
	}
	s := New(w.g)
	cut := w.rnd.IntN(len(w.journal))
	for i, e := range w.journal {
		if i == cut && w.chance(50) {
			saved, err := s.Save()
			if err != nil {
				w.t.Fatal(err)
			}
			if s, err = Restore(w.g, saved); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := s.Evolve(e); err != nil {
			w.t.Fatalf("folding event %d: %v\n%s", i, err, w.tail())
		}
	}
	after, err := s.Save()
	if err != nil {
		w.t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		w.t.Fatalf("the folded journal differs from the live state:\n%s\n%s", diff, w.tail())
	}
	w.s = s
	w.resumeRun()
}

func (w *world) resumeRun() {
	facts := []Fact{RunResumed{Host: "h", PID: 1, Initiator: "alice", Parallelism: 1 + w.rnd.IntN(4), Unwatched: w.away()}}
	clear(w.locks)
	// Whether the effect of a lost command happened is up to the world.
	for _, c := range w.s.InFlight() {
		if c.Kind == TakeLock || c.Kind == FreeLock || c.Kind == Cancel {
			continue
		}
		if w.chance(50) {
			w.effect(c.Command)
		}
		facts = append(facts, CommandLost{Command: c.ID})
	}
	for i, f := range facts {
		e := Event{At: w.now, Fact: f}
		if err := w.s.Evolve(e); err != nil {
			w.t.Fatalf("resume: %v\n%s", err, w.tail())
		}
		w.record(e)
		_ = i
	}
	w.add()
}

func (w *world) fireTimer() bool {
	timers := w.s.Timers()
	if len(timers) == 0 {
		return false
	}
	next := ""
	for _, id := range sortedKeys(timers) {
		if next == "" || timers[id] < timers[next] {
			next = id
		}
	}
	w.now = max(w.now, timers[next])
	w.add(TimerFired{ID: next})
	return true
}

func (w *world) anyOpenGate() bool {
	for _, n := range w.s.Nodes() {
		for _, g := range n.Gates {
			if g.Open {
				return true
			}
		}
	}
	return false
}

func (w *world) answer() {
	for _, n := range w.s.Nodes() {
		for _, g := range n.Gates {
			if !g.Open {
				continue
			}
			a := GateAnswered{Node: n.ID, Gate: g.Name, Subject: g.Subject, Who: "bob", Groups: []string{"sre"}, How: "test", Yes: !w.chance(w.trouble.reject)}
			if w.chance(20) {
				a.Subject = "sha256:another"
			}
			if g.Kind == DoubtGate && w.chance(50) {
				a.Values = map[string]json.RawMessage{"outcome": json.RawMessage(`"again"`)}
				w.effects[w.s.node(n.ID).Run.Last.Key] = 0 // people said that it may happen again
			}
			w.add(a)
			return
		}
	}
}

// effect is what a command does to the world.
func (w *world) effect(c Command) {
	st := w.targets[c.Node+"/"+c.Target]
	switch c.Kind {
	case RunAction:
		w.effects[c.Key]++
		n := w.s.node(c.Node).def
		if n.Action.Class == schema.Once && n.OnDoubt != RetryDoubt && n.Retry == nil && w.effects[c.Key] > 1 {
			w.t.Fatalf("%s happened %d times\n%s", c.Node, w.effects[c.Key], w.tail())
		}
	case Install:
		st.installed = true
	case SetWeight:
		switch c.Release {
		case st.candidate:
			st.weight = c.Weight
		default:
			st.weight = target.Full - c.Weight
		}
	case Settle:
		st.settled = c.Release
	case Retire:
		if c.Release == "r-new" {
			if st.weight > 0 {
				w.t.Fatalf("retired with weight %s\n%s", st.weight, w.tail())
			}
			st.installed = false
		}
	}
}

func (w *world) finish(c InFlight) {
	n := w.s.node(c.Node)
	switch {
	case c.Kind == Reconcile:
		w.reconcile(c.Command, n)
		return
	case w.s.d.Commands[c.ID].Cancelling:
		// A cancelled command may have happened or not, or ended regardless.
		f := Failure{Summary: "Cancelled", Cancelled: true, Effect: "none"}
		if w.chance(50) {
			w.effect(c.Command)
			f.Effect = ""
		}
		w.add(CommandFailed{Command: c.ID, Failure: f})
		return
	case c.Kind != TakeLock && c.Kind != FreeLock && w.chance(w.trouble.lose):
		if w.chance(50) {
			w.effect(c.Command)
		}
		w.add(CommandLost{Command: c.ID})
		return
	case c.Kind != TakeLock && c.Kind != FreeLock && w.chance(w.trouble.fail):
		f := Failure{Summary: "Injected", Retry: []string{"", "safe", "after"}[w.rnd.IntN(3)], Effect: "none"}
		if f.Retry == "after" {
			f.After = 70
		}
		if c.Kind != RunAction && w.chance(30) {
			f.Effect = ""
			w.effect(c.Command)
		}
		w.add(CommandFailed{Command: c.ID, Failure: f})
		return
	}
	w.effect(c.Command)
	st := w.targets[c.Node+"/"+c.Target]
	switch c.Kind {
	case TakeLock:
		w.locks[c.Env] = true
		w.add(LockTaken{Command: c.ID, Env: c.Env, Fence: 1})
	case FreeLock:
		delete(w.locks, c.Env)
		w.add(LockFreed{Command: c.ID, Env: c.Env})
	case PlanNode:
		w.add(w.plan(c.Command, n))
	case Observe:
		if n.Rollout.Phase == forward && w.chance(w.trouble.vanish) {
			st.installed, st.weight, st.lives = false, 0, st.lives+1
			clear(st.verified)
		}
		w.add(TargetObserved{Command: c.ID, Node: c.Node, Target: c.Target, Stable: st.stable, Installed: st.installed, Weight: st.weight, World: "w"})
	case AskStrategy:
		snap, err := w.s.Snapshot(c.Node)
		if err != nil {
			w.t.Fatal(err)
		}
		if w.eager {
			snap = believing(snap)
		}
		if n.def.Rollout.Strategy == oneByOne {
			w.add(DecisionOf(c.Command, testOneByOne(snap)))
			break
		}
		w.add(DecisionOf(c.Command, testCanary(snap)))
	case Measure:
		w.add(w.judge(c.Command))
	case Verify:
		ok := !w.chance(w.trouble.reject)
		st.verified[c.Verify] = ok && w.verifying[c.ID] == st.lives
		w.add(Verified{Command: c.ID, Node: c.Node, Target: c.Target, Name: c.Verify, OK: ok, Why: "looked"})
	default:
		w.add(CommandSucceeded{Command: c.ID, Result: json.RawMessage(`{}`), World: "w"})
	}
}

func (w *world) plan(c Command, n *nodeState) Fact {
	f := NodePlanned{Command: c.ID, Node: c.Node, Digest: "d"}
	if n.def.Kind == RolloutNode {
		for _, tg := range n.def.Rollout.Targets {
			st := w.targets[c.Node+"/"+tg.Name]
			f.Targets = append(f.Targets, PlannedTarget{Name: tg.Name, Stable: st.stable, Candidate: st.candidate, World: "w"})
		}
		if a := n.def.Rollout.Analysis; a != nil {
			for _, o := range a.SLOs {
				spent := w.chance(30)
				f.Budgets = append(f.Budgets, PlannedBudget{SLO: o.Name, Exhausted: spent && w.chance(70), Burning: spent && w.chance(50), Why: "measured"})
			}
		}
	} else if w.chance(5) {
		f.Skip = "when is false"
	}
	return f
}

func (w *world) judge(c Command) Fact {
	if c.To >= w.blind[c.Node] {
		delete(w.blind, c.Node)
	}
	f := Judged{Command: c.ID, Node: c.Node, Judge: "test", Evidence: fmt.Sprint("e", c.ID), Until: c.To,
		Harm: Verdict{Value: strategy.Inconclusive}, Step: Verdict{Value: strategy.Pass, N: 10}}
	if w.chance(w.trouble.harm) {
		f.Harm = Verdict{Value: strategy.Fail, Why: "errors"}
		w.harmAt[c.Node] = true
	}
	if w.chance(w.trouble.inconclusive) {
		f.Step.Value = strategy.Inconclusive
	}
	return f
}

func (w *world) reconcile(c Command, n *nodeState) {
	of := n.Run.Last
	if of == nil || of.ID != c.Of {
		of = n.Undo.Last
	}
	f := CommandReconciled{Command: c.ID, Of: c.Of}
	switch w.rnd.IntN(4) {
	case 0:
		f.State, f.Retry = "running", 30
	case 1:
		f.State, f.Retry = "unknown", 20
	default:
		if w.effects[of.Key] > 0 || of.Kind == UndoAction {
			f.State, f.Succeeded = "done", &CommandSucceeded{Result: json.RawMessage(`{}`)}
		} else {
			f.State = "not_started"
		}
	}
	w.add(f)
}
