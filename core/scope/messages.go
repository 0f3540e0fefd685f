package scope

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// explain puts the evaluator's messages into our words and keeps sensitive
// values out of them.
func explain(diags hcl.Diagnostics, scopes ...map[string]cty.Value) hcl.Diagnostics {
	var secrets []string
	for _, variables := range scopes {
		for _, v := range variables {
			secrets = append(secrets, lang.SensitiveTexts(v)...)
		}
	}
	for _, d := range diags {
		explainOne(d)
		for _, secret := range secrets {
			if strings.Contains(d.Detail, secret) {
				d.Detail = "The reason is not shown, because it holds a sensitive value."
				break
			}
		}
		// They hold values, which no reader of the diagnostic may see.
		d.Expression, d.EvalContext, d.Context, d.Extra = nil, nil, nil, nil
	}
	return diags
}

// explainOne adds what the evaluator does not say: which names there are.
func explainOne(d *hcl.Diagnostic) {
	if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
		if told, ok := errors.AsType[*lang.Problem](call.FunctionCallError()); ok {
			d.Summary, d.Detail = told.Summary, told.Detail
		}
	}
	switch d.Summary {
	case "Unsupported attribute", "Missing map element":
		d.Summary = "Unknown attribute"
		if name, have, ok := missingAttribute(d); ok {
			d.Detail = fmt.Sprintf("There is no attribute %q here.%s", name, suggestOrList(name, have))
		}
	case "Invalid index":
		if name, have, ok := missingAttribute(d); ok {
			d.Detail = fmt.Sprintf("There is no element %q here.%s", name, suggestOrList(name, have))
		}
	case "Call to unknown function":
		d.Summary, d.Detail = "Unknown function", lang.NoFunction(d)
	}
	d.Detail = plainer.Replace(d.Detail)
}

// plainer says what the evaluator says in words for those who only write pipelines,
// and calls by their names what they write in brackets.
var plainer = strings.NewReplacer(
	"The given key does not identify an element in this collection value. An object only supports looking up attributes by name, not by numeric index.",
	`The elements of this value have names and no numbers. Write the name in brackets, such as ["NAME"].`,
	"The given key does not identify an element in this collection value: the given index is greater than or equal to the length of the collection.",
	"The list has no element with this number: it is shorter. The first element is [0].",
	"The given key does not identify an element in this collection value: a number is required.",
	"The elements of a list have numbers and no names. The first element is [0].",
	"Can't access attributes on a primitive-typed value", "The value has no attributes, for it is no object",
	`Invalid value for "v" parameter: `, "The value does not fit: ",
	"have tuple", "have list", "is tuple", "is list", "convert tuple", "convert list", "type tuple", "type list")

// missingAttribute finds which name was looked for, and among which.
func missingAttribute(d *hcl.Diagnostic) (name string, have []string, ok bool) {
	var steps hcl.Traversal
	var v cty.Value
	var diags hcl.Diagnostics
	switch expr := d.Expression.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		steps = expr.Traversal.SimpleSplit().Rel
		v, diags = expr.Traversal[:1].TraverseAbs(d.EvalContext)
	case *hclsyntax.RelativeTraversalExpr:
		steps = expr.Traversal
		v, diags = lang.Evaluate(expr.Source, d.EvalContext)
	default:
		return "", nil, false
	}
	for _, step := range steps {
		if diags.HasErrors() {
			return "", nil, false
		}
		if step.SourceRange() == *d.Subject {
			name, ok := attr(step)
			switch {
			case !ok || v.IsMarked() || v.IsNull():
				return "", nil, false // what names a sensitive value has is not shown
			case v.Type().IsObjectType():
				return name, slices.Sorted(maps.Keys(v.Type().AttributeTypes())), true
			case v.Type().IsMapType() && v.IsKnown():
				return name, slices.Sorted(maps.Keys(v.AsValueMap())), true
			}
			return "", nil, false
		}
		v, diags = hcl.Traversal{step}.TraverseRel(v)
	}
	return "", nil, false
}

// failure is an error about a place that has no expression.
func failure(at hcl.Range, summary, detail string, args ...any) hcl.Diagnostics {
	return hcl.Diagnostics{diagnostics.Error(at, summary, detail, args...)}
}

// asExpression tells those who wrote an expression as plain text in the JSON
// syntax how it becomes one.
func asExpression(expr hcl.Expression, got cty.Value) string {
	if got.Type() == cty.String && block.InJSON(expr.Range()) {
		return ` In JSON an expression is a text in "${…}".`
	}
	return ""
}
