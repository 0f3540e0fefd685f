package block

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/scan"
)

// InJSON reports whether a place is in a file of the JSON syntax.
func InJSON(at hcl.Range) bool { return strings.HasSuffix(at.Filename, ".json") }

// Reference is an expression of which only the name that it refers to counts. In
// the JSON syntax that is a text, "stage.build" or "${stage.build}", and what it
// says is given; any other expression is given as it is.
func Reference(expr hcl.Expression) hcl.Expression {
	if !InJSON(expr.Range()) {
		return expr
	}
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		return expr
	}
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return expr
	}
	text := v.AsString()
	if scan.Template([]byte("${"+text+"}")) != nil {
		return expr
	}
	// The text begins behind its quote.
	at := expr.Range().Start
	at.Column++
	at.Byte++
	if !strings.HasPrefix(text, "${") {
		if inner, diags := hclsyntax.ParseExpression([]byte(text), expr.Range().Filename, at); !diags.HasErrors() {
			return inner
		}
		return expr
	}
	template, diags := hclsyntax.ParseTemplate([]byte(text), expr.Range().Filename, at)
	if wrap, ok := template.(*hclsyntax.TemplateWrapExpr); ok && !diags.HasErrors() {
		return wrap.Wrapped
	}
	return expr
}
