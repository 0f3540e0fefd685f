package call_test

import (
	"testing"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/value"
)

func TestIsUnknown(t *testing.T) {
	r := call.Request{Unknown: []value.Path{value.Names("a", "b"), {value.Name("list"), value.Index(1)}}}
	for name, tt := range map[string]struct {
		path []string
		want bool
	}{
		"itself":         {[]string{"a", "b"}, true},
		"inside":         {[]string{"a", "b", "c"}, true},
		"what holds it":  {[]string{"a"}, true},
		"beside":         {[]string{"a", "c"}, false},
		"part of a list": {[]string{"list"}, true},
		"everything":     {nil, true},
		"elsewhere":      {[]string{"z"}, false},
	} {
		if got := r.IsUnknown(tt.path...); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	// Without a host the rest is silent, so that components can be tested as values.
	r.Progress(5, "x")
	r.Output("stdout", "x")
	if err := r.Handle("id", nil); err != nil {
		t.Error(err)
	}
}
