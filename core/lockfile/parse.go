package lockfile

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/schema"
)

var (
	hashForm   = regexp.MustCompile(`^[a-z0-9]+_[a-z0-9]+:sha256:[0-9a-f]{64}$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	envForm    = regexp.MustCompile(`^[^=\x00\s]+$`)

	fileSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "plugin", LabelNames: []string{"source"}}}}

	pluginSchema = &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{
			{Name: "digest", Required: true}, {Name: "version", Required: true}, {Name: "constraints"}, {Name: "protocol", Required: true},
			{Name: "hashes", Required: true}, {Name: "env", Required: true}, {Name: "about", Required: true},
		},
		Blocks: []hcl.BlockHeaderSchema{{Type: "component", LabelNames: []string{"name"}}},
	}

	componentSchema = &hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "kind", Required: true}, {Name: "schema", Required: true}},
	}
)

// whatToDo ends every message about a lock file that was changed by other hands.
const whatToDo = "Take the file back from version control, or remove it and run:\n\n  runner init"

// Parse reads a lock file from memory; name is for messages. With errors the File has
// what could be read.
func Parse(name string, src []byte) (*File, hcl.Diagnostics) {
	out := &File{}
	if diags := checkTokens(name, src); diags.HasErrors() {
		return out, diags
	}
	parsed, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return out, explain(diags)
	}
	content, diags := parsed.Body.Content(fileSchema)
	diags = explain(diags)
	seen := map[string]bool{}
	for _, block := range content.Blocks {
		source := block.Labels[0]
		if _, err := discover.ParseSource(source); err != nil {
			diags = append(diags, invalid(&block.LabelRanges[0], "%v.", err))
			continue
		}
		if seen[source] {
			diags = append(diags, invalid(&block.LabelRanges[0], "The plugin %q stands in the file twice, as after a merge.", source))
			continue
		}
		seen[source] = true
		p, more := parsePlugin(source, block)
		diags = append(diags, more...)
		if !more.HasErrors() {
			out.Plugins = append(out.Plugins, p)
		}
	}
	out.Plugins = sortedBy(out.Plugins, func(p *Plugin) string { return p.Source })
	return out, diags
}

const (
	maxSize  = 4 << 20
	maxDepth = 8
)

// allowed are the tokens of literals, lists and blocks. The parser follows
// nesting by recursion, so that nothing else may reach it from a damaged file.
var allowed = []hclsyntax.TokenType{
	hclsyntax.TokenIdent, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote, hclsyntax.TokenQuotedLit,
	hclsyntax.TokenNumberLit, hclsyntax.TokenOBrace, hclsyntax.TokenCBrace, hclsyntax.TokenOBrack, hclsyntax.TokenCBrack,
	hclsyntax.TokenComma, hclsyntax.TokenEqual, hclsyntax.TokenNewline, hclsyntax.TokenComment, hclsyntax.TokenEOF,
}

func checkTokens(name string, src []byte) hcl.Diagnostics {
	if len(src) > maxSize {
		at := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
		return hcl.Diagnostics{invalid(&at, "It has %d bytes, and never more than %d.", len(src), maxSize)}
	}
	if mark := bytes.Index(src, []byte("<<<<<<< ")); mark >= 0 {
		at := hcl.Pos{Line: 1 + bytes.Count(src[:mark], []byte("\n")), Column: 1, Byte: mark}
		return hcl.Diagnostics{invalid(&hcl.Range{Filename: name, Start: at, End: at}, "A merge left its marks here, since two changes do not fit together.")}
	}
	tokens, diags := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return explain(diags[:1])
	}
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack:
			depth--
		}
		if !slices.Contains(allowed, t.Type) || depth > maxDepth {
			return hcl.Diagnostics{invalid(t.Range.Ptr(), "%.20q has no place in a lock file.", t.Bytes)}
		}
	}
	return nil
}

func parsePlugin(source string, block *hcl.Block) (*Plugin, hcl.Diagnostics) {
	p := &Plugin{Source: source}
	content, diags := block.Body.Content(pluginSchema)
	r := reader{attrs: content.Attributes, diags: explain(diags)}
	p.Version = r.text("version", func(s string) error { _, err := version.NewSemver(s); return err })
	p.Constraints = r.text("constraints", func(s string) error { _, err := version.NewConstraint(s); return err })
	p.Protocol = r.protocol()
	p.Hashes = r.texts("hashes", matches(hashForm, "a platform with a hash, such as linux_amd64:sha256:…"))
	slices.Sort(p.Hashes)
	p.Env = r.texts("env", matches(envForm, "the name of an environment variable"))
	slices.Sort(p.Env)
	p.About = r.text("about", matches(digestForm, "a digest"))
	platforms := map[string]bool{}
	for _, h := range p.Hashes {
		platform, _, _ := strings.Cut(h, ":")
		if platforms[platform] {
			r.diags = append(r.diags, invalid(content.Attributes["hashes"].Expr.Range().Ptr(), "The platform %s has two hashes, as after a merge.", platform))
		}
		platforms[platform] = true
	}
	names := map[string]bool{}
	for _, b := range content.Blocks {
		name := b.Labels[0]
		if !nameForm.MatchString(name) || names[name] {
			r.diags = append(r.diags, invalid(&b.LabelRanges[0], "%q is not the name of a component, or stands here twice.", name))
			continue
		}
		names[name] = true
		inner, more := b.Body.Content(componentSchema)
		cr := reader{attrs: inner.Attributes, diags: explain(more)}
		p.Components = append(p.Components, Component{
			Name:   name,
			Kind:   schema.Kind(cr.text("kind", matches(nameForm, "the kind of a component"))),
			Schema: cr.text("schema", matches(digestForm, "a digest")),
		})
		r.diags = append(r.diags, cr.diags...)
	}
	p.Components = sortedBy(p.Components, func(c Component) string { return c.Name })
	if digest := r.text("digest", matches(digestForm, "a digest")); digest != "" && !r.diags.HasErrors() && digest != p.digest() {
		r.diags = append(r.diags, invalid(&block.LabelRanges[0], "The block of the plugin %q does not have the digest that it names: the file is damaged, was merged, or was changed by hand.", source))
	}
	return p, r.diags
}

// reader takes literal values from attributes and collects what is wrong.
type reader struct {
	attrs hcl.Attributes
	diags hcl.Diagnostics
}

// value is the attribute converted to a type; ok is false when it is missing or wrong.
func (r *reader) value(name string, want cty.Type) (v cty.Value, at *hcl.Range, ok bool) {
	attr := r.attrs[name]
	if attr == nil {
		return cty.NilVal, nil, false // when it is required, it is in diags already
	}
	at = attr.Expr.Range().Ptr()
	v, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		r.diags = append(r.diags, explain(diags)...)
		return cty.NilVal, at, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() || !v.IsWhollyKnown() {
		r.diags = append(r.diags, invalid(at, "%s must be a %s.", name, want.FriendlyName()))
		return cty.NilVal, at, false
	}
	return v, at, true
}

func (r *reader) text(name string, check func(string) error) string {
	v, at, ok := r.value(name, cty.String)
	if !ok {
		return ""
	}
	if err := check(v.AsString()); err != nil {
		r.diags = append(r.diags, invalid(at, "%s: %v.", name, err))
		return ""
	}
	return v.AsString()
}

func (r *reader) texts(name string, check func(string) error) []string {
	v, at, ok := r.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var out []string
	for _, e := range v.AsValueSlice() {
		if e.IsNull() {
			r.diags = append(r.diags, invalid(at, "%s has an element without value.", name))
			return nil
		}
		if err := check(e.AsString()); err != nil {
			r.diags = append(r.diags, invalid(at, "%s: %v.", name, err))
			return nil
		}
		out = append(out, e.AsString())
	}
	return out
}

func (r *reader) protocol() int {
	v, at, ok := r.value("protocol", cty.Number)
	if !ok {
		return 0
	}
	n, _ := v.AsBigFloat().Int64()
	if n < 1 || n > 1000 || !v.RawEquals(cty.NumberIntVal(n)) {
		r.diags = append(r.diags, invalid(at, "protocol must be the number of a protocol version."))
		return 0
	}
	return int(n)
}

func matches(form *regexp.Regexp, what string) func(string) error {
	return func(s string) error {
		if !form.MatchString(s) {
			return fmt.Errorf("%q is not %s", s, what)
		}
		return nil
	}
}

func invalid(at *hcl.Range, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "Invalid lock file",
		Detail:   fmt.Sprintf(format, args...) + " " + whatToDo,
		Subject:  at,
	}
}

// words are what we call things, for what the parser calls them.
var words = strings.NewReplacer("argument", "attribute", "Argument", "Attribute")

// explain gives the parser's diagnostics our summary and says what to do.
func explain(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		c := *d
		c.Detail = fmt.Sprintf("%s: %s %s", words.Replace(d.Summary), words.Replace(d.Detail), whatToDo)
		c.Summary = "Invalid lock file"
		out = append(out, &c)
	}
	return out
}
