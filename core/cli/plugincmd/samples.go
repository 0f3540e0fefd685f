package plugincmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
)

// FileName is where the samples are, beside the program.
const FileName = "conformance.hcl"

// samples is the file that says what to test components with.
type samples struct {
	// Env is the environment of the plugin.
	Env []string
	// Plugin is the plugin block.
	Plugin sdktest.Config

	// path is the file's as people see it.
	path   string
	files  map[string]*hcl.File
	blocks []*hcl.Block
	eval   *hcl.EvalContext
}

var fileSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "env"}, {Name: "plugin"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: string(schema.KindAction), LabelNames: []string{"name"}}, {Type: string(schema.KindTarget), LabelNames: []string{"name"}},
		{Type: string(schema.KindStrategy), LabelNames: []string{"name"}}, {Type: string(schema.KindMetrics), LabelNames: []string{"name"}},
	},
}

// blockAttributes are what a block may say, by kind; valid and invalid are in all.
var blockAttributes = map[schema.Kind][]string{
	schema.KindAction:   {"fails", "slow", "world"},
	schema.KindTarget:   {"fresh", "addresses", "sequences", "length"},
	schema.KindStrategy: {"approvals", "targets", "worlds"},
	schema.KindMetrics:  {"traffic"},
}

// open reads the file. Without -config there may be none.
func open(opts *Options, program string) (*samples, error) {
	path := opts.Config
	if path == "" {
		path = filepath.Join(filepath.Dir(program), FileName)
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(opts.Env.Dir, path)
	}
	s := &samples{path: path, eval: &hcl.EvalContext{Functions: lang.Functions(lang.OS(filepath.Dir(path), opts.Env.Dir, opts.Env.Environ))}}
	for _, name := range []string{"TMPDIR", "TEMP", "TMP", "SystemRoot", "SystemDrive"} {
		if v, ok := opts.Env.LookupEnv(name); ok {
			s.Env = append(s.Env, name+"="+v)
		}
	}
	src, err := os.ReadFile(path)
	if rel, relErr := filepath.Rel(opts.Env.Dir, path); relErr == nil && filepath.IsLocal(rel) {
		s.path = rel
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && opts.Config == "":
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("samples cannot be read: %w", err)
	}
	diags := s.read(src)
	return s, show(opts.Env, diags, s.files)
}

func (s *samples) read(src []byte) hcl.Diagnostics {
	parser := hclparse.NewParser()
	parse := parser.ParseHCL
	if strings.HasSuffix(s.path, ".json") {
		parse = parser.ParseJSON
	}
	file, diags := parse(src, s.path)
	s.files = parser.Files()
	if diags.HasErrors() {
		return diags
	}
	content, more := file.Body.Content(fileSchema)
	diags = append(diags, more...)
	s.blocks = content.Blocks
	first := map[string]*hcl.Block{}
	for _, b := range s.blocks {
		key := b.Type + " " + b.Labels[0]
		if earlier, twice := first[key]; twice {
			diags = append(diags, diagnostics.Error(b.DefRange, "Duplicate block", "There are samples for this component already, in line %d.", earlier.DefRange.Start.Line))
		}
		first[key] = b
	}
	var env map[string]string
	diags = append(diags, s.value(content.Attributes["env"], nil, cty.Map(cty.String), &env)...)
	for name, value := range env {
		s.Env = append(s.Env, name+"="+value)
	}
	return append(diags, s.value(content.Attributes["plugin"], nil, cty.DynamicPseudoType, &s.Plugin)...)
}

// block is what the file says about one component.
type block struct {
	s          *samples
	dir        string
	attributes hcl.Attributes
	diags      hcl.Diagnostics
}

// about finds the block of a component; dir is an empty folder for it alone.
func (s *samples) about(kind schema.Kind, name, dir string) *block {
	b := &block{s: s, dir: dir}
	for _, found := range s.blocks {
		if found.Type != string(kind) || found.Labels[0] != name {
			continue
		}
		var body hcl.BodySchema
		for _, a := range append([]string{"valid", "invalid"}, blockAttributes[kind]...) {
			body.Attributes = append(body.Attributes, hcl.AttributeSchema{Name: a})
		}
		var content *hcl.BodyContent
		content, b.diags = found.Body.Content(&body)
		b.attributes = content.Attributes
	}
	return b
}

// has tells whether the block says something.
func (b *block) has(name string) bool { return b.attributes[name] != nil }

// get reads one attribute into a Go value; without it nothing changes.
func (b *block) get(name string, t cty.Type, into any) {
	b.diags = append(b.diags, b.s.value(b.attributes[name], b.variables(0), t, into)...)
}

// variables are the names that samples may speak of: dir is an empty folder,
// count another number each time that a fresh target is needed.
func (b *block) variables(count int) map[string]cty.Value {
	return map[string]cty.Value{"dir": cty.StringVal(b.dir), "count": cty.NumberIntVal(int64(count))}
}

// value evaluates an attribute, and reads it by way of JSON.
func (s *samples) value(a *hcl.Attribute, variables map[string]cty.Value, t cty.Type, into any) hcl.Diagnostics {
	if a == nil {
		return nil
	}
	ctx := s.eval.NewChild()
	ctx.Variables = variables
	v, diags := a.Expr.Value(ctx)
	if diags.HasErrors() {
		return diags
	}
	wrong := func(err error) hcl.Diagnostics {
		return append(diags, diagnostics.Error(a.Expr.Range(), "Unsuitable value", "The value of %q does not fit: %s.", a.Name, lang.ConversionError(err)))
	}
	v, _ = v.UnmarkDeep()
	v, err := convert.Convert(v, t)
	if err != nil {
		return wrong(err)
	}
	text, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return wrong(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return wrong(readable(err))
	}
	return diags
}

// readable says in the words of the file what the decoder of JSON says in its own.
func readable(err error) error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	want := "a number"
	switch mismatch.Type.Kind() {
	case reflect.Map, reflect.Struct:
		want = "an object"
	case reflect.Slice:
		want = "a list"
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "true or false"
	case reflect.Int:
		want = "a whole number"
	}
	where := ""
	if mismatch.Field != "" {
		where = fmt.Sprintf("in %q ", mismatch.Field)
	}
	return fmt.Errorf("%s%s is needed, not a %s", where, want, mismatch.Value)
}
