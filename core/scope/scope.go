// Package scope gives every expression of a pipeline its meaning.
//
// New evaluates the variables, orders the environments and expands for_each
// into instances of modules and stages. Each Stage then evaluates its own
// expressions with Eval, looking up what other stages gave through Outputs,
// and says with Dependencies which instances it waits for. A Scope may be used
// from several goroutines.
package scope

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/lang"
)

// Outputs tells what stages gave.
type Outputs interface {
	// Outputs is an object: at plan, unknown values of the right types; after
	// the stage, what it gave; null for a skipped stage. Called for every reference
	// and not remembered, so it may say more as time goes on.
	Outputs(addr.Stage) cty.Value
}

// Options of New.
type Options struct {
	Values Values
	World  lang.World
	// Outputs is nil where nothing is known about any stage: every reference
	// is then an unknown value of unknown type.
	Outputs Outputs
	// AllowMissing makes a variable without a value unknown, for validate. A
	// for_each that is not known then gives one instance, Stage.Placeholder.
	AllowMissing bool
}

// Values are where the root's variables get theirs, weakest first.
type Values struct {
	// Environ has the form of os.Environ; RUNNER_VAR_x gives x.
	Environ []string
	// Files are *.auto.runnervars in the order of their names, then those of -var-file.
	Files []ValuesFile
	// Vars are "name=value", as given with -var.
	Vars []string
	// Final are typed values, as kept in a plan. They beat all others.
	Final map[string]cty.Value
}

// ValuesFile is a file of values; JSON when its name ends so.
type ValuesFile struct {
	Name   string
	Source []byte
}

// AutoFiles reads *.auto.runnervars and *.auto.runnervars.json of a directory, by name.
func AutoFiles(dir string) ([]ValuesFile, error) { panic("skeleton") }

// Scope is the evaluated pipeline.
type Scope struct{}

// New evaluates what must be known before anything runs. The scope is never
// nil; with errors it holds what could be evaluated.
func New(p *config.Pipeline, opts Options) (*Scope, hcl.Diagnostics) { panic("skeleton") }

// SetRun makes run.id and run.initiator known.
func (s *Scope) SetRun(id, initiator string) { panic("skeleton") }

// Variables are the root's final values: converted, with defaults, sensitive
// ones marked.
func (s *Scope) Variables() map[string]cty.Value { panic("skeleton") }

// Environments in promotion order: after those they come after.
func (s *Scope) Environments() []*Environment { panic("skeleton") }

// Stages are all instances, those of a module after the module's parent; within
// a module in the order of the file, and then of the keys (promotion order where
// the keys are environments).
func (s *Scope) Stages() []*Stage { panic("skeleton") }

// Stage finds an instance.
func (s *Scope) Stage(a addr.Stage) (*Stage, bool) { panic("skeleton") }

// Static evaluates where no stage may be referred to, such as in a plugin block.
func (s *Scope) Static() *Context { panic("skeleton") }

// OutputValues evaluates the outputs of the root. A sensitive value in an
// output that is not declared so is an error.
func (s *Scope) OutputValues() ([]OutputValue, hcl.Diagnostics) { panic("skeleton") }

// OutputValue is one output of the root.
type OutputValue struct {
	Config *config.Output
	Value  cty.Value
}

// Environment is an evaluated environment.
type Environment struct {
	Name   string
	Config *config.Environment
	// After are all environments that must be settled first, directly named ones only.
	After []*Environment
	// Value is what environment.NAME and env are: name and settings.
	Value cty.Value
}

// Alias is the alias of a plugin's configuration here; empty for the default one.
func (e *Environment) Alias(plugin string) string { panic("skeleton") }

// Stage is one instance of a stage.
type Stage struct {
	Addr   addr.Stage
	Config *config.Stage
	// Environment is nil when the stage belongs to none.
	Environment *Environment
	// Placeholder stands for instances that are not known; see Options.AllowMissing.
	Placeholder bool
}

// Context evaluates the stage's own expressions and bodies.
func (s *Stage) Context() *Context { panic("skeleton") }

// CheckContext evaluates the bodies of verify and metric blocks, where
// candidate, stable and target are in scope. Pass UnknownRelease and
// UnknownTarget where they are not known.
func (s *Stage) CheckContext(candidate, stable, target cty.Value) *Context { panic("skeleton") }

// RollbackContext evaluates the body of the rollback block: the stage's own
// outputs are in scope as self.
func (s *Stage) RollbackContext(self cty.Value) *Context { panic("skeleton") }

// ReleaseType is that of candidate and stable; TargetType that of target.
var (
	ReleaseType = cty.Object(map[string]cty.Type{
		"id": cty.String, "version": cty.String, "address": cty.String, "labels": cty.Map(cty.String),
	})
	TargetType = cty.Object(map[string]cty.Type{"name": cty.String})
)

// Dependency is one instance that another waits for.
type Dependency struct {
	Stage addr.Stage
	// Range is where it is referred to.
	Range hcl.Range
	// Explicit is true for depends_on: an edge without data.
	Explicit bool
}

// Dependencies are all instances that the stage's expressions and bodies lead
// to, also through locals and modules, and those of depends_on; each once, in the
// order of Stages. Environments' barriers are not among them.
func (s *Stage) Dependencies() ([]Dependency, hcl.Diagnostics) { panic("skeleton") }

// Context is a place where expressions are evaluated.
type Context struct{}

// Eval evaluates one expression; its signature fits bind.Decode.
func (c *Context) Eval(expr hcl.Expression) (cty.Value, hcl.Diagnostics) { panic("skeleton") }

// References are the instances that the expressions lead to.
func (c *Context) References(exprs ...hcl.Expression) ([]Dependency, hcl.Diagnostics) {
	panic("skeleton")
}
