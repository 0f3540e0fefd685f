package lang

import (
	"errors"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Convert gives v the type. Of several mistakes the error names the first, in the
// order of the names, whatever order the elements are kept in.
func Convert(v cty.Value, want cty.Type) (cty.Value, error) {
	if plain, _ := v.Unmark(); want == cty.Number && plain.Type() == cty.String && plain.IsKnown() && !plain.IsNull() && len(plain.AsString()) > maxDigits {
		return cty.NilVal, errNumber
	}
	out, err := convert.Convert(v, want)
	if err != nil {
		return cty.NilVal, firstMistake(v, want, nil, err)
	}
	return out, TooLarge(out)
}

// firstMistake is err, or what is wrong deeper inside of v.
func firstMistake(v cty.Value, want cty.Type, at cty.Path, err error) error {
	v, _ = v.Unmark()
	if v.IsKnown() && !v.IsNull() {
		for _, e := range elementsOf(v, want) {
			if _, inner := convert.Convert(e.value, e.want); inner != nil {
				return firstMistake(e.value, e.want, append(at, e.step), inner)
			}
		}
	}
	if len(at) == 0 {
		return err
	}
	return at.NewErrorf("%s", err)
}

type elementOf struct {
	step  cty.PathStep
	value cty.Value
	want  cty.Type
}

// elementsOf are the elements of a value, in order, with the types that they should have.
func elementsOf(v cty.Value, want cty.Type) []elementOf {
	var out []elementOf
	ty := v.Type()
	switch {
	case ty.IsObjectType() || ty.IsMapType():
		values := v.AsValueMap()
		names := make([]string, 0, len(values))
		for name := range values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			switch {
			case want.IsMapType():
				out = append(out, elementOf{cty.IndexStep{Key: cty.StringVal(name)}, values[name], want.ElementType()})
			case want.IsObjectType() && want.HasAttribute(name):
				out = append(out, elementOf{cty.GetAttrStep{Name: name}, values[name], want.AttributeType(name)})
			}
		}
	case (ty.IsTupleType() || ty.IsListType()) && (want.IsListType() || want.IsSetType()):
		for i, e := range v.AsValueSlice() {
			out = append(out, elementOf{cty.IndexStep{Key: cty.NumberIntVal(int64(i))}, e, want.ElementType()})
		}
	}
	return out
}

// ConversionError says why a value does not fit a type, and where inside the
// value. It names types, never values.
func ConversionError(err error) string {
	text := strings.ReplaceAll(err.Error(), "have tuple", "have list")
	pathErr, ok := errors.AsType[cty.PathError](err)
	if !ok || len(pathErr.Path) == 0 {
		return text
	}
	var at strings.Builder
	for _, step := range pathErr.Path {
		switch s := step.(type) {
		case cty.GetAttrStep:
			at.WriteString("." + s.Name)
		case cty.IndexStep:
			switch {
			case s.Key.Type() == cty.Number && s.Key.IsKnown():
				at.WriteString("[" + s.Key.AsBigFloat().Text('f', -1) + "]")
			case s.Key.Type() == cty.String && s.Key.IsKnown():
				at.WriteString(`["` + s.Key.AsString() + `"]`)
			}
		}
	}
	return "at " + at.String() + ", " + text
}
