package main

import (
	"context"

	"github.com/runner-pipelines/runner/sdk/action"
)

// Noop is the body of a stage that uses "local_noop".
type Noop struct {
	Value any `hcl:"value,optional" doc:"given back as the output of the same name"`
}

// NewNoop has the defaults set.
func NewNoop() *Noop { return &Noop{} }

// NoopOutputs gives back what came in.
type NoopOutputs struct {
	Value any `hcl:"value,optional" doc:"the attribute of the same name"`
}

// Doc is the reference documentation.
func (n *Noop) Doc() string {
	return "Does nothing. It is for trying out a pipeline's shape, for joining stages, and for measuring what the runner itself costs."
}

// Outputs is the shape of the outputs.
func (n *Noop) Outputs() any { return NoopOutputs{} }

// Convergent: doing nothing twice is doing nothing.
func (n *Noop) Convergent() {}

// Run gives back the value.
func (n *Noop) Run(_ context.Context, _ *action.Request) (action.Result, error) {
	return action.Result{Outputs: NoopOutputs{Value: n.Value}}, nil
}
