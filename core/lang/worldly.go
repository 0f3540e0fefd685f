package lang

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/runner-pipelines/runner/core/scan"
)

// worldly are the functions that look at the world, but for templatefile.
func worldly(w World) map[string]function.Function {
	return map[string]function.Function{
		"env": stringFunc("name", func(name string) (string, error) {
			v, ok, err := w.Env(name)
			switch {
			case err != nil:
				return "", err
			case !ok:
				return "", &Problem{"Environment variable not set",
					fmt.Sprintf(`The environment variable %s is not set. Set it, or give another value with try(env("%s"), "…").`, name, name)}
			case !utf8.ValidString(v):
				return "", fmt.Errorf("the environment variable does not hold UTF-8 text")
			}
			return v, nil
		}),
		"file": stringFunc("path", func(p string) (string, error) {
			b, err := readFile(w, p)
			if err == nil && !utf8.Valid(b) {
				err = fmt.Errorf("%s does not hold UTF-8 text; use filebase64 for other files", p)
			}
			return string(b), err
		}),
		"filebase64": stringFunc("path", func(p string) (string, error) {
			b, err := readFile(w, p)
			return base64.StdEncoding.EncodeToString(b), err
		}),
		"filesha256": stringFunc("path", func(p string) (string, error) {
			b, err := readFile(w, p)
			d := sha256.Sum256(b)
			return hex.EncodeToString(d[:]), err
		}),
		"fileexists": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				p := args[0].AsString()
				_, err := w.File(cleanPath(p))
				switch {
				case errors.Is(err, fs.ErrNotExist):
					return cty.False, nil
				case err != nil && !errors.Is(err, ErrTooLarge):
					return cty.NilVal, fmt.Errorf("reading %s: %w", p, err)
				}
				return cty.True, nil
			},
		}),
	}
}

// cleanPath is one spelling for all that mean the same file.
func cleanPath(p string) string { return path.Clean(strings.ReplaceAll(p, `\`, "/")) }

func readFile(w World, p string) ([]byte, error) {
	if p == "" {
		return nil, fmt.Errorf("the path is empty")
	}
	b, err := w.File(cleanPath(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Problem{"File not found", fmt.Sprintf("There is no file %s. Paths are relative to the pipeline's directory.", p)}
	}
	if err != nil {
		return nil, &Problem{"File not readable", fmt.Sprintf("Reading %s: %s.", p, err)}
	}
	return b, nil
}

// templateFile fills in a template; vars is an object of what it may refer to.
func templateFile(w World, functions map[string]function.Function) function.Function {
	render := func(args []cty.Value) (cty.Value, error) {
		p := args[0].AsString()
		vars := args[1]
		if ty := vars.Type(); !ty.IsObjectType() && !ty.IsMapType() {
			return cty.NilVal, function.NewArgErrorf(1, "it must be an object of what the template may refer to")
		}
		src, err := readFile(w, p)
		if err != nil {
			return cty.NilVal, err
		}
		if err := scan.Template(src); err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "%s: %w", p, err)
		}
		expr, diags := hclsyntax.ParseTemplate(src, p, hcl.InitialPos)
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(0, templateError(diags))
		}
		Meter(expr)
		variables := vars.AsValueMap()
		for _, t := range expr.Variables() {
			if _, ok := variables[t.RootName()]; !ok {
				return cty.NilVal, function.NewArgErrorf(1, "%s line %d refers to %q, which is not among the variables: %s",
					p, t.SourceRange().Start.Line, t.RootName(), strings.Join(slices.Sorted(maps.Keys(variables)), ", "))
			}
		}
		v, diags := Evaluate(expr, NewContext(variables, functions))
		if diags.HasErrors() {
			return cty.NilVal, function.NewArgError(1, templateError(diags))
		}
		return v, nil
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			if !args[0].IsKnown() || !args[1].IsKnown() {
				return cty.DynamicPseudoType, nil
			}
			v, err := render(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return render(args) },
	})
}

func templateError(diags hcl.Diagnostics) error {
	d := diags[0]
	where := ""
	if d.Subject != nil {
		where = fmt.Sprintf("%s line %d: ", d.Subject.Filename, d.Subject.Start.Line)
	}
	return fmt.Errorf("%s%s: %s", where, d.Summary, strings.TrimSuffix(NoFunction(d), "."))
}
