// Package hclvalue writes values as people write them: in HCL's own form.
package hclvalue

import (
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/lang"
)

// What stands for values that are not shown.
const (
	Sensitive = "(sensitive)"
	Unknown   = "(not known yet)"
)

// Format writes a value, over several lines where it is a collection with
// something in it. What is sensitive or unknown is not shown. The text has no line
// end at its end.
func Format(v cty.Value) string {
	var b strings.Builder
	write(&b, v)
	return string(hclwrite.Format([]byte(b.String())))
}

func write(b *strings.Builder, v cty.Value) {
	if v.IsMarked() {
		if lang.IsSensitive(v) {
			b.WriteString(Sensitive)
			return
		}
		v, _ = v.Unmark()
	}
	typ := v.Type()
	switch {
	case !v.IsKnown():
		b.WriteString(Unknown)
	case v.IsNull():
		b.WriteString("null")
	case typ.IsObjectType() || typ.IsMapType():
		collection(b, v, "{", "}", func(key cty.Value) {
			name := key.AsString()
			if hclsyntax.ValidIdentifier(name) {
				b.WriteString(name)
			} else {
				b.Write(hclwrite.TokensForValue(key).Bytes())
			}
			b.WriteString(" = ")
		}, "")
	case typ.IsTupleType() || typ.IsListType() || typ.IsSetType():
		collection(b, v, "[", "]", func(cty.Value) {}, ",")
	case typ.IsPrimitiveType():
		b.Write(hclwrite.TokensForValue(v).Bytes())
	default:
		// Functions and capsules have no written form.
		b.WriteString("(" + typ.FriendlyName() + ")")
	}
}

// collection writes elements one a line.
func collection(b *strings.Builder, v cty.Value, open, end string, before func(key cty.Value), after string) {
	b.WriteString(open)
	if v.LengthInt() > 0 {
		b.WriteByte('\n')
	}
	for it := v.ElementIterator(); it.Next(); {
		key, elem := it.Element()
		before(key)
		write(b, elem)
		b.WriteString(after + "\n")
	}
	b.WriteString(end)
}
