package outputs_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/runs/outputs"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

func key(t *testing.T, letter string) *seal.Key {
	t.Helper()
	k, err := seal.ParseKey(strings.Repeat(letter, 43))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	ctx, s, k := t.Context(), memstore.New(), key(t, "A")
	deep := cty.ObjectVal(map[string]cty.Value{
		"list": cty.ListVal([]cty.Value{cty.StringVal("a")}), "none": cty.NullVal(cty.Number), "any": cty.NullVal(cty.DynamicPseudoType),
	})
	given := []outputs.Output{{Name: "z", Value: deep}, {Name: "secret", Value: cty.StringVal("swordfish"), Sensitive: true}, {Name: "a", Value: cty.True}}
	if err := outputs.Keep(ctx, s, k, "r1", given); err != nil {
		t.Fatal(err)
	}
	it, err := s.Get(ctx, "runs/r1/outputs")
	if err != nil || bytes.Contains(it.Value, []byte("swordfish")) {
		t.Fatalf("in the store lies %s, %v", it.Value, err)
	}
	got, err := outputs.Read(ctx, s, "r1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range got {
		names = append(names, o.Name)
		want := given[slices.IndexFunc(given, func(g outputs.Output) bool { return g.Name == o.Name })]
		v, err := o.Reveal(k)
		if err != nil || !v.RawEquals(want.Value) || o.Sensitive != want.Sensitive || !o.Type().Equals(want.Value.Type()) {
			t.Errorf("output %q: %#v (sensitive %v), %v", o.Name, v, o.Sensitive, err)
		}
	}
	if !slices.Equal(names, []string{"a", "secret", "z"}) {
		t.Errorf("names: %v", names)
	}
	// Only what is sealed needs the key.
	if v, err := got[0].Reveal(key(t, "B")); err != nil || !v.RawEquals(cty.True) {
		t.Errorf("plain with another key: %#v, %v", v, err)
	}
	if _, err := got[1].Reveal(key(t, "B")); !errors.Is(err, seal.ErrWrongKey) {
		t.Errorf("sealed with another key: %v", err)
	}
	// What was kept first counts.
	if err := outputs.Keep(ctx, s, k, "r1", nil); err != nil {
		t.Fatal(err)
	}
	if again, err := outputs.Read(ctx, s, "r1"); err != nil || len(again) != len(got) {
		t.Errorf("after keeping again: %d outputs, %v", len(again), err)
	}
}

func TestMissingAndDamaged(t *testing.T) {
	ctx, s := t.Context(), memstore.New()
	if _, err := outputs.Read(ctx, s, "r1"); !errors.Is(err, outputs.ErrNone) {
		t.Errorf("without any: %v", err)
	}
	for i, damaged := range []string{"", "{", `[{"name":"a","type":"nonsense","value":1}]`, `[{"name":"a","type":"number","value":"x"}]`} {
		run := string(rune('a' + i))
		if _, err := s.PutAbsent(ctx, "runs/"+run+"/outputs", []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if _, err := outputs.Read(ctx, s, run); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", damaged, err)
		}
	}
}
