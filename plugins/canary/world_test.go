package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"pgregory.net/rapid"
)

// world plays the core, the targets, the people and the clock for one wave. It
// loses answers and commands, and checks every decision against the contract.
type world struct {
	t        *rapid.T
	strategy strategy.Strategy
	snap     strategy.Snapshot
	// asked holds what is under way: done when the simulated time is over its moment.
	asked map[string]request
	// gates are the approvals that must be given before a weight above the key.
	gates map[target.Weight]string
	// seen is when the candidate's present weight became true everywhere.
	seen map[target.Weight]time.Time
	bake time.Duration
	// leftover: an earlier run left the candidates with weight.
	leftover bool
	// hostile worlds may show harm, reject, and fail verifications.
	hostile bool
}

type request struct {
	change strategy.Change
	due    time.Time
}

// outcome of a wave.
type outcome string

const (
	finished outcome = "finished"
	aborted  outcome = "aborted"
)

// maxDecisions is the contract's limit, times what is lost on the way.
const maxDecisions = 10_000

func newWorld(t *rapid.T, st strategy.Strategy, caps target.Capabilities, approvals []string) *world {
	w := &world{t: t, strategy: st, asked: map[string]request{}, seen: map[target.Weight]time.Time{}, hostile: rapid.Bool().Draw(t, "hostile")}
	w.snap = strategy.Snapshot{Rollout: "r", Now: noon, FirstDeployment: rapid.IntRange(0, 4).Draw(t, "first") == 0}
	w.leftover = rapid.IntRange(0, 4).Draw(t, "leftover") == 0
	for i := range rapid.IntRange(1, 3).Draw(t, "targets") {
		tg := strategy.Target{Name: fmt.Sprintf("t%d", i), Capabilities: caps, Candidate: "v2"}
		if !w.snap.FirstDeployment && rapid.IntRange(0, 4).Draw(t, "new") > 0 {
			tg.Stable = "v1"
		}
		if w.leftover && tg.Stable != "" {
			tg.Desired = target.Weight(rapid.IntRange(0, 100).Draw(t, "left")) * target.OnePercent
			if !caps.Allows(tg.Desired) {
				tg.Desired = 0
			}
			tg.Observed = tg.Desired
		}
		w.snap.Targets = append(w.snap.Targets, tg)
	}
	for _, a := range slices.Sorted(slices.Values(approvals)) {
		w.snap.Approvals = append(w.snap.Approvals, strategy.Answer{Name: a})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "verifications") {
		w.snap.Verifications = append(w.snap.Verifications, strategy.Answer{Name: fmt.Sprintf("check%d", i)})
	}
	if rapid.Bool().Draw(t, "analysis") {
		w.snap.Harm.Value, w.snap.Step.Value = strategy.Inconclusive, strategy.Inconclusive
	}
	return w
}

// run asks until the wave ends. The last decision is checked like any other.
func (w *world) run() outcome {
	for range maxDecisions {
		d := w.ask()
		switch {
		case d.Finish:
			for _, t := range w.snap.Targets {
				if t.Observed != target.Full {
					w.t.Fatalf("finished with %s at %s", t.Name, t.Observed)
				}
			}
			return finished
		case d.Abort != "":
			if !w.hostile {
				w.t.Fatalf("aborted a world in which nothing is wrong: %s", d.Abort)
			}
			return aborted
		}
		if rapid.IntRange(0, 9).Draw(w.t, "lost") > 0 { // else the host crashed before it wrote the decision down
			w.apply(d)
			w.pass(d)
		}
	}
	w.t.Fatalf("did not end within %d decisions; last snapshot: %+v", maxDecisions, w.snap)
	return ""
}

// ask gets a decision twice and checks what needs no knowledge of what follows.
func (w *world) ask() strategy.Decision {
	before, err := json.Marshal(w.snap)
	if err != nil {
		w.t.Fatal(err)
	}
	d, err := w.strategy.Next(w.snap)
	if err != nil {
		w.t.Fatalf("next: %v", err)
	}
	again, _ := w.strategy.Next(w.snap)
	if diff := cmp.Diff(d, again); diff != "" {
		w.t.Fatalf("equal snapshots, different decisions (-first +second):\n%s", diff)
	}
	if after, _ := json.Marshal(w.snap); string(after) != string(before) {
		w.t.Fatalf("the snapshot was changed from %s to %s", before, after)
	}
	if w.snap.Harm.Value == strategy.Fail && d.Abort == "" {
		w.t.Fatalf("no abort in spite of harm: %+v", d)
	}
	if ends := d.Finish || d.Abort != ""; ends == !d.Wait.IsZero() {
		w.t.Fatalf("a decision either ends the wave or waits: %+v", d)
	}
	if d.Abort == "" && !d.Finish && !w.comes(d) {
		w.t.Fatalf("waits for what never comes: %+v", d)
	}
	if len(d.Memory) > 0 {
		w.t.Fatalf("these strategies need no memory: %+v", d)
	}
	if _, known := w.snap.Entered(d.StepID); known {
		w.t.Fatalf("step %q entered twice", d.StepID)
	}
	return d
}

// comes reports whether what a decision asks for, or waits for, will happen.
func (w *world) comes(d strategy.Decision) bool {
	open := len(w.asked) > 0
	for _, c := range d.Changes {
		i := slices.IndexFunc(w.snap.Targets, func(t strategy.Target) bool { return t.Name == c.Target })
		t := w.snap.Targets[i]
		open = open || c.Kind == strategy.Install && !t.Installed || c.Kind == strategy.SetWeight && t.Observed != c.Weight
	}
	for _, t := range w.snap.Targets {
		open = open || t.Desired != t.Observed || !t.Ready
	}
	checking := slices.ContainsFunc(w.snap.Verifications, func(v strategy.Answer) bool {
		return v.Name == d.Wait.Verification && v.Value != strategy.Yes && v.Value != strategy.No
	})
	return d.Wait.Until.After(w.snap.Now) ||
		d.Wait.Ready && open ||
		d.Wait.Verification != "" && checking ||
		d.Wait.Verdict && w.snap.Harm.Value != strategy.NoAnalysis ||
		d.Wait.Approval != "" && offered(&w.snap, d.Wait.Approval) && w.snap.Approval(d.Wait.Approval) != strategy.Yes
}

// apply does what the core does with a decision: stamp the step, drop what is so
// or under way, issue the rest. It checks the guards.
func (w *world) apply(d strategy.Decision) {
	if d.StepID != "" {
		w.snap.Steps = append(w.snap.Steps, strategy.Step{ID: d.StepID, Title: d.StepTitle, At: w.snap.Now})
		if w.snap.Step.Value != strategy.NoAnalysis {
			w.snap.Step = strategy.Verdict{Value: strategy.Inconclusive, Since: w.snap.Now}
		}
	}
	for _, c := range d.Changes {
		i := slices.IndexFunc(w.snap.Targets, func(t strategy.Target) bool { return t.Name == c.Target })
		if i < 0 {
			w.t.Fatalf("change of %q, which is no target of the wave", c.Target)
		}
		t := &w.snap.Targets[i]
		if c.Kind == strategy.SetWeight {
			w.guard(t, c.Weight)
			t.Desired = c.Weight
		}
		if _, busy := w.asked[c.Target]; !busy {
			takes := time.Duration(rapid.IntRange(1, 120).Draw(w.t, "takes")) * time.Second
			w.asked[c.Target] = request{c, w.snap.Now.Add(takes)}
		}
	}
}

// guard is what must hold whenever a weight is asked for.
func (w *world) guard(t *strategy.Target, to target.Weight) {
	switch {
	case !t.Capabilities.Allows(to):
		w.t.Fatalf("%s cannot take %s", t.Name, to)
	case to < t.Desired || to < t.Observed:
		w.t.Fatalf("%s lowered from %s (observed %s) to %s", t.Name, t.Desired, t.Observed, to)
	case !t.Ready || !t.Verified:
		w.t.Fatalf("%s raised to %s before it was ready and verified", t.Name, to)
	case t.Stable == "" && to != target.Full:
		w.t.Fatalf("%s got %s although nothing else can have the rest", t.Name, to)
	}
	for above, name := range w.gates {
		if to >= above && w.snap.Approval(name) != strategy.Yes {
			w.t.Fatalf("%s raised to %s without approval %q", t.Name, to, name)
		}
	}
	if w.snap.FirstDeployment || w.leftover || to == t.Observed || t.Stable == "" {
		return
	}
	if since, ok := w.seen[t.Observed]; t.Observed > 0 && (!ok || w.snap.Now.Sub(since) < w.bake) {
		w.t.Fatalf("%s left %s after %s, less than the bake of %s", t.Name, t.Observed, w.snap.Now.Sub(since), w.bake)
	}
}

// pass lets something happen that the decision waits for, or something else.
func (w *world) pass(d strategy.Decision) {
	w.snap.Now = w.snap.Now.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(w.t, "pause")) * time.Millisecond)
	if rapid.IntRange(0, 4).Draw(w.t, "timer") == 0 && d.Wait.Until.After(w.snap.Now) {
		w.snap.Now = d.Wait.Until
	}
	crash := rapid.IntRange(0, 19).Draw(w.t, "crash") == 0
	for _, name := range slices.Sorted(maps.Keys(w.asked)) {
		r := w.asked[name]
		if !crash && r.due.After(w.snap.Now) {
			continue
		}
		delete(w.asked, name)
		if !crash || rapid.Bool().Draw(w.t, "effect") {
			w.effect(r.change)
		}
	}
	w.answer(d)
	w.judge()
	w.verify()
}

func (w *world) effect(c strategy.Change) {
	for i := range w.snap.Targets {
		t := &w.snap.Targets[i]
		if t.Name != c.Target {
			continue
		}
		switch c.Kind {
		case strategy.Install:
			t.Installed, t.Ready = true, true
		case strategy.SetWeight:
			t.Observed = c.Weight
		}
	}
	lowest := target.Full
	for _, t := range w.snap.Targets {
		if t.Stable != "" {
			lowest = min(lowest, t.Observed)
		}
	}
	if _, known := w.seen[lowest]; !known {
		w.seen[lowest] = w.snap.Now
	}
}

func (w *world) answer(d strategy.Decision) {
	for i := range w.snap.Approvals {
		a := &w.snap.Approvals[i]
		if d.Wait.Approval == a.Name && a.Value == strategy.Unasked {
			a.Value = strategy.Pending
		}
		if a.Value == strategy.Pending && rapid.Bool().Draw(w.t, "answered") {
			a.Value = w.orElse("yes", strategy.Yes, strategy.No)
		}
	}
}

func (w *world) orElse(label string, good, bad strategy.AnswerValue) strategy.AnswerValue {
	if w.hostile && rapid.IntRange(0, 9).Draw(w.t, label) == 0 {
		return bad
	}
	return good
}

func (w *world) judge() {
	if w.snap.Harm.Value == strategy.NoAnalysis {
		return
	}
	if w.hostile && rapid.IntRange(0, 29).Draw(w.t, "harm") == 0 {
		w.snap.Harm.Value = strategy.Fail
	}
	w.snap.Step.N++
	w.snap.Step.Value = rapid.SampledFrom([]strategy.VerdictValue{strategy.Inconclusive, strategy.Pass}).Draw(w.t, "step")
}

func (w *world) verify() {
	ready := !slices.ContainsFunc(w.snap.Targets, func(t strategy.Target) bool { return !t.Ready })
	all := ready
	for i := range w.snap.Verifications {
		v := &w.snap.Verifications[i]
		if ready && v.Value == strategy.Unasked && rapid.Bool().Draw(w.t, "verified") {
			v.Value = w.orElse("verification", strategy.Yes, strategy.No)
		}
		all = all && v.Value == strategy.Yes
	}
	for i := range w.snap.Targets {
		w.snap.Targets[i].Verified = all
	}
}

func TestCanaryInRandomWorlds(t *testing.T) {
	count := map[outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		percents := rapid.SliceOfNDistinct(rapid.IntRange(1, 99), 0, 4, rapid.ID).Draw(t, "steps")
		slices.Sort(percents)
		c := &Canary{Bake: time.Duration(rapid.IntRange(0, 90).Draw(t, "bake")) * time.Second, Approve: map[string]string{}}
		gates := map[target.Weight]string{}
		for _, pc := range append(percents, 100) {
			c.Steps = append(c.Steps, float64(pc))
			if rapid.IntRange(0, 3).Draw(t, "gate") == 0 {
				name := fmt.Sprintf("a%d", pc)
				c.Approve[fmt.Sprint(pc)] = name
				gates[target.Weight(pc)*target.OnePercent] = name
			}
		}
		w := newWorld(t, c, percent, slices.Collect(maps.Values(gates)))
		w.gates, w.bake = gates, c.Bake
		count[w.run()]++
	})
	bothEnds(t, count)
}

func TestBlueGreenInRandomWorlds(t *testing.T) {
	count := map[outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		b := &BlueGreen{Warm: time.Duration(rapid.IntRange(0, 90).Draw(t, "warm")) * time.Second}
		gates := map[target.Weight]string{}
		if rapid.Bool().Draw(t, "gate") {
			name := "go"
			b.Approve, gates[1] = &name, name
		}
		w := newWorld(t, b, rapid.SampledFrom([]target.Capabilities{percent, onOff}).Draw(t, "caps"), slices.Collect(maps.Values(gates)))
		w.gates = gates
		count[w.run()]++
	})
	bothEnds(t, count)
}

func TestAllAtOnceInRandomWorlds(t *testing.T) {
	count := map[outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		caps := rapid.SampledFrom([]target.Capabilities{percent, onOff, {Weights: target.NoWeights}}).Draw(t, "caps")
		count[newWorld(t, &AllAtOnce{}, caps, nil).run()]++
	})
	bothEnds(t, count)
}

// bothEnds fails when the worlds were all of one kind, and so proved little.
func bothEnds(t *testing.T, count map[outcome]int) {
	t.Helper()
	t.Logf("%d finished, %d aborted", count[finished], count[aborted])
	if !t.Failed() && (count[finished] == 0 || count[aborted] == 0) {
		t.Error("the random worlds did not reach both ends")
	}
}
