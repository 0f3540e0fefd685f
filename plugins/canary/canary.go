package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Canary is the body of strategy "canary".
type Canary struct {
	Steps   []float64         `hcl:"steps" known:"true" doc:"Shares of traffic that the candidate gets one after the other, in percent: ascending, the last one 100."`
	Bake    time.Duration     `hcl:"bake" known:"true" doc:"How long each step is watched, counted from the moment its weight is true everywhere. The last step is watched too."`
	Approve map[string]string `hcl:"approve,optional" known:"true" doc:"For a step, as a number of percent in quotes, the name of the stage's approval that is asked for before it."`
}

// Doc says what the strategy is for.
func (*Canary) Doc() string {
	return "Gives the candidate more traffic step by step and watches each step. " +
		"Needs targets that divide traffic by percent."
}

// Needs is a division by percent, or a switch where the only step is 100.
func (c *Canary) Needs() strategy.Needs {
	if len(c.Steps) == 1 && c.Steps[0] == 100 {
		return strategy.Needs{SideBySide: true, Weights: target.Switch}
	}
	return strategy.Needs{SideBySide: true, Weights: target.PercentSteps}
}

// Validate reports everything wrong with the configuration.
func (c *Canary) Validate() error {
	_, err := c.steps()
	return err
}

// Next enters the steps in order. Each is approved, given its weight, watched.
func (c *Canary) Next(s strategy.Snapshot) (strategy.Decision, error) {
	steps, err := c.steps()
	if err != nil {
		return strategy.Decision{}, err
	}
	if err := checkSteps(&s, steps); err != nil {
		return strategy.Decision{}, err
	}
	var goals []goal
	if first(&s) {
		for _, st := range steps {
			goals = st.ask(goals)
		}
		last := steps[len(steps)-1]
		goals = append(goals, weighted(last.id(), last.weight.String(), last.weight))
	} else {
		for _, st := range steps[present(&s, steps):] {
			goals = append(st.ask(goals),
				weighted(st.id(), st.weight.String(), st.weight),
				watched(st.bakeID(), "watch "+st.weight.String(), c.Bake))
		}
	}
	return pursue(&s, approvals(steps), goals...), nil
}

// step of a canary.
type step struct {
	// index in the configuration.
	index    int
	weight   target.Weight
	approval string
	// key is what the configuration calls the step in approve.
	key string
}

func (s step) id() string     { return "weight-" + s.percent() }
func (s step) bakeID() string { return "bake-" + s.percent() }

// percent is the weight without its sign.
func (s step) percent() string {
	text := s.weight.String()
	return text[:len(text)-1]
}

// ask adds the step's approval, where it has one.
func (s step) ask(goals []goal) []goal {
	if s.approval == "" {
		return goals
	}
	return append(goals, approved(s.approval, s.weight.String()))
}

// present is the index of the step that was begun last, or 0.
func present(s *strategy.Snapshot, steps []step) int {
	for i, st := range slices.Backward(steps) {
		_, moved := s.Entered(st.id())
		_, watched := s.Entered(st.bakeID())
		if moved || watched {
			return i
		}
	}
	return 0
}

// approvals are the names that the steps ask for.
func approvals(steps []step) (names []string) {
	for _, st := range steps {
		if st.approval != "" {
			names = append(names, st.approval)
		}
	}
	return names
}

// steps reads the configuration; all that is wrong with it is joined.
func (c *Canary) steps() ([]step, error) {
	var errs []error
	at := func(i int) value.Path { return value.Names("steps").With(value.Index(i)) }
	if len(c.Steps) == 0 {
		errs = append(errs, diag.AtAttr("steps", "No steps",
			errors.New("a canary needs at least one step; the last one must be 100, such as [5, 25, 50, 100]")))
	}
	out := make([]step, 0, len(c.Steps))
	for i, p := range c.Steps {
		w, err := target.Percent(p)
		switch {
		case err != nil:
			errs = append(errs, diag.AtPath(at(i), "Invalid step", err))
		case w == 0:
			errs = append(errs, diag.AtPath(at(i), "Invalid step",
				errors.New("a step gives the candidate traffic, so it must be above 0; an installed candidate is at 0 already")))
		case i > 0 && p <= c.Steps[i-1]:
			errs = append(errs, diag.AtPath(at(i), "Steps not ascending",
				fmt.Errorf("%v comes after %v, and each step must be greater than the one before: a strategy never takes traffic back", p, c.Steps[i-1])))
		case i == len(c.Steps)-1 && w != target.Full:
			errs = append(errs, diag.AtPath(at(i), "Last step not 100",
				fmt.Errorf("the last step is %v, but a rollout is finished only when the candidate has all traffic; add 100", p)))
		}
		out = append(out, step{index: i, weight: w})
	}
	if c.Bake < 0 {
		errs = append(errs, diag.AtAttr("bake", "Negative duration",
			fmt.Errorf("%s is negative; write how long each step is watched, such as \"2m\"", c.Bake)))
	}
	errs = append(errs, c.readApprove(out)...)
	return out, errors.Join(errs...)
}

// readApprove puts the approvals into the steps.
func (c *Canary) readApprove(steps []step) (errs []error) {
	used := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(c.Approve)) {
		name := c.Approve[key]
		fail := func(summary, format string, args ...any) {
			errs = append(errs, diag.AtPath(value.Names("approve", key), summary, fmt.Errorf(format, args...)))
		}
		p, err := strconv.ParseFloat(key, 64)
		i := -1
		if w, bad := target.Percent(p); err == nil && bad == nil {
			i = slices.IndexFunc(steps, func(st step) bool { return st.weight == w })
		}
		switch other, twice := used[name]; {
		case i < 0:
			fail("No such step", "%q is none of the steps; the key of an approval is a step's number of percent, such as \"50\"", key)
		case name == "":
			fail("No approval named", "the value must be the name of one of the stage's approvals")
		case steps[i].approval != "":
			fail("Two approvals for one step", "%q and %q name the same step; keep one of them", steps[i].key, key)
		case twice:
			fail("Approval used twice", "approval %q is asked for before %s%% already, and one answer cannot stand for two questions; give the stage a second approval", name, other)
		default:
			steps[i].approval, steps[i].key = name, key
			used[name] = key
		}
	}
	return errs
}

// checkSteps finds steps that the targets cannot take and approvals that the
// stage does not have.
func checkSteps(s *strategy.Snapshot, steps []step) error {
	var errs []error
	for _, st := range steps {
		if st.approval != "" && !offered(s, st.approval) {
			errs = append(errs, noApproval(value.Names("approve", st.key), st.approval))
		}
		for _, t := range s.Targets {
			if !t.Capabilities.Allows(st.weight) {
				errs = append(errs, diag.AtPath(value.Names("steps").With(value.Index(st.index)), "Step that the target cannot take",
					fmt.Errorf("target %q %s, so it cannot give the candidate %s; weights are never rounded", t.Name, division(t.Capabilities), st.weight)))
			}
		}
	}
	return errors.Join(errs...)
}

// division says how a target divides traffic.
func division(c target.Capabilities) string {
	switch c.Weights {
	case target.PercentSteps:
		return "divides traffic in steps of " + c.Step.String()
	case target.Switch:
		return "switches all traffic at once"
	}
	return "does not divide traffic"
}

// noApproval is the error of a name that the stage does not offer.
func noApproval(at value.Path, name string) error {
	return diag.AtPath(at, "No such approval",
		fmt.Errorf("the stage has no approval %q; add the block approval %q to the stage, or use the name of one that it has", name, name))
}
