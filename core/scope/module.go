package scope

import (
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// module is one instance of a module, or the root.
type module struct {
	scope  *Scope
	config *config.Module
	addr   string
	// parent and caller are nil for the root.
	parent      *module
	caller      *config.Call
	each        *each
	key         string
	placeholder bool

	variables map[string]*config.Variable
	locals    map[string]*config.Local
	outputs   map[string]*config.Output
	declared  map[string]*config.Stage
	calls     map[string]*config.Call
	given     map[string]*config.Input
	// values are the final variables of the root.
	values   map[string]cty.Value
	children map[string]*instances[*module]
	stages   map[string]*instances[*Stage]

	mu       sync.Mutex
	cache    map[nameID]result
	closures map[nameID][]*Stage
}

func newModule(s *Scope, cfg *config.Module, parent *module, call *config.Call) *module {
	m := &module{
		scope: s, config: cfg, parent: parent, caller: call,
		variables: map[string]*config.Variable{}, locals: map[string]*config.Local{},
		outputs: map[string]*config.Output{}, declared: make(map[string]*config.Stage, len(cfg.Stages)),
		calls: map[string]*config.Call{}, given: map[string]*config.Input{},
		children: map[string]*instances[*module]{}, stages: make(map[string]*instances[*Stage], len(cfg.Stages)),
		cache: map[nameID]result{}, closures: map[nameID][]*Stage{},
	}
	for _, v := range cfg.Variables {
		m.variables[v.Name] = v
	}
	for _, l := range cfg.Locals {
		m.locals[l.Name] = l
	}
	for _, o := range cfg.Outputs {
		m.outputs[o.Name] = o
	}
	for _, st := range cfg.Stages {
		m.declared[st.Name] = st
	}
	for _, c := range cfg.Calls {
		m.calls[c.Name] = c
	}
	if call != nil {
		for _, in := range call.Inputs {
			m.given[in.Name] = in
		}
	}
	return m
}

func (m *module) cached(id nameID) (result, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.cache[id]
	return r, ok
}

func (m *module) remember(id nameID, r result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache[id] = r
}

func (m *module) closure(id nameID) ([]*Stage, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.closures[id]
	return c, ok
}

func (m *module) keepClosure(id nameID, stages []*Stage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closures[id] = stages
}

func (m *module) context() *Context { return &Context{module: m} }

// callContext is where the inputs of this instance are evaluated.
func (m *module) callContext() *Context { return &Context{module: m.parent, each: m.each} }

func (m *module) outputNames() []string { return slices.Sorted(maps.Keys(m.outputs)) }

// place is where the thing is declared.
func (id nameID) place() hcl.Range {
	switch id.kind {
	case "local":
		return id.module.locals[id.name].NameRange
	case "output":
		return id.module.outputs[id.name].Range
	}
	if in := id.module.given[id.name]; in != nil {
		return in.NameRange
	}
	return id.module.variables[id.name].Range
}

func (ev *evaluation) local(m *module, name string, at hcl.Range) (result, bool) {
	l, ok := m.locals[name]
	if !ok {
		return result{}, false
	}
	return ev.named(nameID{m, "local", name}, at, func() result {
		return ev.eval(m.context(), l.Expr)
	}), true
}

func (ev *evaluation) output(m *module, name string, at hcl.Range) (result, bool) {
	o, ok := m.outputs[name]
	if !ok {
		return result{}, false
	}
	return ev.named(nameID{m, "output", name}, at, func() result {
		r := ev.eval(m.context(), o.Value)
		if o.Sensitive {
			r.value = lang.Sensitive(r.value)
		}
		return r
	}), true
}

func (ev *evaluation) variable(m *module, name string, at hcl.Range) (result, bool) {
	v, ok := m.variables[name]
	if !ok {
		return result{}, false
	}
	if m.parent == nil {
		value, ok := m.values[name]
		if !ok {
			value = cty.UnknownVal(v.Type.Type.WithoutOptionalAttributesDeep())
		}
		return result{value: value}, true
	}
	return ev.named(nameID{m, "var", name}, at, func() result { return ev.input(m, v) }), true
}

// input is the value of a variable of a called module.
func (ev *evaluation) input(m *module, v *config.Variable) result {
	in := m.given[v.Name]
	var r result
	if in != nil {
		r = ev.eval(m.callContext(), in.Expr)
	}
	switch {
	case in == nil && v.Default == cty.NilVal:
		r.value = cty.UnknownVal(v.Type.Type.WithoutOptionalAttributesDeep())
	case in == nil || r.value.IsNull() && !v.Nullable && v.Default != cty.NilVal:
		r.value = v.Default
	case r.diags.HasErrors():
	default:
		converted, diag := convertVariable(v, r.value, in.Expr.Range())
		if diag != nil {
			r.diags = append(r.diags, diag)
			converted = cty.DynamicVal
		}
		r.value = converted
	}
	if v.Sensitive {
		r.value = lang.Sensitive(r.value)
	}
	return r
}

// convertVariable gives a value the variable's type.
func convertVariable(v *config.Variable, given cty.Value, at hcl.Range) (cty.Value, *hcl.Diagnostic) {
	out, err := v.Type.Convert(given)
	var diag *hcl.Diagnostic
	switch {
	case err != nil:
		diag = diagnostics.Error(at, "Wrong type", "The variable %q is of type %s, and this value is not: %s.",
			v.Name, typeexpr.TypeString(v.Type.Type.WithoutOptionalAttributesDeep()), lang.ConversionError(err))
	case out.IsNull() && !v.Nullable:
		diag = diagnostics.Error(at, "Null value", "The variable %q is declared with nullable = false, so null is no value for it.", v.Name)
	default:
		return out, nil
	}
	if v.Sensitive || lang.IsSensitive(given) {
		diag.Extra = diagnostics.Extra{Hidden: true}
	}
	return cty.DynamicVal, diag
}

// expand makes the instances of a module's stages and calls.
func (s *Scope) expand(m *module) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, cfg := range m.config.Stages {
		if _, double := m.stages[cfg.Name]; double {
			continue
		}
		elements, moreDiags := s.elements(m, cfg.ForEach)
		diags = append(diags, moreDiags...)
		list := make([]*Stage, 0, len(elements))
		for _, el := range elements {
			st := &Stage{
				Addr:   addr.Stage{Module: m.addr, Name: cfg.Name, Key: el.key, Keyed: cfg.ForEach != nil},
				Config: cfg, module: m, each: el.each, Environment: el.environment, Placeholder: el.placeholder || m.placeholder,
			}
			if cfg.Environment != nil {
				diags = append(diags, st.findEnvironment()...)
			}
			list = append(list, st)
		}
		m.stages[cfg.Name] = newInstances(list)
	}
	for _, call := range m.config.Calls {
		cfg := s.pipeline.Modules[call.Path]
		if _, double := m.children[call.Name]; double || cfg == nil {
			continue // reported by package config
		}
		elements, moreDiags := s.elements(m, call.ForEach)
		diags = append(diags, moreDiags...)
		list := make([]*module, 0, len(elements))
		for _, el := range elements {
			child := newModule(s, cfg, m, call)
			child.key, child.each, child.placeholder = el.key, el.each, el.placeholder || m.placeholder
			child.addr = addr.Child(m.addr, call.Name, el.key, call.ForEach != nil)
			list = append(list, child)
			s.modules = append(s.modules, child)
		}
		m.children[call.Name] = newInstances(list)
		for _, child := range list {
			diags = append(diags, s.expand(child)...)
		}
	}
	return diags
}
