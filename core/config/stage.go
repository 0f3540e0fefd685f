package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Stage is a stage block. It has either Use or Targets. An expression is nil
// when its attribute was not given; package settings evaluates them.
type Stage struct {
	Name string
	// Use is the lone component: an action, or short for target "main".
	Use      *Use
	Targets  []*Target
	Strategy *Use
	Analysis *Analysis
	Verify   []*Verify
	// Approvals and Gates in the order of the file.
	Approvals []*Approval
	Gates     []*Gate
	Retry     *Retry
	// Rollback is an action that is the way back of this stage.
	Rollback *Use
	Produces []*Product

	ForEach      hcl.Expression
	Environment  hcl.Expression
	When         hcl.Expression
	RunIf        hcl.Expression
	Waves        hcl.Expression
	MaxDegraded  hcl.Expression
	Timeout      hcl.Expression
	OnFailure    hcl.Expression
	OnDoubt      hcl.Expression
	WhileWaiting hcl.Expression
	DependsOn    []hcl.Expression
	// Pool is the name of a pool; empty for none.
	Pool string

	Range     hcl.Range
	NameRange hcl.Range
}

// Use names a component and configures it. It is written use "component" {},
// or strategy "component" {}.
type Use struct {
	// Component is "name" or "plugin/name".
	Component string
	// Body is the component's own configuration.
	Body hcl.Body
	// ComponentRange is that of the label, Range that of the block's header.
	ComponentRange hcl.Range
	Range          hcl.Range
}

// Target is one place where the stage's software runs.
type Target struct {
	Name      string
	Use       *Use
	Range     hcl.Range
	NameRange hcl.Range
}

// Product is one artifact that the stage makes.
type Product struct {
	Name string
	// Path is relative to the directory in which the stage runs.
	Path      hcl.Expression
	NameRange hcl.Range
}

// Verify is a check of the candidate.
type Verify struct {
	Name      string
	Use       *Use
	Range     hcl.Range
	NameRange hcl.Range
}

// Analysis says what is measured and judged.
type Analysis struct {
	Metrics        []*Metric
	SLOs           []*SLO
	Interval       hcl.Expression
	Deadline       hcl.Expression
	OnInconclusive hcl.Expression
	OnNoData       hcl.Expression
	Alpha          hcl.Expression
	History        hcl.Expression
	// Comparison is that of every metric that does not say otherwise.
	Comparison Comparison
	Range      hcl.Range
}

// Comparison says how a candidate's metric is compared with that of stable.
type Comparison struct {
	Tolerance hcl.Expression
	Margin    hcl.Expression
	MarginAbs hcl.Expression
	Block     hcl.Expression
}

// Metric is one thing that is measured.
type Metric struct {
	Name string
	// Use is nil for a ready-made metric: each target says how it is measured.
	Use      *Use
	Better   hcl.Expression
	Min      hcl.Expression
	Max      hcl.Expression
	MinCount hcl.Expression
	Quantile hcl.Expression
	Interval hcl.Expression
	// Comparison, Weight, Critical and Rate are of the comparison with stable.
	Comparison Comparison
	Weight     hcl.Expression
	Critical   hcl.Expression
	Rate       hcl.Expression
	Range      hcl.Range
	NameRange  hcl.Range
}

// SLO is an objective for the share of what is good, with its error budget.
type SLO struct {
	Name string
	// Use is nil where Metric names a ready-made metric of the targets.
	Use         *Use
	Metric      hcl.Expression
	Objective   hcl.Expression
	Window      hcl.Expression
	OnExhausted hcl.Expression
	Range       hcl.Range
	NameRange   hcl.Range
}

// Compares reports whether the metric says how it is compared with stable, so that
// it is although it has a limit.
func (m *Metric) Compares() bool {
	c := m.Comparison
	for _, e := range []hcl.Expression{c.Tolerance, c.Margin, c.MarginAbs, c.Block, m.Weight, m.Critical, m.Rate} {
		if e != nil {
			return true
		}
	}
	return false
}

// Approval is a question to people. Without a name it comes before the stage
// begins; a strategy asks for named ones.
type Approval struct {
	Name         string
	Required     hcl.Expression
	From         hcl.Expression
	NotInitiator hcl.Expression
	Expires      hcl.Expression
	Range        hcl.Range
}

// Gate is a question to people before the stage does anything; with FailOn it
// judges the findings of a scanner.
type Gate struct {
	Name    string
	Message hcl.Expression
	// FailOn makes it a gate on findings.
	FailOn hcl.Expression
	Inputs []*GateInput
	Range  hcl.Range
}

// GateInput is a typed value that the answer of a gate carries.
type GateInput struct {
	Name string
	Type VariableType
	// Default is of Type; cty.NilVal when the answer must give one.
	Default     cty.Value
	Description string
	Range       hcl.Range
	NameRange   hcl.Range
}

// Retry says how often a failed operation is tried again.
type Retry struct {
	Attempts hcl.Expression
	Delay    hcl.Expression
	MaxDelay hcl.Expression
	Range    hcl.Range
}
