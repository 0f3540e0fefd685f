// Package scope gives every expression of a pipeline its meaning.
//
// New evaluates the variables, orders the environments and expands for_each
// into instances of modules and stages. Each Stage then evaluates its own
// expressions with Context.Eval, looking up what other stages gave through
// Outputs, and says with Dependencies which instances it waits for. A Scope may
// be used from several goroutines.
package scope

import (
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// Outputs tells what stages gave.
type Outputs interface {
	// Outputs is an object: at plan, unknown values of the right types; after
	// the stage, what it gave; all null for a skipped stage. Called for every
	// reference and not remembered, so it may say more as time goes on.
	Outputs(addr.Stage) cty.Value
}

// Options of New.
type Options struct {
	Values Values
	World  lang.World
	// Outputs is nil where nothing is known about any stage: every reference
	// is then an unknown value of unknown type. New does not call it.
	Outputs Outputs
	// AllowMissing makes a variable without a value unknown, for validate. A
	// for_each that is not known then gives one instance, Stage.Placeholder.
	AllowMissing bool
}

// Scope is the evaluated pipeline.
type Scope struct {
	pipeline     *config.Pipeline
	world        lang.World
	functions    map[string]function.Function
	outputs      Outputs
	allowMissing bool

	environments     []*Environment
	environmentNamed map[string]*Environment
	environmentValue cty.Value
	root             *module
	modules          []*module
	stages           []*Stage
	byAddr           map[addr.Stage]*Stage

	mu  sync.Mutex
	run cty.Value
}

// New evaluates what must be known before anything runs. The scope is never
// nil; with errors it holds what could be evaluated. Values files join
// p.Files, so that diagnostics can show them.
func New(p *config.Pipeline, opts Options) (*Scope, hcl.Diagnostics) {
	s := &Scope{
		pipeline: p, world: opts.World, outputs: opts.Outputs, allowMissing: opts.AllowMissing,
		functions: lang.Functions(opts.World),
		byAddr:    map[addr.Stage]*Stage{},
		run:       cty.UnknownVal(runType),
	}
	s.root = newModule(s, p.Root, nil, nil)
	s.modules = []*module{s.root}
	diags := s.evaluateVariables(opts.Values)
	diags = append(diags, s.evaluateEnvironments()...)
	diags = append(diags, s.expand(s.root)...)
	s.collectStages()
	return s, diagnostics.Tidy(diags)
}

var runType = cty.Object(map[string]cty.Type{"id": cty.String, "initiator": cty.String})

// SetRun makes run.id and run.initiator known.
func (s *Scope) SetRun(id, initiator string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run = cty.ObjectVal(map[string]cty.Value{"id": cty.StringVal(id), "initiator": cty.StringVal(initiator)})
}

func (s *Scope) runValue() cty.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Variables are the root's final values: converted, with defaults, sensitive
// ones marked.
func (s *Scope) Variables() map[string]cty.Value { return s.root.values }

// Environments in promotion order: after those they come after, else in the
// order of the files.
func (s *Scope) Environments() []*Environment { return s.environments }

// Stages are all instances, those of a module after those of the module that
// calls it; within a module in the order of the file, and then of the keys
// (promotion order where the elements are environments).
func (s *Scope) Stages() []*Stage { return s.stages }

// Stage finds an instance.
func (s *Scope) Stage(a addr.Stage) (*Stage, bool) {
	st, ok := s.byAddr[a]
	return st, ok
}

// Static evaluates where no stage may be referred to, such as in a plugin block.
func (s *Scope) Static() *Context { return &Context{module: s.root, static: true} }

// Root is a place in the pipeline's own files, outside any block.
func (s *Scope) Root() *Context { return &Context{module: s.root} }

// Check evaluates what nothing else does: locals, validation rules and outputs of
// all modules, used or not. Call it once Outputs is ready, to find every mistake.
func (s *Scope) Check() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, m := range s.modules {
		ev := newEvaluation(s, false)
		for _, l := range m.config.Locals {
			r, _ := ev.local(m, l.Name, l.NameRange)
			diags = append(diags, r.diags...)
		}
		for _, v := range m.config.Variables {
			r, _ := ev.variable(m, v.Name, v.NameRange)
			diags = append(diags, r.diags...)
			if m != s.root && !r.diags.HasErrors() {
				diags = append(diags, s.validate(m, v, r.value)...)
			}
		}
		for _, o := range m.config.Outputs {
			r, _ := ev.output(m, o.Name, o.NameRange)
			diags = append(diags, r.diags...)
		}
	}
	_, outputDiags := s.OutputValues()
	return diagnostics.Tidy(append(diags, outputDiags...))
}

// OutputValue is one output of the root.
type OutputValue struct {
	Config *config.Output
	// Value is marked when it is sensitive.
	Value cty.Value
}

// OutputValues evaluates the outputs of the root. A sensitive value in an
// output that is not declared so is an error.
func (s *Scope) OutputValues() ([]OutputValue, hcl.Diagnostics) {
	var out []OutputValue
	var diags hcl.Diagnostics
	ev := newEvaluation(s, false)
	for _, o := range s.root.config.Outputs {
		r, _ := ev.output(s.root, o.Name, o.NameRange)
		diags = append(diags, r.diags...)
		if !o.Sensitive && lang.IsSensitive(r.value) {
			diags = append(diags, diagnostics.Error(o.Value.Range(), "Sensitive value in an output",
				"The value is sensitive, and outputs are shown when a run ends. Declare the output with sensitive = true, or take the mark off with nonsensitive(…) if it holds no secret."))
			r.value = cty.UnknownVal(r.value.Type())
		}
		out = append(out, OutputValue{Config: o, Value: r.value})
	}
	return out, diags
}

// collectStages lists the instances of all modules.
func (s *Scope) collectStages() {
	for _, m := range s.modules {
		for _, cfg := range m.config.Stages {
			for _, st := range m.stages[cfg.Name].list {
				if _, double := s.byAddr[st.Addr]; double {
					continue
				}
				st.index = len(s.stages)
				s.stages = append(s.stages, st)
				s.byAddr[st.Addr] = st
			}
		}
	}
}

// Environment is an evaluated environment.
type Environment struct {
	Name   string
	Config *config.Environment
	// After are the environments that must be settled first: those named directly.
	After []*Environment
	// Value is what environment.NAME and env are: name and settings.
	Value cty.Value

	index int
}

// Alias is the alias of a plugin's configuration here; empty for the default one.
func (e *Environment) Alias(plugin string) string {
	for _, ref := range e.Config.Plugins {
		if ref.Name == plugin {
			return ref.Alias
		}
	}
	return ""
}

func (s *Scope) evaluateEnvironments() hcl.Diagnostics {
	var diags hcl.Diagnostics
	s.environments = inPromotionOrder(s.pipeline.Environments)
	s.environmentNamed = make(map[string]*Environment, len(s.environments))
	for i, e := range s.environments {
		e.index = i
		s.environmentNamed[e.Name] = e
		settings := cty.EmptyObjectVal
		if e.Config.Settings != nil {
			v, moreDiags := s.Static().Eval(e.Config.Settings)
			diags = append(diags, moreDiags...)
			if plain, _ := v.Unmark(); !moreDiags.HasErrors() && !isObject(plain) {
				diags = append(diags, diagnostics.Error(e.Config.Settings.Range(), "Wrong type", "Settings are an object: { name = value }."))
				v = cty.DynamicVal
			}
			settings = v
		}
		e.Value = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(e.Name), "settings": settings})
	}
	values := make(map[string]cty.Value, len(s.environments))
	for _, e := range s.environments {
		values[e.Name] = e.Value
	}
	s.environmentValue = cty.ObjectVal(values)
	return diags
}

func isObject(v cty.Value) bool {
	ty := v.Type()
	return !v.IsNull() && (ty == cty.DynamicPseudoType || ty.IsObjectType() || ty.IsMapType())
}

// inPromotionOrder puts each environment after those that it comes after. What
// stands in a circle is left in the order of the files.
func inPromotionOrder(declared []*config.Environment) []*Environment {
	byName := map[string]*Environment{}
	for _, c := range declared {
		if byName[c.Name] == nil {
			byName[c.Name] = &Environment{Name: c.Name, Config: c}
		}
	}
	var out []*Environment
	seen := map[string]bool{}
	var visit func(e *Environment)
	visit = func(e *Environment) {
		if seen[e.Name] {
			return
		}
		seen[e.Name] = true
		for _, ref := range e.Config.After {
			if before := byName[ref.Name]; before != nil {
				e.After = append(e.After, before)
				visit(before)
			}
		}
		out = append(out, e)
	}
	for _, c := range declared {
		visit(byName[c.Name])
	}
	return slices.Clip(out)
}

// environment is nil when none has the name.
func (s *Scope) environment(name string) *Environment { return s.environmentNamed[name] }
