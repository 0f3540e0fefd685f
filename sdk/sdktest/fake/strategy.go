package fake

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Strategy goes through its steps as fast as it may, and breaks the contract on
// request.
type Strategy struct {
	Steps    []float64     `hcl:"steps,optional" known:"true" doc:"percent, ascending, ending at 100"`
	Bake     time.Duration `hcl:"bake,optional" doc:"how long to wait at each step"`
	Judged   bool          `hcl:"judged,optional" doc:"go on from a step only when it was passed"`
	Approval string        `hcl:"approval,optional" doc:"approval to wait for before the first step"`

	Misbehave string `hcl:"misbehave,optional" doc:"hang, crash, panic, error; deaf to harm; eager: weight before the verification; impure; lower a weight; finer than possible; forever waiting; idle; too much memory; name a stranger; retire with weight; enter a step again; finish early; misled: wait for an approval nobody offers; pushy: take a refusal for an approval"`
	Leak      string `hcl:"leak,optional" doc:"told in reasons, titles and memory"`
	After     int    `hcl:"after,optional" doc:"steps entered before it misbehaves"`
	While     string `hcl:"while,optional" doc:"file: it misbehaves only while that exists"`
}

var misbehaviours = []string{
	"hang", "crash", "panic", "error", "deaf", "eager", "impure", "lower", "fine", "forever", "idle", "memory", "stranger", "retire", "again", "early", "misled", "pushy",
}

// Validate checks the steps.
func (s *Strategy) Validate() error {
	if len(s.Steps) == 0 || s.Steps[len(s.Steps)-1] != 100 {
		return diag.AtAttr("steps", "Invalid steps", errors.New("the last one must be 100"))
	}
	for i, p := range s.Steps {
		if _, err := target.Percent(p); err != nil {
			return diag.AtAttr("steps", "Invalid steps", err)
		}
		if i > 0 && p <= s.Steps[i-1] {
			return diag.AtAttr("steps", "Invalid steps", errors.New("they must ascend"))
		}
	}
	return oneOf("misbehave", s.Misbehave, misbehaviours...)
}

// Needs weights where there are steps between 0 and 100.
func (s *Strategy) Needs() strategy.Needs {
	n := strategy.Needs{SideBySide: true, Weights: target.Switch}
	if len(s.Steps) > 1 {
		n.Weights = target.PercentSteps
	}
	return n
}

// Next needs no memory.
func (s *Strategy) Next(in strategy.Snapshot) (strategy.Decision, error) {
	if s.Misbehave != "" && len(in.Steps) >= s.After && s.now() {
		if d, err, done := s.misbehave(in); done {
			return d, err
		}
	}
	d := s.decide(in)
	if s.Leak != "" {
		if len(in.Memory) > 0 && !strings.HasSuffix(string(in.Memory), s.Leak) {
			return d, fmt.Errorf("the memory came back as %q", in.Memory)
		}
		d.Why, d.Memory = d.Why+" "+s.Leak, []byte("I know "+s.Leak)
		if d.StepTitle != "" {
			d.StepTitle += " " + s.Leak
		}
	}
	return d, nil
}

func (s *Strategy) now() bool {
	if s.While == "" {
		return true
	}
	_, err := os.Stat(s.While)
	return err == nil
}

func (s *Strategy) decide(in strategy.Snapshot) strategy.Decision {
	if in.Harm.Value == strategy.Fail {
		return strategy.Decision{Abort: "the analysis shows harm", Why: "harm"}
	}
	if d, wait := s.prepare(in); wait {
		return d
	}
	if s.Approval != "" && !in.FirstDeployment {
		switch in.Approval(s.Approval) {
		case strategy.No:
			return strategy.Decision{Abort: "approval " + s.Approval + " was refused"}
		case strategy.Yes:
		default:
			return strategy.Decision{Wait: strategy.Wait{Approval: s.Approval, Verdict: true}, Why: "waiting for approval"}
		}
	}
	for _, percent := range s.Steps {
		if in.FirstDeployment && percent != 100 {
			continue
		}
		id := fmt.Sprintf("weight-%v", percent)
		w, _ := target.Percent(percent)
		entered, ok := in.Entered(id)
		if !ok {
			return strategy.Decision{StepID: id, StepTitle: w.String(), Changes: weights(in, w), Wait: strategy.Wait{Ready: true, Verdict: true}, Why: "next step"}
		}
		for _, t := range in.Targets {
			if t.Observed < w {
				return strategy.Decision{Changes: weights(in, w), Wait: strategy.Wait{Ready: true, Verdict: true}, Why: "weights are on their way"}
			}
		}
		if until := entered.At.Add(s.Bake); in.Now.Before(until) && !in.FirstDeployment {
			return strategy.Decision{Wait: strategy.Wait{Until: until, Verdict: true}, Why: "baking"}
		}
		if s.Judged && !in.FirstDeployment && in.Step.Value != strategy.Pass {
			return strategy.Decision{Wait: strategy.Wait{Verdict: true}, Why: "waiting for a verdict"}
		}
	}
	return strategy.Decision{Finish: true, Why: "all steps are done"}
}

// prepare waits until every candidate is installed, ready and verified.
func (s *Strategy) prepare(in strategy.Snapshot) (strategy.Decision, bool) {
	var d strategy.Decision
	for _, t := range in.Targets {
		if !t.Installed {
			d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Install})
		}
		if !t.Installed || !t.Ready || !t.Verified {
			d.Wait = strategy.Wait{Ready: true, Verdict: true}
			d.Why = "candidates are being made ready"
		}
	}
	return d, !d.Wait.IsZero()
}

func weights(in strategy.Snapshot, w target.Weight) []strategy.Change {
	var out []strategy.Change
	for _, t := range in.Targets {
		out = append(out, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: w})
	}
	return out
}

// misbehave breaks one rule and respects the others where it can.
func (s *Strategy) misbehave(in strategy.Snapshot) (strategy.Decision, error, bool) {
	switch s.Misbehave {
	case "hang":
		select {}
	case "crash":
		os.Exit(13)
	case "panic":
		panic("I was asked to panic")
	case "error":
		return strategy.Decision{}, errors.New("an error was asked for"), true
	case "deaf":
		in.Harm = strategy.Verdict{}
	case "eager":
		for i := range in.Targets {
			in.Targets[i].Verified = true
		}
	case "pushy":
		for i := range in.Approvals {
			if in.Approvals[i].Value == strategy.No {
				in.Approvals[i].Value = strategy.Yes
			}
		}
	}
	d := s.decide(in)
	if d.Abort != "" {
		return d, nil, true
	}
	switch s.Misbehave {
	case "impure":
		d.Why = time.Now().String()
	case "lower":
		if len(in.Steps) > 0 {
			d = strategy.Decision{Changes: weights(in, 0), Wait: strategy.Wait{Ready: true}}
		}
	case "fine":
		for i := range d.Changes {
			d.Changes[i].Weight++
		}
	case "forever":
		d = strategy.Decision{Wait: strategy.Wait{Until: in.Now.Add(time.Minute)}}
	case "idle":
		d = strategy.Decision{}
	case "memory":
		d.Memory = make([]byte, strategy.MaxMemory+1)
	case "stranger":
		d.Changes = append(d.Changes, strategy.Change{Target: "nobody", Kind: strategy.Install})
	case "retire":
		for _, t := range in.Targets {
			if t.Observed > 0 {
				d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Retire})
			}
		}
	case "again":
		if len(in.Steps) > 1 && !d.Finish {
			d.StepID = in.Steps[0].ID
		}
	case "early":
		d = strategy.Decision{Finish: true}
	case "misled":
		if !d.Finish {
			d.Wait.Approval = "nobody"
		}
	}
	return d, nil, true
}
