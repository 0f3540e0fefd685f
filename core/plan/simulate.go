package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// maxDecisions bounds how often a strategy is asked in a simulation.
const maxDecisions = 1000

// maxLooks bounds how many measurements are simulated up to a deadline.
const maxLooks = 200

// ask is a strategy: the plugin, behind a memory of what it said.
type ask func(ctx context.Context, s strategy.Snapshot) (strategy.Decision, error)

// remember asks once for each snapshot. The contract says that equal snapshots
// get equal decisions.
func remember(f ask) ask {
	said := map[string]strategy.Decision{}
	return func(ctx context.Context, s strategy.Snapshot) (strategy.Decision, error) {
		key, err := json.Marshal(s)
		if err != nil {
			return strategy.Decision{}, err
		}
		if d, ok := said[string(key)]; ok {
			return d, nil
		}
		d, err := f(ctx, s)
		if err == nil {
			said[string(key)] = d
		}
		return d, err
	}
}

// contractError is how a strategy would break its contract, or get nowhere.
type contractError struct{ what string }

func (e *contractError) Error() string { return e.what }

// simulate runs the rollout of one node to its end in a world where nothing
// fails and every wait ends at its earliest, then once for every step with harm
// shown at that step. It fails with a *contractError when the strategy does not
// do what its contract says.
func simulate(ctx context.Context, node kernel.Node, targets []Target, next ask) (*Simulation, []kernel.Limit, error) {
	next = remember(next)
	fwd := newSimulation(node, targets, next)
	fwd.checkHarm = true
	if err := fwd.run(ctx); err != nil {
		return nil, nil, err
	}
	if o := fwd.state.Outcome(); o != kernel.Succeeded {
		view, _ := fwd.state.Node(node.ID)
		why := view.Why
		if view.Rollout != nil && view.Rollout.Why != "" {
			why = view.Rollout.Why
		}
		return nil, nil, &contractError{why}
	}
	if node.Rollout.Strategy == "" {
		fwd.steps = direct(node.Rollout)
	}
	out := &Simulation{
		First: fwd.first, Steps: fwd.steps, DurationMS: int64(fwd.now - simulationStart), Decisions: fwd.decisions,
	}
	for i := range fwd.steps {
		if node.Rollout.Strategy == "" {
			break // there is nothing between its beginning and its end
		}
		back := newSimulation(node, targets, next)
		back.harmAt = i
		if err := back.run(ctx); err != nil {
			return nil, nil, err
		}
		if back.harmShown == 0 {
			continue // the step was over before anything could be measured
		}
		if o := back.state.Outcome(); o != kernel.RolledBack {
			return nil, nil, &contractError{fmt.Sprintf("after harm at step %q the rollout ends %s instead of rolled back", fwd.steps[i].Title, o)}
		}
		out.BackMS = max(out.BackMS, int64(back.now-back.harmShown))
	}
	return out, fwd.limits(), nil
}

// direct are the steps of a rollout without a strategy.
func direct(r *kernel.Rollout) []Step {
	var out []Step
	for i, wave := range r.Waves {
		st := Step{Wave: i, Title: target.Full.String(), Weight: target.Full}
		for _, t := range wave {
			st.Targets = append(st.Targets, r.Targets[t].Name)
		}
		out = append(out, st)
	}
	return out
}

const simulationStart kernel.Time = 1_000_000_000_000

// simulation carries out the kernel's commands in a world without trouble.
type simulation struct {
	node    *kernel.Node
	targets []Target
	next    ask
	state   *kernel.State
	now     kernel.Time
	first   bool
	// checkHarm asks the strategy at every point what it would do about harm.
	checkHarm bool
	// harmAt is the step at which harm is shown; negative for never.
	harmAt    int
	harmShown kernel.Time

	steps     []Step
	decisions int
	asked     []string
	// weightBefore is the highest weight before an approval was given.
	weightBefore map[string]target.Weight
	weight       target.Weight
	failure      error
}

func newSimulation(node kernel.Node, targets []Target, next ask) *simulation {
	// Only the rollout itself is simulated.
	node.After, node.Gates, node.Environment, node.Pool, node.Timeout, node.RunIf = nil, nil, "", "", 0, kernel.OnSuccess
	node.OnFailure = kernel.Rollback
	rollout := *node.Rollout
	rollout.WhileWaiting, rollout.Limits = "", nil
	if a := rollout.Analysis; a != nil {
		coarse := *a
		coarse.Interval = max(a.Interval, a.Deadline/maxLooks)
		rollout.Analysis = &coarse
	}
	node.Rollout = &rollout
	first := true
	for _, t := range targets {
		first = first && t.Stable == ""
	}
	g := &kernel.Graph{Plan: "simulation", Nodes: []kernel.Node{node}}
	return &simulation{
		node: &g.Nodes[0], targets: targets, next: next, state: kernel.New(g), now: simulationStart, first: first,
		harmAt: -1, weightBefore: map[string]target.Weight{},
	}
}

func (s *simulation) run(ctx context.Context) error {
	s.feed(ctx, kernel.RunOpened{Run: "simulation", Nonce: "00000000-0000-0000-0000-000000000000", Plan: "simulation", Parallelism: 1})
	for s.failure == nil && s.state.Idle() != kernel.Closed {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case s.decisions > maxDecisions:
			return &contractError{fmt.Sprintf("it has not finished after %d decisions although every wait ended at its earliest", maxDecisions)}
		case len(s.state.InFlight()) > 0:
			s.carryOut(ctx, s.state.InFlight()[0].Command)
		case s.answerGate(ctx):
		case !s.wake(ctx):
			return &contractError{"it waits for what never comes"}
		}
	}
	return s.failure
}

// feed folds facts and what the kernel decides upon them.
func (s *simulation) feed(ctx context.Context, facts ...kernel.Fact) {
	for _, f := range facts {
		if err := s.state.Evolve(kernel.Event{At: s.now, Fact: f}); err != nil {
			s.failure = fmt.Errorf("simulation: %w", err)
			return
		}
	}
	s.state.Decide()
}

func (s *simulation) wake(ctx context.Context) bool {
	first, at := "", kernel.Time(0)
	for id, t := range s.state.Timers() {
		if first == "" || t < at || t == at && id < first {
			first, at = id, t
		}
	}
	if first == "" {
		return false
	}
	if at > s.now && len(s.steps) > 0 {
		s.steps[len(s.steps)-1].BakeMS += int64(at - s.now)
	}
	s.now = max(s.now, at)
	s.feed(ctx, kernel.TimerFired{ID: first})
	return true
}

// answerGate approves the first open gate.
func (s *simulation) answerGate(ctx context.Context) bool {
	view, _ := s.state.Node(s.node.ID)
	for _, g := range view.Gates {
		if !g.Open {
			continue
		}
		if g.Kind == kernel.ApprovalGate {
			s.asked = append(s.asked, g.Name)
			if _, seen := s.weightBefore[g.Name]; !seen {
				s.weightBefore[g.Name] = s.weight
			}
		}
		var groups []string
		for _, f := range g.From {
			groups = append(groups, f[slices.Index([]byte(f), ':')+1:])
		}
		for i := g.Given; i < g.Required; i++ {
			who := fmt.Sprintf("simulated-%d", i)
			s.feed(ctx, kernel.GateAnswered{Node: s.node.ID, Gate: g.Name, Subject: g.Subject, Who: who, Groups: groups, How: "simulated", Yes: true})
		}
		if view, _ := s.state.Node(s.node.ID); slices.ContainsFunc(view.Gates, func(o kernel.GateView) bool { return o.Name == g.Name && o.Open }) {
			// Only named people may answer; stand in for them.
			for _, f := range g.From {
				s.feed(ctx, kernel.GateAnswered{Node: s.node.ID, Gate: g.Name, Subject: g.Subject, Who: f[slices.Index([]byte(f), ':')+1:], How: "simulated", Yes: true})
			}
		}
		return true
	}
	return false
}

func (s *simulation) carryOut(ctx context.Context, c kernel.Command) {
	switch c.Kind {
	case kernel.PlanNode:
		f := kernel.NodePlanned{Command: c.ID, Node: c.Node, Digest: "simulation"}
		for _, t := range s.targets {
			candidate := t.Candidate
			if candidate == "" || candidate == t.Stable {
				candidate = "candidate"
			}
			f.Targets = append(f.Targets, kernel.PlannedTarget{Name: t.Name, Stable: t.Stable, Candidate: candidate})
		}
		s.feed(ctx, f)
	case kernel.AskStrategy:
		s.askStrategy(ctx, c)
	case kernel.Measure:
		s.measure(ctx, c)
	case kernel.Verify:
		s.feed(ctx, kernel.Verified{Command: c.ID, Node: c.Node, Target: c.Target, Name: c.Verify, OK: true})
	case kernel.Observe:
		s.feed(ctx, kernel.TargetObserved{Command: c.ID, Node: c.Node, Target: c.Target})
	case kernel.Install:
		s.now += kernel.Time(s.target(c.Target).EstimateMS)
		s.feed(ctx, kernel.CommandSucceeded{Command: c.ID, Address: "http://candidate.invalid"})
	case kernel.SetWeight:
		s.now += kernel.Time(s.target(c.Target).Capabilities.Propagation.Milliseconds())
		if !c.Back {
			s.weight = c.Weight
		}
		s.feed(ctx, kernel.CommandSucceeded{Command: c.ID})
	default:
		s.feed(ctx, kernel.CommandSucceeded{Command: c.ID})
	}
}

func (s *simulation) target(name string) *Target {
	for i := range s.targets {
		if s.targets[i].Name == name {
			return &s.targets[i]
		}
	}
	return &Target{}
}

func (s *simulation) askStrategy(ctx context.Context, c kernel.Command) {
	snap, err := s.state.Snapshot(c.Node)
	if err != nil {
		s.failure = err
		return
	}
	s.decisions++
	d, err := s.next(ctx, snap)
	if err != nil {
		s.failure = err
		return
	}
	if s.checkHarm && s.weight > 0 {
		if s.failure = s.abortsOnHarm(ctx, snap); s.failure != nil {
			return
		}
	}
	fact := kernel.DecisionOf(c, d)
	if d.StepID != "" {
		s.step(snap, d)
	}
	s.feed(ctx, fact)
	if s.harmAt >= 0 && (s.first || s.node.Rollout.Analysis == nil) {
		s.harmWithoutAnalysis(ctx)
	}
}

func (s *simulation) step(snap strategy.Snapshot, d strategy.Decision) {
	if len(s.steps) > 0 {
		last := s.steps[len(s.steps)-1]
		if last.Wave == snap.Wave && last.Title == d.StepTitle {
			return
		}
	}
	if n := len(s.steps); n > 0 && !movesWeight(d) && s.steps[n-1].Wave == snap.Wave {
		return // it goes on with the weight that is in place
	}
	st := Step{Wave: snap.Wave, Title: d.StepTitle, AtMS: int64(s.now - simulationStart), Approvals: s.asked}
	s.asked = nil
	for _, t := range snap.Targets {
		st.Targets = append(st.Targets, t.Name)
	}
	for _, ch := range d.Changes {
		if ch.Kind == strategy.SetWeight {
			st.Weight = max(st.Weight, ch.Weight)
		}
	}
	st.Evidence = s.node.Rollout.Analysis != nil && !s.first
	s.steps = append(s.steps, st)
}

func movesWeight(d strategy.Decision) bool {
	return slices.ContainsFunc(d.Changes, func(c strategy.Change) bool { return c.Kind == strategy.SetWeight })
}

// abortsOnHarm makes sure that the strategy would abort at once.
func (s *simulation) abortsOnHarm(ctx context.Context, snap strategy.Snapshot) error {
	snap.Harm = strategy.Verdict{Value: strategy.Fail, Since: snap.Now, N: 1}
	d, err := s.next(ctx, snap)
	if err != nil {
		return err
	}
	if d.Abort == "" {
		return &contractError{fmt.Sprintf("it does not abort at %s although harm is shown", s.weight)}
	}
	return nil
}

// harmDue reports whether the step at which harm is to be shown stands.
func (s *simulation) harmDue() bool {
	return s.harmAt >= 0 && len(s.steps) == s.harmAt+1 && s.harmShown == 0
}

// harmWithoutAnalysis takes the rollout back the way a person would.
func (s *simulation) harmWithoutAnalysis(ctx context.Context) {
	if s.harmDue() {
		s.harmShown = s.now
		s.feed(ctx, kernel.RunUnwinding{By: "simulation"})
	}
}

func (s *simulation) measure(ctx context.Context, c kernel.Command) {
	f := kernel.Judged{Command: c.ID, Node: c.Node, Judge: "simulation", Evidence: "simulation", Until: c.To,
		Harm: kernel.Verdict{Value: strategy.Inconclusive}, Step: kernel.Verdict{Value: strategy.Pass, N: 1}}
	if s.harmDue() {
		s.harmShown = s.now
		f.Harm = kernel.Verdict{Value: strategy.Fail, N: 1, Why: "simulated"}
	}
	s.feed(ctx, f)
}

// limits are the highest weights that may be reached without each approval.
func (s *simulation) limits() []kernel.Limit {
	var out []kernel.Limit
	for _, a := range s.node.Rollout.Approvals {
		if w, ok := s.weightBefore[a.Name]; ok {
			out = append(out, kernel.Limit{Approval: a.Name, Weight: w})
		}
	}
	return out
}

// isContractError reports whether the strategy is to blame.
func isContractError(err error) (*contractError, bool) {
	var e *contractError
	ok := errors.As(err, &e)
	return e, ok
}
