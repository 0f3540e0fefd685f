package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// VariableType is a type constraint as written in a variable block.
type VariableType struct {
	// Type is cty.DynamicPseudoType when none was given.
	Type cty.Type
	// Defaults are those of optional(type, default); nil when there are none.
	Defaults *typeexpr.Defaults
}

// Convert gives v the type, with the defaults of optional attributes.
func (t VariableType) Convert(v cty.Value) (cty.Value, error) {
	if t.Defaults != nil && !v.IsNull() {
		v = t.Defaults.Apply(v)
	}
	return lang.Convert(v, t.Type)
}

// literal evaluates what must be written out.
func (l *loader) literal(expr hcl.Expression, what string) (cty.Value, bool) {
	v, diags := expr.Value(nil)
	if !diags.HasErrors() {
		return v, true
	}
	l.add(diagnostics.Error(expr.Range(), "Literal expected",
		"%s is read before anything is evaluated, so it must be written out: no variables, no functions, no loops.", what))
	return cty.DynamicVal, false
}

// literalString is the text of an attribute; false when it was not given, or is
// wrong, which is then reported.
func (l *loader) literalString(c *block.Content, name string) (string, hcl.Range, bool) {
	expr := c.Expr(name)
	if expr == nil {
		return "", hcl.Range{}, false
	}
	v, ok := l.literal(expr, `"`+name+`"`)
	if !ok {
		return "", expr.Range(), false
	}
	s, ok := stringOf(v)
	if !ok {
		l.add(diagnostics.Error(expr.Range(), "Wrong type", "The attribute %q is a string in quotes.", name))
	}
	return s, expr.Range(), ok
}

func stringOf(v cty.Value) (string, bool) {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}

func (l *loader) literalBool(c *block.Content, name string, otherwise bool) bool {
	expr := c.Expr(name)
	if expr == nil {
		return otherwise
	}
	v, ok := l.literal(expr, `"`+name+`"`)
	if !ok {
		return otherwise
	}
	if v.IsNull() || v.Type() != cty.Bool {
		l.add(diagnostics.Error(expr.Range(), "Wrong type", "The attribute %q is true or false.", name))
		return otherwise
	}
	return v.True()
}

// exprList is an attribute written as a list; its elements stay expressions.
func (l *loader) exprList(c *block.Content, name string) []hcl.Expression {
	expr := c.Expr(name)
	if expr == nil {
		return nil
	}
	list, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		l.add(diagnostics.Error(expr.Range(), "Wrong type", "The attribute %q is a list in square brackets.", name))
		return nil
	}
	return list
}

type pair struct {
	name      string
	nameRange hcl.Range
	value     hcl.Expression
}

// pairs is an attribute written as { name = value }; the values stay expressions.
func (l *loader) pairs(c *block.Content, name string) []pair {
	expr := c.Expr(name)
	if expr == nil {
		return nil
	}
	list, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		form := "{ name = value }"
		if block.InJSON(expr.Range()) {
			form = `{"name": value}`
		}
		l.add(diagnostics.Error(expr.Range(), "Wrong type", "The attribute %q is written as %s, in curly brackets.", name, form))
		return nil
	}
	var out []pair
	first := map[string]hcl.Range{}
	for _, kv := range list {
		key := hcl.ExprAsKeyword(kv.Key)
		if key == "" {
			if v, diags := kv.Key.Value(nil); !diags.HasErrors() {
				key, _ = stringOf(v)
			}
		}
		at := kv.Key.Range()
		switch earlier, found := first[key]; {
		case !addr.IsName(key):
			l.add(diagnostics.Error(at, "Invalid name",
				"In %q each name must be written out: letters, digits, _ and -, beginning with a letter or _.", name))
		case found:
			l.add(diagnostics.Error(at, "Duplicate name", "%q is already in %q at %s. Remove one of them.", key, name, block.Place(earlier)))
		default:
			first[key] = at
			out = append(out, pair{key, at, kv.Value})
		}
	}
	return out
}

var typeNames = []string{"string", "number", "bool", "any", "list", "map", "set", "object", "tuple"}

func (l *loader) variableType(c *block.Content) VariableType {
	expr := c.Expr("type")
	if expr == nil {
		return VariableType{Type: cty.DynamicPseudoType}
	}
	ty, defaults, diags := typeexpr.TypeConstraintWithDefaults(expr)
	if !diags.HasErrors() {
		return VariableType{Type: ty, Defaults: defaults}
	}
	for _, d := range diags {
		word := hcl.ExprAsKeyword(expr)
		if call, callDiags := hcl.ExprCall(expr); !callDiags.HasErrors() {
			word = call.Name
		}
		if !slices.Contains(typeNames, word) {
			hint := diagnostics.Suggest(word, typeNames)
			if hint == "" {
				hint = " Types are string, number, bool and any, and made of them list(…), map(…), set(…), tuple([…]) and object({ … })."
			}
			d.Detail += hint
		}
		d.Context = nil
	}
	l.add(diags...)
	return VariableType{Type: cty.DynamicPseudoType}
}

// literalDefault is the default of a variable or input, of its type.
func (l *loader) literalDefault(c *block.Content, ty VariableType) cty.Value {
	expr := c.Expr("default")
	if expr == nil {
		return cty.NilVal
	}
	v, ok := l.literal(expr, "A default")
	plain := ty.Type.WithoutOptionalAttributesDeep()
	if !ok {
		return cty.UnknownVal(plain)
	}
	out, err := ty.Convert(v)
	if err != nil {
		l.add(diagnostics.Error(expr.Range(), "Invalid default",
			"The default does not fit the type %s: %s.", typeexpr.TypeString(plain), lang.ConversionError(err)))
		return cty.UnknownVal(plain)
	}
	return out
}
