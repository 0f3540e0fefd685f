package strategytest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// rule is what every single decision must respect.
type rule struct {
	name  string
	check func(*strategy.Snapshot, *strategy.Decision) error
}

var rules = []rule{
	{"ADecisionSaysSomething", func(_ *strategy.Snapshot, d *strategy.Decision) error {
		if d.StepID == "" && len(d.Changes) == 0 && d.Wait.IsZero() && !d.Finish && d.Abort == "" {
			return errors.New("it neither changes anything nor waits, finishes or aborts")
		}
		if d.Finish && d.Abort != "" {
			return errors.New("it finishes and aborts at once")
		}
		return nil
	}},
	{"HarmIsNeverIgnored", func(s *strategy.Snapshot, d *strategy.Decision) error {
		if s.Harm.Value == strategy.Fail && d.Abort == "" {
			return errors.New("harm was shown, and it does not abort")
		}
		return nil
	}},
	{"OnlyTargetsOfTheWaveAreNamed", func(s *strategy.Snapshot, d *strategy.Decision) error {
		for _, c := range d.Changes {
			if !slices.ContainsFunc(s.Targets, func(t strategy.Target) bool { return t.Name == c.Target }) {
				return fmt.Errorf("there is no target %q in this wave", c.Target)
			}
		}
		return nil
	}},
	{"OnlyWhatTargetsCanDoIsAskedFor", eachChange(func(t *strategy.Target, c strategy.Change) error {
		if c.Kind == strategy.SetWeight && !t.Capabilities.Allows(c.Weight) {
			return fmt.Errorf("target %q cannot have a weight of %s", t.Name, c.Weight)
		}
		return nil
	})},
	{"WeightsAreNeverLowered", eachChange(func(t *strategy.Target, c strategy.Change) error {
		if now := max(t.Desired, t.Observed); c.Kind == strategy.SetWeight && c.Weight < now {
			return fmt.Errorf("the weight of target %q would go from %s back to %s: the way back is the core's", t.Name, now, c.Weight)
		}
		return nil
	})},
	{"NoWeightBeforeTheCandidateIsReady", eachChange(func(t *strategy.Target, c strategy.Change) error {
		switch {
		case c.Kind != strategy.SetWeight || c.Weight <= max(t.Desired, t.Observed):
			return nil
		case !t.Installed || !t.Ready:
			return fmt.Errorf("the candidate at target %q gets %s and is not ready", t.Name, c.Weight)
		case !t.Verified:
			return fmt.Errorf("the candidate at target %q gets %s and is not verified", t.Name, c.Weight)
		}
		return nil
	})},
	{"OnlyAReleaseWithoutWeightIsRetired", eachChange(func(t *strategy.Target, c strategy.Change) error {
		if c.Kind == strategy.Retire && max(t.Desired, t.Observed) > 0 {
			return fmt.Errorf("the candidate at target %q is at %s", t.Name, max(t.Desired, t.Observed))
		}
		return nil
	})},
	{"FinishMeansFullWeight", func(s *strategy.Snapshot, d *strategy.Decision) error {
		for _, t := range s.Targets {
			if d.Finish && t.Observed != target.Full {
				return fmt.Errorf("it finishes with target %q at %s", t.Name, t.Observed)
			}
		}
		return nil
	}},
	{"AStepIsEnteredOnce", func(s *strategy.Snapshot, d *strategy.Decision) error {
		i := slices.IndexFunc(s.Steps, func(st strategy.Step) bool { return st.ID == d.StepID })
		if d.StepID != "" && i >= 0 && i < len(s.Steps)-1 {
			return fmt.Errorf("it enters step %q again, which is over", d.StepID)
		}
		return nil
	}},
	{"OnlyOfferedAnswersAreWaitedFor", func(s *strategy.Snapshot, d *strategy.Decision) error {
		offered := func(name string, answers []strategy.Answer) bool {
			return name == "" || slices.ContainsFunc(answers, func(a strategy.Answer) bool { return a.Name == name })
		}
		if !offered(d.Wait.Approval, s.Approvals) {
			return fmt.Errorf("it waits for the approval %q, which the stage does not offer", d.Wait.Approval)
		}
		if !offered(d.Wait.Verification, s.Verifications) {
			return fmt.Errorf("it waits for the verification %q, which the stage does not offer", d.Wait.Verification)
		}
		return nil
	}},
}

// eachChange checks one change at the target that it names.
func eachChange(check func(*strategy.Target, strategy.Change) error) func(*strategy.Snapshot, *strategy.Decision) error {
	return func(s *strategy.Snapshot, d *strategy.Decision) error {
		for _, c := range d.Changes {
			i := slices.IndexFunc(s.Targets, func(t strategy.Target) bool { return t.Name == c.Target })
			if i < 0 {
				continue // a rule of its own
			}
			if err := check(&s.Targets[i], c); err != nil {
				return err
			}
		}
		return nil
	}
}
