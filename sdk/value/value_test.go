package value_test

import (
	"testing"

	"github.com/runner-pipelines/runner/sdk/value"
)

func TestPathsReadAsInAFile(t *testing.T) {
	for want, p := range map[string]value.Path{
		"":                     nil,
		"a.b_c-d":              value.Names("a", "b_c-d"),
		"steps[2].name":        {value.Name("steps"), value.Index(2), value.Name("name")},
		`labels["a.b"]["1"].x`: value.Names("labels", "a.b", "1", "x"),
		`[0][""]`:              {value.Index(0), value.Name("")},
		`a["with \"quotes\""]`: value.Names("a", `with "quotes"`),
	} {
		if got := p.String(); got != want {
			t.Errorf("%#v is written %q, not %q", p, got, want)
		}
	}
}

func TestPrefixes(t *testing.T) {
	ab := value.Names("a", "b")
	for name, tt := range map[string]struct {
		p, prefix   value.Path
		has, equals bool
	}{
		"itself":           {ab, value.Names("a", "b"), true, true},
		"outer":            {ab, value.Names("a"), true, false},
		"everything":       {ab, nil, true, false},
		"inner":            {value.Names("a"), ab, false, false},
		"another":          {ab, value.Names("b"), false, false},
		"a name, an index": {value.Path{value.Index(0)}, value.Names("0"), false, false},
	} {
		if tt.p.HasPrefix(tt.prefix) != tt.has || tt.p.Equal(tt.prefix) != tt.equals {
			t.Errorf("%s: %v, %v", name, tt.p.HasPrefix(tt.prefix), tt.p.Equal(tt.prefix))
		}
	}
}

func TestWithLeavesItsPathAlone(t *testing.T) {
	base := append(make(value.Path, 0, 8), value.Name("a"))
	b, c := base.With(value.Name("b")), base.With(value.Name("c"))
	if b.String() != "a.b" || c.String() != "a.c" || base.String() != "a" {
		t.Errorf("%s, %s, %s", base, b, c)
	}
}
