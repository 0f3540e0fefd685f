package scope

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
)

// result of an expression.
type result struct {
	value cty.Value
	diags hcl.Diagnostics
	// dynamic names the first thing that it rests on which may change from one
	// evaluation to the next, such as stage.build; empty for none.
	dynamic string
}

func failed(diags ...*hcl.Diagnostic) result {
	return result{value: cty.DynamicVal, diags: diags}
}

// nameID is something with an expression of its own: a local, an input, an output.
type nameID struct {
	module     *module
	kind, name string
}

func (id nameID) String() string {
	s := id.kind + "." + id.name
	if id.module.addr != "" {
		s = id.module.addr + "." + s
	}
	return s
}

// evaluation is one call of Eval: what it has evaluated so far and what it is
// in the middle of.
type evaluation struct {
	scope *Scope
	// static evaluations do not ask for outputs of stages.
	static bool
	memo   map[nameID]result
	stack  []nameID
}

// maxChain is how many names may lead to each other.
const maxChain = 1000

func newEvaluation(s *Scope, static bool) *evaluation { return &evaluation{scope: s, static: static} }

// eval evaluates with only those names in scope that the expression refers to.
func (ev *evaluation) eval(c *Context, expr hcl.Expression) result {
	refs := collect(expr)
	in := &inputs{ev: ev, c: c}
	for _, r := range refs {
		in.add(r)
	}
	out := result{value: cty.DynamicVal, diags: in.diags, dynamic: in.dynamic}
	if in.diags.HasErrors() {
		return out
	}
	var variables map[string]cty.Value
	if len(refs) > 0 {
		variables = in.variables()
	}
	v, diags := valueOf(expr, lang.NewContext(variables, ev.scope.functions))
	if len(diags) > 0 {
		_, bound := block.Unwrap(expr)
		out.diags = append(out.diags, explain(diags, variables, bound)...)
	}
	if !diags.HasErrors() {
		out.value = v
	}
	return out
}

// valueOf evaluates with the names that dynamic blocks bound to the expression.
func valueOf(expr hcl.Expression, evalCtx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	inner, bound := block.Unwrap(expr)
	if len(bound) > 0 {
		evalCtx = evalCtx.NewChild()
		evalCtx.Variables = bound
	}
	return lang.Evaluate(inner, evalCtx)
}

// named evaluates what a name stands for, once.
func (ev *evaluation) named(id nameID, at hcl.Range, compute func() result) result {
	if r, ok := id.module.cached(id); ok {
		return r
	}
	if r, ok := ev.memo[id]; ok {
		return r
	}
	if i := slices.Index(ev.stack, id); i >= 0 {
		return failed(cycleError(append(slices.Clone(ev.stack[i:]), id)))
	}
	if len(ev.stack) >= maxChain {
		return failed(diagnostics.Error(at, "References too long",
			"Here more than %d locals, inputs and outputs lead to each other. Put fewer between %s and what it needs.", maxChain, id))
	}
	ev.stack = append(ev.stack, id)
	r := compute()
	ev.stack = ev.stack[:len(ev.stack)-1]
	if r.dynamic == "" && !hasCycle(r.diags) {
		id.module.remember(id, r)
		return r
	}
	if ev.memo == nil {
		ev.memo = map[nameID]result{}
	}
	ev.memo[id] = r
	return r
}

const cycleSummary = "Values in a circle"

func hasCycle(diags hcl.Diagnostics) bool {
	return slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return d.Summary == cycleSummary })
}

// cycleError names the circle from its first member by name, so that it reads
// the same wherever it was entered.
func cycleError(chain []nameID) *hcl.Diagnostic {
	ring := chain[:len(chain)-1]
	first := 0
	for i := range ring {
		if ring[i].String() < ring[first].String() {
			first = i
		}
	}
	text := ""
	for i := range ring {
		text += ring[(first+i)%len(ring)].String() + " → "
	}
	return diagnostics.Error(ring[first].place(), cycleSummary,
		"Each of these is made from the next, so none can be first: %s%s. Break the circle.", text, ring[first])
}

// inputs gathers the values that one expression needs.
type inputs struct {
	ev      *evaluation
	c       *Context
	diags   hcl.Diagnostics
	dynamic string
	// whole are roots as they are; picked are roots of which only some names are
	// needed; instances are picked[root][name] by key.
	whole     map[string]cty.Value
	picked    map[string]map[string]cty.Value
	instances map[string]map[string]map[string]cty.Value
}

func (in *inputs) fail(d ...*hcl.Diagnostic) { in.diags = append(in.diags, d...) }

func (in *inputs) use(r result) cty.Value {
	in.diags = append(in.diags, r.diags...)
	if in.dynamic == "" {
		in.dynamic = r.dynamic
	}
	return r.value
}

func (in *inputs) setWhole(root string, v cty.Value) {
	if in.whole == nil {
		in.whole = map[string]cty.Value{}
	}
	in.whole[root] = v
}

func (in *inputs) has(root, name string) bool {
	_, ok := in.picked[root][name]
	return ok
}

func (in *inputs) pick(root, name string, v cty.Value) {
	if in.picked == nil {
		in.picked = map[string]map[string]cty.Value{}
	}
	if in.picked[root] == nil {
		in.picked[root] = map[string]cty.Value{}
	}
	in.picked[root][name] = v
}

func (in *inputs) pickInstance(root, name, key string, v cty.Value) {
	if in.instances == nil {
		in.instances = map[string]map[string]map[string]cty.Value{}
	}
	if in.instances[root] == nil {
		in.instances[root] = map[string]map[string]cty.Value{}
	}
	if in.instances[root][name] == nil {
		in.instances[root][name] = map[string]cty.Value{}
	}
	in.instances[root][name][key] = v
}

func (in *inputs) hasInstance(root, name, key string) bool {
	_, ok := in.instances[root][name][key]
	return ok
}

func (in *inputs) variables() map[string]cty.Value {
	for root, names := range in.instances {
		for name, byKey := range names {
			in.pick(root, name, cty.ObjectVal(byKey))
		}
	}
	out := make(map[string]cty.Value, len(in.whole)+len(in.picked))
	for root, v := range in.whole {
		out[root] = v
	}
	for root, names := range in.picked {
		out[root] = cty.ObjectVal(names)
	}
	return out
}
