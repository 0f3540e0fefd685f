package bind_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/scan"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

func FuzzDecode(f *testing.F) {
	for _, src := range []string{
		"string = 1", "list = [1, unknown, secret]", "one {\n path = \"/\"\n}", "dynamic \"header\" {\n for_each = some\n labels = [header.key]\n content {\n value = header.value\n }\n}",
		"any = { a = [secret, 1e5] }\ntags = set", "object = { a = 1, b = [] }", "map = secrets", "anys = [anything]\nartifact = art",
		"one {\n path = \"\"\n dynamic \"inner\" {\n for_each = [1]\n labels = [\"a\", \"b\"]\n content {}\n }\n}",
	} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if _, err := scan.Config([]byte(src), 0); err != nil {
			return
		}
		file, diags := hclsyntax.ParseConfig([]byte(src), "f.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			return
		}
		b, diags := bind.Decode(file.Body, full, eval)
		w := b.Wire()
		if !json.Valid(w.JSON) {
			t.Fatalf("not JSON: %s", w.JSON)
		}
		again, err := bind.FromWire(w, full)
		if err != nil {
			t.Fatalf("%s cannot be read again: %v", w.JSON, err)
		}
		if diff := cmp.Diff(w, bind.ToWire(again)); diff != "" {
			t.Fatalf("after a round trip (-want +got):\n%s", diff)
		}
		if errs := b.Value.Type().TestConformance(bind.TypeOf(full)); !diags.HasErrors() && len(errs) > 0 {
			t.Fatal(errs)
		}
	})
}

func FuzzFromWire(f *testing.F) {
	f.Add(`{"n": 3, "key": "k", "list": [{"a": "x"}]}`, "list", "free")
	f.Add(`{"free": {"a": [1]}, "made": {"digest": ""}}`, "free", "key")
	f.Fuzz(func(t *testing.T, src, unknown, sensitive string) {
		v, err := bind.FromWire(value.Value{
			JSON: []byte(src), Unknown: []value.Path{value.Names(unknown)}, Sensitive: []value.Path{value.Names(sensitive)},
		}, outputsSchema)
		if err != nil {
			return
		}
		w := bind.ToWire(v)
		again, err := bind.FromWire(w, outputsSchema)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(w, bind.ToWire(again)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzType(f *testing.F) {
	for _, s := range []string{"list(string)", "object({a=optional(map(any)),b=duration})", "artifact", "map(list(integer))"} {
		f.Add(s, `[1, "x", {"a": null}]`)
	}
	f.Fuzz(func(t *testing.T, text, data string) {
		ty, err := schema.ParseType(text)
		if err != nil {
			return
		}
		s := &schema.Schema{Attributes: []schema.Attribute{{Name: "a", Type: ty, Default: json.RawMessage(data)}}}
		b, diags := bind.Decode(hcl.EmptyBody(), s, eval)
		if errs := b.Value.Type().TestConformance(bind.TypeOf(s)); len(errs) > 0 {
			t.Fatal(errs)
		}
		if !diags.HasErrors() {
			if _, err := bind.FromWire(b.Wire(), s); err != nil {
				t.Fatal(err)
			}
		}
	})
}
