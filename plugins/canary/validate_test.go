package main

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// problems lists the diagnostics of err, each as "path: summary: detail".
func problems(err error) (out []string) {
	if err == nil {
		return nil
	}
	for _, d := range diag.Of(err).Diagnostics {
		out = append(out, fmt.Sprintf("%s: %s: %s", d.Path, d.Summary, d.Detail))
	}
	return out
}

func TestValidate(t *testing.T) {
	empty := ""
	canary := func(approve map[string]string, steps ...float64) *Canary {
		return &Canary{Steps: steps, Approve: approve}
	}
	tests := []struct {
		name     string
		strategy interface{ Validate() error }
		want     []string
	}{
		{"good", canary(map[string]string{"50": "half", "100": "all"}, 0.001, 5, 50, 100), nil},
		{"no steps", canary(nil), []string{
			"steps: No steps: a canary needs at least one step; the last one must be 100, such as [5, 25, 50, 100]"}},
		{"not ascending", canary(nil, 5, 50, 50, 100), []string{
			"steps[2]: Steps not ascending: 50 comes after 50, and each step must be greater than the one before: a strategy never takes traffic back"}},
		{"not 100", canary(nil, 5, 50), []string{
			"steps[1]: Last step not 100: the last step is 50, but a rollout is finished only when the candidate has all traffic; add 100"}},
		{"zero", canary(nil, 0, 100), []string{
			"steps[0]: Invalid step: a step gives the candidate traffic, so it must be above 0; an installed candidate is at 0 already"}},
		{"out of range, each told", canary(nil, -1, 50, 101, math.NaN()), []string{
			"steps[0]: Invalid step: -1 is not a percentage from 0 to 100",
			"steps[2]: Invalid step: 101 is not a percentage from 0 to 100",
			"steps[3]: Invalid step: NaN is not a percentage from 0 to 100"}},
		{"too fine", canary(nil, 0.0001, 100), []string{
			"steps[0]: Invalid step: 0.0001% is finer than a thousandth of a percent"}},
		{"negative bake", &Canary{Steps: []float64{100}, Bake: -time.Second}, []string{
			`bake: Negative duration: -1s is negative; write how long each step is watched, such as "2m"`}},
		{"approvals, all of them wrong", canary(map[string]string{"7": "a", "half": "b", "50": "", "101": "c"}, 50, 100), []string{
			`approve["101"]: No such step: "101" is none of the steps; the key of an approval is a step's number of percent, such as "50"`,
			`approve["50"]: No approval named: the value must be the name of one of the stage's approvals`,
			`approve["7"]: No such step: "7" is none of the steps; the key of an approval is a step's number of percent, such as "50"`,
			`approve.half: No such step: "half" is none of the steps; the key of an approval is a step's number of percent, such as "50"`}},
		{"one step asked for twice", canary(map[string]string{"50": "a", "50.0": "b"}, 50, 100), []string{
			`approve["50.0"]: Two approvals for one step: "50" and "50.0" name the same step; keep one of them`}},
		{"one approval asked for twice", canary(map[string]string{"50": "a", "100": "a"}, 50, 100), []string{
			`approve["50"]: Approval used twice: approval "a" is asked for before 100% already, and one answer cannot stand for two questions; give the stage a second approval`}},
		{"blue/green, both wrong", &BlueGreen{Warm: -1, Approve: &empty}, []string{
			`warm: Negative duration: -1ns is negative; write how long the old release stays warm, such as "10m"`,
			"approve: No approval named: the value must be the name of one of the stage's approvals; leave the attribute out to switch without asking"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, problems(tt.strategy.Validate())); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// What only the stage can tell is an error of Next, which plan calls, with the
// place in the configuration.
func TestNextRefuses(t *testing.T) {
	name := "go"
	tests := []struct {
		name     string
		strategy strategy.Strategy
		snapshot strategy.Snapshot
		want     []string
	}{
		{"a wrong configuration", &Canary{}, snap(), []string{
			"steps: No steps: a canary needs at least one step; the last one must be 100, such as [5, 25, 50, 100]"}},
		{"a negative warm", &BlueGreen{Warm: -1}, snap(), []string{
			`warm: Negative duration: -1ns is negative; write how long the old release stays warm, such as "10m"`}},
		{"an approval that the stage does not have", &Canary{Steps: []float64{50, 100}, Approve: map[string]string{"50": "half"}}, snap(), []string{
			`approve["50"]: No such approval: the stage has no approval "half"; add the block approval "half" to the stage, or use the name of one that it has`}},
		{"an approval of a switch that the stage does not have", &BlueGreen{Approve: &name}, snap(), []string{
			`approve: No such approval: the stage has no approval "go"; add the block approval "go" to the stage, or use the name of one that it has`}},
		{"a weight between a target's steps", &Canary{Steps: []float64{5, 10, 100}}, snap(func(s *strategy.Snapshot) { s.Targets[0].Capabilities.Step = 10 * p }), []string{
			`steps[0]: Step that the target cannot take: target "eu" divides traffic in steps of 10%, so it cannot give the candidate 5%; weights are never rounded`}},
		{"a share of a switch", &Canary{Steps: []float64{5, 100}}, snap(func(s *strategy.Snapshot) { s.Targets[0].Capabilities = onOff }), []string{
			`steps[0]: Step that the target cannot take: target "eu" switches all traffic at once, so it cannot give the candidate 5%; weights are never rounded`}},
		{"a share of a target without weights", &Canary{Steps: []float64{5, 100}}, snap(func(s *strategy.Snapshot) { s.Targets[0].Capabilities = target.Capabilities{} }), []string{
			`steps[0]: Step that the target cannot take: target "eu" does not divide traffic, so it cannot give the candidate 5%; weights are never rounded`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tt.strategy.Next(tt.snapshot)
			if diff := cmp.Diff(tt.want, problems(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
