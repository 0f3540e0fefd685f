package bind

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// maxInteger is the largest integer that every language reads exactly from JSON.
const maxInteger = 1<<53 - 1

// converter gives one attribute's value the schema's type.
type converter struct {
	attribute string
	// hidden keeps the source line out of messages.
	hidden bool
	at     func(value.Path) hcl.Range
	diags  hcl.Diagnostics
}

func (c *converter) fail(path value.Path, summary, detail string, args ...any) {
	d := diagnostics.Error(c.at(path), summary, detail, args...)
	if c.hidden {
		d.Extra = diagnostics.Extra{Hidden: true}
	}
	c.diags = append(c.diags, d)
}

// describe names a place for messages: "steps[2]" or the whole attribute.
func describe(path value.Path) string { return fmt.Sprintf("%q", path.String()) }

func (c *converter) wrongType(path value.Path, t schema.Type, v cty.Value) cty.Value {
	hint := ""
	switch {
	case t.Kind == schema.List && v.Type() == cty.String:
		hint = ` Write a list in square brackets: ["…", "…"].`
	case t.Kind == schema.Map && !v.Type().IsObjectType() && !v.Type().IsMapType():
		hint = ` Write a map in curly brackets: { NAME = … }.`
	}
	c.fail(path, "Wrong type", "%s is %s, and this value is %s.%s", describe(path), article(t), kindOf(v), hint)
	return cty.UnknownVal(typeOf(t))
}

func article(t schema.Type) string {
	switch t.Kind {
	case schema.String:
		return "a string"
	case schema.Number:
		return "a number"
	case schema.Integer:
		return "a whole number"
	case schema.Bool:
		return "true or false"
	case schema.Duration:
		return `a duration such as "90s" or "1h30m"`
	case schema.Artifact:
		return "an artifact, such as stage.NAME.ARTIFACT"
	}
	return "of type " + t.String()
}

func kindOf(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	switch ty := v.Type(); {
	case ty.IsTupleType():
		return "a list"
	case ty.IsObjectType():
		return "an object"
	default:
		return "of type " + ty.FriendlyName()
	}
}

// convert keeps marks and unknown parts where they are.
func (c *converter) convert(v cty.Value, t schema.Type, path value.Path) cty.Value {
	v, marks := v.Unmark()
	return c.convertPlain(v, t, path).WithMarks(marks)
}

func (c *converter) convertPlain(v cty.Value, t schema.Type, path value.Path) cty.Value {
	want := typeOf(t)
	switch {
	case v.IsNull():
		return cty.NullVal(want)
	case !v.IsKnown():
		if v.Type() != cty.DynamicPseudoType && convert.GetConversionUnsafe(v.Type(), want) == nil && !v.Type().Equals(want) {
			return c.wrongType(path, t, v)
		}
		return cty.UnknownVal(want)
	}
	switch t.Kind {
	case schema.Any:
		return c.free(v, path)
	case schema.List:
		return c.list(v, t, path)
	case schema.Map:
		return c.mapping(v, t, path)
	case schema.Object:
		return c.object(v, t, path)
	case schema.Artifact:
		return c.artifact(v, t, path)
	}
	out, err := convert.Convert(v, want)
	if err != nil {
		return c.wrongType(path, t, v)
	}
	switch t.Kind {
	case schema.Number:
		return c.number(out, path)
	case schema.Integer:
		if !out.AsBigFloat().IsInt() {
			c.fail(path, "Value out of range", "%s is a whole number, and this value has a fraction.", describe(path))
		} else if n, accuracy := out.AsBigFloat().Int64(); accuracy != 0 || n > maxInteger || n < -maxInteger {
			c.fail(path, "Value out of range", "%s is a whole number from −(2^53−1) to 2^53−1.", describe(path))
		}
	case schema.Duration:
		if _, err := lang.ParseDuration(out.AsString()); err != nil {
			c.fail(path, "Invalid duration", "%s: %s.", describe(path), err)
		}
	}
	return out
}

// number is the value as the plugin will read it.
func (c *converter) number(v cty.Value, path value.Path) cty.Value {
	if f, _ := v.AsBigFloat().Float64(); math.IsInf(f, 0) {
		c.fail(path, "Value out of range", "%s is too large a number.", describe(path))
		return cty.UnknownVal(cty.Number)
	}
	out, err := cty.ParseNumberVal(numberText(v.AsBigFloat()))
	if err != nil {
		return v
	}
	return out
}

// free takes any value that can travel.
func (c *converter) free(v cty.Value, path value.Path) cty.Value {
	any := schema.Primitive(schema.Any)
	switch ty := v.Type(); {
	case ty == cty.Number:
		return c.number(v, path)
	case ty.IsPrimitiveType():
		return v
	case ty.IsListType() || ty.IsTupleType() || ty.IsSetType():
		var out []cty.Value
		for i, e := range v.AsValueSlice() {
			out = append(out, c.convert(e, any, path.With(value.Index(i))))
		}
		return cty.TupleVal(out)
	case ty.IsMapType() || ty.IsObjectType():
		out := map[string]cty.Value{}
		for name, e := range v.AsValueMap() {
			out[name] = c.convert(e, any, path.With(value.Name(name)))
		}
		return cty.ObjectVal(out)
	}
	return c.wrongType(path, any, v)
}

func (c *converter) list(v cty.Value, t schema.Type, path value.Path) cty.Value {
	if ty := v.Type(); !ty.IsListType() && !ty.IsTupleType() && !ty.IsSetType() {
		return c.wrongType(path, t, v)
	}
	elements := v.AsValueSlice()
	for i, e := range elements {
		at := path.With(value.Index(i))
		elements[i] = c.element(e, *t.Elem, at)
	}
	return listOf(typeOf(*t.Elem), elements)
}

// element is a part of a list or map, which cannot be null.
func (c *converter) element(v cty.Value, t schema.Type, path value.Path) cty.Value {
	if plain, _ := v.Unmark(); plain.IsNull() && t.Kind != schema.Any {
		c.fail(path, "Null value", "%s is null. Give it a value, or leave it out.", describe(path))
		return cty.UnknownVal(typeOf(t))
	}
	return c.convert(v, t, path)
}

func (c *converter) mapping(v cty.Value, t schema.Type, path value.Path) cty.Value {
	if ty := v.Type(); !ty.IsMapType() && !ty.IsObjectType() {
		return c.wrongType(path, t, v)
	}
	elements := v.AsValueMap()
	if elements == nil {
		elements = map[string]cty.Value{}
	}
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		elements[name] = c.element(elements[name], *t.Elem, path.With(value.Name(name)))
	}
	return mapOf(typeOf(*t.Elem), elements)
}

func (c *converter) object(v cty.Value, t schema.Type, path value.Path) cty.Value {
	if ty := v.Type(); !ty.IsMapType() && !ty.IsObjectType() {
		return c.wrongType(path, t, v)
	}
	given := v.AsValueMap()
	names := make([]string, len(t.Fields))
	out := make(map[string]cty.Value, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
		e, ok := given[f.Name]
		if !ok {
			e = cty.NullVal(cty.DynamicPseudoType)
		}
		at := path.With(value.Name(f.Name))
		if plain, _ := e.Unmark(); plain.IsNull() && !f.Optional {
			c.fail(at, "Missing attribute", "%s must have an attribute %q, which is %s.", describe(path), f.Name, article(f.Type))
			out[f.Name] = cty.UnknownVal(typeOf(f.Type))
			continue
		}
		out[f.Name] = c.convert(e, f.Type, at)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			c.fail(path.With(value.Name(name)), "Unknown attribute", "%s has no attribute named %q.%s", describe(path), name, diagnostics.Suggest(name, names))
		}
	}
	return cty.ObjectVal(out)
}

func (c *converter) artifact(v cty.Value, t schema.Type, path value.Path) cty.Value {
	if ty := v.Type(); !ty.IsObjectType() || !ty.HasAttribute("digest") {
		return c.wrongType(path, t, v)
	}
	given := v.AsValueMap()
	out := map[string]cty.Value{}
	for name, ty := range ArtifactType.AttributeTypes() {
		e, ok := given[name]
		if !ok {
			e = cty.NullVal(ty)
		}
		converted, err := convert.Convert(e, ty)
		if err != nil {
			return c.wrongType(path, t, v)
		}
		out[name] = converted
	}
	return cty.ObjectVal(out)
}

// unique sorts a list whose order has no meaning, so that equal ones are equal
// bytes, and reports elements that stand there twice.
func (d *decoder) unique(v cty.Value, a *schema.Attribute, path value.Path) cty.Value {
	plain, marks := v.Unmark()
	if plain.IsNull() || !plain.IsWhollyKnown() || plain.LengthInt() == 0 {
		return v
	}
	type entry struct {
		value cty.Value
		text  string
		at    hcl.Range
	}
	entries := make([]entry, 0, plain.LengthInt())
	first := map[string]hcl.Range{}
	for i, e := range plain.AsValueSlice() {
		en := entry{e, string(wireOf(e).JSON), d.rangeOf(path.With(value.Index(i)))}
		if earlier, double := first[en.text]; double {
			diag := diagnostics.Error(en.at, "Duplicate element", "The elements of %q must differ; this one is already at %s. Remove one of them.", a.Name, block.Place(earlier))
			if a.Sensitive || lang.IsSensitive(v) {
				diag.Extra = diagnostics.Extra{Hidden: true}
			}
			d.add(diag)
		}
		first[en.text] = en.at
		entries = append(entries, en)
	}
	sort.SliceStable(entries, func(i, j int) bool { return entries[i].text < entries[j].text })
	values := make([]cty.Value, len(entries))
	for i, en := range entries {
		values[i] = en.value
		d.place(path.With(value.Index(i)), en.at)
	}
	return listOf(typeOf(*a.Type.Elem), values).WithMarks(marks)
}
