package scope

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// element is one instance that a for_each makes.
type element struct {
	key         string
	each        *each
	environment *Environment
	placeholder bool
}

// PlaceholderKey is the key of an instance that stands for unknown ones.
const PlaceholderKey = "*"

// elements evaluates a for_each; without one there is one element with neither
// key nor value.
func (s *Scope) elements(m *module, forEach hcl.Expression) ([]element, hcl.Diagnostics) {
	if forEach == nil {
		return []element{{}}, nil
	}
	r := newEvaluation(s, true).eval(&Context{module: m, static: true}, forEach)
	diags := r.diags
	if diags.HasErrors() {
		return nil, diags
	}
	if r.dynamic != "" && !r.value.IsKnown() {
		return nil, append(diags, diagnostics.Error(forEach.Range(), "Invalid for_each",
			"The value depends on %s, which is known only once the run is under way, so the instances cannot be planned. Use variables and locals that do not depend on it.", r.dynamic))
	}
	out, diag := s.elementsOf(r.value, forEach.Range())
	if diag != nil {
		return nil, append(diags, diag)
	}
	return out, diags
}

func (s *Scope) elementsOf(v cty.Value, at hcl.Range) ([]element, *hcl.Diagnostic) {
	if v.IsMarked() {
		return nil, diagnostics.Error(at, "Invalid for_each",
			"The value is sensitive, and its keys would be shown in addresses. Use a value that is not sensitive, or take the mark off with nonsensitive(…) if it holds no secret.")
	}
	ty := v.Type()
	if v.IsNull() {
		return nil, diagnostics.Error(at, "Invalid for_each", "The value is null. Give a list of strings, a map or an object; an empty one makes no instance.")
	}
	if !v.IsKnown() {
		if s.allowMissing {
			return []element{{
				key: PlaceholderKey, each: &each{cty.UnknownVal(cty.String), cty.DynamicVal}, placeholder: true,
			}}, nil
		}
		return nil, diagnostics.Error(at, "Invalid for_each", "The value is not known before anything runs, so the instances cannot be planned. Use a value that depends on variables and locals only.")
	}
	switch {
	case ty.IsMapType() || ty.IsObjectType():
		return s.elementsOfMap(v, at)
	case ty.IsListType() || ty.IsTupleType() || ty.IsSetType():
		return elementsOfList(v, at)
	}
	hint := ""
	if ty == cty.Number {
		hint = ` For a number of instances, write [for i in range(3) : "n${i}"].`
	}
	return nil, diagnostics.Error(at, "Invalid for_each", "The value is a %s. Give a list of strings, a map or an object.%s", ty.FriendlyName(), hint)
}

func (s *Scope) elementsOfMap(v cty.Value, at hcl.Range) ([]element, *hcl.Diagnostic) {
	var out []element
	promotion := true
	for it := v.ElementIterator(); it.Next(); {
		k, value := it.Element()
		key := k.AsString()
		if key == "" {
			return nil, diagnostics.Error(at, "Invalid for_each", "One key is empty. Each key names an instance, so it must be a text.")
		}
		el := element{key: key, each: &each{k, value}, environment: s.environmentOf(value)}
		promotion = promotion && el.environment != nil
		out = append(out, el)
	}
	if promotion {
		slices.SortFunc(out, func(a, b element) int { return a.environment.index - b.environment.index })
	}
	return out, nil
}

func elementsOfList(v cty.Value, at hcl.Range) ([]element, *hcl.Diagnostic) {
	var out []element
	seen := map[string]bool{}
	for it := v.ElementIterator(); it.Next(); {
		_, value := it.Element()
		switch {
		case value.IsMarked():
			return nil, diagnostics.Error(at, "Invalid for_each", "An element is sensitive, and it would be shown in addresses. Use elements that are not sensitive.")
		case !value.IsKnown():
			return nil, diagnostics.Error(at, "Invalid for_each", "An element is not known before anything runs. Use elements that depend on variables and locals only.")
		case value.IsNull() || value.Type() != cty.String:
			return nil, diagnostics.Error(at, "Invalid for_each", "An element is %s. Each element of a list names an instance, so it must be a string; write a map for other values.", kindOf(value))
		case value.AsString() == "":
			return nil, diagnostics.Error(at, "Invalid for_each", "One element is empty. Each element names an instance, so it must be a text.")
		case seen[value.AsString()]:
			return nil, diagnostics.Error(at, "Invalid for_each", "The element %q stands there twice. Each names an instance, so they must differ; distinct(…) drops doubles.", value.AsString())
		}
		key := value.AsString()
		seen[key] = true
		out = append(out, element{key: key, each: &each{value, value}})
	}
	slices.SortFunc(out, func(a, b element) int { return strings.Compare(a.key, b.key) })
	return out, nil
}

func kindOf(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return "of type " + v.Type().FriendlyName()
}

// environmentOf is the environment that a value is; nil when it is none.
func (s *Scope) environmentOf(v cty.Value) *Environment {
	plain, _ := v.Unmark()
	if plain.IsNull() || !plain.Type().IsObjectType() || !plain.IsKnown() || !plain.Type().HasAttribute("name") {
		return nil
	}
	name, _ := plain.GetAttr("name").Unmark()
	if name.Type() != cty.String || !name.IsKnown() || name.IsNull() {
		return nil
	}
	if e := s.environment(name.AsString()); e != nil && e.Value.RawEquals(v) {
		return e
	}
	return nil
}

// findEnvironment evaluates the stage's own environment attribute.
func (s *Stage) findEnvironment() hcl.Diagnostics {
	expr := s.Config.Environment
	c := &Context{module: s.module, each: s.each, static: true}
	v, diags := c.Eval(expr)
	s.Environment = nil
	switch plain, _ := v.Unmark(); {
	case diags.HasErrors():
		s.envUnknown = true
	case !plain.IsKnown() && s.module.scope.allowMissing:
		s.envUnknown = true
	default:
		if s.Environment = s.module.scope.environmentOf(v); s.Environment == nil {
			s.envUnknown = true
			diags = append(diags, diagnostics.Error(expr.Range(), "Invalid environment",
				"The value is not one of the environments. Write environment.NAME, or environment[each.key].%s", asExpression(expr, plain)))
		}
	}
	return diags
}
