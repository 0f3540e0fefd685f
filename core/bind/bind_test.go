package bind_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

func typ(s string) schema.Type {
	t, err := schema.ParseType(s)
	if err != nil {
		panic(err)
	}
	return t
}

// full has an attribute of every type, and blocks of every kind.

var full = &schema.Schema{
	Attributes: []schema.Attribute{
		{Name: "string", Type: typ("string")},
		{Name: "number", Type: typ("number")},
		{Name: "integer", Type: typ("integer")},
		{Name: "bool", Type: typ("bool")},
		{Name: "wait", Type: typ("duration"), Default: json.RawMessage(`"10s"`)},
		{Name: "artifact", Type: typ("artifact")},
		{Name: "list", Type: typ("list(string)")},
		{Name: "map", Type: typ("map(integer)")},
		{Name: "object", Type: typ("object({a=string,b=optional(list(number))})")},
		{Name: "any", Type: typ("any")},
		{Name: "anys", Type: typ("list(any)")},
		{Name: "tags", Type: typ("list(string)"), Unique: true},
		{Name: "token", Type: typ("string"), Sensitive: true, Default: json.RawMessage(`"t0k"`)},
		{Name: "steps", Type: typ("list(number)"), Known: true},
	},
	Blocks: []schema.Block{
		{Name: "one", Nesting: schema.Single, Schema: schema.Schema{
			Attributes: []schema.Attribute{{Name: "path", Type: typ("string"), Required: true}},
			Blocks: []schema.Block{{Name: "inner", Nesting: schema.Many, Labels: []string{"first", "second"}, Schema: schema.Schema{
				Attributes: []schema.Attribute{{Name: "x", Type: typ("integer"), Default: json.RawMessage(`7`)}},
			}}},
		}},
		{Name: "header", Nesting: schema.Many, Labels: []string{"name"}, Schema: schema.Schema{
			Attributes: []schema.Attribute{{Name: "value", Type: typ("string")}},
		}},
		{Name: "loose", Nesting: schema.Many, Schema: schema.Schema{
			Attributes: []schema.Attribute{{Name: "what", Type: typ("any")}},
		}},
	},
}

// names are what expressions in the tests refer to.

var names = map[string]cty.Value{
	"unknown":   cty.UnknownVal(cty.String),
	"anything":  cty.DynamicVal,
	"secret":    lang.Sensitive(cty.StringVal("hunter2")),
	"secrets":   lang.Sensitive(cty.MapVal(map[string]cty.Value{"a": cty.StringVal("hunter2"), "b": cty.StringVal("hunter3")})),
	"some":      cty.MapVal(map[string]cty.Value{"a": cty.StringVal("1"), "b": cty.StringVal("2")}),
	"art":       bind.Artifact("sha256:1", "", "", 3, nil, ""),
	"unknownAr": bind.UnknownArtifact(),
	"set":       cty.SetVal([]cty.Value{cty.StringVal("y"), cty.StringVal("x")}),
}

func eval(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	return expr.Value(&hcl.EvalContext{Variables: names, Functions: lang.Functions(lang.OS("", "", nil))})
}

func body(t testing.TB, src string) hcl.Body {
	t.Helper()
	f, diags := hclsyntax.ParseConfig([]byte(src), "f.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f.Body
}

func decode(t testing.TB, src string) *bind.Bound {
	t.Helper()
	b, diags := bind.Decode(body(t, src), full, eval)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return b
}

// part reads one attribute of the wire's JSON.

func part(t testing.TB, w value.Value, name string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(w.JSON, &m); err != nil {
		t.Fatalf("%s: %v", w.JSON, err)
	}
	return string(m[name])
}

func paths(list []value.Path) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, " ")
}

func TestDecodeToWire(t *testing.T) {
	tests := map[string]struct {
		src                      string
		attr, want               string
		unknown, sensitive, note string
	}{
		"absent":             {src: "", attr: "string", want: "null"},
		"default":            {src: "", attr: "wait", want: `"10s"`},
		"null is absent":     {src: "wait = null", attr: "wait", want: `"10s"`},
		"string":             {src: `string = "a\"<ü>"`, attr: "string", want: `"a\"<ü>"`},
		"number as string":   {src: "string = 5", attr: "string", want: `"5"`},
		"string as number":   {src: `number = "0.1"`, attr: "number", want: "0.1"},
		"number":             {src: "number = 1e21", attr: "number", want: "1e+21"},
		"whole number":       {src: "number = 5.0", attr: "number", want: "5"},
		"tiny":               {src: "number = 1/3", attr: "number", want: "0.3333333333333333"},
		"largest integer":    {src: "integer = 9007199254740991", attr: "integer", want: "9007199254740991"},
		"bool":               {src: `bool = "true"`, attr: "bool", want: "true"},
		"list of a set":      {src: "list = set", attr: "list", want: `["x","y"]`},
		"empty list":         {src: "list = []", attr: "list", want: "[]"},
		"map":                {src: "map = { b = 2, a = 1 }", attr: "map", want: `{"a":1,"b":2}`},
		"object":             {src: `object = { a = "x" }`, attr: "object", want: `{"a":"x","b":null}`},
		"any":                {src: `any = { b = [1, "x", null, { c = true }], a = set }`, attr: "any", want: `{"a":["x","y"],"b":[1,"x",null,{"c":true}]}`},
		"list of anything":   {src: `anys = [1, "x", []]`, attr: "anys", want: `[1,"x",[]]`},
		"unique are sorted":  {src: `tags = ["b", "a"]`, attr: "tags", want: `["a","b"]`},
		"artifact":           {src: "artifact = art", attr: "artifact", want: `{"digest":"sha256:1","labels":{},"media_type":"","path":null,"size":3,"uri":""}`},
		"unknown":            {src: "string = unknown", attr: "string", want: "null", unknown: "string"},
		"unknown inside":     {src: `list = ["a", unknown]`, attr: "list", want: `["a",null]`, unknown: "list[1]"},
		"unknown artifact":   {src: "artifact = unknownAr", attr: "artifact", want: "null", unknown: "artifact"},
		"unknown in text":    {src: `string = "a-${unknown}"`, attr: "string", want: "null", unknown: "string"},
		"unknown anything":   {src: "map = anything", attr: "map", want: "null", unknown: "map"},
		"unknown unique":     {src: `tags = ["b", unknown, "a"]`, attr: "tags", want: `["b",null,"a"]`, unknown: "tags[1]"},
		"sensitive":          {src: "string = secret", attr: "string", want: `"hunter2"`, sensitive: "string"},
		"sensitive inside":   {src: `list = ["a", secret]`, attr: "list", want: `["a","hunter2"]`, sensitive: "list[1]"},
		"sensitive in map":   {src: `any = { x = { "a.b" = secret } }`, attr: "any", want: `{"x":{"a.b":"hunter2"}}`, sensitive: `any.x["a.b"]`},
		"sensitive object":   {src: "object = { a = secret }", attr: "object", want: `{"a":"hunter2","b":null}`, sensitive: "object.a"},
		"sensitive unknown":  {src: `string = sensitive(unknown)`, attr: "string", want: "null", unknown: "string", sensitive: "string"},
		"block":              {src: "one {\n path = \"/\"\n}", attr: "one", want: `{"inner":[],"path":"/"}`},
		"no block":           {src: "", attr: "one", want: "null"},
		"labels and default": {src: "one {\n path = \"/\"\n inner \"a\" \"b\" {\n }\n}", attr: "one", want: `{"inner":[{"first":"a","second":"b","x":7}],"path":"/"}`},
		"blocks in order":    {src: "header \"b\" {\n value = \"1\"\n}\nheader \"a\" {\n value = \"2\"\n}", attr: "header", want: `[{"name":"b","value":"1"},{"name":"a","value":"2"}]`},
		"blocks of any type": {src: "loose {\n what = 1\n}\nloose {\n what = \"x\"\n}", attr: "loose", want: `[{"what":1},{"what":"x"}]`},
		"dynamic": {
			src:  "header \"z\" {}\ndynamic \"header\" {\n for_each = some\n labels = [header.key]\n content {\n value = \"${header.key}${header.value}\"\n }\n}",
			attr: "header", want: `[{"name":"z","value":null},{"name":"a","value":"a1"},{"name":"b","value":"b2"}]`,
		},
		"dynamic in dynamic": {
			src:  "one {\n path = \"/\"\n dynamic \"inner\" {\n for_each = [1, 2]\n iterator = it\n labels = [it.key, \"x\"]\n content {\n x = it.value\n }\n }\n}",
			attr: "one", want: `{"inner":[{"first":"0","second":"x","x":1},{"first":"1","second":"x","x":2}],"path":"/"}`,
		},
		"dynamic over unknown": {
			src:  "header \"z\" {}\ndynamic \"header\" {\n for_each = anything\n labels = [header.key]\n content {}\n}",
			attr: "header", want: "null", unknown: "header",
		},
		"dynamic over a secret": {
			src:  "dynamic \"loose\" {\n for_each = secrets\n content {\n what = loose.value\n }\n}",
			attr: "loose", want: `[{"what":"hunter2"},{"what":"hunter3"}]`, sensitive: "loose",
		},
		"dynamic single": {
			src:  "dynamic \"one\" {\n for_each = [\"/x\"]\n content {\n path = one.value\n }\n}",
			attr: "one", want: `{"inner":[],"path":"/x"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := decode(t, test.src)
			w := b.Wire()
			if got := part(t, w, test.attr); got != test.want {
				t.Errorf("%s = %s, want %s", test.attr, got, test.want)
			}
			if got := paths(w.Unknown); got != test.unknown {
				t.Errorf("unknown: %s, want %s", got, test.unknown)
			}
			// The token is always sensitive.
			if got, want := paths(w.Sensitive), strings.TrimSpace(test.sensitive+" token"); !sameWords(got, want) {
				t.Errorf("sensitive: %s, want %s", got, want)
			}
			if b.Known() != (test.unknown == "") || paths(b.Unknown()) != test.unknown {
				t.Errorf("Known = %v, Unknown = %v", b.Known(), b.Unknown())
			}
			// What travels can be read again, and is the same.
			again, err := bind.FromWire(w, full)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w, bind.ToWire(again)); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
			if !again.RawEquals(b.Value) {
				t.Errorf("after a round trip: %#v, want %#v", again, b.Value)
			}
		})
	}
}

func sameWords(a, b string) bool {
	count := map[string]int{}
	for _, w := range strings.Fields(a) {
		count[w]++
	}
	for _, w := range strings.Fields(b) {
		count[w]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestJSONSyntaxDecodesAlike(t *testing.T) {
	native := decode(t, `
string = "a${unknown}"
list   = ["x", secret]
object = { a = "x", b = [1] }
one {
  path = "/"
  inner "a" "b" {
    x = 1
  }
}
header "h" {
  value = "v"
}
dynamic "loose" {
  for_each = some
  iterator = it
  content {
    what = it.key
  }
}
`)
	f, diags := hcljson.Parse([]byte(`{
  "string": "a${unknown}", "list": ["x", "${secret}"], "object": {"a": "x", "b": [1]},
  "one": {"path": "/", "inner": {"a": {"b": {"x": 1}}}},
  "header": {"h": {"value": "v"}},
  "dynamic": {"loose": {"for_each": "${some}", "iterator": "it", "content": {"what": "${it.key}"}}}
}`), "f.json")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	b, diags := bind.Decode(f.Body, full, eval)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if diff := cmp.Diff(native.Wire(), b.Wire()); diff != "" {
		t.Errorf("JSON differs (-native +JSON):\n%s", diff)
	}
}

func TestRanges(t *testing.T) {
	src := `string = "x"
list = [
  "a",
  "b",
]
object = {
  a = "x"
  b = [
    1,
  ]
}
tags = ["b",
  "a"]
one {
  path = "/"
  inner "a" "b" {
    x = 1
  }
}
header "h" {
}
any = some
`
	b := decode(t, src)
	for path, line := range map[string]int{
		"string": 1, "list": 2, "list[1]": 4, "list[9]": 2, "object": 6, "object.a": 7, "object.b[0]": 9, "object.b[0].deeper": 9,
		"tags[0]": 13, "tags[1]": 12, "one": 14, "one.path": 15, "one.inner[0]": 16, "one.inner[0].x": 17, "one.inner[0].second": 16,
		"header[0].value": 20, "any.a": 22, "number": 1, "nothing.of.this": 1,
	} {
		if got := b.Range(parsePath(t, path)).Start.Line; got != line {
			t.Errorf("Range(%s) is line %d, want %d", path, got, line)
		}
	}
}

// parsePath reads what value.Path writes, without quoted names.

func parsePath(t *testing.T, s string) value.Path {
	t.Helper()
	var p value.Path
	for step := range strings.SplitSeq(s, ".") {
		name, rest, indexed := strings.Cut(step, "[")
		p = append(p, value.Name(name))
		if indexed {
			var i int
			if _, err := fmt.Sscanf(rest, "%d]", &i); err != nil {
				t.Fatal(err)
			}
			p = append(p, value.Index(i))
		}
	}
	return p
}

func TestKnown(t *testing.T) {
	for _, src := range []string{"steps = [anything]", "steps = anything"} {
		if _, diags := bind.Decode(body(t, src), full, eval); len(diags) != 1 || diags[0].Summary != "Not known yet" {
			t.Errorf("%s: %v", src, diags)
		}
		if _, diags := bind.Decode(body(t, src), full, eval, bind.Tolerant); len(diags) > 0 {
			t.Errorf("%s: %v", src, diags)
		}
	}
	inBlock := &schema.Schema{Blocks: []schema.Block{{Name: "step", Nesting: schema.Many, Schema: schema.Schema{
		Attributes: []schema.Attribute{{Name: "weight", Type: typ("number"), Known: true}},
	}}}}
	src := "dynamic \"step\" {\n for_each = anything\n content {\n weight = 1\n }\n}"
	if _, diags := bind.Decode(body(t, src), inBlock, eval); len(diags) != 1 || !strings.Contains(diags[0].Detail, "weight") {
		t.Errorf("blocks that are not known: %v", diags)
	}
}

func TestDecodeWithoutSchema(t *testing.T) {
	b, diags := bind.Decode(body(t, ""), nil, eval)
	if len(diags) > 0 || string(b.Wire().JSON) != "{}" {
		t.Errorf("%s, %v", b.Wire().JSON, diags)
	}
	if _, diags := bind.Decode(body(t, "a = 1"), nil, eval); !diags.HasErrors() {
		t.Error("a component that takes nothing takes an attribute")
	}
}

func TestErrorsKeepTheirTypes(t *testing.T) {
	b, diags := bind.Decode(body(t, "integer = \"x\"\nlist = 1\nstring = nobody\none {\n}\nheader \"a\" {\n x = 1\n}\n"), full, eval)
	if len(diags) != 5 {
		t.Errorf("%d diagnostics, want 5: %v", len(diags), diags)
	}
	if _, err := bind.FromWire(b.Wire(), full); err != nil {
		t.Error(err)
	}
}

func TestBadDefault(t *testing.T) {
	s := &schema.Schema{Attributes: []schema.Attribute{{Name: "n", Type: typ("integer"), Default: json.RawMessage(`"x"`)}}}
	if _, diags := bind.Decode(body(t, ""), s, eval); len(diags) != 1 || diags[0].Summary != "Invalid schema" {
		t.Errorf("%v", diags)
	}
}

func TestDiagnosticsOfPlugins(t *testing.T) {
	src := "string = \"x\"\nlist = [\n  \"a\",\n  secret,\n]\ntoken = \"s3cr3t\"\n"
	b := decode(t, src)
	subject := hcl.Range{Filename: "g.hcl", Start: hcl.Pos{Line: 99, Column: 1}, End: hcl.Pos{Line: 99, Column: 2}}
	got := bind.Diagnostics(b, diag.List{
		{Severity: diag.Error, Summary: "Whole", Detail: "about 100%", Code: "X1"},
		{Severity: diag.Warning, Summary: "Element", Detail: "fine", Path: parsePath(t, "list[0]")},
		{Severity: diag.Error, Summary: "Secret element", Detail: "it is hunter2", Path: parsePath(t, "list[1]")},
		{Severity: diag.Error, Summary: "s3cr3t is bad", Detail: "really", Path: parsePath(t, "token")},
	}, subject)
	files := map[string]*hcl.File{"f.hcl": {Bytes: []byte(src)}}
	var out strings.Builder
	if err := diagnostics.Write(&out, got, files); err != nil {
		t.Fatal(err)
	}
	want := `Error: Whole
  on g.hcl line 99

About 100%.

Warning: Element
  on f.hcl line 3:
   3:   "a",

Fine.

Error: Secret element
  on f.hcl line 4

The plugin's reason is not shown, because it holds a sensitive value.

Error: Invalid configuration
  on f.hcl line 6

Really.

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if extra, ok := hcl.DiagnosticExtra[diagnostics.Extra](got[0]); !ok || extra.Code != "X1" {
		t.Errorf("the code is lost: %+v", extra)
	}
}
