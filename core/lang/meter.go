package lang

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// What one evaluation of an expression may use. The evaluator of HCL has no
// limits of its own: three lines can ask it for more than any machine has.
const (
	// maxSteps counts rounds of for expressions and arguments of try and can; the
	// size of what a function is called with counts too.
	maxSteps = 100_000
	// elementsPerStep and bytesPerStep of an argument are worth one step.
	elementsPerStep = 16
	bytesPerStep    = 16 << 10
	// maxFailures is how many rounds of for expressions may fail.
	maxFailures = 20
)

var errSteps = fmt.Errorf("its for expressions would take more than %d rounds", maxSteps)

// budgetName is the variable that holds the budget of an evaluation. No
// expression can refer to it.
const budgetName = "\x00budget"

// budget is what is left of one evaluation.
type budget struct {
	steps, text, failures int
	// err is set once it is used up.
	err error
}

var budgetType = cty.Capsule("budget", reflect.TypeFor[budget]())

// NewContext is where an expression is evaluated with Evaluate: each one has
// limits of its own.
func NewContext(variables map[string]cty.Value, functions map[string]function.Function) *hcl.EvalContext {
	b := &budget{steps: maxSteps, text: maxText, failures: maxFailures}
	root := &hcl.EvalContext{Variables: map[string]cty.Value{budgetName: cty.CapsuleVal(budgetType, b)}}
	child := root.NewChild()
	child.Variables, child.Functions = variables, functions
	return child
}

// budgetOf finds the budget of a context made by NewContext; nil where there is none.
func budgetOf(evalCtx *hcl.EvalContext) *budget {
	for ; evalCtx != nil; evalCtx = evalCtx.Parent() {
		if v, ok := evalCtx.Variables[budgetName]; ok {
			return v.EncapsulatedValue().(*budget)
		}
	}
	return nil
}

// spent is what a metered expression panics with; only Evaluate sees it.
type spent struct{ err error }

// PanicSummary is of the message for a mistake in the evaluator itself.
const PanicSummary = "Evaluation failed"

// Evaluate evaluates an expression in a context of NewContext. What asks for
// too much, or breaks the evaluator, is a diagnostic. Native expressions must have gone
// through Meter.
func Evaluate(expr hcl.Expression, evalCtx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	defer func() {
		at := expr.Range()
		problem := recover()
		if b := budgetOf(evalCtx); b != nil && b.err != nil {
			problem = spent{b.err}
		}
		switch p := problem.(type) {
		case nil:
			return
		case spent:
			diags = hcl.Diagnostics{tooLarge(at, p.err)}
		default:
			diags = hcl.Diagnostics{diagnostics.Error(at, PanicSummary,
				"The evaluator could not work with this expression. That is a mistake of runner and not yours: write it in another way, and please report it.")}
		}
		v = cty.DynamicVal
	}()
	if _, native := expr.(hclsyntax.Expression); native {
		v, diags = expr.Value(evalCtx)
	} else {
		v, diags = evaluateJSON(expr, evalCtx)
	}
	if !diags.HasErrors() {
		if err := TooLarge(v); err != nil {
			return cty.DynamicVal, hcl.Diagnostics{tooLarge(expr.Range(), err)}
		}
	}
	return v, diags
}

const summaryTooLarge = "Value too large"

func tooLarge(at hcl.Range, err error) *hcl.Diagnostic {
	return diagnostics.Error(at, summaryTooLarge, "This cannot be evaluated: %s. Make do with less, or prepare the value outside and read it with file(…).", err)
}

// evaluateJSON evaluates an expression of the JSON syntax. Its strings are
// templates, which package json parses anew each time, so that no Meter sees them.
func evaluateJSON(expr hcl.Expression, evalCtx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if pairs, diags := hcl.ExprMap(expr); !diags.HasErrors() {
		return evaluateObject(expr, pairs, evalCtx)
	}
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		values := make([]cty.Value, len(list))
		var all hcl.Diagnostics
		for i, e := range list {
			v, diags := evaluateJSON(e, evalCtx)
			values[i], all = v, append(all, diags...)
		}
		return cty.TupleVal(values), all
	}
	raw, diags := expr.Value(nil)
	if diags.HasErrors() || raw.IsNull() || !raw.IsKnown() || raw.Type() != cty.String {
		return raw, diags
	}
	at := expr.Range()
	// The text begins behind the quote.
	at.Start.Byte++
	at.Start.Column++
	template, diags := hclsyntax.ParseTemplate([]byte(raw.AsString()), at.Filename, at.Start)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	Meter(template)
	return template.Value(evalCtx)
}

func evaluateObject(expr hcl.Expression, pairs []hcl.KeyValuePair, evalCtx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	// Keys have rules of their own, which package json knows.
	values := make(map[string]cty.Value, len(pairs))
	var all hcl.Diagnostics
	for _, pair := range pairs {
		v, diags := evaluateJSON(pair.Value, evalCtx)
		all = append(all, diags...)
		key, diags := evaluateJSON(pair.Key, evalCtx)
		all = append(all, diags...)
		if diags.HasErrors() {
			continue
		}
		plain, _ := key.Unmark()
		if plain.IsNull() || !plain.IsKnown() || plain.Type() != cty.String || key.IsMarked() {
			return expr.Value(evalCtx)
		}
		if _, double := values[plain.AsString()]; double {
			return expr.Value(evalCtx)
		}
		values[plain.AsString()] = v
	}
	return cty.ObjectVal(values), all
}

// role says what a metered expression is a part of.
type role byte

const (
	// round is evaluated for each element of a for expression.
	round role = iota
	// attempt is an argument of try or can, which is evaluated twice.
	attempt
	// part is of a template.
	part
	// operand is of an operator on numbers.
	operand
	// argument is of a function.
	argument
)

// metered is an expression that is paid for each time it is evaluated. The
// parentheses let those who walk over expressions see what is inside.
type metered struct {
	*hclsyntax.ParenthesesExpr
	role role
}

func meter(expr hclsyntax.Expression, r role) hclsyntax.Expression {
	switch expr.(type) {
	case *metered:
		return expr
	case *hclsyntax.LiteralValueExpr:
		// The text of a file has limits of its own.
		if r == part || r == operand || r == argument {
			return expr
		}
	}
	return &metered{&hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}, r}
}

// Meter changes a tree that was just parsed, so that evaluating it keeps to the
// limits of its context.
func Meter(tree hclsyntax.Node) {
	// The visitor reports nothing.
	_ = hclsyntax.VisitAll(tree, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.ForExpr:
			n.ValExpr = meter(n.ValExpr, round)
			if n.CondExpr != nil {
				n.CondExpr = meter(n.CondExpr, round)
			}
		case *hclsyntax.FunctionCallExpr:
			r := argument
			if n.Name == "try" || n.Name == "can" {
				r = attempt
			}
			for i := range n.Args {
				n.Args[i] = meter(n.Args[i], r)
			}
		case *hclsyntax.TemplateExpr:
			for i := range n.Parts {
				n.Parts[i] = meter(n.Parts[i], part)
			}
		case *hclsyntax.BinaryOpExpr:
			if n.Op.Impl.Params()[0].Type == cty.Number {
				n.LHS, n.RHS = meter(n.LHS, operand), meter(n.RHS, operand)
			}
		case *hclsyntax.UnaryOpExpr:
			if n.Op.Impl.Params()[0].Type == cty.Number {
				n.Val = meter(n.Val, operand)
			}
		}
		return nil
	})
}

// UnwrapExpression is how package hcl finds the expression as written.
func (m *metered) UnwrapExpression() hcl.Expression { return m.Expression }

// Value evaluates, and pays.
func (m *metered) Value(evalCtx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	b := budgetOf(evalCtx)
	if b == nil {
		return m.literal()
	}
	if b.err != nil {
		panic(spent{b.err})
	}
	if m.role == round || m.role == attempt {
		if b.steps--; b.steps < 0 {
			b.stop(errSteps)
		}
	}
	v, diags := m.Expression.Value(evalCtx)
	if diags.HasErrors() {
		if m.role != round {
			return v, diags
		}
		if b.failures--; b.failures < 0 {
			return v, nil // the first ones tell enough
		}
		return v, diags
	}
	if err := b.pay(m.role, v); err != nil {
		b.stop(err)
	}
	return v, diags
}

// literal is the value where nothing has a name: what is written out needs no loops.
func (m *metered) literal() (cty.Value, hcl.Diagnostics) {
	if m.role == round {
		return cty.DynamicVal, hcl.Diagnostics{diagnostics.Error(m.SrcRange, "Literal expected", "A for expression is not allowed here.")}
	}
	v, diags := m.Expression.Value(nil)
	if diags.HasErrors() {
		return v, diags
	}
	b := &budget{text: maxText}
	if err := b.pay(m.role, v); err != nil {
		return cty.DynamicVal, hcl.Diagnostics{diagnostics.Error(m.SrcRange, summaryTooLarge, "%s.", err)}
	}
	return v, diags
}

func (b *budget) stop(err error) {
	b.err = err
	panic(spent{err})
}

// pay takes the text and checks the numbers of a value that is about to be used.
func (b *budget) pay(r role, v cty.Value) error {
	plain, _ := v.Unmark()
	if !plain.IsKnown() || plain.IsNull() {
		return nil
	}
	switch ty := plain.Type(); {
	case r == round || r == attempt:
		if ty == cty.String {
			b.text -= len(plain.AsString())
		}
		if b.text < 0 {
			return errText
		}
	case r == argument:
		switch {
		case ty == cty.String:
			b.steps -= len(plain.AsString()) / bytesPerStep
		case plain.CanIterateElements():
			b.steps -= plain.LengthInt() / elementsPerStep
		}
		if b.steps < 0 {
			return errSteps
		}
	case ty == cty.String && r == operand:
		// The operator reads it as a number.
		if len(plain.AsString()) > maxDigits {
			return errNumber
		}
		if n, err := cty.ParseNumberVal(plain.AsString()); err == nil {
			return checkNumber(n)
		}
	case ty == cty.String:
		if b.text -= len(plain.AsString()); b.text < 0 {
			return errText
		}
	case ty == cty.Number:
		return checkNumber(plain)
	}
	return nil
}
