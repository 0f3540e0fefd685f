// Package bind reads the body of a component's block by the component's schema.
//
// Decode gives values with a place for every leaf; Wire is what travels to the
// plugin, and Diagnostics brings the plugin's messages back to the file. TypeOf,
// UnknownOf and FromWire are for what components give.
package bind

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Bound is a body that was read.
type Bound struct {
	// Value is an object of TypeOf the schema, with unknown and sensitive parts.
	Value cty.Value

	schema *schema.Schema
	// ranges are the places of paths, by value.Path.String.
	ranges map[string]hcl.Range
}

// Eval evaluates one expression, as scope.Context.Eval does.
type Eval = func(hcl.Expression) (cty.Value, hcl.Diagnostics)

// Option changes what Decode accepts.
type Option func(*decoder)

// Tolerant accepts unknown values also where the schema wants them known, for
// validating with variables that have no value yet.
func Tolerant(d *decoder) { d.tolerant = true }

// Decode reads the body, all mistakes at once. The result is never nil; with
// errors it holds what could be read. Unknown parts are allowed but where the
// schema wants them known. A nil schema takes nothing.
func Decode(body hcl.Body, s *schema.Schema, eval Eval, opts ...Option) (*Bound, hcl.Diagnostics) {
	if s == nil {
		s = &schema.Schema{}
	}
	d := &decoder{eval: eval, ranges: map[string]hcl.Range{}}
	for _, o := range opts {
		o(d)
	}
	d.ranges[""] = body.MissingItemRange()
	v := d.body(body, s, "this block", nil, nil)
	return &Bound{Value: v, schema: s, ranges: d.ranges}, d.diags
}

// Wire is the value as it travels. Equal values give equal bytes.
func (b *Bound) Wire() value.Value { return wireOf(b.Value) }

// Range is the place of a path: that of the nearest part that has one.
func (b *Bound) Range(p value.Path) hcl.Range {
	for n := len(p); n > 0; n-- {
		if r, ok := b.ranges[p[:n].String()]; ok {
			return r
		}
	}
	return b.ranges[""]
}

// Known reports whether no part is unknown.
func (b *Bound) Known() bool { return b.Value.IsWhollyKnown() }

// Unknown lists the parts that are not known.
func (b *Bound) Unknown() []value.Path { return b.Wire().Unknown }

// Diagnostics places a plugin's messages in the file. Subject is where those
// without a path go, such as the block's header. A message that holds a
// sensitive value of the configuration loses its detail.
func Diagnostics(b *Bound, l diag.List, subject hcl.Range) hcl.Diagnostics {
	var out hcl.Diagnostics
	wire := b.Wire()
	secrets := lang.SensitiveTexts(b.Value)
	for _, d := range l {
		at := subject
		if len(d.Path) > 0 {
			at = b.Range(d.Path)
		}
		made := diagnostics.Error
		if d.Severity == diag.Warning {
			made = diagnostics.Warning
		}
		h := made(at, "%s", "")
		h.Summary, h.Detail = d.Summary, sentence(d.Detail)
		extra := diagnostics.Extra{Code: d.Code}
		for _, p := range wire.Sensitive {
			extra.Hidden = extra.Hidden || d.Path.HasPrefix(p)
		}
		for _, secret := range secrets {
			if strings.Contains(d.Summary, secret) {
				h.Summary = "Invalid configuration"
			}
			if strings.Contains(d.Detail, secret) {
				h.Detail = "The plugin's reason is not shown, because it holds a sensitive value."
			}
		}
		h.Extra = extra
		out = append(out, h)
	}
	return out
}

// sentence makes a sentence of a plugin's detail, which is often the text of an
// error: lower case, without an end.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	word, _, _ := strings.Cut(s, " ")
	// A first word with capitals, dots or the like is a name and stays as it is.
	if unicode.IsLower(first) && !strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLower(r) && r != '\'' && r != ',' }) {
		s = string(unicode.ToUpper(first)) + s[size:]
	}
	lastLine := s[strings.LastIndexByte(s, '\n')+1:]
	if s != "" && !strings.HasPrefix(lastLine, " ") && !strings.HasSuffix(s, "\n") && !strings.ContainsRune(".!?:…", lastRune(s)) {
		s += "."
	}
	return s
}

func lastRune(s string) rune {
	r, _ := utf8.DecodeLastRuneInString(s)
	return r
}
