package compare

import (
	"bytes"
	"encoding/json"

	"github.com/runner-pipelines/runner/sdk/value"
)

// leaves adds every value within v that is neither null nor sensitive.
func leaves(out map[place]string, where string, v value.Value) {
	dec := json.NewDecoder(bytes.NewReader(v.JSON))
	dec.UseNumber()
	var tree any
	if dec.Decode(&tree) != nil {
		return
	}
	flatten(out, where, nil, tree, v.Unknown, v.Sensitive)
}

func flatten(out map[place]string, where string, path value.Path, v any, unknown, sensitive []value.Path) {
	at := place{where, path.String()}
	switch {
	case listed(sensitive, path):
		out[at] = secret
		return
	case listed(unknown, path):
		out[at] = notKnown
		return
	}
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, inner := range v {
			flatten(out, where, path.With(value.Name(name)), inner, unknown, sensitive)
		}
	case []any:
		for i, inner := range v {
			flatten(out, where, path.With(value.Index(i)), inner, unknown, sensitive)
		}
	default:
		b, err := json.Marshal(v)
		if err == nil {
			out[at] = string(b)
		}
	}
}

func listed(paths []value.Path, p value.Path) bool {
	for _, q := range paths {
		if q.Equal(p) {
			return true
		}
	}
	return false
}
