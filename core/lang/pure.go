package lang

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"github.com/zclconf/go-cty/cty/gocty"
)

const (
	// maxJSONDepth is how deep jsondecode follows.
	maxJSONDepth = 500
	maxIndent    = 1 << 10
)

func baseName(s string) (string, error) { return path.Base(s), nil }

func dirName(s string) (string, error) { return path.Dir(s), nil }

// stringFunc is a function from one string to another.
func stringFunc(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: param, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if _, told := errors.AsType[*Problem](err); told {
				return cty.NilVal, err
			}
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.StringVal(s), nil
		},
	})
}

var base64Encode = stringFunc("str", func(s string) (string, error) {
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
})

var base64Decode = stringFunc("str", func(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", fmt.Errorf("it is not base64")
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("what it encodes is not UTF-8 text")
	}
	return string(b), nil
})

var urlEncode = stringFunc("str", func(s string) (string, error) { return url.QueryEscape(s), nil })

func digest(name string) function.Function {
	return stringFunc("str", func(s string) (string, error) {
		b := []byte(s)
		var sum []byte
		switch name {
		case "md5":
			d := md5.Sum(b)
			sum = d[:]
		case "sha1":
			d := sha1.Sum(b)
			sum = d[:]
		case "sha256":
			d := sha256.Sum256(b)
			sum = d[:]
		case "sha512":
			d := sha512.Sum512(b)
			sum = d[:]
		}
		return hex.EncodeToString(sum), nil
	})
}

// stringTest is a question about two strings.
func stringTest(second string, f func(s, t string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "str", Type: cty.String}, {Name: second, Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(f(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

var (
	startsWith  = stringTest("prefix", strings.HasPrefix)
	endsWith    = stringTest("suffix", strings.HasSuffix)
	strContains = stringTest("substr", strings.Contains)
)

// replace takes a regular expression when it is written between slashes.
var replace = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "str", Type: cty.String}, {Name: "substr", Type: cty.String}, {Name: "replace", Type: cty.String},
	},
	Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if pattern := args[1].AsString(); len(pattern) > 1 && pattern[0] == '/' && pattern[len(pattern)-1] == '/' {
			return stdlib.RegexReplace(args[0], cty.StringVal(pattern[1:len(pattern)-1]), args[2])
		}
		return stdlib.Replace(args[0], args[1], args[2])
	},
})

// coalesce is the first argument that is neither null nor an empty string.
var coalesce = function.New(&function.Spec{
	VarParam: &function.Parameter{
		Name: "vals", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true,
	},
	Type: func(args []cty.Value) (cty.Type, error) {
		types := make([]cty.Type, len(args))
		for i, a := range args {
			types[i] = a.Type()
		}
		ty, _ := convert.UnifyUnsafe(types)
		if ty == cty.NilType {
			return cty.NilType, errors.New("all arguments must have the same type")
		}
		return ty, nil
	},
	Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
		for i, a := range args {
			v, err := convert.Convert(a, ty)
			if err != nil {
				return cty.NilVal, function.NewArgError(i, err)
			}
			if !v.IsKnown() {
				return cty.UnknownVal(ty), nil
			}
			if !v.IsNull() && (ty != cty.String || v.AsString() != "") {
				return v, nil
			}
		}
		return cty.NilVal, errors.New("every argument is null or an empty string")
	},
})

// length counts elements, attributes, or characters of a string.
var length = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		if ty == cty.String || ty == cty.DynamicPseudoType || ty.IsTupleType() || ty.IsObjectType() || ty.IsCollectionType() {
			return cty.Number, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "it must be a string, a list, a map or an object")
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v := args[0]
		switch ty := v.Type(); {
		case ty.IsTupleType():
			return cty.NumberIntVal(int64(len(ty.TupleElementTypes()))), nil
		case ty.IsObjectType():
			return cty.NumberIntVal(int64(len(ty.AttributeTypes()))), nil
		case !v.IsKnown():
			return cty.UnknownVal(cty.Number), nil
		case ty == cty.String:
			return stdlib.Strlen(v)
		}
		return v.Length(), nil
	},
})

// index is the position of the first element that equals the value.
var index = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if ty := args[0].Type(); !ty.IsListType() && !ty.IsTupleType() {
			return cty.NilVal, function.NewArgErrorf(0, "it must be a list")
		}
		for it := args[0].ElementIterator(); it.Next(); {
			i, v := it.Element()
			eq, err := stdlib.Equal(v, args[1])
			if err != nil {
				return cty.NilVal, err
			}
			if !eq.IsKnown() {
				return cty.UnknownVal(cty.Number), nil
			}
			if eq.True() {
				return i, nil
			}
		}
		return cty.NilVal, errors.New("the list holds no such element")
	},
})

// one is the only element of a list, or null of an empty one.
var one = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		switch {
		case ty.IsListType() || ty.IsSetType():
			return ty.ElementType(), nil
		case ty.IsTupleType() && len(ty.TupleElementTypes()) == 1:
			return ty.TupleElementTypes()[0], nil
		case ty.IsTupleType() && len(ty.TupleElementTypes()) == 0:
			return cty.DynamicPseudoType, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "it must be a list of one element or none")
	},
	Impl: func(args []cty.Value, ty cty.Type) (cty.Value, error) {
		switch args[0].LengthInt() {
		case 0:
			return cty.NullVal(ty), nil
		case 1:
			it := args[0].ElementIterator()
			it.Next()
			_, v := it.Element()
			return v, nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "it must be a list of one element or none")
	},
})

var sum = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].CanIterateElements() {
			return cty.NilVal, function.NewArgErrorf(0, "it must be a list of numbers")
		}
		total := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			n, err := convert.Convert(v, cty.Number)
			if err != nil || n.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "it must be a list of numbers")
			}
			total = total.Add(n)
		}
		return total, nil
	},
})

// foldBools is alltrue for true, and anytrue for false.
func foldBools(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			known := true
			for it := args[0].ElementIterator(); it.Next(); {
				_, v := it.Element()
				switch {
				case !v.IsKnown():
					known = false
				case v.IsNull():
					if all {
						return cty.False, nil
					}
				case v.True() != all:
					return cty.BoolVal(!all), nil
				}
			}
			if !known {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}

var indent = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "spaces", Type: cty.Number}, {Name: "str", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		var n int
		if err := gocty.FromCtyValue(args[0], &n); err != nil || n < 0 || n > maxIndent {
			return cty.NilVal, function.NewArgErrorf(0, "it must be a whole number from 0 to %d", maxIndent)
		}
		return stdlib.Indent(args[0], args[1])
	},
})

// verbNumber is a width or precision in a format.
var verbNumber = regexp.MustCompile(`%[-+ #0]*(?:\[[0-9]*\])?([0-9]*)(?:\.([0-9]*))?`)

// maxWidth is how wide a format can make a value, in characters.
const maxWidth = 1 << 10

// limitWidths keeps a format from filling the memory with blanks.
func limitWidths(f function.Function) function.Function {
	check := func(args []cty.Value) error {
		if len(args) == 0 || !args[0].IsKnown() || args[0].IsNull() || args[0].Type() != cty.String {
			return nil
		}
		for _, m := range verbNumber.FindAllStringSubmatch(args[0].AsString(), -1) {
			for _, digits := range m[1:] {
				if n, err := strconv.Atoi(digits); digits != "" && (err != nil || n > maxWidth) {
					return function.NewArgErrorf(0, "a width or precision is larger than %d", maxWidth)
				}
			}
		}
		return nil
	}
	spec := &function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := check(args); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	}
	return function.New(spec)
}

var jsonDecode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String, AllowDynamicType: true, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		if !args[0].IsKnown() {
			return cty.DynamicPseudoType, nil
		}
		if jsonDepth(args[0].AsString()) > maxJSONDepth {
			return cty.NilType, function.NewArgErrorf(0, "it is nested deeper than %d levels", maxJSONDepth)
		}
		if strings.TrimSpace(args[0].AsString()) == "" {
			return cty.NilType, function.NewArgErrorf(0, "it is empty, which is no JSON")
		}
		return stdlib.JSONDecodeFunc.ReturnTypeForValues(args)
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return stdlib.JSONDecode(args[0]) },
})

// jsonDepth is the deepest nesting of brackets outside strings.
func jsonDepth(s string) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// setProduct refuses results that nobody can mean.
var setProduct = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "sets", Type: cty.DynamicPseudoType, AllowUnknown: true},
	Type: func(args []cty.Value) (cty.Type, error) {
		if err := checkProduct(args); err != nil {
			return cty.NilType, err
		}
		return stdlib.SetProductFunc.ReturnTypeForValues(args)
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return stdlib.SetProductFunc.Call(args) },
})

func checkProduct(args []cty.Value) error {
	total := big.NewInt(1)
	for _, a := range args {
		if a.IsKnown() && !a.IsNull() && a.CanIterateElements() {
			total.Mul(total, big.NewInt(int64(a.LengthInt())))
		}
	}
	if total.Cmp(big.NewInt(maxElements)) > 0 {
		return errElements
	}
	return nil
}

// anyValue is the parameter of functions about marks.
var anyValue = function.Parameter{
	Name: "value", Type: cty.DynamicPseudoType,
	AllowNull: true, AllowUnknown: true, AllowDynamicType: true, AllowMarked: true,
}

func typeOfArgument(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil }

var makeSensitive = function.New(&function.Spec{
	Params: []function.Parameter{anyValue},
	Type:   typeOfArgument,
	Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return Sensitive(args[0]), nil },
})

var nonsensitive = function.New(&function.Spec{
	Params: []function.Parameter{anyValue},
	Type:   typeOfArgument,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, _ := args[0].UnmarkDeep()
		return v, nil
	},
})

var isSensitive = function.New(&function.Spec{
	Params: []function.Parameter{anyValue},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(IsSensitive(args[0])), nil
	},
})
