package program

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Surroundings are what the bodies of verify, metric and rollback blocks may
// speak of. Zero values are unknown.
type Surroundings struct {
	Candidate, Stable, Target cty.Value
	// Self is what the stage gave, for rollback.
	Self cty.Value
}

// ReleaseValue is a release as expressions see it, of ReleaseType.
func ReleaseValue(r target.Release) cty.Value {
	labels := cty.MapValEmpty(cty.String)
	if len(r.Labels) > 0 {
		m := map[string]cty.Value{}
		for k, v := range r.Labels {
			m[k] = cty.StringVal(v)
		}
		labels = cty.MapVal(m)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal(r.ID), "version": cty.StringVal(r.Version), "address": cty.StringVal(r.Address), "labels": labels,
	})
}

// Bind evaluates the configuration of a slot with what is known now.
func (p *Program) Bind(n *Node, s *Slot, around Surroundings) (*bind.Bound, hcl.Diagnostics) {
	return decode(s.Use.Body, &s.Entry.Config, p.context(n, s, around))
}

func decode(body hcl.Body, s *schema.Schema, in *scope.Context) (*bind.Bound, hcl.Diagnostics) {
	if in.MayBeUnknown() {
		return bind.Decode(body, s, in.Eval, bind.Tolerant)
	}
	return bind.Decode(body, s, in.Eval)
}

func (p *Program) context(n *Node, s *Slot, around Surroundings) *scope.Context {
	known := func(v cty.Value, t cty.Type) cty.Value {
		if v == cty.NilVal {
			return cty.UnknownVal(t)
		}
		return v
	}
	switch s.Role {
	case VerifyRole, MetricRole:
		return n.Stage.CheckContext(known(around.Candidate, scope.ReleaseType), known(around.Stable, scope.ReleaseType), known(around.Target, scope.TargetType))
	case RollbackRole:
		return n.Stage.RollbackContext(known(around.Self, cty.DynamicPseudoType))
	}
	return n.Stage.Context()
}

// Spec is the plugin process that serves a slot.
func (p *Program) Spec(s *Slot) (pluginhost.Spec, hcl.Diagnostics) {
	return p.spec(s.Entry.Plugin, s.Alias)
}

func (p *Program) spec(plugin, alias string) (pluginhost.Spec, hcl.Diagnostics) {
	spec := pluginhost.Spec{Plugin: plugin, Alias: alias}
	block, found := p.Pipeline.Plugin(plugin, alias)
	if found {
		spec.Environment = block.Environment
	}
	bound, diags := p.bindPlugin(plugin, block)
	if diags.HasErrors() {
		return spec, diags
	}
	if _, about, err := p.catalog.Plugin(plugin); err == nil && about.Config != nil {
		v := bound.Wire()
		spec.Config = &v
	}
	return spec, diags
}

// PluginBlock is the plugin block that configures the plugin of a slot, and its
// place; where there is none, nil and the place of the component's name.
func (p *Program) PluginBlock(s *Slot) (*bind.Bound, hcl.Range) {
	block, found := p.Pipeline.Plugin(s.Entry.Plugin, s.Alias)
	if !found {
		return nil, s.Use.ComponentRange
	}
	bound, _ := p.bindPlugin(s.Entry.Plugin, block)
	return bound, block.Range
}

// bindPlugin evaluates a plugin block; an absent one is an empty one.
func (p *Program) bindPlugin(plugin string, block *config.Plugin) (*bind.Bound, hcl.Diagnostics) {
	_, about, err := p.catalog.Plugin(plugin)
	if err != nil {
		var at hcl.Range
		if block != nil {
			at = block.NameRange
		}
		return nil, placed(err, at)
	}
	body := hcl.EmptyBody()
	if block != nil {
		body = block.Body
	}
	in := p.Scope.Static()
	bound, diags := decode(body, about.Config, in)
	if !diags.HasErrors() && !in.MayBeUnknown() {
		for _, path := range bound.Unknown() {
			diags = append(diags, diagnostics.Error(bound.Range(path), "Value not known",
				"A plugin is configured before the first stage runs, so its block can only use variables, locals and the outside world."))
		}
	}
	return bound, diags
}

// checkPlugins binds every plugin block, also those that no stage uses.
func (p *Program) checkPlugins() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, b := range p.Pipeline.Plugins {
		_, more := p.bindPlugin(b.Name, b)
		diags = append(diags, more...)
	}
	return diags
}

func inputOf(in *config.GateInput) kernel.Input {
	return kernel.Input{
		Name: in.Name, Type: typeName(in.Type.Type), Description: in.Description, Optional: in.Default != cty.NilVal,
	}
}

func typeName(t cty.Type) string {
	if t == cty.DynamicPseudoType || t == cty.NilType {
		return "any"
	}
	return t.FriendlyNameForConstraint()
}
