// Package settings evaluates the core's own attributes of a stage: how long,
// how often, in which waves, who must approve. Start with Of.
package settings

import (
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/scope"
)

// Stage is what a stage's own attributes come to. All but When must be known
// before anything runs.
type Stage struct {
	// When is true unless given; unknown while it depends on other stages.
	When cty.Value
	// RunIf is "success", "failure" or "always".
	RunIf string
	// Timeout is 0 for none.
	Timeout time.Duration
	Retry   Retry
	// OnFailure is "rollback" or "stop"; empty when not given: rollouts roll back,
	// actions stop.
	OnFailure string
	// OnDoubt is "ask", "retry" or "fail".
	OnDoubt string
	// WhileWaiting is "watch" or "stable".
	WhileWaiting string
	// Pool is empty for none.
	Pool string
	// Waves are target labels; every target stands in exactly one. One wave with all
	// of them when not given, nil for a stage with a lone use.
	Waves [][]string
	// MaxDegraded is how many targets may be unsettled at the same time; 0 when not given.
	MaxDegraded int
	// Approvals of the stage, in the order of the file. Those of the environment
	// come from Environment.
	Approvals []Approval
	Gates     []Gate
	Analysis  *Analysis
}

// Retry of failed operations.
type Retry struct {
	// Attempts counts the first one too; 1 means no retry.
	Attempts int
	Delay    time.Duration
	MaxDelay time.Duration
}

// Approval is a question to people.
type Approval struct {
	// Name is empty for the one that comes before the stage.
	Name     string
	Required int
	// From are "user:NAME" and "group:NAME"; empty for anybody.
	From         []string
	NotInitiator bool
	// Expires is 0 for never.
	Expires time.Duration
	Range   hcl.Range
}

// Gate must be passed.
type Gate struct {
	Name    string
	Message string
	// FailOn is a severity, for a gate on findings; else people answer.
	FailOn string
	Inputs []GateInput
	Range  hcl.Range
}

// GateInput is a value that the answer carries.
type GateInput struct {
	Name        string
	Type        config.VariableType
	Description string
	// Default is cty.NilVal when the input must be given.
	Default cty.Value
}

// Analysis of a rollout.
type Analysis struct {
	// Interval between measurements.
	Interval time.Duration
	// Deadline is 0 when not given, OnInconclusive ("abort", "hold") then empty.
	Deadline       time.Duration
	OnInconclusive string
	Metrics        []Metric
	Range          hcl.Range
}

// Metric is one thing measured. The numbers are as for analysis.Metric.
type Metric struct {
	Config   *config.Metric
	Name     string
	Better   string
	Min, Max *float64
	MinCount int64
	Quantile float64
	// Interval is the analysis' where the metric has none of its own.
	Interval time.Duration
}

// Of evaluates the settings of one instance, all mistakes at once.
func Of(s *scope.Stage) (*Stage, hcl.Diagnostics) { panic("skeleton") }

// Environment evaluates the approvals of an environment.
func Environment(sc *scope.Scope, e *scope.Environment) ([]Approval, hcl.Diagnostics) {
	panic("skeleton")
}

// Products evaluates the paths of the artifacts that the stage makes, by name.
// They may be unknown before the stage starts.
func Products(s *scope.Stage) (map[string]cty.Value, hcl.Diagnostics) { panic("skeleton") }

// Pools evaluates the limits of all pools, by name.
func Pools(sc *scope.Scope) (map[string]int, hcl.Diagnostics) { panic("skeleton") }
