package lang

import (
	"errors"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

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
