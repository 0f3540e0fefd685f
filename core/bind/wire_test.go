package bind_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

var outputsSchema = &schema.Schema{
	Attributes: []schema.Attribute{
		{Name: "n", Type: typ("integer")}, {Name: "key", Type: typ("string"), Sensitive: true}, {Name: "wait", Type: typ("duration")},
		{Name: "list", Type: typ("list(object({a=string}))")}, {Name: "free", Type: typ("any")}, {Name: "made", Type: typ("artifact")},
	},
	Blocks: []schema.Block{{Name: "b", Nesting: schema.Many, Schema: schema.Schema{Attributes: []schema.Attribute{{Name: "x", Type: typ("bool")}}}}},
}

func TestFromWire(t *testing.T) {
	v, err := bind.FromWire(value.Value{
		JSON:      []byte(`{"n": 3, "key": "k", "list": [{"a": "x"}, {"a": null}], "free": {"p": [1, {"q": null}]}, "made": {"digest": "sha256:2", "path": "/tmp/x"}}`),
		Unknown:   []value.Path{value.Names("list").With(value.Index(1)).With(value.Name("a"))},
		Sensitive: []value.Path{value.Names("free", "p")},
	}, outputsSchema)
	if err != nil {
		t.Fatal(err)
	}
	want := cty.ObjectVal(map[string]cty.Value{
		"n": cty.NumberIntVal(3), "key": lang.Sensitive(cty.StringVal("k")), "wait": cty.NullVal(cty.String),
		"list": cty.ListVal([]cty.Value{
			cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("x")}), cty.ObjectVal(map[string]cty.Value{"a": cty.UnknownVal(cty.String)}),
		}),
		"free": cty.ObjectVal(map[string]cty.Value{"p": lang.Sensitive(cty.TupleVal([]cty.Value{
			cty.NumberIntVal(1), cty.ObjectVal(map[string]cty.Value{"q": cty.NullVal(cty.DynamicPseudoType)}),
		}))}),
		"made": bind.Artifact("sha256:2", "", "", 0, nil, "/tmp/x"),
		"b":    cty.ListValEmpty(cty.Object(map[string]cty.Type{"x": cty.Bool})),
	})
	if !v.RawEquals(want) {
		t.Errorf("got %#v\nwant %#v", v, want)
	}
}

func TestFromWireRefuses(t *testing.T) {
	for src, want := range map[string]string{
		`{"n": 1.5}`:                          "n: expected a whole number within ±(2^53−1)",
		`{"n": 9007199254740993}`:             "n: expected a whole number within ±(2^53−1)",
		`{"n": 1e999}`:                        "n: the number is too large",
		`{"n": "1"}`:                          "n: expected a number, got a string",
		`{"key": {}}`:                         "key: expected a string, got an object",
		`{"wait": "soon"}`:                    `wait: write a duration as numbers with units, such as "90s", "1h30m" or "30d"`,
		`{"list": [{"a": "x", "b": 1}]}`:      "list[0].b: the type has no such attribute",
		`{"list": {}}`:                        "list: expected a list, got an object",
		`{"b": [{"x": 1}]}`:                   "b[0].x: expected a boolean, got a number",
		`{"b": {}}`:                           "b: expected a list, got an object",
		`{"nothing": 1}`:                      "nothing: the schema has no such attribute",
		`{"free": 1e400}`:                     "free: the number is too large",
		`{"made": "sha256:1"}`:                "made: expected an object, got a string",
		`[]`:                                  "the value: expected an object, got a list",
		`{} {}`:                               "not valid JSON: text after the value",
		`{`:                                   "not valid JSON: unexpected EOF",
		strings.Repeat(`{"free":`, 20_000):    "not valid JSON: invalid character '{' exceeded max depth",
		`{"free": [` + strings.Repeat(`[`, 3): "not valid JSON: unexpected EOF",
	} {
		_, err := bind.FromWire(value.Value{JSON: []byte(src)}, outputsSchema)
		if err == nil || err.Error() != want {
			t.Errorf("%.40s: %v, want %s", src, err, want)
		}
	}
}

func TestUnknownAndNull(t *testing.T) {
	for name, s := range map[string]*schema.Schema{"full": full, "outputs": outputsSchema, "none": nil} {
		want := bind.TypeOf(s)
		for kind, v := range map[string]cty.Value{"unknown": bind.UnknownOf(s), "null": bind.NullOf(s)} {
			if errs := v.Type().TestConformance(want); len(errs) > 0 {
				t.Errorf("%s of %s: %v", kind, name, errs)
			}
		}
		if s != nil && (bind.UnknownOf(s).IsWhollyKnown() || !lang.IsSensitive(bind.UnknownOf(s))) {
			t.Errorf("%s: %#v", name, bind.UnknownOf(s))
		}
	}
	all, err := bind.FromWire(value.Value{Unknown: []value.Path{nil}}, outputsSchema)
	if err != nil || !all.RawEquals(bind.UnknownOf(outputsSchema)) {
		t.Errorf("a wholly unknown value: %#v, %v", all, err)
	}
}
