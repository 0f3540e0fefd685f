// Package strategytest asks a strategy for what package strategy promises, over
// real gRPC, in another process, in many random worlds.
//
//	func TestConformance(t *testing.T) {
//		strategytest.Run(t, strategytest.Suite{
//			New:       func() strategy.Strategy { return &Canary{} },
//			Subject:   sdktest.Subject{Valid: []sdktest.Config{{"steps": []int{5, 50, 100}}}},
//			Approvals: []string{"half"},
//		})
//	}
package strategytest

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Suite is a strategy and what the checks need of it.
type Suite struct {
	// New makes the strategy, when the subject names no plugin and no command.
	New func() strategy.Strategy
	sdktest.Subject

	// Approvals are the names that the configurations speak of.
	Approvals []string
	// Targets are the capabilities with which every configuration must work. By
	// default a target that can do everything, in thousandths and in whole percents.
	// The first configuration must also work where there is only what the strategy
	// says it needs.
	Targets []target.Capabilities
	// Worlds is how many random worlds are tried; 500 when 0.
	Worlds int
	// Seed makes other worlds.
	Seed uint64
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	if s.New != nil {
		s.Plugin = sdk.Plugin{Name: "conformance", Version: "0.0.0", Strategies: map[string]func() strategy.Strategy{"component": s.New}}
	}
	s.Subject = s.InTest(t)
	Check(sdktest.Wrap(t), s)
}

const (
	// MostDecisions is within how many decisions a rollout ends when every wait is
	// granted at its earliest.
	MostDecisions = 1000
	// sampleSize is how many snapshots are asked again elsewhere.
	sampleSize = 400
)

// decisionTime is how long one decision may take.
var decisionTime = 5 * time.Second

// Check is Run for any program: Subject.Command must be given.
func Check(t sdktest.T, s Suite) {
	s.Worlds = cmp.Or(s.Worlds, 500)
	if len(s.Targets) == 0 {
		all := target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: 1, ReleaseAddress: true, ReleaseMetrics: true}
		coarse := all
		coarse.Step, coarse.Propagation = target.OnePercent, 30*time.Second
		s.Targets = []target.Capabilities{all, coarse}
	}
	s.Subject = s.Share(t)
	sdktest.CheckCommon(t, s.Subject, schema.KindStrategy)
	found := &findings{}
	t.Run("EveryRolloutEnds", func(t sdktest.T) { s.ends(t, found) })
	t.Run("HarmAbortsAtOnce", func(t sdktest.T) { s.aborts(t, found) })
	t.Run("AFirstDeploymentEndsAtFullWeight", func(t sdktest.T) { s.deploysFirst(t, found) })
	t.Run("ARefusedApprovalAborts", func(t sdktest.T) { s.refused(t, found) })
	t.Run("CrashesAndLostAnswersLeadNowhereElse", func(t sdktest.T) { s.chaos(t, found) })
	for _, r := range rules {
		t.Run(r.name, func(t sdktest.T) { found.report(t, r.name) })
	}
	t.Run("EqualSnapshotsGetEqualDecisions", func(t sdktest.T) { s.pure(t, s.Subject, found) })
	t.Run("TheNetworkIsNotNeeded", func(t sdktest.T) {
		isolated, reason := s.WithoutNetwork()
		if reason != "" {
			t.Skipf("%s", reason)
		}
		s.pure(t, isolated, found)
	})
}

// asked is a snapshot with the decision that it got.
type asked struct {
	config   value.Value
	snapshot strategy.Snapshot
	decision strategy.Decision
}

// findings is what all the worlds have shown.
type findings struct {
	broken map[string][]string
	sample []asked
	count  int
}

// breaks notes a broken rule, a few times.
func (f *findings) breaks(rule, format string, args ...any) {
	if f.broken == nil {
		f.broken = map[string][]string{}
	}
	if len(f.broken[rule]) < 5 {
		f.broken[rule] = append(f.broken[rule], fmt.Sprintf(format, args...))
	}
}

func (f *findings) report(t sdktest.T, rule string) {
	t.Helper()
	for _, text := range f.broken[rule] {
		t.Errorf("%s", text)
	}
}

// keep samples evenly over all that was asked.
func (f *findings) keep(a asked, rng *rand.Rand) {
	f.count++
	if len(f.sample) < sampleSize {
		f.sample = append(f.sample, a)
	} else if i := rng.IntN(f.count); i < sampleSize {
		f.sample[i] = a
	}
}

// player asks the strategy about worlds.
type player struct {
	t     sdktest.T
	s     *Suite
	p     *sdktest.Started
	found *findings
	rng   *rand.Rand
}

func (s *Suite) player(t sdktest.T, found *findings, seed uint64) *player {
	t.Helper()
	return &player{t: t, s: s, p: s.Use(t, schema.KindStrategy), found: found, rng: rand.New(rand.NewPCG(s.Seed, seed))}
}

// cases calls f for every configuration with every kind of targets, until one
// of them fails.
func (s *Suite) cases(t sdktest.T, p *player, f func(cfg value.Value, w world) error) {
	t.Helper()
	for i, c := range s.All() {
		v := p.p.Value(t, c)
		kinds := s.Targets
		if needs := p.p.Component.Strategy; i == 0 && needs.Weights != target.PercentSteps {
			kinds = append(slices.Clone(kinds), target.Capabilities{
				SideBySide: needs.SideBySide, Weights: needs.Weights, ReleaseAddress: needs.ReleaseAddress, ReleaseMetrics: needs.ReleaseMetrics,
			})
		}
		for j, caps := range kinds {
			for _, analysis := range []bool{false, true} {
				w := newWorld(s, caps, 1+j%2)
				w.analysis = analysis
				w.name = fmt.Sprintf("configuration %d, %d targets with weights %s, step %s, analysis %v", i+1, len(w.targets), caps.Weights, caps.Step, analysis)
				if err := f(v, w); err != nil {
					t.Fatalf("%v", err)
				}
			}
		}
	}
}

// ask gets one decision and checks it by every rule.
func (p *player) ask(cfg value.Value, w *world) (strategy.Decision, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), decisionTime)
	defer cancel()
	snap := w.snapshot()
	d, err := p.p.Next(ctx, p.p.Component.Name, cfg, snap)
	if err != nil {
		return d, fmt.Errorf("%s: no decision: %w", w.name, err)
	}
	p.found.keep(asked{cfg, snap, d}, p.rng)
	for _, r := range rules {
		if err := r.check(&snap, &d); err != nil {
			p.found.breaks(r.name, "%s: %v\n  snapshot %s\n  decision %+v", w.name, err, brief(snap), d)
		}
	}
	return d, nil
}

// brief is a snapshot in one line.
func brief(s strategy.Snapshot) string {
	text := fmt.Sprintf("at %s, steps %d, harm %q, step %q, first %v", s.Now.Format(time.TimeOnly), len(s.Steps), s.Harm.Value, s.Step.Value, s.FirstDeployment)
	for _, t := range s.Targets {
		text += fmt.Sprintf("; %s installed %v ready %v verified %v desired %s observed %s", t.Name, t.Installed, t.Ready, t.Verified, t.Desired, t.Observed)
	}
	return text
}

// end is how a rollout ended.
type end string

const (
	finished end = "finished"
	aborted  end = "aborted"
	endless  end = "endless"
)

// smooth plays a world in which every wait is granted at its earliest. harmAt is
// the number of decisions before harm is shown, negative for never. It gives
// the end and the number of decisions.
func (p *player) smooth(cfg value.Value, w *world, harmAt int) (end, int, error) {
	for n := range MostDecisions {
		if n == harmAt {
			w.showHarm()
		}
		d, err := p.ask(cfg, w)
		switch {
		case err != nil:
			return endless, n, err
		case d.Abort != "":
			return aborted, n + 1, nil
		case d.Finish:
			return finished, n + 1, nil
		}
		before := w.mark()
		w.apply(d)
		w.settle()
		if !w.grant(d.Wait) && w.mark() == before {
			return endless, n, fmt.Errorf("%s: it waits for what never comes\n  snapshot %s\n  decision %+v", w.name, brief(w.snapshot()), d)
		}
	}
	return endless, MostDecisions, fmt.Errorf("%s: it has not ended after %d decisions", w.name, MostDecisions)
}

func (s *Suite) ends(t sdktest.T, found *findings) {
	p := s.player(t, found, 1)
	s.cases(t, p, func(cfg value.Value, w world) error {
		e, n, err := p.smooth(cfg, &w, -1)
		if err == nil && e != finished {
			err = fmt.Errorf("%s: it %s after %d decisions, though nothing went wrong", w.name, e, n)
		}
		return err
	})
}

func (s *Suite) aborts(t sdktest.T, found *findings) {
	p := s.player(t, found, 2)
	s.cases(t, p, func(cfg value.Value, w world) error {
		if !w.analysis {
			return nil
		}
		whole := w.clone()
		_, n, err := p.smooth(cfg, &whole, -1)
		if err != nil {
			return err
		}
		for at := range n {
			again := w.clone()
			e, m, err := p.smooth(cfg, &again, at)
			if err != nil {
				return fmt.Errorf("harm before decision %d: %w", at+1, err)
			}
			if e != aborted || m != at+1 {
				return fmt.Errorf("%s: harm is shown before decision %d, and it %s with decision %d", w.name, at+1, e, m)
			}
		}
		return nil
	})
}

func (s *Suite) deploysFirst(t sdktest.T, found *findings) {
	p := s.player(t, found, 3)
	s.cases(t, p, func(cfg value.Value, w world) error {
		w.deployFirst()
		e, n, err := p.smooth(cfg, &w, -1)
		if err == nil && e != finished {
			err = fmt.Errorf("%s: a first deployment is %s after %d decisions", w.name, e, n)
		}
		return err
	})
}

func (s *Suite) refused(t sdktest.T, found *findings) {
	p := s.player(t, found, 4)
	waited := false
	s.cases(t, p, func(cfg value.Value, w world) error {
		w.refuse = true
		e, _, err := p.smooth(cfg, &w, -1)
		waited = waited || w.refused
		if err == nil && w.refused && e != aborted {
			err = fmt.Errorf("%s: an approval that it waited for was refused, and it %s", w.name, e)
		}
		return err
	})
	if !waited {
		t.Skipf("no configuration waits for an approval that the suite offers")
	}
}

// chaos plays worlds in which decisions get lost, commands fail, answers come
// late, processes are killed, and harm is shown at any time.
func (s *Suite) chaos(t sdktest.T, found *findings) {
	p := s.player(t, found, 5)
	configs := s.All()
	restarts := 5
	for n := range s.Worlds {
		cfg := p.p.Value(t, configs[n%len(configs)])
		w := newWorld(s, s.Targets[p.rng.IntN(len(s.Targets))], 1+p.rng.IntN(3))
		w.random(p.rng)
		w.name = fmt.Sprintf("configuration %d, random world %d", n%len(configs)+1, n)
		if restarts > 0 && n%(s.Worlds/5+1) == 1 {
			p.p.Stop(0)
			p.p = s.Use(t, schema.KindStrategy)
			restarts--
		}
		if err := p.wild(cfg, &w); err != nil {
			t.Errorf("%v", err)
			return
		}
	}
}

// patience is how many decisions may get lost before the world turns smooth, so
// that a strategy can end at all.
const patience = 150

func (p *player) wild(cfg value.Value, w *world) error {
	for range patience {
		d, err := p.ask(cfg, w)
		if err != nil {
			return err
		}
		if d.Abort != "" || d.Finish {
			if p.rng.IntN(3) > 0 {
				return nil
			}
			continue // the answer was lost: it is asked again
		}
		w.stumble(p.rng, d)
	}
	w.refuse = false
	_, _, err := p.smooth(cfg, w, -1)
	return err
}

// pure asks the sampled snapshots again in another process, in another order,
// twice.
func (s *Suite) pure(t sdktest.T, subject sdktest.Subject, found *findings) {
	if len(found.sample) == 0 {
		t.Skipf("no decision was ever made")
	}
	p := subject.Start(t, schema.KindStrategy)
	sample := slices.Clone(found.sample)
	rng := rand.New(rand.NewPCG(s.Seed, 6))
	for range 2 {
		rng.Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] })
		for _, a := range sample {
			ctx, cancel := context.WithTimeout(t.Context(), decisionTime)
			d, err := p.Next(ctx, p.Component.Name, a.config, a.snapshot)
			cancel()
			if err != nil {
				t.Fatalf("no decision: %v", err)
			}
			if diff := gocmp.Diff(a.decision, d, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("the same snapshot got another decision: %s\n(-first +again):\n%s", brief(a.snapshot), diff)
			}
		}
	}
}
