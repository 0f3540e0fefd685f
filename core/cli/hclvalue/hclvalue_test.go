package hclvalue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/cli/hclvalue"
	"github.com/runner-pipelines/runner/core/lang"
)

func TestFormat(t *testing.T) {
	object := func(pairs ...any) cty.Value {
		m := map[string]cty.Value{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1].(cty.Value)
		}
		return cty.ObjectVal(m)
	}
	for want, v := range map[string]cty.Value{
		`"a \"b\" $${c}\n"`: cty.StringVal("a \"b\" ${c}\n"),
		"12.5":              cty.NumberFloatVal(12.5),
		"true":              cty.True,
		"null":              cty.NullVal(cty.DynamicPseudoType),
		"{}":                cty.EmptyObjectVal,
		"[]":                cty.ListValEmpty(cty.String),
		"(sensitive)":       lang.Sensitive(cty.StringVal("swordfish")),
		"(not known yet)":   cty.UnknownVal(cty.String),
		"[\n  1,\n  [\n    \"x\",\n  ],\n]": cty.TupleVal([]cty.Value{
			cty.NumberIntVal(1), cty.SetVal([]cty.Value{cty.StringVal("x")}),
		}),
		"{\n  \"a b\"  = 1\n  hidden = (sensitive)\n  later  = (not known yet)\n}": object(
			"a b", cty.NumberIntVal(1), "hidden", lang.Sensitive(cty.True), "later", cty.DynamicVal),
		"{\n  inner = {\n    k = null\n  }\n}": object("inner", object("k", cty.NullVal(cty.String))),
	} {
		if diff := cmp.Diff(want, hclvalue.Format(v)); diff != "" {
			t.Errorf("%#v (-want +got):\n%s", v, diff)
		}
	}
}
