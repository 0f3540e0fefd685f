package settings

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

// reader evaluates attributes into Go values. It reports a mistake, gives the
// default, and goes on.
type reader struct {
	c     *scope.Context
	diags hcl.Diagnostics
}

func (r *reader) add(d ...*hcl.Diagnostic) { r.diags = append(r.diags, d...) }

// value evaluates an attribute of a type; it may be unknown, but neither null
// nor sensitive.
func (r *reader) value(expr hcl.Expression, name string, ty cty.Type) (cty.Value, bool) {
	v, diags := r.c.Eval(expr)
	r.add(diags...)
	if diags.HasErrors() {
		return cty.UnknownVal(ty), false
	}
	at := expr.Range()
	if lang.IsSensitive(v) {
		r.add(diagnostics.Error(at, "Sensitive value",
			"%q is shown in plans and in records, and this value is sensitive. Use another value, or take the mark off with nonsensitive(…) if it holds no secret.", name))
		return cty.UnknownVal(ty), false
	}
	out, err := lang.Convert(v, ty)
	switch {
	case err != nil:
		r.add(diagnostics.Error(at, "Wrong type", "The attribute %q is %s, and this value is %s.%s", name, describe(ty), kindOf(v), advice(v, ty)))
		return cty.UnknownVal(ty), false
	case out.IsNull():
		r.add(diagnostics.Error(at, "Null value", "The attribute %q is null. Give it a value, or leave it out.", name))
		return cty.UnknownVal(ty), false
	}
	return out, true
}

// kindOf names the type of a wrong value as people call it.
func kindOf(v cty.Value) string {
	ty := v.Type()
	switch {
	case ty == cty.String:
		return "a string in quotes"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "true or false"
	case ty.IsTupleType() || ty.IsListType() || ty.IsSetType():
		return "a list"
	}
	return "an object"
}

// advice says how to write what was probably meant.
func advice(v cty.Value, want cty.Type) string {
	switch {
	case want == cty.List(cty.String) && v.CanIterateElements():
		return " Each of its elements is a string."
	case want == cty.Bool && v.Type() == cty.String:
		return " Write true or false, without quotes."
	case want == cty.Number && v.Type() == cty.String:
		return " Write digits, without quotes."
	case want == cty.List(cty.List(cty.String)):
		return ` Each element is a list of its own: [["…"], ["…", "…"]].`
	case want.IsListType() && v.Type().IsPrimitiveType():
		return " Put it into square brackets."
	}
	return ""
}

func describe(ty cty.Type) string {
	switch ty {
	case cty.String:
		return "a string"
	case cty.Number:
		return "a number"
	case cty.Bool:
		return "true or false"
	case cty.List(cty.List(cty.String)):
		return "a list of lists of strings"
	case cty.List(cty.String):
		return "a list of strings"
	}
	return "of type " + typeexpr.TypeString(ty)
}

// known is value for what must be wholly known at plan.
func (r *reader) known(expr hcl.Expression, name string, ty cty.Type) (cty.Value, bool) {
	v, ok := r.value(expr, name, ty)
	if !ok {
		return v, false
	}
	if !v.IsWhollyKnown() {
		if !r.c.MayBeUnknown() {
			r.add(diagnostics.Error(expr.Range(), "Not known yet",
				"%q must be known before anything runs, and this value depends on what other stages give. Use variables and locals.", name))
		}
		return v, false
	}
	return v, true
}

func (r *reader) text(expr hcl.Expression, name string) string {
	v, ok := r.known(expr, name, cty.String)
	if !ok {
		return ""
	}
	return v.AsString()
}

// oneOf is a text from a list; the first when not given or wrong.
func (r *reader) oneOf(expr hcl.Expression, name string, allowed ...string) string {
	if expr == nil {
		return allowed[0]
	}
	v, ok := r.known(expr, name, cty.String)
	if !ok {
		return allowed[0]
	}
	for _, a := range allowed {
		if v.AsString() == a {
			return a
		}
	}
	r.add(diagnostics.Error(expr.Range(), "Invalid value", "The attribute %q is one of %s, not %q.%s",
		name, quoted(allowed), v.AsString(), diagnostics.Suggest(v.AsString(), allowed)))
	return allowed[0]
}

func quoted(words []string) string { return `"` + strings.Join(words, `", "`) + `"` }

func (r *reader) texts(expr hcl.Expression, name string) []string {
	if expr == nil {
		return nil
	}
	v, ok := r.known(expr, name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var out []string
	for _, e := range v.AsValueSlice() {
		if e.IsNull() {
			r.add(diagnostics.Error(expr.Range(), "Null value", "The list %q holds null. Each element is a string.", name))
			continue
		}
		out = append(out, e.AsString())
	}
	return out
}

func (r *reader) boolean(expr hcl.Expression, name string, otherwise bool) bool {
	if expr == nil {
		return otherwise
	}
	v, ok := r.known(expr, name, cty.Bool)
	if !ok {
		return otherwise
	}
	return v.True()
}

// unbounded is a most that only keeps numbers from overflowing.
const unbounded = 1 << 20

// whole is a whole number from least to most.
func (r *reader) whole(expr hcl.Expression, name string, otherwise, least, most int) int {
	if expr == nil {
		return otherwise
	}
	v, ok := r.known(expr, name, cty.Number)
	if !ok {
		return otherwise
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != 0 || n < int64(least) || n > int64(most) {
		bounds := fmt.Sprintf("from %d to %d", least, most)
		if most >= unbounded {
			bounds = fmt.Sprintf("of at least %d", least)
		}
		r.add(diagnostics.Error(expr.Range(), "Value out of range", "The attribute %q is a whole number %s.", name, bounds))
		return otherwise
	}
	return int(n)
}

func (r *reader) optionalNumber(expr hcl.Expression, name string) *float64 {
	if expr == nil {
		return nil
	}
	v, ok := r.known(expr, name, cty.Number)
	if !ok {
		return nil
	}
	f, _ := v.AsBigFloat().Float64()
	if math.IsInf(f, 0) {
		r.add(diagnostics.Error(expr.Range(), "Value out of range", "The attribute %q is too large a number.", name))
		return nil
	}
	return &f
}

// duration is 0 or more.
func (r *reader) duration(expr hcl.Expression, name string, otherwise time.Duration) time.Duration {
	return r.span(expr, name, otherwise, true)
}

// positive is a duration above 0.
func (r *reader) positive(expr hcl.Expression, name string, otherwise time.Duration) time.Duration {
	return r.span(expr, name, otherwise, false)
}

func (r *reader) span(expr hcl.Expression, name string, otherwise time.Duration, zero bool) time.Duration {
	if expr == nil {
		return otherwise
	}
	v, ok := r.known(expr, name, cty.String)
	if !ok {
		return otherwise
	}
	d, err := lang.ParseDuration(v.AsString())
	switch {
	case err != nil:
		r.add(diagnostics.Error(expr.Range(), "Invalid duration", "The attribute %q is %q: %s.", name, v.AsString(), err))
		return otherwise
	case d == 0 && !zero:
		r.add(diagnostics.Error(expr.Range(), "Invalid duration", "The attribute %q must be longer than nothing.", name))
		return otherwise
	}
	return d
}
