package scope

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Context is a place where expressions are evaluated.
type Context struct {
	module *module
	each   *each
	env    *Environment
	// envUnknown says that the stage belongs to an environment that is not known.
	envUnknown bool
	// extra are names that only this place has, such as candidate.
	extra map[string]cty.Value
	// static places come before any stage: they cannot refer to one.
	static bool
}

// each is what for_each gives an instance.
type each struct{ key, value cty.Value }

// Eval evaluates one expression; its signature fits bind.Decode. With errors the
// value is unknown.
func (c *Context) Eval(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	r := newEvaluation(c.module.scope, c.static).eval(c, expr)
	return r.value, r.diags
}

// With is the same place with one more name in scope, at its root.
func (c *Context) With(name string, v cty.Value) *Context {
	out := *c
	out.extra = maps.Clone(c.extra)
	if out.extra == nil {
		out.extra = map[string]cty.Value{}
	}
	out.extra[name] = v
	return &out
}

// MayBeUnknown reports whether even what must be known at plan is allowed to be
// unknown, since variables may have no value; see Options.AllowMissing.
func (c *Context) MayBeUnknown() bool { return c.module.scope.allowMissing }
