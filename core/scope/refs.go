package scope

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/block"
)

// ref is one name that an expression refers to, such as stage.build.dist or
// stage.release[each.key].url.
type ref struct {
	hcl.Traversal
	// key is the expression in brackets after the second step, where it is more
	// than a literal.
	key hcl.Expression
	// indexed says that something more than a literal stands in brackets there,
	// and rest are the steps that follow it.
	indexed bool
	rest    hcl.Traversal
	// tried says that it stands inside try or can.
	tried bool
}

// collect finds what an expression refers to, but for names that it binds
// itself. Where only the traversals can be had, keys are nil.
func collect(expr hcl.Expression) []ref {
	inner, names := block.Unwrap(expr)
	native, ok := inner.(hclsyntax.Expression)
	if !ok {
		var refs []ref
		for _, t := range expr.Variables() {
			// Whether git stands inside try cannot be seen here.
			refs = append(refs, ref{Traversal: t, tried: t.RootName() == "git"})
		}
		return refs
	}
	switch native.(type) {
	case *hclsyntax.LiteralValueExpr:
		return nil
	}
	w := &collector{names: names}
	// The walker reports nothing.
	_ = hclsyntax.Walk(native, w)
	return w.refs
}

type collector struct {
	refs []ref
	// names are bound by a dynamic block, scopes by for expressions around.
	names  map[string]cty.Value
	scopes []map[string]struct{}
	// indexed are traversals that an index expression has dealt with.
	indexed map[*hclsyntax.ScopeTraversalExpr]bool
	// rests are the steps after an index expression.
	rests map[*hclsyntax.IndexExpr]hcl.Traversal
	// trying counts the try and can calls around.
	trying int
}

func (w *collector) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch n := n.(type) {
	case *hclsyntax.IndexExpr:
		if t, ok := n.Collection.(*hclsyntax.ScopeTraversalExpr); ok && len(t.Traversal) == 2 && !w.bound(t.Traversal.RootName()) {
			if w.indexed == nil {
				w.indexed = map[*hclsyntax.ScopeTraversalExpr]bool{}
			}
			w.indexed[t] = true
			r := ref{Traversal: t.Traversal, key: n.Key, indexed: true, rest: w.rests[n], tried: w.trying > 0}
			if w.usesBound(n.Key) {
				r.key = nil
			}
			w.refs = append(w.refs, r)
		}
	case *hclsyntax.ScopeTraversalExpr:
		if !w.indexed[n] && !w.bound(n.Traversal.RootName()) {
			w.refs = append(w.refs, ref{Traversal: n.Traversal, tried: w.trying > 0})
		}
	case *hclsyntax.RelativeTraversalExpr:
		if index, ok := n.Source.(*hclsyntax.IndexExpr); ok {
			if w.rests == nil {
				w.rests = map[*hclsyntax.IndexExpr]hcl.Traversal{}
			}
			w.rests[index] = n.Traversal
		}
	case *hclsyntax.FunctionCallExpr:
		if tries(n) {
			w.trying++
		}
	case hclsyntax.ChildScope:
		w.scopes = append(w.scopes, n.LocalNames)
	}
	return nil
}

func tries(call *hclsyntax.FunctionCallExpr) bool { return call.Name == "try" || call.Name == "can" }

func (w *collector) Exit(n hclsyntax.Node) hcl.Diagnostics {
	switch n := n.(type) {
	case *hclsyntax.FunctionCallExpr:
		if tries(n) {
			w.trying--
		}
	case hclsyntax.ChildScope:
		w.scopes = w.scopes[:len(w.scopes)-1]
	}
	return nil
}

func (w *collector) bound(name string) bool {
	if _, ok := w.names[name]; ok {
		return true
	}
	for _, s := range w.scopes {
		if _, ok := s[name]; ok {
			return true
		}
	}
	return false
}

// usesBound reports whether a key depends on a name that the expression itself
// binds, so that it means something else each time.
func (w *collector) usesBound(key hclsyntax.Expression) bool {
	for _, t := range key.Variables() {
		if w.bound(t.RootName()) {
			return true
		}
	}
	return false
}

// attr is the name of a step: .name or ["name"].
func attr(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		if s.Key.Type() == cty.String && s.Key.IsKnown() && !s.Key.IsNull() {
			return s.Key.AsString(), true
		}
	}
	return "", false
}

// name is the second step of a ref: what it picks from its root. False when the
// root is used as a whole, or by index.
func (r ref) name() (string, bool) {
	if len(r.Traversal) < 2 {
		return "", false
	}
	a, ok := r.Traversal[1].(hcl.TraverseAttr)
	return a.Name, ok
}

// after is the name of the step at the position, where the instance's key counts
// as one step. False when the reference ends before it.
func (r ref) after(position int) (string, bool) {
	switch {
	case r.indexed && len(r.rest) > 0:
		return attr(r.rest[0])
	case !r.indexed && len(r.Traversal) > position:
		return attr(r.Traversal[position])
	}
	return "", false
}

// text writes the first n steps.
func (r ref) text(n int) string {
	out := r.RootName()
	for _, step := range r.Traversal[1:min(n, len(r.Traversal))] {
		switch s := step.(type) {
		case hcl.TraverseAttr:
			out += "." + s.Name
		case hcl.TraverseIndex:
			if k, ok := attr(s); ok {
				out += `["` + k + `"]`
			} else {
				out += "[…]"
			}
		}
	}
	return out
}
