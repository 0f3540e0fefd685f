// Package targettest asks a target for what package target promises, over real
// gRPC, in another process.
//
//	func TestConformance(t *testing.T) {
//		targettest.Run(t, targettest.Suite{
//			New:   func() target.Target { return &Service{} },
//			Fresh: func(t sdktest.T) sdktest.Config { return sdktest.Config{"name": newName()} },
//		})
//	}
package targettest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Suite is a target and what the checks need of it.
type Suite struct {
	// New makes the target, when the subject names no plugin and no command.
	New func() target.Target
	sdktest.Subject

	// Fresh is the configuration of a target at which nothing is installed yet: a
	// new one every time. It registers what cleans up.
	Fresh func(t sdktest.T) sdktest.Config
	// Probe asks whether a release answers at its address; nil when addresses
	// are not checked further.
	Probe func(ctx context.Context, release target.Release) error
	// Sequences is how many random sequences of operations are tried; 10 when 0.
	Sequences int
	// Length of each; 15 when 0.
	Length int
	// Seed makes other sequences.
	Seed uint64
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	if s.New != nil {
		s.Plugin = sdk.Plugin{Name: "conformance", Version: "0.0.0", Targets: map[string]func() target.Target{"component": s.New}}
	}
	s.Subject = s.InTest(t)
	Check(sdktest.Wrap(t), s)
}

// Check is Run for any program: Subject.Command must be given.
func Check(t sdktest.T, s Suite) {
	if s.Fresh == nil {
		t.Fatalf("the suite needs Fresh")
	}
	s.Sequences, s.Length = cmp.Or(s.Sequences, 10), cmp.Or(s.Length, 15)
	if len(s.Valid) == 0 {
		s.Valid = []sdktest.Config{s.Fresh(t)}
	}
	s.Subject = s.Share(t)
	sdktest.CheckCommon(t, s.Subject, schema.KindTarget)
	t.Run("ObserveAnswersBeforeAnythingIsInstalled", s.observesNothing)
	t.Run("APlanTellsWhatTheTargetCanDo", s.plans)
	t.Run("AnInstalledReleaseHasNoWeight", s.installs)
	t.Run("InstallTwiceIsOneRelease", s.installsTwice)
	t.Run("ACandidateAnswersAtItsOwnAddress", s.answers)
	t.Run("AWeightIsReadBack", s.weighs)
	t.Run("AWeightBetweenTwoStepsIsRefused", s.refusesBetween)
	t.Run("AWeightForAStrangerIsRefused", s.refusesStranger)
	t.Run("AnotherWorldIsNoticed", s.noticesAnotherWorld)
	t.Run("SettleMakesTheReleaseStable", s.settles)
	t.Run("AReleaseWithWeightIsNotRetired", s.refusesRetire)
	t.Run("RetireOfWhatIsGoneIsNoError", s.retiresGone)
	t.Run("TheWayBackWorksFromEveryStep", s.goesBack)
	t.Run("CapacityIsSetApartFromWeight", s.scales)
	t.Run("AfterACancelledInstallOneCanGoOn", s.goesOn)
	t.Run("EveryLegalSequenceConverges", s.converges)
}

// fresh is a target at which nothing is installed, with a model of what should
// be there.
func (s *Suite) fresh(t sdktest.T) *subject {
	t.Helper()
	p := s.Use(t, schema.KindTarget)
	x := &subject{t: t, s: s, p: p, cfg: p.Value(t, s.Fresh(t)), model: model{weights: map[string]target.Weight{}}}
	plan, err := p.PlanTarget(t.Context(), newCall(), p.Component.Name, x.cfg)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	x.caps = plan.Capabilities
	return x
}

// deployed is one at which r1 is stable.
func (s *Suite) deployed(t sdktest.T) *subject {
	t.Helper()
	x := s.fresh(t)
	x.must(x.install("r1"))
	x.must(x.setWeight("r1", target.Full))
	x.must(x.settle("r1"))
	return x
}

// beside is one at which r1 is stable and r2 is the candidate.
func (s *Suite) beside(t sdktest.T) *subject {
	t.Helper()
	x := s.deployed(t)
	if !x.caps.SideBySide {
		t.Skipf("the target holds one release at a time")
	}
	x.must(x.install("r2"))
	return x
}

func (s *Suite) observesNothing(t sdktest.T) {
	x := s.fresh(t)
	x.same("before anything is installed")
}

func (s *Suite) plans(t sdktest.T) {
	p := s.Use(t, schema.KindTarget)
	for i, c := range s.All() {
		plan, err := p.PlanTarget(t.Context(), newCall(), p.Component.Name, p.Value(t, c))
		if err != nil {
			t.Errorf("valid configuration %d cannot be planned: %v", i+1, err)
		}
		if _, scales := p.Component.Operation("scale"); plan.Capabilities.Capacity && !scales {
			t.Errorf("the plan of valid configuration %d declares capacity, and the target offers no scale", i+1)
		}
	}
	if _, err := p.PlanTarget(t.Context(), newCall(), p.Component.Name, p.Hide(t, s.First())); err != nil {
		t.Errorf("a configuration with unknown parts cannot be planned: %v", err)
	}
}

func (s *Suite) installs(t sdktest.T) {
	x := s.fresh(t)
	x.must(x.install("r1"))
	x.same("after the first install")
	y := s.beside(t)
	y.same("after the install of a candidate")
}

func (s *Suite) installsTwice(t sdktest.T) {
	x := s.beside(t)
	before := x.observe()
	x.must(x.install("r2"))
	x.same("after a second install")
	if after := x.observe(); after.World != before.World {
		t.Errorf("the second install changed the version of the world from %q to %q", before.World, after.World)
	}
	x.restart()
	x.must(x.install("r2"))
	x.same("after an install by another process")
}

func (s *Suite) answers(t sdktest.T) {
	x := s.beside(t)
	if !x.caps.ReleaseAddress {
		t.Skipf("the target declares no address of a release")
	}
	for _, r := range x.observe().Releases {
		if r.Address == "" {
			t.Errorf("release %q has no address, and the target declares one", r.ID)
		} else if s.Probe != nil {
			if err := s.Probe(t.Context(), r); err != nil {
				t.Errorf("release %q does not answer at %s: %v", r.ID, r.Address, err)
			}
		}
		if x.caps.ReleaseMetrics && r.Labels[target.LabelMetrics] == "" {
			t.Logf("release %q has no label %s; metrics by release must be had otherwise", r.ID, target.LabelMetrics)
		}
	}
}

func (s *Suite) weighs(t sdktest.T) {
	x := s.beside(t)
	for _, w := range x.possible() {
		x.must(x.setWeight("r2", w))
		x.same(fmt.Sprintf("with the candidate at %s", w))
		x.must(x.setWeight("r2", w))
		x.same(fmt.Sprintf("with the candidate at %s, asked for twice", w))
	}
}

func (s *Suite) refusesBetween(t sdktest.T) {
	x := s.beside(t)
	var between []target.Weight
	for _, w := range []target.Weight{1, target.OnePercent / 2, target.OnePercent + 1, 12_345, target.Full / 2, x.caps.Step / 2, x.caps.Step + 1} {
		if w > 0 && w < target.Full && !x.caps.Allows(w) {
			between = append(between, w)
		}
	}
	if len(between) == 0 {
		t.Skipf("the target can have any weight")
	}
	for _, w := range between {
		x.refused(fmt.Sprintf("a weight of %s", w), x.try(func() error { return x.setWeight("r2", w) }))
	}
	x.same("after weights that it cannot have")
}

func (s *Suite) refusesStranger(t sdktest.T) {
	x := s.deployed(t)
	x.refused("a weight for a release that is not installed", x.try(func() error { return x.setWeight("r9", target.Full) }))
	x.same("after a weight for a stranger")
}

func (s *Suite) noticesAnotherWorld(t sdktest.T) {
	x := s.beside(t)
	now := x.observe().World
	if now == "" {
		t.Skipf("the target tells no version of its world")
	}
	_, err := x.p.SetWeight(t.Context(), newCall(), x.p.Component.Name, x.cfg, "r2", target.Full, now+"-not", nil)
	x.refused("a weight in another world than expected", err)
	x.same("after a weight in another world")
	if _, err := x.p.SetWeight(t.Context(), newCall(), x.p.Component.Name, x.cfg, "r2", target.Full, now, nil); err != nil {
		t.Fatalf("a weight in the world that was expected: %v", err)
	}
	x.model.setWeight("r2", target.Full)
	x.same("after a weight in the expected world")
	if after := x.observe().World; after == now {
		t.Errorf("the version of the world is %q before and after a change of weights", now)
	}
}

func (s *Suite) settles(t sdktest.T) {
	x := s.beside(t)
	x.must(x.setWeight("r2", target.Full))
	x.must(x.settle("r2"))
	x.same("after settle") // the earlier stable release is still there
	x.must(x.settle("r2"))
	x.same("after a second settle")
	x.must(x.retire("r1"))
	x.same("after the earlier release was retired")
}

func (s *Suite) refusesRetire(t sdktest.T) {
	x := s.beside(t)
	x.refused("to retire the stable release with all its weight", x.try(func() error { return x.retire("r1") }))
	for _, w := range x.possible() {
		if w == 0 {
			continue
		}
		x.must(x.setWeight("r2", w))
		x.refused(fmt.Sprintf("to retire a candidate at %s", w), x.try(func() error { return x.retire("r2") }))
		x.same("after a retire that was refused")
	}
}

func (s *Suite) retiresGone(t sdktest.T) {
	x := s.beside(t)
	x.must(x.retire("r2"))
	x.same("after retire")
	x.must(x.retire("r2"))
	x.must(x.retire("r9"))
	x.same("after retire of what is gone")
}

// goesBack takes the candidate back from every point of a rollout.
func (s *Suite) goesBack(t sdktest.T) {
	for i := range s.beside(t).possible() {
		x := s.beside(t)
		weights := x.possible()[:i+1]
		for _, w := range weights {
			x.must(x.setWeight("r2", w))
		}
		x.must(x.setWeight("r2", 0))
		x.must(x.retire("r2"))
		x.same(fmt.Sprintf("on the way back from %s", weights[i]))
	}
	x := s.beside(t)
	x.must(x.setWeight("r2", target.Full))
	x.must(x.settle("r2"))
	x.must(x.setWeight("r1", target.Full))
	x.same("with the earlier release at full weight again")
	x.must(x.settle("r1"))
	x.must(x.retire("r2"))
	x.same("on the way back after settle")
}

func (s *Suite) scales(t sdktest.T) {
	x := s.beside(t)
	if !x.caps.Capacity {
		t.Skipf("the target declares no capacity")
	}
	for _, c := range []target.Weight{target.Full, target.Full / 2, target.Full / 2} {
		if _, err := x.p.Scale(t.Context(), newCall(), x.p.Component.Name, x.cfg, "r2", c, nil); err != nil {
			t.Errorf("capacity %s: %v", c, err)
		}
		x.same("after a change of capacity")
	}
}

func (s *Suite) goesOn(t sdktest.T) {
	x := s.deployed(t)
	if !x.caps.SideBySide {
		t.Skipf("the target holds one release at a time")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := x.p.Install(ctx, newCall(), x.p.Component.Name, x.cfg, release("r2"), nil)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a cancelled install: %v", err)
	}
	o := x.observe()
	if o.Stable != "r1" || o.Weights["r1"] != target.Full {
		t.Errorf("a cancelled install touched the stable release: %+v", o)
	}
	x.must(x.install("r2"))
	x.same("after the install was made again")
}

// converges tries random legal sequences, with repeated operations and new
// processes in between.
func (s *Suite) converges(t sdktest.T) {
	for n := range s.Sequences {
		rng := rand.New(rand.NewPCG(s.Seed, uint64(n)))
		x := s.fresh(t)
		for range s.Length {
			name, op := x.draw(rng)
			x.trace = append(x.trace, name)
			x.must(op())
			x.same("after " + name)
			switch rng.IntN(6) {
			case 0, 1:
				x.trace = append(x.trace, "again")
				x.must(op())
				x.same("after " + name + " again")
			case 2:
				if n < 2 {
					x.trace = append(x.trace, "new process")
					x.restart()
				}
			}
		}
	}
}

// refused checks that an operation failed and changed nothing.
func (x *subject) refused(what string, err error) {
	x.t.Helper()
	var p *diag.Problem
	switch {
	case err == nil:
		x.t.Errorf("%s is accepted", what)
	case !errors.As(err, &p):
		x.t.Errorf("%s gives no problem but: %v", what, err)
	case p.Effect != diag.None:
		x.t.Errorf("%s is refused without saying that nothing was changed: %v", what, err)
	case p.Retry != diag.Never:
		x.t.Errorf("%s is refused as if another try could help: %v", what, err)
	}
}
