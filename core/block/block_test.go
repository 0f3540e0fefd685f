package block_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/block"
)

func parse(t *testing.T, src string) hcl.Body {
	t.Helper()
	var f *hcl.File
	var diags hcl.Diagnostics
	if strings.HasPrefix(src, "{") {
		f, diags = hcljson.Parse([]byte(src), "f.json")
	} else {
		f, diags = hclsyntax.ParseConfig([]byte(src), "f.hcl", hcl.InitialPos)
	}
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f.Body
}

var schema = &block.Schema{
	What:       "a test",
	Attributes: []block.Attribute{{Name: "a", Required: true}, {Name: "b"}},
	Blocks: []block.Block{
		{Type: "one", Single: true},
		{Type: "named", Label: "a name", Single: true},
		{Type: "maybe", Label: "a name", LabelOptional: true, Attributes: []string{"x"}},
		{Type: "two", Labels: []string{"first", "second"}},
	},
}

// summary writes what was read: attributes, blocks with labels, problems.
func summary(c *block.Content, diags hcl.Diagnostics) []string {
	out := slices.Sorted(maps.Keys(c.Attributes))
	for _, b := range c.Blocks {
		out = append(out, strings.TrimSpace(b.Type+" "+strings.Join(b.Labels, " ")))
	}
	for _, d := range diags {
		out = append(out, "! "+d.Summary)
	}
	return out
}

func TestRead(t *testing.T) {
	for src, want := range map[string][]string{
		"a = 1\nb = 2\none {\n}\nnamed \"x\" {\n}\nnamed \"y\" {\n}\nmaybe {\n}\nmaybe \"z\" {\n}\ntwo \"p\" \"q\" {\n}\n": {
			"a", "b", "one", "named x", "named y", "maybe", "maybe z", "two p q",
		},
		"b = 1\none {\n}\none {\n}\nnamed \"x\" {\n}\nnamed \"x\" {\n}\n": {
			"b", "one", "one", "named x", "named x", "! Missing attribute", "! Duplicate block", "! Duplicate block",
		},
		"a = 1\nc = 2\none = 3\nb {\n}\nelse {\n}\nnamed {\n}\none \"x\" {\n}\ntwo \"p\" {\n}\ntwo \"p\" \"q\" \"r\" {\n}\n": {
			"a", "! Unknown attribute", "! Block expected", "! Attribute expected", "! Unknown block",
			"! Missing label", "! Unexpected label", "! Missing label", "! Unexpected label",
		},
		`{"//": "comment", "a": 1, "one": {}, "named": {"x": {}, "y": {}}, "maybe": {"x": 1}, "two": {"p": {"q": {}}}}`: {
			"a", "one", "named x", "named y", "maybe", "two p q",
		},
		`{"a": 1, "maybe": {"z": {"x": 1}}}`:    {"a", "maybe z"},
		`{"a": 1, "maybe": [{"x": 1}, {}]}`:     {"a", "maybe", "maybe"},
		`{"c": 1, "one": [{}, {}]}`:             {"one", "one", "! Unknown attribute", "! Missing attribute", "! Duplicate block"},
		`{"a": 1, "one": 5}`:                    {"a", "! Block expected"},
		`{"a": 1, "named": 5, "two": {"p": 5}}`: {"a", "! Missing label", "! Missing label"},
	} {
		c, diags := block.Read(parse(t, src), schema)
		if diff := cmp.Diff(want, summary(c, diags)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
}

func TestReadLeavesTheRest(t *testing.T) {
	known := &block.Schema{What: "a test", Attributes: []block.Attribute{{Name: "a"}}, Blocks: []block.Block{{Type: "one"}}, Rest: true}
	rest := &block.Schema{What: "the rest", Attributes: []block.Attribute{{Name: "b"}}, Blocks: []block.Block{{Type: "other", Label: "a name"}}}
	for _, src := range []string{"a = 1\nb = 2\none {\n}\nother \"x\" {\n}\n", `{"a": 1, "b": 2, "one": {}, "other": {"x": {}}}`} {
		c, diags := block.Read(parse(t, src), known)
		if diff := cmp.Diff([]string{"a", "one"}, summary(c, diags)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
		c, diags = block.Read(c.Rest, rest)
		if diff := cmp.Diff([]string{"b", "other x"}, summary(c, diags)); diff != "" {
			t.Errorf("the rest of %s (-want +got):\n%s", src, diff)
		}
	}
}

func TestExpressions(t *testing.T) {
	roots := func(src string) []string {
		found := map[string]bool{}
		for _, e := range block.Expressions(parse(t, src)) {
			for _, v := range e.Variables() {
				found[v.RootName()] = true
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	for src, want := range map[string][]string{
		"a = x.y\nb {\n  c = [p, q[r]]\n}\n":    {"p", "q", "r", "x"},
		`{"a": "${x.y}", "b": {"c": ["${p}"]}}`: {"p", "x"},
		// The iterator is known inside the content only, and hides what is around.
		"dynamic \"d\" {\n for_each = [d, x]\n labels = [d.key]\n content {\n v = [d.value, y]\n }\n}\n":                                 {"d", "x", "y"},
		"dynamic \"d\" {\n for_each = x\n iterator = it\n content {\n v = [d.value, it.value]\n }\n}\n":                                  {"d", "x"},
		"dynamic \"d\" {\n for_each = x\n content {\n dynamic \"e\" {\n for_each = d.value\n content {\n v = [d, e, z]\n }\n }\n }\n}\n": {"x", "z"},
	} {
		if diff := cmp.Diff(want, roots(src)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", src, diff)
		}
	}
}

func TestWithNames(t *testing.T) {
	expr, diags := hclsyntax.ParseExpression([]byte(`"${a}${b}${c}"`), "t", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	text := func(s string) map[string]cty.Value {
		return map[string]cty.Value{strings.ToLower(s[:1]): cty.StringVal(s)}
	}
	inner := block.WithNames(expr, map[string]cty.Value{"a": cty.StringVal("A1"), "b": cty.StringVal("B1")})
	outer := block.WithNames(inner, text("A2"))
	v, diags := outer.Value(&hcl.EvalContext{Variables: map[string]cty.Value{"b": cty.StringVal("B0"), "c": cty.StringVal("C0")}})
	if diags.HasErrors() || v.AsString() != "A1B1C0" {
		t.Errorf("value %#v, %v", v, diags)
	}
	plain, names := block.Unwrap(outer)
	if plain != hcl.Expression(expr) || len(names) != 2 || names["a"].AsString() != "A1" {
		t.Errorf("Unwrap = %v, %v", plain, names)
	}
	if got := len(outer.Variables()); got != 1 {
		t.Errorf("%d variables are left, want 1", got)
	}
	if block.WithNames(expr, nil) != hcl.Expression(expr) {
		t.Error("an expression without more names is wrapped")
	}
}
