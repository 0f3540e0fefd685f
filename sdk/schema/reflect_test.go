package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/schema"
)

type common struct {
	Region string `hcl:"region,optional" doc:"where"`
}

type header struct {
	Name  string        `hcl:"name,label"`
	Value string        `hcl:"value"`
	After time.Duration `hcl:"after,optional"`
}

func (h *header) SetDefaults() { h.After = time.Second }

type expect struct {
	Status int `hcl:"status,optional"`
}

type point struct {
	X float64  `hcl:"x"`
	Y *float64 `hcl:"y,optional"`
}

// everything has a field of each form that takes part in a schema.
type everything struct {
	common
	Command  []string          `hcl:"command" known:"true" unique:"true" doc:"what to run"`
	Token    string            `hcl:"token,optional" sensitive:"true"`
	Retries  uint8             `hcl:"retries,optional"`
	Share    float32           `hcl:"share,optional"`
	Verbose  bool              `hcl:"verbose,optional" deprecated:"use log_level"`
	Bake     time.Duration     `hcl:"bake,optional"`
	Labels   map[string]string `hcl:"labels,optional"`
	Limit    *int64            `hcl:"limit,optional"`
	Image    call.Artifact     `hcl:"image,optional"`
	Origin   point             `hcl:"origin,optional"`
	Points   []point           `hcl:"points,optional"`
	Since    time.Time         `hcl:"since,optional"`
	Extra    any               `hcl:"extra,optional"`
	Raw      json.RawMessage   `hcl:"raw,optional"`
	Expect   *expect           `hcl:"expect,block" doc:"what must come"`
	Needed   expect            `hcl:"needed,block"`
	Header   []header          `hcl:"header,block" min:"1" max:"3"`
	Pointers []*expect         `hcl:"pointer,block"`

	untagged int
	Ignored  chan int
}

func TestOfReadsEveryForm(t *testing.T) {
	limit := int64(5)
	got, err := schema.Of(&everything{
		common: common{Region: "eu"}, Retries: 3, Bake: 90 * time.Minute, Limit: &limit, Labels: map[string]string{"b": "2", "a": "1"},
		Points: []point{{X: 1}}, Expect: &expect{Status: 200}, untagged: 1, Ignored: nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	js := func(s string) json.RawMessage { return json.RawMessage(s) }
	prim := schema.Primitive
	pointType := schema.Type{Kind: schema.Object, Fields: []schema.Field{
		{Name: "x", Type: prim(schema.Number)}, {Name: "y", Type: prim(schema.Number), Optional: true},
	}}
	status := func(def string) schema.Schema {
		return schema.Schema{Attributes: []schema.Attribute{{Name: "status", Type: prim(schema.Integer), Default: js(def)}}}
	}
	expectBlock := status("200")
	expectBlock.Doc = "what must come"
	want := schema.Schema{
		Attributes: []schema.Attribute{
			{Name: "region", Type: prim(schema.String), Default: js(`"eu"`), Doc: "where"},
			{Name: "command", Type: schema.ListOf(prim(schema.String)), Required: true, Known: true, Unique: true, Doc: "what to run"},
			{Name: "token", Type: prim(schema.String), Default: js(`""`), Sensitive: true},
			{Name: "retries", Type: prim(schema.Integer), Default: js("3")},
			{Name: "share", Type: prim(schema.Number), Default: js("0")},
			{Name: "verbose", Type: prim(schema.Bool), Default: js("false"), Deprecated: "use log_level"},
			{Name: "bake", Type: prim(schema.Duration), Default: js(`"1h30m"`)},
			{Name: "labels", Type: schema.MapOf(prim(schema.String)), Default: js(`{"a":"1","b":"2"}`)},
			{Name: "limit", Type: prim(schema.Integer), Default: js("5")},
			{Name: "image", Type: prim(schema.Artifact)},
			{Name: "origin", Type: pointType},
			{Name: "points", Type: schema.ListOf(pointType), Default: js(`[{"x":1,"y":null}]`)},
			{Name: "since", Type: prim(schema.String)},
			{Name: "extra", Type: prim(schema.Any)},
			{Name: "raw", Type: prim(schema.Any)},
		},
		Blocks: []schema.Block{
			{Name: "expect", Nesting: schema.Single, Max: 1, Schema: expectBlock},
			{Name: "needed", Nesting: schema.Single, Min: 1, Max: 1, Schema: status("0")},
			{Name: "header", Labels: []string{"name"}, Nesting: schema.Many, Min: 1, Max: 3, Schema: schema.Schema{Attributes: []schema.Attribute{
				{Name: "value", Type: prim(schema.String), Required: true},
				{Name: "after", Type: prim(schema.Duration), Default: js(`"1s"`)},
			}}},
			{Name: "pointer", Nesting: schema.Many, Schema: status("0")},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("schema (-want +got):\n%s", d)
	}
	if again, err := schema.Of((*everything)(nil)); err != nil || len(again.Attributes) != len(want.Attributes) {
		t.Errorf("a nil pointer gave %d attributes, %v", len(again.Attributes), err)
	}
}

type recursive struct {
	Children []recursive `hcl:"child,block"`
}

func TestOfNamesTheFieldAtFault(t *testing.T) {
	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"not a struct": {42, "a struct is needed"},
		"nothing":      {nil, "a struct is needed"},
		"unexported": {struct {
			a string `hcl:"a"`
		}{}, "field a: a tagged field must be exported"},
		"bad name": {struct {
			A string `hcl:"A-b"`
		}{}, `field A: "A-b" is not a name`},
		"no name": {struct {
			A string `hcl:",optional"`
		}{}, `field A: "" is not a name`},
		"bad kind": {struct {
			A string `hcl:"a,remain"`
		}{}, `"remain" is not one of`},
		"twice": {struct {
			A string `hcl:"x"`
			B string `hcl:"x"`
		}{}, `fields A and B are both called "x"`},
		"label outside": {struct {
			A string `hcl:"a,label"`
		}{}, "field A: only a block has labels"},
		"label not a string": {struct {
			B []struct {
				N int `hcl:"n,label"`
			} `hcl:"b,block"`
		}{}, "a label must be a string"},
		"contains itself": {recursive{}, "contains itself"},
		"channel": {struct {
			A chan int `hcl:"a"`
		}{}, "chan int has no type"},
		"bytes": {struct {
			A []byte `hcl:"a"`
		}{}, "use a string"},
		"map keys": {struct {
			A map[int]string `hcl:"a"`
		}{}, "keys of a map must be strings"},
		"pointer to pointer": {struct {
			A **int `hcl:"a"`
		}{}, "pointer to a pointer"},
		"method interface": {struct {
			A error `hcl:"a"`
		}{}, "error has no type"},
		"block of strings": {struct {
			A []string `hcl:"a,block"`
		}{}, "a block must be a struct"},
		"unique string": {struct {
			A string `hcl:"a" unique:"true"`
		}{}, "only a list can be unique"},
		"bad flag": {struct {
			A string `hcl:"a" sensitive:"yes please"`
		}{}, `"yes please" is not true or false`},
		"sensitive block": {struct {
			A *expect `hcl:"a,block" sensitive:"true"`
		}{}, "tag sensitive has no meaning here"},
		"count on one block": {struct {
			A *expect `hcl:"a,block" max:"2"`
		}{}, "a count on a repeated block is needed"},
		"sensitive inside an object": {struct {
			A struct {
				B string `hcl:"b" sensitive:"true"`
			} `hcl:"a"`
		}{}, "tags belong on the attribute"},
		"block inside an object": {struct {
			A struct {
				B []expect `hcl:"b,block"`
			} `hcl:"a"`
		}{}, "an object holds no blocks"},
		"empty object": {struct {
			A struct{ X int } `hcl:"a"`
		}{}, "has no field with an hcl tag"},
		"default that cannot travel": {struct {
			A int64 `hcl:"a,optional"`
		}{A: 1 << 60}, "default of A: the integer 1152921504606846976 is beyond"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schema.Of(tt.v)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want an error with %q", err, tt.want)
			}
		})
	}
}

func TestDigestTellsSchemasApart(t *testing.T) {
	base := schema.Schema{Attributes: []schema.Attribute{{Name: "a", Type: schema.Primitive(schema.Any), Default: json.RawMessage(`{"x":1,"y":2}`)}}}
	same := schema.Schema{Attributes: []schema.Attribute{{Name: "a", Type: schema.Primitive(schema.Any), Default: json.RawMessage("{ \"y\":2,\n\"x\":1 }")}}, Blocks: []schema.Block{}}
	if base.Digest() != same.Digest() {
		t.Error("white space, the order of keys and an empty list changed the digest")
	}
	if len(base.Digest()) != 64 {
		t.Errorf("%q is no SHA-256 in hex", base.Digest())
	}
	seen := map[string]string{base.Digest(): "base"}
	for name, change := range map[string]func(*schema.Schema){
		"name":     func(s *schema.Schema) { s.Attributes[0].Name = "b" },
		"type":     func(s *schema.Schema) { s.Attributes[0].Type = schema.Primitive(schema.String) },
		"required": func(s *schema.Schema) { s.Attributes[0].Required = true },
		"default":  func(s *schema.Schema) { s.Attributes[0].Default = json.RawMessage(`{"x":1,"y":3}`) },
		"broken":   func(s *schema.Schema) { s.Attributes[0].Default = json.RawMessage(`{`) },
		"block":    func(s *schema.Schema) { s.Blocks = []schema.Block{{Name: "b"}} },
		"deep":     func(s *schema.Schema) { s.Blocks = []schema.Block{{Name: "b", Schema: base}} },
		"version":  func(s *schema.Schema) { s.Version = 1 },
	} {
		s := base
		s.Attributes = append([]schema.Attribute(nil), base.Attributes...)
		change(&s)
		d := s.Digest()
		if other, twice := seen[d]; twice {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
	}
	if string(same.Attributes[0].Default) != "{ \"y\":2,\n\"x\":1 }" {
		t.Error("Digest wrote into its schema")
	}
}

func TestTypesReadBack(t *testing.T) {
	for _, in := range []string{
		"any", "list(string)", "map(list(integer))", "object({})", "object({a=string,b=optional(list(duration))})",
		"object({optional=bool})", "list(object({x=number,y=optional(object({z=artifact}))}))",
	} {
		parsed, err := schema.ParseType(in)
		if err != nil || parsed.String() != in {
			t.Errorf("%q was read as %q, %v", in, parsed, err)
		}
	}
	for _, in := range []string{
		"", "str", "list", "list()", "list(string", "list(string))", "map(a=b)", "object({a})", "object({a=})", "object({=string})",
		"optional(string)", strings.Repeat("list(", 40) + "any" + strings.Repeat(")", 40),
	} {
		if parsed, err := schema.ParseType(in); err == nil {
			t.Errorf("%q was read as %q; want an error", in, parsed)
		}
	}
}
