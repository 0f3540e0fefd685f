package lang

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// Functions are those that expressions may call. Names and meanings are
// Terraform's where it has them; there are none that read a clock or roll dice,
// so that a plan made again is the same plan.
func Functions(w World) map[string]function.Function {
	all := make(map[string]function.Function, len(pure())+8)
	for name, f := range pure() {
		all[name] = f
	}
	if k, ok := w.(keeper); ok {
		all["sensitive"] = keepingSensitive(k)
	}
	for name, f := range worldly(w) {
		all[name] = guard(f, true)
	}
	// templatefile offers all functions but itself, so that no template can
	// call itself without end.
	inner := make(map[string]function.Function, len(all))
	for name, f := range all {
		inner[name] = f
	}
	all["templatefile"] = guard(templateFile(w, inner), true)
	return all
}

// pure are the functions that depend on their arguments alone.
var pure = sync.OnceValue(func() map[string]function.Function {
	all := map[string]function.Function{
		"abs":             stdlib.AbsoluteFunc,
		"alltrue":         foldBools(true),
		"anytrue":         foldBools(false),
		"base64decode":    base64Decode,
		"base64encode":    base64Encode,
		"basename":        stringFunc("path", baseName),
		"ceil":            stdlib.CeilFunc,
		"chomp":           stdlib.ChompFunc,
		"chunklist":       stdlib.ChunklistFunc,
		"coalesce":        coalesce,
		"coalescelist":    stdlib.CoalesceListFunc,
		"compact":         stdlib.CompactFunc,
		"concat":          stdlib.ConcatFunc,
		"contains":        stdlib.ContainsFunc,
		"csvdecode":       bounded(stdlib.CSVDecodeFunc, csvFits),
		"dirname":         stringFunc("path", dirName),
		"distinct":        distinct,
		"element":         stdlib.ElementFunc,
		"endswith":        endsWith,
		"flatten":         stdlib.FlattenFunc,
		"floor":           stdlib.FloorFunc,
		"format":          bounded(limitWidths(stdlib.FormatFunc), formatFits),
		"formatdate":      stdlib.FormatDateFunc,
		"formatlist":      bounded(limitWidths(stdlib.FormatListFunc), formatListFits),
		"indent":          bounded(indent, indentFits),
		"index":           index,
		"issensitive":     isSensitive,
		"join":            bounded(stdlib.JoinFunc, joinFits),
		"jsondecode":      jsonDecode,
		"jsonencode":      stdlib.JSONEncodeFunc,
		"keys":            stdlib.KeysFunc,
		"length":          length,
		"log":             stdlib.LogFunc,
		"lookup":          stdlib.LookupFunc,
		"lower":           stdlib.LowerFunc,
		"max":             stdlib.MaxFunc,
		"md5":             digest("md5"),
		"merge":           stdlib.MergeFunc,
		"min":             stdlib.MinFunc,
		"nonsensitive":    nonsensitive,
		"one":             one,
		"parseint":        bounded(stdlib.ParseIntFunc, parseIntFits),
		"pow":             stdlib.PowFunc,
		"range":           stdlib.RangeFunc,
		"regex":           stdlib.RegexFunc,
		"regexall":        bounded(stdlib.RegexAllFunc, regexAllFits),
		"replace":         bounded(replace, replaceFits),
		"reverse":         stdlib.ReverseListFunc,
		"sensitive":       makeSensitive,
		"setintersection": stdlib.SetIntersectionFunc,
		"setproduct":      setProduct,
		"setsubtract":     stdlib.SetSubtractFunc,
		"setunion":        stdlib.SetUnionFunc,
		"sha1":            digest("sha1"),
		"sha256":          digest("sha256"),
		"sha512":          digest("sha512"),
		"signum":          stdlib.SignumFunc,
		"slice":           stdlib.SliceFunc,
		"sort":            stdlib.SortFunc,
		"split":           bounded(stdlib.SplitFunc, splitFits),
		"startswith":      startsWith,
		"strcontains":     strContains,
		"strrev":          stdlib.ReverseFunc,
		"substr":          stdlib.SubstrFunc,
		"sum":             sum,
		"timeadd":         stdlib.TimeAddFunc,
		"title":           stdlib.TitleFunc,
		"tobool":          stdlib.MakeToFunc(cty.Bool),
		"tolist":          stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
		"tomap":           stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
		"tonumber":        stdlib.MakeToFunc(cty.Number),
		"toset":           stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tostring":        stdlib.MakeToFunc(cty.String),
		"trim":            stdlib.TrimFunc,
		"trimprefix":      stdlib.TrimPrefixFunc,
		"trimspace":       stdlib.TrimSpaceFunc,
		"trimsuffix":      stdlib.TrimSuffixFunc,
		"upper":           stdlib.UpperFunc,
		"urlencode":       urlEncode,
		"values":          stdlib.ValuesFunc,
		"zipmap":          stdlib.ZipmapFunc,
	}
	for name, f := range all {
		all[name] = guard(f, !constant[name])
	}
	all["can"] = tryfunc.CanFunc
	all["try"] = tryfunc.TryFunc
	return all
})

// Problem is the error of a function that says what is wrong in our own words.
type Problem struct{ Summary, Detail string }

func (p *Problem) Error() string { return p.Detail }

var errSensitiveReason = errors.New("the reason is not shown because an argument is sensitive")

// guard keeps sensitive arguments and the insides of a panic out of a function's
// errors, and refuses arguments and results that cannot be worked with; measured
// says whether the arguments are looked at. The function itself stays as it is.
func guard(f function.Function, measured bool) function.Function {
	open := func(p function.Parameter) function.Parameter {
		p.AllowNull, p.AllowUnknown, p.AllowDynamicType, p.AllowMarked = true, true, true, true
		return p
	}
	spec := &function.Spec{
		Description: f.Description(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if measured {
				if err := argumentsFit(args); err != nil {
					return cty.NilType, err
				}
			}
			ty, err := f.ReturnTypeForValues(args)
			return ty, tellable(err, args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := f.Call(args)
			if err == nil {
				err = TooLarge(v)
			}
			return v, tellable(err, args)
		},
	}
	for _, p := range f.Params() {
		spec.Params = append(spec.Params, open(p))
	}
	if v := f.VarParam(); v != nil {
		p := open(*v)
		spec.VarParam = &p
	}
	return function.New(spec)
}

func tellable(err error, args []cty.Value) error {
	if err == nil {
		return nil
	}
	wrap := func(err error) error { return err }
	if arg, ok := errors.AsType[function.ArgError](err); ok {
		wrap = func(err error) error { return function.NewArgError(arg.Index, err) }
	}
	for _, a := range args {
		if IsSensitive(a) {
			return wrap(errSensitiveReason)
		}
	}
	if _, ok := errors.AsType[function.PanicError](err); ok {
		return fmt.Errorf("the function cannot work with these arguments")
	}
	return err
}
