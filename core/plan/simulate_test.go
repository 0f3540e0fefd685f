package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

const percent = target.OnePercent

// stairs goes up step by step, as strategies do.
type stairs struct {
	steps []target.Weight
	bake  time.Duration
	// approval is waited for before the given weight.
	approval string
	before   target.Weight
	// deaf: harm is ignored.
	deaf bool
}

func (s stairs) next(_ context.Context, in strategy.Snapshot) (strategy.Decision, error) {
	if in.Harm.Value == strategy.Fail && !s.deaf {
		return strategy.Decision{Abort: "harm"}, nil
	}
	var d strategy.Decision
	for _, t := range in.Targets {
		if !t.Installed || !t.Ready || !t.Verified {
			d.Wait = strategy.Wait{Ready: true, Verdict: true}
		}
		if !t.Installed {
			d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Install})
		}
	}
	if !d.Wait.IsZero() {
		return d, nil
	}
	for _, w := range s.steps {
		if in.FirstDeployment && w != target.Full {
			continue
		}
		id := w.String()
		at, entered := in.Entered(id)
		if !entered {
			if s.approval != "" && w == s.before && in.Approval(s.approval) != strategy.Yes {
				return strategy.Decision{Wait: strategy.Wait{Approval: s.approval, Verdict: true}}, nil
			}
			return strategy.Decision{StepID: id, StepTitle: id, Changes: to(in, w), Wait: strategy.Wait{Ready: true, Verdict: true}}, nil
		}
		for _, t := range in.Targets {
			if t.Observed < w {
				return strategy.Decision{Changes: to(in, w), Wait: strategy.Wait{Ready: true, Verdict: true}}, nil
			}
		}
		if until := at.At.Add(s.bake); in.Now.Before(until) {
			return strategy.Decision{Wait: strategy.Wait{Until: until, Verdict: true}}, nil
		}
	}
	return strategy.Decision{Finish: true}, nil
}

func to(in strategy.Snapshot, w target.Weight) []strategy.Change {
	var out []strategy.Change
	for _, t := range in.Targets {
		out = append(out, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: w})
	}
	return out
}

// world is one rollout of a strategy; each field has its simplest value by default.
type world struct {
	targets   int
	waves     [][]int
	first     bool
	step      target.Weight
	approvals []string
	analysis  *kernel.Analysis
	spread    time.Duration
}

func (w world) simulate(next ask) (*Simulation, []kernel.Limit, error) {
	caps := target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: w.step, Propagation: w.spread}
	if caps.Step == 0 {
		caps.Step = percent
	}
	node := kernel.Node{ID: "stage.web", Kind: kernel.RolloutNode, Rollout: &kernel.Rollout{Strategy: "stairs", Waves: w.waves, Analysis: w.analysis}}
	var targets []Target
	for i := range max(1, w.targets) {
		t := Target{Name: fmt.Sprintf("t%d", i), Stable: "r-1", Candidate: "r-2", Capabilities: caps, EstimateMS: 1000}
		if w.first {
			t.Stable = ""
		}
		targets = append(targets, t)
		node.Rollout.Targets = append(node.Rollout.Targets, kernel.Target{Name: t.Name, Capabilities: caps})
		if w.waves == nil {
			node.Rollout.Waves = [][]int{append(append([]int{}, flat(node.Rollout.Waves)...), i)}
		}
	}
	for _, name := range w.approvals {
		node.Rollout.Approvals = append(node.Rollout.Approvals, kernel.Gate{Name: name, Required: 2, From: []string{"group:sre", "user:ada"}})
	}
	return simulate(context.Background(), node, targets, next)
}

func flat(waves [][]int) []int {
	var out []int
	for _, w := range waves {
		out = append(out, w...)
	}
	return out
}

// short is a step as this test looks at it.
type short struct {
	Wave      int
	Weight    target.Weight
	AtMS      int64
	BakeMS    int64
	Approvals string
	Evidence  bool
}

func TestSimulationTellsTheSteps(t *testing.T) {
	up := stairs{steps: []target.Weight{5 * percent, 50 * percent, target.Full}, bake: 2 * time.Minute}
	asks := up
	asks.approval, asks.before = "half", 50*percent
	for _, c := range []struct {
		name   string
		world  world
		next   ask
		want   []short
		limits []kernel.Limit
		back   int64
	}{
		{
			name: "each step with its bake, after the installation", next: up.next,
			want: []short{{0, 5 * percent, 1000, 120_000, "", false}, {0, 50 * percent, 121_000, 120_000, "", false}, {0, target.Full, 241_000, 120_000, "", false}},
		},
		{
			name: "a first deployment goes straight to all traffic", next: up.next, world: world{first: true},
			want: []short{{0, target.Full, 1000, 120_000, "", false}},
		},
		{
			name: "an approval limits what may be reached without it", next: asks.next, world: world{approvals: []string{"half"}},
			want:   []short{{0, 5 * percent, 1000, 120_000, "", false}, {0, 50 * percent, 121_000, 120_000, "half", false}, {0, target.Full, 241_000, 120_000, "", false}},
			limits: []kernel.Limit{{Approval: "half", Weight: 5 * percent}},
		},
		{
			name: "waves follow each other", next: stairs{steps: []target.Weight{target.Full}, bake: time.Minute}.next,
			world: world{targets: 2, waves: [][]int{{1}, {0}}},
			want:  []short{{0, target.Full, 1000, 60_000, "", false}, {1, target.Full, 62_000, 60_000, "", false}},
		},
		{
			name: "evidence is needed where there is an analysis", next: stairs{steps: []target.Weight{target.Full}, bake: time.Minute}.next,
			world: world{analysis: &kernel.Analysis{Interval: 10_000, Deadline: 600_000, OnInconclusive: "abort"}},
			want:  []short{{0, target.Full, 1000, 60_000, "", true}},
		},
		{
			name: "slow propagation lengthens the way there and back", next: stairs{steps: []target.Weight{target.Full}, bake: time.Minute}.next,
			world: world{spread: 5 * time.Second}, back: 5000,
			want: []short{{0, target.Full, 1000, 55_000, "", false}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			sim, limits, err := c.world.simulate(c.next)
			if err != nil {
				t.Fatal(err)
			}
			var got []short
			for _, s := range sim.Steps {
				got = append(got, short{s.Wave, s.Weight, s.AtMS, s.BakeMS, strings.Join(s.Approvals, " "), s.Evidence})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.limits, limits); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
			last := got[len(got)-1]
			if sim.DurationMS < last.AtMS+last.BakeMS || sim.First != c.world.first || sim.BackMS < c.back {
				t.Errorf("duration %d ms, first %v, back %d ms", sim.DurationMS, sim.First, sim.BackMS)
			}
		})
	}
}

func TestSimulationRefusesWhatCannotWork(t *testing.T) {
	up := stairs{steps: []target.Weight{50 * percent, target.Full}, bake: time.Minute}
	deaf, lost := up, up
	deaf.deaf = true
	lost.approval, lost.before = "nobody", 50*percent
	instead := func(when func(strategy.Snapshot) bool, d func(strategy.Snapshot) strategy.Decision) ask {
		return func(ctx context.Context, in strategy.Snapshot) (strategy.Decision, error) {
			if in.Harm.Value != strategy.Fail && when(in) {
				return d(in), nil
			}
			return up.next(ctx, in)
		}
	}
	started := func(in strategy.Snapshot) bool { return in.Targets[0].Observed > 0 }
	for _, c := range []struct {
		name  string
		world world
		next  ask
		want  string
	}{
		{"harm is ignored", world{}, deaf.next, "it does not abort at 50% although harm is shown"},
		{"an approval that nobody offers", world{approvals: []string{"half"}}, lost.next, "approval \"nobody\" although the stage has no such block"},
		{"a weight between the target's steps", world{step: 20 * percent}, up.next, "it asks for weight 50% on target \"t0\""},
		{"it never ends", world{}, instead(started, func(in strategy.Snapshot) strategy.Decision {
			return strategy.Decision{Wait: strategy.Wait{Until: in.Now.Add(time.Minute)}}
		}), "it has not finished after 1000 decisions"},
		{"it waits for nothing", world{}, instead(started, func(strategy.Snapshot) strategy.Decision { return strategy.Decision{} }), "waits for nothing"},
		{"it waits for a moment that has passed", world{}, instead(started, func(in strategy.Snapshot) strategy.Decision {
			return strategy.Decision{Wait: strategy.Wait{Until: in.Now}}
		}), ""},
		{"it ends too early", world{}, instead(started, func(strategy.Snapshot) strategy.Decision { return strategy.Decision{Finish: true} }), "it finishes while target"},
		{"it walks back", world{}, instead(started, func(in strategy.Snapshot) strategy.Decision {
			return strategy.Decision{Changes: to(in, percent), Wait: strategy.Wait{Ready: true}}
		}), "it lowers the weight"},
		{"it speaks of a stranger", world{}, instead(started, func(strategy.Snapshot) strategy.Decision {
			return strategy.Decision{Changes: []strategy.Change{{Target: "x", Kind: strategy.SetWeight, Weight: target.Full}}, Wait: strategy.Wait{Ready: true}}
		}), "\"x\", which is not in this wave"},
		{"it aborts by itself", world{}, instead(started, func(strategy.Snapshot) strategy.Decision { return strategy.Decision{Abort: "no reason"} }), "no reason"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := c.world.simulate(c.next)
			contract, ok := isContractError(err)
			if !ok || !strings.Contains(contract.what, c.want) {
				t.Errorf("error %v, want a broken contract with %q", err, c.want)
			}
		})
	}
}

func TestSimulationGivesErrorsOfThePlugin(t *testing.T) {
	broken := errors.New("broken")
	_, _, err := world{}.simulate(func(context.Context, strategy.Snapshot) (strategy.Decision, error) {
		return strategy.Decision{}, broken
	})
	if _, contract := isContractError(err); contract || !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the plugin", err)
	}
}

func TestSimulationEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	node := kernel.Node{ID: "stage.web", Kind: kernel.RolloutNode, Rollout: &kernel.Rollout{Targets: []kernel.Target{{Name: "main"}}, Waves: [][]int{{0}}}}
	_, _, err := simulate(ctx, node, []Target{{Name: "main"}}, stairs{}.next)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// Equal snapshots are asked about once: the way back of each step repeats the way there.
func TestSimulationAsksOncePerSnapshot(t *testing.T) {
	seen := map[string]int{}
	up := stairs{steps: []target.Weight{10 * percent, 50 * percent, target.Full}, bake: time.Minute}
	_, _, err := world{}.simulate(func(ctx context.Context, in strategy.Snapshot) (strategy.Decision, error) {
		seen[fmt.Sprintf("%+v", in)]++
		return up.next(ctx, in)
	})
	if err != nil {
		t.Fatal(err)
	}
	for s, n := range seen {
		if n > 1 {
			t.Errorf("asked %d times about %s", n, s)
		}
	}
}
