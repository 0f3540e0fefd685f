package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

var sameEverything = cmp.Options{cmpopts.IgnoreFields(everything{}, "untagged", "Ignored"), cmp.AllowUnexported(everything{})}

func TestDecodeFillsTheStructOnTopOfItsDefaults(t *testing.T) {
	one, y := int64(7), 2.5
	got := everything{
		common: common{Region: "eu"}, Retries: 3, Labels: map[string]string{"default": "yes"}, Command: []string{"old"},
		Expect: &expect{Status: 200}, Header: []header{{Name: "old"}}, Verbose: true,
	}
	diags := schema.Decode(value.Value{JSON: []byte(`{
		"command": ["a", "b"], "token": "s", "retries": null, "share": 0.5, "verbose": null, "bake": "1d", "labels": {"x": "y"},
		"limit": 7, "image": {"digest": "sha256:1", "size": 3, "labels": {"a": "b"}}, "origin": {"x": 1, "y": 2.5},
		"points": [{"x": 1}, {"x": 2, "y": null}], "since": "2026-01-02T03:04:05Z", "extra": {"n": 1, "l": [true, null]}, "raw": {"b": 1, "a": 1e2},
		"expect": {"status": null}, "needed": {"status": 204.0},
		"header": [{"name": "h1", "value": "v"}, {"name": "h2", "value": "w", "after": "2s"}], "pointer": [{"status": 1}]
	}`)}, &got)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := everything{
		common: common{Region: "eu"}, Command: []string{"a", "b"}, Token: "s", Retries: 3, Share: 0.5, Verbose: true, Bake: 24 * time.Hour,
		Labels: map[string]string{"x": "y"}, Limit: &one, Image: call.Artifact{Digest: "sha256:1", Size: 3, Labels: map[string]string{"a": "b"}},
		Origin: point{X: 1, Y: &y}, Points: []point{{X: 1}, {X: 2}}, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Extra: map[string]any{"n": 1.0, "l": []any{true, nil}}, Raw: json.RawMessage(`{"a":1e2,"b":1}`),
		Expect: &expect{Status: 200}, Needed: expect{Status: 204},
		Header:   []header{{Name: "h1", Value: "v", After: time.Second}, {Name: "h2", Value: "w", After: 2 * time.Second}},
		Pointers: []*expect{{Status: 1}},
	}
	if d := cmp.Diff(want, got, sameEverything); d != "" {
		t.Errorf("decoded (-want +got):\n%s", d)
	}
}

func TestDecodeLeavesOutBlocksThatAreNotGiven(t *testing.T) {
	got := struct {
		Expect *expect  `hcl:"expect,block"`
		Header []header `hcl:"header,block"`
	}{Expect: &expect{Status: 200}, Header: []header{{Name: "default"}}}
	if diags := schema.Decode(value.Empty(), &got); len(diags) > 0 || got.Expect != nil || got.Header != nil {
		t.Errorf("got %+v, %v", got, diags)
	}
}

type small struct {
	Name  string        `hcl:"name"`
	Port  int           `hcl:"port,optional"`
	Tiny  int8          `hcl:"tiny,optional"`
	Count uint          `hcl:"count,optional"`
	Ratio float64       `hcl:"ratio,optional"`
	Wait  time.Duration `hcl:"wait,optional"`
	Tags  []string      `hcl:"tags,optional" unique:"true"`
	At    time.Time     `hcl:"at,optional"`
	Free  any           `hcl:"free,optional"`
	Image call.Artifact `hcl:"image,optional"`
	Rule  []expect      `hcl:"rule,block" max:"2"`
}

func TestDecodePointsAtTheMistake(t *testing.T) {
	for name, tt := range map[string]struct {
		json string
		want []string // "path: summary", in order
	}{
		"missing":              {`{}`, []string{"name: Missing attribute"}},
		"null is missing":      {`{"name": null}`, []string{"name: Missing attribute"}},
		"not an object":        {`[]`, []string{": Wrong type of value"}},
		"no JSON":              {`{`, []string{": Invalid value"}},
		"two values":           {`{"name":"a"} }`, []string{": Invalid value"}},
		"unknown attribute":    {`{"name": "a", "nmae": 1, "b": 2}`, []string{"b: Unsupported attribute", "nmae: Unsupported attribute"}},
		"wrong types":          {`{"name": 1, "port": "80", "ratio": true, "tags": {}}`, []string{"name: Wrong type of value", "port: Wrong type of value", "ratio: Wrong type of value", "tags: Wrong type of value"}},
		"element":              {`{"name": "a", "tags": ["x", 5, null]}`, []string{"tags[1]: Wrong type of value", "tags[2]: Missing value"}},
		"not unique":           {`{"name": "a", "tags": ["x", "y", "x"]}`, []string{"tags[2]: Duplicate element"}},
		"fraction":             {`{"name": "a", "port": 1.5}`, []string{"port: Number out of range"}},
		"above 2^53":           {`{"name": "a", "port": 9007199254740992}`, []string{"port: Number out of range"}},
		"far above 2^53":       {`{"name": "a", "port": 1e300}`, []string{"port: Number out of range"}},
		"does not fit":         {`{"name": "a", "tiny": 128, "count": -1}`, []string{"tiny: Number out of range", "count: Number out of range"}},
		"infinite":             {`{"name": "a", "ratio": 1e400, "free": [1, 1e400]}`, []string{"ratio: Number out of range", "free[1]: Number out of range"}},
		"inexact in free form": {`{"name": "a", "free": {"id": 9007199254740993}}`, []string{"free.id: Number out of range"}},
		"duration":             {`{"name": "a", "wait": "soon"}`, []string{"wait: Invalid duration"}},
		"duration as number":   {`{"name": "a", "wait": 5}`, []string{"wait: Wrong type of value"}},
		"text":                 {`{"name": "a", "at": "yesterday"}`, []string{"at: Invalid value"}},
		"artifact":             {`{"name": "a", "image": {"digest": 5, "x": 1}}`, []string{"image.x: Unsupported attribute", "image.digest: Wrong type of value"}},
		"artifact as string":   {`{"name": "a", "image": "latest"}`, []string{"image: Wrong type of value"}},
		"block":                {`{"name": "a", "rule": [{"status": "x"}, {"y": 1}]}`, []string{"rule[0].status: Wrong type of value", "rule[1].y: Unsupported attribute"}},
		"too many blocks":      {`{"name": "a", "rule": [{}, {}, {}]}`, []string{"rule: Wrong number of blocks"}},
		"block as object":      {`{"name": "a", "rule": {}}`, []string{"rule: Wrong type of value"}},
	} {
		t.Run(name, func(t *testing.T) {
			var into small
			got := brief(schema.Decode(value.Value{JSON: []byte(tt.json)}, &into))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("diagnostics of Decode (-want +got):\n%s", d)
			}
			s, err := schema.Of(small{})
			if err != nil {
				t.Fatal(err)
			}
			// Check knows no Go types, so it lets pass what only those refuse.
			if name == "does not fit" || name == "text" {
				return
			}
			if d := cmp.Diff(tt.want, brief(s.Check(value.Value{JSON: []byte(tt.json)}))); d != "" {
				t.Errorf("diagnostics of Check (-want +got):\n%s", d)
			}
		})
	}
}

func brief(l diag.List) []string {
	var out []string
	for _, d := range l {
		if d.Severity != diag.Error || d.Detail == "" || strings.HasSuffix(d.Summary, ".") || !strings.HasSuffix(d.Detail, ".") {
			out = append(out, fmt.Sprintf("unfit for people: %+v", d))
		}
		out = append(out, d.Path.String()+": "+d.Summary)
	}
	return out
}

func TestDecodeZeroesWhatIsUnknown(t *testing.T) {
	got := small{Name: "default", Port: 80, Tags: []string{"default"}}
	diags := schema.Decode(value.Value{
		JSON: []byte(`{"name": null, "port": null, "tags": ["a", null, 5], "free": {"a": null}, "rule": [null, {"status": null}]}`),
		Unknown: []value.Path{
			value.Names("name"), value.Names("port"), {value.Name("tags"), value.Index(1)}, value.Names("free", "a"),
			{value.Name("rule"), value.Index(0)}, {value.Name("rule"), value.Index(1), value.Name("status")},
		},
	}, &got)
	if d := cmp.Diff([]string{"tags[2]: Wrong type of value"}, brief(diags)); d != "" {
		t.Errorf("diagnostics (-want +got):\n%s", d)
	}
	want := small{Tags: []string{"a", "", ""}, Free: map[string]any{"a": nil}, Rule: []expect{{}, {}}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("decoded (-want +got):\n%s", d)
	}
	whole := small{Name: "default", Port: 80}
	if diags := schema.Decode(value.Value{JSON: []byte("null"), Unknown: []value.Path{{}}}, &whole); len(diags) > 0 || !reflect.DeepEqual(whole, small{}) {
		t.Errorf("a wholly unknown value gave %+v, %v", whole, diags)
	}
}

func TestDropUnknown(t *testing.T) {
	diags := diag.List{{Path: value.Names("a")}, {Path: value.Names("b")}, {Path: value.Names("b", "c")}, {Path: value.Names("d")}, {}}
	got := schema.DropUnknown(diags, []value.Path{value.Names("b"), value.Names("d").With(value.Index(0))})
	if d := cmp.Diff(diag.List{{Path: value.Names("a")}, {}}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDecodeTellsTheAuthorOfThePlugin(t *testing.T) {
	for name, into := range map[string]any{"struct": small{}, "nil": (*small)(nil), "number": new(int), "bad tag": &struct {
		A chan int `hcl:"a"`
	}{}} {
		diags := schema.Decode(value.Empty(), into)
		if len(diags) != 1 || !strings.Contains(diags[0].Detail, "mistake in the plugin") {
			t.Errorf("%s: got %v", name, diags)
		}
	}
}

type outputs struct {
	ExitCode int               `hcl:"exit_code"`
	Took     time.Duration     `hcl:"took"`
	Password string            `hcl:"password" sensitive:"true"`
	Names    []string          `hcl:"names"`
	Env      map[string]string `hcl:"env"`
	Result   any               `hcl:"result"`
	None     *int              `hcl:"none,optional"`
	User     []user            `hcl:"user,block"`
}

type user struct {
	Key string `hcl:"key" sensitive:"true"`
}

func TestEncode(t *testing.T) {
	got, err := schema.Encode(&outputs{
		ExitCode: 3, Took: 90 * time.Second, Password: "p", Result: map[string]any{"n": 1, "f": float32(0.5), "s": []any{"x"}, "num": json.Number("7")},
		User: []user{{Key: "k"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"env":{},"exit_code":3,"names":[],"none":null,"password":"p","result":{"f":0.5,"n":1,"num":7,"s":["x"]},"took":"1m30s","user":[{"key":"k"}]}`
	if d := cmp.Diff(want, string(got.JSON)); d != "" {
		t.Errorf("JSON (-want +got):\n%s", d)
	}
	sensitive := []value.Path{value.Names("password"), {value.Name("user"), value.Index(0), value.Name("key")}}
	if d := cmp.Diff(sensitive, got.Sensitive); d != "" {
		t.Errorf("sensitive (-want +got):\n%s", d)
	}
	for _, v := range []any{nil, (*outputs)(nil), struct{}{}} {
		if got, err := schema.Encode(v); err != nil || string(got.JSON) != "{}" {
			t.Errorf("Encode(%#v) = %s, %v", v, got.JSON, err)
		}
	}
}

func TestEncodeRefusesWhatCannotTravel(t *testing.T) {
	type free struct {
		V any `hcl:"v"`
	}
	for name, v := range map[string]any{
		"NaN":           free{math.NaN()},
		"infinite":      free{[]float64{1, math.Inf(1)}},
		"too large":     free{int64(1 << 53)},
		"unsigned":      free{uint64(math.MaxUint64)},
		"raw too large": free{json.RawMessage(`{"a":[9007199254740993]}`)},
		"raw 1e400":     free{json.RawMessage(`1e400`)},
		"raw no JSON":   free{json.RawMessage(`{`)},
		"function":      free{func() {}},
		"int keys":      free{map[int]int{1: 1}},
		"text error":    free{badText{}},
		"no struct":     5,
		"nil block": struct {
			B []*expect `hcl:"b,block"`
		}{[]*expect{nil}},
	} {
		if got, err := schema.Encode(v); err == nil {
			t.Errorf("%s: Encode gave %s; want an error", name, got.JSON)
		}
	}
}

type badText struct{}

func (badText) MarshalText() ([]byte, error)  { return nil, errors.New("no text") }
func (*badText) UnmarshalText(_ []byte) error { return nil }

func TestEncodeAndDecodeAreInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		str := rapid.String()
		in := everything{
			common: common{Region: str.Draw(t, "region")}, Command: rapid.SliceOfDistinct(str, func(s string) string { return s }).Draw(t, "command"),
			Retries: rapid.Uint8().Draw(t, "retries"), Share: rapid.Float32().Draw(t, "share"), Verbose: rapid.Bool().Draw(t, "verbose"),
			Bake: time.Duration(rapid.Int64().Draw(t, "bake")), Labels: rapid.MapOf(str, str).Draw(t, "labels"),
			Limit:  rapid.Ptr(rapid.Int64Range(-schema.MaxInteger, schema.MaxInteger), true).Draw(t, "limit"),
			Image:  call.Artifact{Digest: str.Draw(t, "digest"), Size: rapid.Int64Range(0, schema.MaxInteger).Draw(t, "size")},
			Origin: point{X: rapid.Float64().Draw(t, "x")}, Since: time.Unix(rapid.Int64Range(0, 1<<34).Draw(t, "since"), 0).UTC(),
			Needed: expect{Status: rapid.IntRange(-schema.MaxInteger, schema.MaxInteger).Draw(t, "status")},
			Header: []header{{Name: str.Draw(t, "name"), Value: str.Draw(t, "value"), After: 0}},
		}
		v, err := schema.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		s, err := schema.Of(in)
		if err != nil {
			t.Fatal(err)
		}
		if diags := s.Check(v); len(diags) > 0 {
			t.Fatalf("the schema refuses %s: %v", v.JSON, diags)
		}
		var out everything
		if diags := schema.Decode(v, &out); len(diags) > 0 {
			t.Fatalf("decoding %s: %v", v.JSON, diags)
		}
		if d := cmp.Diff(in, out, sameEverything, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("(-in +out):\n%s", d)
		}
	})
}

func TestCompleteFillsInDefaults(t *testing.T) {
	s, err := schema.Of(everything{common: common{Region: "eu"}, Retries: 3, Expect: &expect{Status: 200}})
	if err != nil {
		t.Fatal(err)
	}
	in := value.Value{JSON: []byte(`{"command": ["a"], "retries": 5, "expect": {}, "needed": {}, "header": [{"name": "x", "value": "y"}]}`)}
	got, diags := s.Complete(in)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := `{"bake":"0s","command":["a"],"expect":{"status":200},"extra":null,"header":[{"after":"1s","name":"x","value":"y"}],"image":null,"labels":null,` +
		`"limit":null,"needed":{"status":0},"origin":null,"pointer":[],"points":null,"raw":null,"region":"eu","retries":5,"share":0,"since":null,"token":"","verbose":false}`
	if d := cmp.Diff(want, string(got.JSON)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]value.Path{value.Names("token")}, got.Sensitive); d != "" {
		t.Errorf("sensitive (-want +got):\n%s", d)
	}
	for _, bad := range []string{"", "[]", "5", `{"header": {}}`, `{"needed": 5}`} {
		if _, diags := s.Complete(value.Value{JSON: []byte(bad)}); len(diags) == 0 {
			t.Errorf("%q was accepted", bad)
		}
	}
	unknown, diags := s.Complete(value.Value{JSON: []byte(`{"header": null, "needed": {}}`), Unknown: []value.Path{value.Names("command"), value.Names("retries"), value.Names("header")}})
	if len(diags) > 0 || !strings.Contains(string(unknown.JSON), `"retries":null`) || !strings.Contains(string(unknown.JSON), `"header":null`) {
		t.Errorf("unknown places were filled in: %s, %v", unknown.JSON, diags)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"command":["a"],"needed":{},"header":[{"name":"x","value":"y"}]}`))
	f.Add([]byte(`{"command":null,"image":{"digest":{}},"points":[[],{}],"raw":[1e999]}`))
	f.Add([]byte(`[`))
	s, err := schema.Of(everything{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var into everything
		v := value.Value{JSON: in}
		decoded, checked := schema.Decode(v, &into), s.Check(v)
		if len(decoded) == 0 && len(checked) > 0 {
			t.Errorf("Decode takes what Check refuses: %s: %v", in, checked)
		}
		s.Complete(v)
		if len(decoded) == 0 {
			if _, err := schema.Encode(into); err != nil {
				t.Errorf("what was decoded from %s cannot be encoded: %v", in, err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	v := value.Value{JSON: []byte(`{"name": "web", "port": 8080, "wait": "30s", "tags": ["a", "b"], "rule": [{"status": 200}]}`)}
	b.ReportAllocs()
	for b.Loop() {
		var into small
		if diags := schema.Decode(v, &into); len(diags) > 0 {
			b.Fatal(diags)
		}
	}
}
