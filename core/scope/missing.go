package scope

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// Missing are the root's variables that have neither a value nor a default, in
// the order of the files.
func Missing(p *config.Pipeline, v Values) []*config.Variable {
	r := onlyVariables(p, nil).read(v)
	var out []*config.Variable
	for _, variable := range p.Root.Variables {
		_, given := r.given[variable.Name]
		_, final := v.Final[variable.Name]
		if !given && !final && variable.Default == cty.NilVal {
			out = append(out, variable)
		}
	}
	return out
}

// Refuse says what is wrong with a text as the value of one variable: its form,
// its type, or a rule of the variable, as far as that can be told while others
// have no value yet.
func Refuse(p *config.Pipeline, v Values, world lang.World, name, text string) hcl.Diagnostics {
	s := onlyVariables(p, world)
	v.Vars = append(slices.Clone(v.Vars), name+"="+text)
	before := len(s.read(Values{Environ: v.Environ, Files: v.Files, Vars: v.Vars[:len(v.Vars)-1]}).diags)
	r := s.read(v)
	diags := r.diags[before:]
	s.root.values = map[string]cty.Value{}
	var asked *config.Variable
	for _, variable := range p.Root.Variables {
		value, diag := r.final(variable, v.Final)
		if variable.Name == name {
			asked = variable
			if diag != nil {
				diags = append(diags, diag)
			}
		}
		if variable.Sensitive {
			value = lang.Sensitive(value)
		}
		s.root.values[variable.Name] = value
	}
	if asked != nil && !diags.HasErrors() {
		diags = append(diags, s.validate(s.root, asked, s.root.values[name])...)
	}
	return diagnostics.Tidy(diags)
}

// onlyVariables is a scope in which nothing but the root's variables is known,
// and they may be missing.
func onlyVariables(p *config.Pipeline, world lang.World) *Scope {
	s := &Scope{pipeline: p, world: world, allowMissing: true, run: cty.UnknownVal(runType)}
	if world != nil {
		s.functions = lang.Functions(world)
	}
	s.root = newModule(s, p.Root, nil, nil)
	s.modules = []*module{s.root}
	return s
}
