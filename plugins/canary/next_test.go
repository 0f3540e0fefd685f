package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

var (
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	percent = target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: 1}
	onOff   = target.Capabilities{SideBySide: true, Weights: target.Switch}
)

// snap makes the snapshot of one target, "eu", with v2 to follow v1.
func snap(changes ...func(*strategy.Snapshot)) strategy.Snapshot {
	s := strategy.Snapshot{
		Rollout: "shop",
		Now:     noon,
		Targets: []strategy.Target{{Name: "eu", Capabilities: percent, Stable: "v1", Candidate: "v2"}},
	}
	for _, c := range changes {
		c(&s)
	}
	return s
}

func installedNotReady(s *strategy.Snapshot) { s.Targets[0].Installed = true }

// ready: installed, ready and verified.
func ready(s *strategy.Snapshot) {
	for i := range s.Targets {
		s.Targets[i].Installed, s.Targets[i].Ready, s.Targets[i].Verified = true, true, true
	}
}

func unverified(s *strategy.Snapshot) { ready(s); s.Targets[0].Verified = false }

func firstDeployment(s *strategy.Snapshot) {
	s.FirstDeployment = true
	s.Targets[0].Stable = ""
}

func at(w target.Weight) func(*strategy.Snapshot) { return moved(w, w) }

func moved(desired, observed target.Weight) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) { s.Targets[0].Desired, s.Targets[0].Observed = desired, observed }
}

// entered adds a step that began so long ago.
func entered(id string, ago time.Duration) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) {
		s.Steps = append(s.Steps, strategy.Step{ID: id, At: s.Now.Add(-ago)})
	}
}

func judged(harm, step strategy.VerdictValue) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) {
		s.Harm, s.Step = strategy.Verdict{Value: harm, N: 40}, strategy.Verdict{Value: step, N: 20}
	}
}

func approval(name string, v strategy.AnswerValue) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) {
		s.Approvals = append(s.Approvals, strategy.Answer{Name: name, Value: v})
	}
}

func verification(name string, v strategy.AnswerValue) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) {
		s.Verifications = append(s.Verifications, strategy.Answer{Name: name, Value: v})
	}
}

// another adds the target "us".
func another(change func(*strategy.Target)) func(*strategy.Snapshot) {
	return func(s *strategy.Snapshot) {
		t := s.Targets[0]
		t.Name = "us"
		change(&t)
		s.Targets = append(s.Targets, t)
	}
}

func weight(name string, w target.Weight) []strategy.Change {
	return []strategy.Change{{Target: name, Kind: strategy.SetWeight, Weight: w}}
}

const p = target.OnePercent

func TestNext(t *testing.T) {
	canary := &Canary{Steps: []float64{5, 50, 100}, Bake: time.Minute, Approve: map[string]string{"50": "half"}}
	plain := &Canary{Steps: []float64{5, 100}}
	half := approval("half", strategy.Unasked)
	name := "go"
	asked := &BlueGreen{Approve: &name, Warm: time.Minute}
	tests := []struct {
		name     string
		strategy strategy.Strategy
		snapshot strategy.Snapshot
		want     strategy.Decision
	}{
		// Before any traffic: the same for all three.
		{"installs where nothing is", canary, snap(half, another(func(t *strategy.Target) { t.Installed = true })), strategy.Decision{
			Changes: []strategy.Change{{Target: "eu", Kind: strategy.Install}},
			Wait:    strategy.Wait{Ready: true}, Why: "install the candidate on eu"}},
		{"waits for an installed candidate to be ready", &AllAtOnce{}, snap(installedNotReady), strategy.Decision{
			Wait: strategy.Wait{Ready: true}, Why: "the candidate is not ready yet on eu"}},
		{"waits for the first verification that has not passed", &BlueGreen{}, snap(unverified, verification("a", strategy.Yes), verification("b", strategy.Pending)), strategy.Decision{
			Wait: strategy.Wait{Verification: "b"}, Why: `wait for verification "b"`}},
		{"raises nothing while one target of two is not verified", plain, snap(ready, another(func(t *strategy.Target) { t.Verified = false })), strategy.Decision{
			Wait: strategy.Wait{Ready: true}, Why: "the candidate is not verified yet on us"}},
		{"aborts when a verification failed", plain, snap(unverified, verification("a", strategy.No)), strategy.Decision{
			Abort: `verification "a" failed`}},
		{"aborts on harm before anything else", &AllAtOnce{}, snap(judged(strategy.Fail, strategy.Inconclusive)), strategy.Decision{
			Abort: "the analysis found the candidate harmful after 40 observations"}},
		{"aborts on a failed step without waiting for its bake", canary,
			snap(half, ready, at(5*p), entered("weight-5", 9*time.Second), entered("bake-5", 8*time.Second), judged(strategy.Inconclusive, strategy.Fail)),
			strategy.Decision{Abort: "the analysis found the candidate harmful after 20 observations"}},
		{"finishes a wave in which every target has the candidate already", canary,
			snap(half, at(100*p), func(s *strategy.Snapshot) { s.Targets[0].Stable = "v2" }),
			strategy.Decision{Finish: true, Why: "the candidate has all traffic"}},

		// The canary's steps.
		{"enters the first step on all targets", canary, snap(half, ready, another(func(*strategy.Target) {})), strategy.Decision{
			StepID: "weight-5", StepTitle: "5%",
			Changes: append(weight("eu", 5*p), weight("us", 5*p)...),
			Wait:    strategy.Wait{Ready: true}, Why: "give the candidate 5%"}},
		{"says the weight again until it is observed", canary, snap(half, ready, moved(5*p, 0), entered("weight-5", time.Second)), strategy.Decision{
			Changes: weight("eu", 5*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 5%"}},
		{"begins to watch when the weight is observed, however long that took", canary, snap(half, ready, at(5*p), entered("weight-5", time.Hour)), strategy.Decision{
			StepID: "bake-5", StepTitle: "watch 5%", Wait: strategy.Wait{Until: noon.Add(time.Minute)}, Why: "watch 5%"}},
		{"watches to the end of the bake even when the evidence is good", canary,
			snap(half, ready, at(5*p), entered("weight-5", 50*time.Second), entered("bake-5", 40*time.Second), judged(strategy.Pass, strategy.Pass)),
			strategy.Decision{Wait: strategy.Wait{Until: noon.Add(20 * time.Second)}, Why: "watch 5%"}},
		{"holds after the bake when there is not enough evidence", canary,
			snap(half, ready, at(5*p), entered("weight-5", 2*time.Minute), entered("bake-5", time.Minute), judged(strategy.Pass, strategy.Inconclusive)),
			strategy.Decision{Wait: strategy.Wait{Verdict: true}, Why: "watch 5%: not enough evidence yet (20 observations)"}},
		{"asks before the step that approve names", canary,
			snap(half, ready, at(5*p), entered("weight-5", 2*time.Minute), entered("bake-5", time.Minute), judged(strategy.Pass, strategy.Pass)),
			strategy.Decision{Wait: strategy.Wait{Approval: "half"}, Why: `wait for approval "half" before 50%`}},
		{"aborts on a rejection at once", canary,
			snap(approval("half", strategy.No), ready, at(5*p), entered("weight-5", time.Second), entered("bake-5", time.Second)),
			strategy.Decision{Abort: `approval "half" was rejected`}},
		{"goes on after the approval", canary,
			snap(approval("half", strategy.Yes), ready, at(5*p), entered("weight-5", 2*time.Minute), entered("bake-5", time.Minute)),
			strategy.Decision{StepID: "weight-50", StepTitle: "50%", Changes: weight("eu", 50*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 50%"}},
		{"does not fall back to an earlier step when a weight was lost", canary,
			snap(approval("half", strategy.Yes), ready, moved(50*p, 0), entered("weight-5", 3*time.Minute), entered("bake-5", 2*time.Minute), entered("weight-50", time.Minute)),
			strategy.Decision{Changes: weight("eu", 50*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 50%"}},
		{"lowers no weight that an earlier run left, and watches it", canary,
			snap(half, ready, at(25*p)),
			strategy.Decision{StepID: "bake-5", StepTitle: "watch 5%", Wait: strategy.Wait{Until: noon.Add(time.Minute)}, Why: "watch 5%"}},
		{"asks for approvals also where an earlier run left more weight", canary,
			snap(half, ready, at(60*p), entered("bake-5", time.Minute)),
			strategy.Decision{Wait: strategy.Wait{Approval: "half"}, Why: `wait for approval "half" before 50%`}},
		{"goes on with a step whose weight an earlier run left", canary,
			snap(approval("half", strategy.Yes), ready, at(60*p), entered("bake-5", time.Hour), entered("bake-50", time.Minute)),
			strategy.Decision{StepID: "weight-100", StepTitle: "100%", Changes: weight("eu", 100*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},
		{"holds while the candidate is not ready", canary,
			snap(half, ready, at(5*p), entered("weight-5", 3*time.Minute), entered("bake-5", 2*time.Minute), func(s *strategy.Snapshot) { s.Targets[0].Ready = false }),
			strategy.Decision{Wait: strategy.Wait{Ready: true}, Why: "the candidate is not ready yet on eu"}},
		{"watches the last step too", canary,
			snap(approval("half", strategy.Yes), ready, at(100*p), entered("weight-100", time.Hour)),
			strategy.Decision{StepID: "bake-100", StepTitle: "watch 100%", Wait: strategy.Wait{Until: noon.Add(time.Minute)}, Why: "watch 100%"}},
		{"finishes after the last bake", canary,
			snap(approval("half", strategy.Yes), ready, at(100*p), entered("weight-100", time.Hour), entered("bake-100", time.Minute)),
			strategy.Decision{Finish: true, Why: "the candidate has all traffic"}},
		{"has no watching step without bake and analysis", plain,
			snap(ready, at(5*p), entered("weight-5", 0)),
			strategy.Decision{StepID: "weight-100", StepTitle: "100%", Changes: weight("eu", 100*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},
		{"does not take the verdict of the step before for that of the next", plain,
			snap(ready, at(5*p), entered("weight-5", 0), judged(strategy.Pass, strategy.Pass)),
			strategy.Decision{StepID: "bake-5", StepTitle: "watch 5%", Wait: strategy.Wait{Verdict: true}, Why: "watch 5%: not enough evidence yet (20 observations)"}},
		{"goes straight to 100 on a first deployment, after all approvals", canary,
			snap(firstDeployment, half, ready),
			strategy.Decision{Wait: strategy.Wait{Approval: "half"}, Why: `wait for approval "half" before 50%`}},
		{"has one step on a first deployment", canary,
			snap(firstDeployment, approval("half", strategy.Yes), ready),
			strategy.Decision{StepID: "weight-100", StepTitle: "100%", Changes: weight("eu", 100*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},
		{"does not bake a first deployment", canary,
			snap(firstDeployment, approval("half", strategy.Yes), ready, at(100*p), entered("weight-100", 0), judged(strategy.Inconclusive, strategy.Inconclusive)),
			strategy.Decision{Finish: true, Why: "the candidate has all traffic"}},
		{"leaves a target without a stable release at 0 until the last step", plain,
			snap(ready, another(func(t *strategy.Target) { t.Stable = "" })),
			strategy.Decision{StepID: "weight-5", StepTitle: "5%", Changes: weight("eu", 5*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 5%"}},
		{"brings a target without a stable release in at the last step", plain,
			snap(ready, at(5*p), entered("weight-5", 0), another(func(t *strategy.Target) { t.Stable, t.Desired, t.Observed = "", 0, 0 })),
			strategy.Decision{StepID: "weight-100", StepTitle: "100%", Changes: append(weight("eu", 100*p), weight("us", 100*p)...),
				Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},

		// The switch.
		{"asks before the switch", asked, snap(ready, approval("go", strategy.Pending)), strategy.Decision{
			Wait: strategy.Wait{Approval: "go"}, Why: `wait for approval "go" before the switch`}},
		{"switches in one step, also a percent target", asked, snap(ready, approval("go", strategy.Yes)), strategy.Decision{
			StepID: "switch", StepTitle: "switch", Changes: weight("eu", 100*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},
		{"keeps the old one warm", asked, snap(ready, approval("go", strategy.Yes), at(100*p), entered("switch", time.Hour)), strategy.Decision{
			StepID: "warm", StepTitle: "watch with the old release warm", Wait: strategy.Wait{Until: noon.Add(time.Minute)}, Why: "watch with the old release warm"}},
		{"finishes the switch when it was warm long enough", asked,
			snap(ready, approval("go", strategy.Yes), at(100*p), entered("switch", time.Hour), entered("warm", time.Minute), judged(strategy.Pass, strategy.Pass)),
			strategy.Decision{Finish: true, Why: "the candidate has all traffic"}},
		{"keeps nothing warm on a first deployment", asked,
			snap(firstDeployment, ready, approval("go", strategy.Yes), at(100*p), entered("switch", 0)),
			strategy.Decision{Finish: true, Why: "the candidate has all traffic"}},

		// All at once.
		{"gives everything at once", &AllAtOnce{}, snap(ready, func(s *strategy.Snapshot) { s.Targets[0].Capabilities = target.Capabilities{} }), strategy.Decision{
			StepID: "all", StepTitle: "100%", Changes: weight("eu", 100*p), Wait: strategy.Wait{Ready: true}, Why: "give the candidate 100%"}},
		{"finishes at once without an analysis", &AllAtOnce{}, snap(ready, at(100*p), entered("all", 0)), strategy.Decision{
			Finish: true, Why: "the candidate has all traffic"}},
		{"wants a passed analysis where there is one", &AllAtOnce{}, snap(ready, at(100*p), entered("all", 0), judged(strategy.Inconclusive, strategy.Inconclusive)), strategy.Decision{
			StepID: "check", StepTitle: "watch 100%", Wait: strategy.Wait{Verdict: true}, Why: "watch 100%: not enough evidence yet (20 observations)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.strategy.Next(tt.snapshot)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	tests := []struct {
		name     string
		strategy strategy.Strategy
		want     strategy.Needs
	}{
		{"a canary divides", &Canary{Steps: []float64{5, 100}}, strategy.Needs{SideBySide: true, Weights: target.PercentSteps}},
		{"a canary without configuration divides", &Canary{}, strategy.Needs{SideBySide: true, Weights: target.PercentSteps}},
		{"a canary of one step is a switch", &Canary{Steps: []float64{100}}, strategy.Needs{SideBySide: true, Weights: target.Switch}},
		{"blue/green switches", &BlueGreen{}, strategy.Needs{SideBySide: true, Weights: target.Switch}},
		{"all at once needs nothing", &AllAtOnce{}, strategy.Needs{Weights: target.NoWeights}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.strategy.Needs()); diff != "" {
				t.Errorf("needs (-want +got):\n%s", diff)
			}
		})
	}
}
