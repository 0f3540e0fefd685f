package scope

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scan"
)

// EnvPrefix stands before a variable's name in the environment.
const EnvPrefix = "RUNNER_VAR_"

// Values are where the root's variables get theirs, weakest first.
type Values struct {
	// Environ has the form of os.Environ; RUNNER_VAR_x gives x.
	Environ []string
	// Files are *.auto.runnervars in the order of their names, then those of -var-file.
	Files []ValuesFile
	// Vars are "name=value", as given with -var.
	Vars []string
	// Final are typed values, as kept in a plan. They beat all others.
	Final map[string]cty.Value
}

// MaxValues is the largest file of values, in bytes.
const MaxValues = 4 << 20

// ValuesFile is a file of values; JSON when its name ends so.
type ValuesFile struct {
	Name   string
	Source []byte
}

// AutoFiles reads *.auto.runnervars and *.auto.runnervars.json of a directory, by name.
func AutoFiles(dir string) ([]ValuesFile, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the directory of the pipeline: %w", err)
	}
	var out []ValuesFile
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(strings.TrimSuffix(name, ".json"), ".auto.runnervars") {
			continue
		}
		src, err := regular.Read(filepath.Join(dir, name), MaxValues)
		if err != nil {
			return nil, fmt.Errorf("reading values from %s: %w", name, err)
		}
		out = append(out, ValuesFile{Name: name, Source: src})
	}
	return out, nil
}

// given is a value that somebody gave to a variable.
type given struct {
	value cty.Value
	at    hcl.Range
}

// valueReader remembers what it read.
type valueReader struct {
	scope *Scope
	// secretive says that some variable is sensitive: then no line of a values file
	// is shown, as a misspelt name could stand before a secret.
	secretive bool
	given     map[string]given
	diags     hcl.Diagnostics
}

// read reads all sources of values.
func (s *Scope) read(v Values) *valueReader {
	r := &valueReader{scope: s, given: map[string]given{}}
	for _, variable := range s.root.variables {
		r.secretive = r.secretive || variable.Sensitive
	}
	r.environ(v.Environ)
	for _, f := range v.Files {
		r.file(f)
	}
	for _, text := range v.Vars {
		r.variable(text)
	}
	return r
}

func (s *Scope) evaluateVariables(v Values) hcl.Diagnostics {
	r := s.read(v)
	s.root.values = make(map[string]cty.Value, len(s.root.variables))
	for _, variable := range s.root.config.Variables {
		value, diag := r.final(variable, v.Final)
		if diag != nil {
			r.diags = append(r.diags, diag)
		}
		if variable.Sensitive {
			value = lang.Sensitive(value)
		}
		s.root.values[variable.Name] = value
	}
	if !r.diags.HasErrors() {
		for _, variable := range s.root.config.Variables {
			r.diags = append(r.diags, s.validate(s.root, variable, s.root.values[variable.Name])...)
		}
	}
	return r.diags
}

// final chooses and converts the value of one variable.
func (r *valueReader) final(v *config.Variable, final map[string]cty.Value) (cty.Value, *hcl.Diagnostic) {
	plain := v.Type.Type.WithoutOptionalAttributesDeep()
	if value, ok := final[v.Name]; ok {
		value, _ = value.UnmarkDeep()
		out, diag := convertVariable(v, value, v.NameRange)
		return out, diag
	}
	g, ok := r.given[v.Name]
	switch {
	case ok && g.value.IsNull() && !v.Nullable && v.Default != cty.NilVal:
		return v.Default, nil
	case ok:
		out, diag := convertVariable(v, g.value, g.at)
		if diag != nil {
			return cty.UnknownVal(plain), diag
		}
		return out, nil
	case v.Default != cty.NilVal:
		return v.Default, nil
	case r.scope.allowMissing:
		return cty.UnknownVal(plain), nil
	}
	return cty.UnknownVal(plain), diagnostics.Error(v.Range, "Missing variable",
		"The variable %q has no value and no default. Give it one with -var '%s=…', in a file with -var-file, or in the environment as %s%s.", v.Name, v.Name, EnvPrefix, v.Name)
}

func (r *valueReader) environ(environ []string) {
	var names []string
	for _, v := range r.scope.root.config.Variables {
		names = append(names, v.Name)
	}
	// The last of several with the same name counts, as for other programs.
	for _, pair := range environ {
		text, ok := strings.CutPrefix(pair, EnvPrefix)
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(text, "=")
		v, declared := r.scope.root.variables[name]
		if declared {
			r.text(v, EnvPrefix+name, value)
			continue
		}
		// The environment is shared by many pipelines, so that a name alone is no
		// mistake, but one that nearly fits is worth a word.
		if near := diagnostics.Nearest(name, names); near != "" {
			r.diags = append(r.diags, diagnostics.Warning(hcl.Range{}, "Unknown variable",
				"The environment has %s%s, and no variable is named %q. Did you mean %s%s?", EnvPrefix, name, name, EnvPrefix, near))
		}
	}
}

func (r *valueReader) variable(text string) {
	name, value, ok := strings.Cut(text, "=")
	name = strings.TrimSpace(name)
	if !ok {
		r.diags = append(r.diags, diagnostics.Error(hcl.Range{}, "Invalid -var", "A value is given as -var 'name=value'; here the equals sign is missing."))
		return
	}
	v, declared := r.scope.root.variables[name]
	if !declared {
		r.diags = append(r.diags, diagnostics.Error(hcl.Range{}, "Unknown variable",
			"-var gives a value to %q, and no variable has that name.%s", name, r.suggest(name)))
		return
	}
	r.text(v, "-var "+name, value)
}

func (r *valueReader) suggest(name string) string {
	var names []string
	for _, v := range r.scope.root.config.Variables {
		names = append(names, v.Name)
	}
	return diagnostics.Suggest(name, names)
}

// text reads a value that was given as text: as it stands for a string, number
// or bool, else as an expression without names. Source is what messages call it.
func (r *valueReader) text(v *config.Variable, source, text string) {
	at := hcl.Range{Filename: source, Start: hcl.InitialPos, End: hcl.Pos{Line: 1, Column: 1 + len(text), Byte: len(text)}}
	if !v.Sensitive {
		r.scope.pipeline.Files[source] = &hcl.File{Bytes: []byte(text)}
	}
	if ty := v.Type.Type; ty.IsPrimitiveType() || ty == cty.DynamicPseudoType {
		r.given[v.Name] = given{cty.StringVal(text), at}
		return
	}
	value, diags := evaluateText(text, source)
	if diags.HasErrors() {
		for _, d := range diags {
			d.Detail += " " + example(v.Type.Type)
		}
		r.add(v.Sensitive, diags)
		value = cty.DynamicVal
	}
	r.given[v.Name] = given{value, at}
}

// example says how a value that is more than a text is written.
func example(ty cty.Type) string {
	if ty.IsMapType() || ty.IsObjectType() {
		return `An object is written as { name = "value" }.`
	}
	return `A list is written as ["a", "b"].`
}

func evaluateText(text, source string) (cty.Value, hcl.Diagnostics) {
	if over, ok := errors.AsType[*scan.LimitError](scan.Template([]byte(`"${` + text + `}"`))); ok {
		return cty.DynamicVal, failure(hcl.Range{Filename: source, Start: hcl.InitialPos, End: hcl.InitialPos}, over.Summary, "%s", over.Detail)
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), source, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.DynamicVal, diags
	}
	lang.Meter(expr)
	return literalValue(expr)
}

// literalValue evaluates a value that was given from outside.
func literalValue(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	v, diags := expr.Value(nil)
	if diags.HasErrors() {
		return cty.DynamicVal, failure(expr.Range(), "Literal expected",
			"A value that is given from outside is written out: no variables, no functions, and texts in quotes.")
	}
	return v, nil
}

func (r *valueReader) add(hidden bool, diags hcl.Diagnostics) {
	for _, d := range diags {
		d.Expression, d.EvalContext, d.Context = nil, nil, nil
		if hidden {
			d.Extra = diagnostics.Extra{Hidden: true}
		}
	}
	r.diags = append(r.diags, diags...)
}

func (r *valueReader) file(f ValuesFile) {
	parsed, diags := config.Parse(f.Name, f.Source)
	r.add(r.secretive, diags)
	if !r.secretive {
		r.scope.pipeline.Files[f.Name] = parsed
	}
	attrs, attrDiags := parsed.Body.JustAttributes()
	if !diags.HasErrors() {
		r.add(r.secretive, attrDiags)
	}
	for _, name := range sortedNames(attrs) {
		a := attrs[name]
		if _, declared := r.scope.root.variables[name]; !declared {
			r.add(r.secretive, failure(a.NameRange, "Unknown variable", "No variable is named %q.%s", name, r.suggest(name)))
			continue
		}
		value, diags := literalValue(a.Expr)
		if diags.HasErrors() {
			r.add(r.secretive, diags)
			value = cty.DynamicVal
		}
		r.given[name] = given{value, a.Expr.Range()}
	}
}

func sortedNames(attrs hcl.Attributes) []string {
	names := make([]string, 0, len(attrs))
	for name := range attrs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return attrs[a].Range.Start.Byte - attrs[b].Range.Start.Byte
	})
	return names
}

// validate asks the rules of a variable about its value.
func (s *Scope) validate(m *module, v *config.Variable, value cty.Value) hcl.Diagnostics {
	var diags hcl.Diagnostics
	c := &Context{module: m, static: m == s.root}
	for _, rule := range v.Validations {
		ok, moreDiags := c.Eval(rule.Condition)
		diags = append(diags, moreDiags...)
		if moreDiags.HasErrors() {
			continue
		}
		plain, _ := ok.Unmark()
		switch {
		case plain.IsNull() || plain.Type() != cty.Bool && plain.Type() != cty.DynamicPseudoType:
			diags = append(diags, diagnostics.Error(rule.Condition.Range(), "Invalid condition", "A condition is true or false; this one is %s.%s", kindOf(plain), asExpression(rule.Condition, plain)))
		case !plain.IsKnown() || plain.True():
		default:
			diags = append(diags, s.violated(c, m, v, rule, value))
		}
	}
	return diags
}

func (s *Scope) violated(c *Context, m *module, v *config.Variable, rule *config.Validation, value cty.Value) *hcl.Diagnostic {
	message, diags := c.Eval(rule.ErrorMessage)
	text := "The rule does not say why."
	plain, _ := message.Unmark()
	switch {
	case diags.HasErrors() || !plain.IsKnown() || plain.IsNull() || plain.Type() != cty.String:
	case lang.IsSensitive(message):
		text = "The rule's message is not shown, because it holds a sensitive value."
	default:
		text = plain.AsString()
	}
	at := v.Range
	if in := m.given[v.Name]; in != nil {
		at = in.Expr.Range()
	}
	d := diagnostics.Error(at, "Invalid value for a variable", "The value of %q breaks the rule at %s:%d: %s",
		v.Name, rule.Range.Filename, rule.Range.Start.Line, text)
	if lang.IsSensitive(value) {
		d.Extra = diagnostics.Extra{Hidden: true}
	}
	return d
}
