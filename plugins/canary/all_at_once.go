package main

import (
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// AllAtOnce is the body of strategy "all_at_once". It takes no attributes.
type AllAtOnce struct{}

// Doc says what the strategy is for.
func (*AllAtOnce) Doc() string {
	return "Installs the candidate and gives it all traffic. Asks nothing of its targets, " +
		"so it is the strategy for those that cannot run two releases side by side."
}

// Needs is nothing.
func (*AllAtOnce) Needs() strategy.Needs {
	return strategy.Needs{Weights: target.NoWeights}
}

// Next gives the candidate everything once it is verified. Where the stage has
// an analysis, the candidate must pass it.
func (*AllAtOnce) Next(s strategy.Snapshot) (strategy.Decision, error) {
	goals := []goal{weighted("all", "100%", target.Full)}
	if !first(&s) {
		goals = append(goals, watched("check", "watch 100%", 0))
	}
	return pursue(&s, nil, goals...), nil
}
