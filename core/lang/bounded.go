package lang

import (
	"regexp"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// constant are functions whose work does not grow with their arguments: they are
// called in loops over one large collection, so that it is not measured each time.
var constant = map[string]bool{"element": true, "issensitive": true, "length": true, "lookup": true, "nonsensitive": true, "sensitive": true}

// argumentsFit refuses what would take long before its result can be looked at.
func argumentsFit(args []cty.Value) error {
	m := measure{text: maxText, elements: maxElements}
	for i, a := range args {
		if err := m.add(a, maxDepth); err != nil {
			return function.NewArgError(i, err)
		}
	}
	return nil
}

// bounded is f, which is asked only when check finds that the result can be
// made. The arguments of check are known and not null.
func bounded(f function.Function, check func(args []cty.Value) error) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			for _, a := range args {
				if !a.IsWhollyKnown() || a.IsNull() {
					return f.ReturnTypeForValues(args)
				}
			}
			if err := check(args); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// textSize is how much text the arguments hold, in bytes.
func textSize(args ...cty.Value) int {
	m := measure{text: maxText, elements: maxElements}
	for _, a := range args {
		if m.add(a, maxDepth) != nil {
			return maxText
		}
	}
	return maxText - m.text
}

func elementsFit(n int) error {
	if n > maxElements {
		return errElements
	}
	return nil
}

// joinFits knows that the separator stands between all elements.
func joinFits(args []cty.Value) error {
	n := 0
	for _, list := range args[1:] {
		n += list.LengthInt()
	}
	return fits(n, len(args[0].AsString()))
}

// formatFits knows that one argument may be asked for by many verbs.
func formatFits(args []cty.Value) error {
	verbs := strings.Count(args[0].AsString(), "%")
	return fits(verbs, textSize(args[1:]...))
}

// formatListFits knows that a text is repeated for each element.
func formatListFits(args []cty.Value) error {
	longest := 1
	for _, a := range args[1:] {
		if a.CanIterateElements() {
			longest = max(longest, a.LengthInt())
		}
	}
	if err := fits(longest, len(args[0].AsString())); err != nil {
		return err
	}
	return formatFits(args)
}

func splitFits(args []cty.Value) error {
	return elementsFit(strings.Count(args[1].AsString(), args[0].AsString()))
}

func parseIntFits(args []cty.Value) error {
	if ty := args[0].Type(); ty == cty.String && len(args[0].AsString()) > maxDigits {
		return errNumber
	}
	return nil
}

func csvFits(args []cty.Value) error {
	text := args[0].AsString()
	head, _, _ := strings.Cut(text, "\n")
	rows, columns := strings.Count(text, "\n"), strings.Count(head, ",")+1
	if rows > maxElements/columns {
		return errElements
	}
	return nil
}

func regexAllFits(args []cty.Value) error {
	re, err := regexp.Compile(args[0].AsString())
	if err != nil {
		return nil // the function says what is wrong
	}
	return elementsFit(len(re.FindAllStringIndex(args[1].AsString(), maxElements+1)))
}

func indentFits(args []cty.Value) error {
	spaces, _ := args[0].AsBigFloat().Int64()
	if spaces < 0 || spaces > maxIndent {
		return nil // the function says what is wrong
	}
	return fits(int(spaces), strings.Count(args[1].AsString(), "\n"))
}

// replaceFits knows that the replacement of a regular expression may name what
// was found many times.
func replaceFits(args []cty.Value) error {
	s, old, new := args[0].AsString(), args[1].AsString(), args[2].AsString()
	pattern, ok := regexPattern(old)
	if !ok {
		return fits(strings.Count(s, old), len(new))
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil // the function says what is wrong
	}
	if err := fits(strings.Count(new, "$"), len(s)); err != nil {
		return err
	}
	return fits(len(re.FindAllStringIndex(s, -1)), len(new))
}

// regexPattern is the regular expression between the slashes of a replace.
func regexPattern(s string) (string, bool) {
	if len(s) > 1 && s[0] == '/' && s[len(s)-1] == '/' {
		return s[1 : len(s)-1], true
	}
	return "", false
}

// maxCompared is how many elements are compared each with each other.
const maxCompared = 2000

// distinct is stdlib's for short lists; it compares each with each other.
var distinct = function.New(&function.Spec{
	Params: stdlib.DistinctFunc.Params(),
	Type: func(args []cty.Value) (cty.Type, error) {
		if v := args[0]; v.IsKnown() && !v.IsNull() && v.LengthInt() > maxCompared && v.Type().ElementType() != cty.String {
			return cty.NilType, function.NewArgErrorf(0, "more than %d elements can be compared only if they are strings", maxCompared)
		}
		return stdlib.DistinctFunc.ReturnTypeForValues(args)
	},
	Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
		v := args[0]
		if v.LengthInt() <= maxCompared || !v.IsWhollyKnown() {
			return stdlib.DistinctFunc.Call(args)
		}
		seen := make(map[string]bool, v.LengthInt())
		var out []cty.Value
		null := false
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			switch {
			case e.IsNull():
				if !null {
					out, null = append(out, e), true
				}
			case !seen[e.AsString()]:
				seen[e.AsString()] = true
				out = append(out, e)
			}
		}
		return cty.ListVal(out), nil
	},
})
