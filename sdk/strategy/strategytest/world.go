package strategytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// world is what a strategy decides about, played by the rules of the core.
type world struct {
	name      string
	now       time.Time
	first     bool
	targets   []strategy.Target
	steps     []strategy.Step
	analysis  bool
	harm      strategy.Verdict
	step      strategy.Verdict
	approvals []strategy.Answer
	verifies  []strategy.Answer
	failure   string
	memory    []byte
	// wanted is what was asked for and is not so yet, by target.
	wanted map[string]strategy.Change
	// refuse has approvals answered with no; refused tells that one was.
	refuse, refused bool
	// changes counts what has become so.
	changes int
}

var epoch = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func newWorld(s *Suite, caps target.Capabilities, targets int) world {
	w := world{now: epoch, analysis: true, wanted: map[string]strategy.Change{}}
	for i := range targets {
		w.targets = append(w.targets, strategy.Target{Name: fmt.Sprintf("t%d", i), Capabilities: caps, Stable: "v1", Candidate: "v2"})
	}
	for _, name := range slices.Sorted(slices.Values(s.Approvals)) {
		w.approvals = append(w.approvals, strategy.Answer{Name: name, Value: strategy.Unasked})
	}
	w.verifies = []strategy.Answer{{Name: "healthz", Value: strategy.Unasked}}
	return w
}

func (w *world) clone() world {
	out := *w
	out.targets, out.steps = slices.Clone(w.targets), slices.Clone(w.steps)
	out.approvals, out.verifies = slices.Clone(w.approvals), slices.Clone(w.verifies)
	out.wanted = map[string]strategy.Change{}
	return out
}

func (w *world) deployFirst() {
	w.first = true
	for i := range w.targets {
		w.targets[i].Stable = ""
	}
}

// random varies what the smooth worlds hold fixed.
func (w *world) random(rng *rand.Rand) {
	w.analysis = rng.IntN(2) == 0
	w.refuse = rng.IntN(4) == 0
	if rng.IntN(4) == 0 {
		w.deployFirst()
	}
}

// verdicts are none without an analysis, and not enough evidence until more.
func (w *world) verdicts() (harm, step strategy.Verdict) {
	if !w.analysis {
		return strategy.Verdict{}, strategy.Verdict{}
	}
	harm, step = w.harm, w.step
	if harm.Value == "" {
		harm = strategy.Verdict{Value: strategy.Inconclusive, Since: epoch}
	}
	if step.Value == "" {
		step = strategy.Verdict{Value: strategy.Inconclusive, Since: epoch}
	}
	return harm, step
}

func (w *world) snapshot() strategy.Snapshot {
	s := strategy.Snapshot{
		Rollout: "conformance", Now: w.now.Truncate(time.Millisecond), FirstDeployment: w.first, Targets: slices.Clone(w.targets), Steps: slices.Clone(w.steps),
		Approvals: slices.Clone(w.approvals), Verifications: slices.Clone(w.verifies), LastFailure: w.failure, Memory: w.memory,
	}
	s.Harm, s.Step = w.verdicts()
	for _, t := range w.targets {
		if c, ok := w.wanted[t.Name]; ok {
			s.InFlight = append(s.InFlight, string(c.Kind)+" "+t.Name)
		}
	}
	return s
}

// mark changes whenever the snapshot does, time and memory apart.
func (w *world) mark() string {
	s := w.snapshot()
	s.Now, s.Memory = time.Time{}, nil
	return fmt.Sprintf("%+v", s)
}

func (w *world) showHarm() {
	w.harm = strategy.Verdict{Value: strategy.Fail, Since: w.now, N: 100}
}

// apply takes a decision as the core does: steps are stamped, what is so
// already is dropped, the rest is wanted.
func (w *world) apply(d strategy.Decision) {
	w.memory = d.Memory
	if d.StepID != "" && !slices.ContainsFunc(w.steps, func(s strategy.Step) bool { return s.ID == d.StepID }) {
		w.steps = append(w.steps, strategy.Step{ID: d.StepID, Title: d.StepTitle, At: w.now})
		w.step = strategy.Verdict{}
	}
	for _, c := range d.Changes {
		i := slices.IndexFunc(w.targets, func(t strategy.Target) bool { return t.Name == c.Target })
		if i < 0 {
			continue
		}
		t := &w.targets[i]
		switch c.Kind {
		case strategy.Install:
			if t.Installed && t.Ready {
				continue
			}
		case strategy.SetWeight:
			t.Desired = c.Weight
			if t.Observed == c.Weight {
				continue
			}
		case strategy.Retire:
			if !t.Installed {
				continue
			}
		}
		w.wanted[c.Target] = c
	}
}

// settle makes everything so that is wanted.
func (w *world) settle() {
	for i := range w.targets {
		w.become(&w.targets[i])
	}
}

// become makes what is wanted of one target so.
func (w *world) become(t *strategy.Target) {
	c, ok := w.wanted[t.Name]
	delete(w.wanted, t.Name)
	if ok {
		w.changes++
	}
	switch {
	case ok && c.Kind == strategy.Install:
		t.Installed, t.Ready = true, true
		if t.Capabilities.ReleaseAddress {
			t.Address = "http://127.0.0.1:1/" + t.Name
		}
	case ok && c.Kind == strategy.SetWeight:
		t.Observed = c.Weight
	case ok && c.Kind == strategy.Retire:
		t.Installed, t.Ready, t.Verified = false, false, false
	}
}

// verify lets the verifications of every candidate that is ready pass, and
// reports whether there was one.
func (w *world) verify() bool {
	any := false
	for i := range w.targets {
		t := &w.targets[i]
		any = any || t.Ready && !t.Verified
		t.Verified = t.Ready
	}
	for i := range w.verifies {
		if any {
			w.verifies[i] = strategy.Answer{Name: w.verifies[i].Name, Value: strategy.Yes, Since: w.now}
		}
	}
	return any
}

// grant gives the first thing that is waited for, and reports whether there was
// any. Time passes only when nothing else can.
func (w *world) grant(wait strategy.Wait) bool {
	if wait.Ready && w.changes > 0 {
		w.changes = 0
		return true
	}
	w.changes = 0
	if !wait.IsZero() && w.verify() {
		return true // the core runs them by itself, and asks again
	}
	for i := range w.approvals {
		a := &w.approvals[i]
		if a.Name == wait.Approval && a.Value != strategy.Yes && a.Value != strategy.No {
			w.answer(a)
			return true
		}
	}
	if wait.Verdict && w.analysis && w.step.Value != strategy.Pass && w.harm.Value != strategy.Fail {
		w.pass()
		return true
	}
	if wait.Until.After(w.now) {
		w.now = wait.Until
		return true
	}
	return false
}

func (w *world) answer(a *strategy.Answer) {
	a.Value, a.Since = strategy.Yes, w.now
	if w.refuse {
		a.Value, w.refused = strategy.No, true
	}
}

// pass gives enough evidence for the present step.
func (w *world) pass() {
	w.step = strategy.Verdict{Value: strategy.Pass, Since: w.now, N: 100}
	w.harm = strategy.Verdict{Value: strategy.Pass, Since: w.now, N: 100}
}

// stumble does to a decision what reality does.
func (w *world) stumble(rng *rand.Rand, d strategy.Decision) {
	switch rng.IntN(10) {
	case 0: // lost before it was applied
	case 1:
		w.apply(d)
		w.apply(d)
	default:
		w.apply(d)
	}
	w.failure = ""
	for i := range w.targets {
		switch rng.IntN(4) {
		case 0: // not yet
		case 1:
			if c, ok := w.wanted[w.targets[i].Name]; ok && c.Kind == strategy.Install && !w.targets[i].Installed {
				w.targets[i].Installed = true // and not ready yet
			} else if ok {
				w.failure = "the command failed and is tried again"
			}
		default:
			w.become(&w.targets[i])
		}
	}
	if rng.IntN(3) == 0 {
		w.grant(d.Wait)
	}
	if rng.IntN(3) == 0 {
		w.verify()
	}
	switch rng.IntN(6) {
	case 0:
		w.now = w.now.Add(time.Duration(rng.Int64N(int64(time.Hour)))).Truncate(time.Millisecond)
	case 1:
		w.now = w.now.Add(time.Millisecond)
	case 2:
		if d.Wait.Until.After(w.now) {
			w.now = d.Wait.Until.Add(-time.Millisecond)
		}
	}
	if w.analysis {
		switch rng.IntN(30) {
		case 0:
			w.showHarm()
		case 1, 2, 3:
			if w.harm.Value != strategy.Fail {
				w.pass()
			}
		case 4:
			w.step = strategy.Verdict{Value: strategy.Inconclusive, Since: w.now, N: 3}
		}
	}
	if rng.IntN(10) == 0 {
		for i := range w.approvals {
			if a := &w.approvals[i]; a.Value == strategy.Unasked && d.Wait.Approval == a.Name {
				a.Value, a.Since = strategy.Pending, w.now
			}
		}
	}
}
