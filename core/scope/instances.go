package scope

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// instances are all of one stage or module, in order.
type instances[T interface{ instanceKey() string }] struct {
	list []T
	// byKey is nil for a few.
	byKey map[string]T
}

func (s *Stage) instanceKey() string  { return s.Addr.Key }
func (m *module) instanceKey() string { return m.key }

// few is how many instances are found quickly without a map.
const few = 8

func newInstances[T interface{ instanceKey() string }](list []T) *instances[T] {
	if len(list) <= few {
		return &instances[T]{list: list}
	}
	byKey := make(map[string]T, len(list))
	for _, inst := range list {
		byKey[inst.instanceKey()] = inst
	}
	return &instances[T]{list, byKey}
}

func (all *instances[T]) find(key string) (T, bool) {
	if all.byKey != nil {
		inst, ok := all.byKey[key]
		return inst, ok
	}
	for _, inst := range all.list {
		if inst.instanceKey() == key {
			return inst, true
		}
	}
	var none T
	return none, false
}

// choose finds the instances that a reference means: the one whose key is
// written or can be evaluated, else all.
func choose[T interface{ instanceKey() string }](in *inputs, r ref, all *instances[T]) ([]T, *hcl.Diagnostic) {
	key, known := "", false
	switch {
	case r.key != nil:
		res := newEvaluation(in.ev.scope, true).eval(in.c, r.key)
		if v := res.value; !res.diags.HasErrors() && v.IsKnown() && !v.IsNull() && !v.IsMarked() && v.Type() == cty.String {
			key, known = v.AsString(), true
		}
	case len(r.Traversal) > 2:
		key, known = attr(r.Traversal[2])
	}
	if !known {
		return all.list, nil
	}
	if inst, ok := all.find(key); ok {
		return []T{inst}, nil
	}
	keys := make([]string, len(all.list))
	for i, inst := range all.list {
		keys[i] = inst.instanceKey()
	}
	what := r.text(2)
	if r.key == nil && len(keys) > 0 {
		if _, isAttr := r.Traversal[2].(hcl.TraverseAttr); isAttr {
			return nil, diagnostics.Error(r.SourceRange(), "Unknown instance",
				"%s has for_each, so an instance must be named before its attributes: %s[%q].%s.", what, what, keys[0], key)
		}
	}
	return nil, diagnostics.Error(r.SourceRange(), "Unknown instance", "%s has no instance %q.%s", what, key, suggestOrList(key, keys))
}
