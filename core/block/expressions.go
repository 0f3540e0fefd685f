package block

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Dynamic is the block type that stands for several blocks of another type:
//
//	dynamic "header" {
//	  for_each = var.headers
//	  iterator = h             # the block's type when left out
//	  content { name = h.key }
//	}
const Dynamic = "dynamic"

// Expressions are all expressions in a body, for finding references before
// anything is evaluated. Names that dynamic blocks bring in are bound to unknown
// values.
func Expressions(body hcl.Body) []hcl.Expression {
	if native, ok := body.(*hclsyntax.Body); ok {
		return nativeExpressions(native, nil, nil)
	}
	attrs, _ := body.JustAttributes()
	out := make([]hcl.Expression, 0, len(attrs))
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		out = append(out, attrs[name].Expr)
	}
	return out
}

func nativeExpressions(body *hclsyntax.Body, names map[string]cty.Value, out []hcl.Expression) []hcl.Expression {
	for _, attr := range sortedAttributes(body) {
		out = append(out, WithNames(attr.Expr, names))
	}
	for _, b := range body.Blocks {
		if b.Type != Dynamic || len(b.Labels) != 1 {
			out = nativeExpressions(b.Body, names, out)
			continue
		}
		inner := maps.Clone(names)
		if inner == nil {
			inner = map[string]cty.Value{}
		}
		iterator := b.Labels[0]
		if attr := b.Body.Attributes["iterator"]; attr != nil {
			if word := hcl.ExprAsKeyword(attr.Expr); word != "" {
				iterator = word
			}
		}
		inner[iterator] = cty.DynamicVal
		for _, attr := range sortedAttributes(b.Body) {
			switch attr.Name {
			case "iterator":
			case "labels":
				out = append(out, WithNames(attr.Expr, inner))
			default:
				out = append(out, WithNames(attr.Expr, names))
			}
		}
		for _, content := range b.Body.Blocks {
			out = nativeExpressions(content.Body, inner, out)
		}
	}
	return out
}

// WithNames is the expression with more names in scope. They hide others of
// the same name.
func WithNames(expr hcl.Expression, names map[string]cty.Value) hcl.Expression {
	if len(names) == 0 {
		return expr
	}
	return &bound{Expression: expr, names: names}
}

// Unwrap gives the expression as written, and the names that WithNames added.
func Unwrap(expr hcl.Expression) (hcl.Expression, map[string]cty.Value) {
	b, ok := expr.(*bound)
	if !ok {
		return expr, nil
	}
	inner, names := Unwrap(b.Expression)
	if len(names) == 0 {
		return inner, b.names
	}
	all := maps.Clone(b.names)
	maps.Copy(all, names)
	return inner, all
}

type bound struct {
	hcl.Expression
	names map[string]cty.Value
}

// Variables leaves out the bound names.
func (b *bound) Variables() []hcl.Traversal {
	var out []hcl.Traversal
	for _, t := range b.Expression.Variables() {
		if _, ok := b.names[t.RootName()]; !ok {
			out = append(out, t)
		}
	}
	return out
}

// Value evaluates with the bound names.
func (b *bound) Value(evalCtx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	child := evalCtx.NewChild()
	child.Variables = b.names
	return b.Expression.Value(child)
}

// UnwrapExpression is how package hcl finds the expression as written.
func (b *bound) UnwrapExpression() hcl.Expression { return b.Expression }
