// Package program is a pipeline whose names are resolved: every stage instance
// with the components that fill its slots, in an order in which each comes
// after those it waits for.
//
// New finds everything that is wrong before any plugin is started. Bind
// evaluates the configuration of a slot with what is known of other stages at
// that moment, so that the same program serves validate, plan and run.
package program

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/settings"
)

// Options of New.
type Options struct {
	Catalog *catalog.Catalog
	Values  scope.Values
	World   lang.World
	// Redactor learns every text that is sensitive before anything can show it.
	Redactor *redact.Redactor
	// AllowMissing makes variables without a value unknown, for validate.
	AllowMissing bool
}

// Program is a resolved pipeline.
type Program struct {
	Pipeline *config.Pipeline
	Scope    *scope.Scope
	// Nodes in an order in which every node comes after those it waits for.
	Nodes []*Node
	Pools map[string]int

	catalog *catalog.Catalog
	byID    map[string]*Node
	results *results
}

// Node is a stage instance, or the barrier behind an environment.
type Node struct {
	// ID is the address.
	ID   string
	Kind kernel.NodeKind
	// After holds indexes into Program.Nodes, all smaller than the node's own.
	After []int

	// What follows is nil for barriers.
	Stage    *scope.Stage
	Settings *settings.Stage
	// Gates are answered before the node starts, Approvals when its strategy asks.
	Gates     []kernel.Gate
	Approvals []kernel.Gate
	// defaults of the gates' inputs, by gate and name.
	defaults map[string]map[string]cty.Value

	// Action is set for actions.
	Action   *Slot
	Rollback *Slot
	// Targets and what follows are set for rollouts. Strategy may be nil.
	Targets  []*Slot
	Strategy *Slot
	Verifies []*Slot
	Metrics  []*Slot
	// SLOs are what counts for the SLOs of the analysis, by their names.
	SLOs []*Slot
}

// Environment is the environment's name; empty for none.
func (n *Node) Environment() string {
	if n.Stage == nil || n.Stage.Environment == nil {
		return ""
	}
	return n.Stage.Environment.Name
}

// Slot is a place in a stage that a component fills.
type Slot struct {
	// Name is the label of a target, verify or metric block; else the component's name.
	Name  string
	Role  Role
	Use   *config.Use
	Entry catalog.Entry
	// Only are the targets that a ready-made metric is of; empty for all.
	Only []string
	// Alias is that of the plugin's configuration; empty for the default one.
	Alias string
}

// ReleaseType is that of releases in expressions.
var ReleaseType = scope.ReleaseType

// Role is what a slot is for.
type Role string

const (
	ActionRole   Role = "action"
	TargetRole   Role = "target"
	StrategyRole Role = "strategy"
	VerifyRole   Role = "verify"
	MetricRole   Role = "metric"
	RollbackRole Role = "rollback"
)

// MainTarget is the label of the target that a lone use stands for.
const MainTarget = "main"

// New resolves a pipeline, all mistakes at once. The program is never nil; with
// errors it must not be run.
func New(p *config.Pipeline, opts Options) (*Program, hcl.Diagnostics) {
	prog := &Program{Pipeline: p, catalog: opts.Catalog, byID: map[string]*Node{}}
	prog.results = newResults(prog)
	var diags hcl.Diagnostics
	secrets := &secrets{redactor: opts.Redactor}
	sc, more := scope.New(p, scope.Options{
		Values: opts.Values, World: lang.KeepSecrets(opts.World, secrets.keep), Outputs: prog.results, AllowMissing: opts.AllowMissing,
	})
	diags = append(diags, more...)
	prog.Scope = sc
	prog.Pools, more = settings.Pools(sc, p)
	diags = append(diags, more...)
	diags = append(diags, refuseNotify(p)...)

	nodes := make([]*Node, 0, len(sc.Stages()))
	for _, st := range sc.Stages() {
		n, more := prog.resolve(st)
		diags = append(diags, more...)
		nodes = append(nodes, n)
		prog.results.add(st.Addr, n)
	}
	diags = append(diags, prog.order(nodes)...)
	diags = append(diags, prog.checkBodies(nodes)...)
	diags = append(diags, sc.Check()...)
	diags = append(diags, secrets.variables(p, sc)...)
	diags = append(diags, secrets.short()...)
	return prog, diagnostics.Tidy(diags)
}

// Node finds a node by its address.
func (p *Program) Node(id string) (*Node, bool) {
	n, ok := p.byID[id]
	return n, ok
}

func refuseNotify(p *config.Pipeline) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, n := range p.Notify {
		diags = append(diags, diagnostics.Error(n.ComponentRange, "Unknown component",
			"No declared plugin offers a notifier named %q. Plugins of this runner serve actions, targets, strategies and metrics; remove the notify block.", n.Component))
	}
	return diags
}
