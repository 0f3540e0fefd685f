package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// BlueGreen is the body of strategy "blue_green".
type BlueGreen struct {
	Approve *string       `hcl:"approve,optional" known:"true" doc:"Name of the stage's approval that is asked for before the switch, when the idle colour is verified."`
	Warm    time.Duration `hcl:"warm,optional" known:"true" doc:"How long the candidate is watched after the switch while the old release stays ready to take the traffic back."`
}

// Doc says what the strategy is for.
func (*BlueGreen) Doc() string {
	return "Installs the candidate on the idle colour, verifies it there, and switches all traffic in one step. " +
		"Works with every target that can run two releases side by side."
}

// Needs is a switch.
func (*BlueGreen) Needs() strategy.Needs {
	return strategy.Needs{SideBySide: true, Weights: target.Switch}
}

// Validate reports everything wrong with the configuration.
func (b *BlueGreen) Validate() error {
	var errs []error
	if b.Warm < 0 {
		errs = append(errs, diag.AtAttr("warm", "Negative duration",
			fmt.Errorf("%s is negative; write how long the old release stays warm, such as \"10m\"", b.Warm)))
	}
	if b.Approve != nil && *b.Approve == "" {
		errs = append(errs, diag.AtAttr("approve", "No approval named",
			errors.New("the value must be the name of one of the stage's approvals; leave the attribute out to switch without asking")))
	}
	return errors.Join(errs...)
}

// Next switches once, after the approval.
func (b *BlueGreen) Next(s strategy.Snapshot) (strategy.Decision, error) {
	if err := b.Validate(); err != nil {
		return strategy.Decision{}, err
	}
	var approvals []string
	var goals []goal
	if b.Approve != nil {
		if !offered(&s, *b.Approve) {
			return strategy.Decision{}, noApproval(value.Names("approve"), *b.Approve)
		}
		approvals = []string{*b.Approve}
		goals = append(goals, approved(*b.Approve, "the switch"))
	}
	goals = append(goals, weighted("switch", "switch", target.Full))
	if !first(&s) {
		goals = append(goals, watched("warm", "watch with the old release warm", b.Warm))
	}
	return pursue(&s, approvals, goals...), nil
}
