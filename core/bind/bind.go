// Package bind reads the body of a component's block by the component's schema.
//
// Decode gives values with a place for every leaf; Wire is what travels to the
// plugin, and Diagnostics brings the plugin's messages back to the file.
package bind

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Bound is a body that was read.
type Bound struct {
	// Value is an object of TypeOf the schema, with unknown and sensitive parts.
	Value cty.Value
}

// Decode reads the body, all mistakes at once. The result is never nil; with
// errors it holds what could be read. Unknown parts are allowed but where the
// schema wants them known.
func Decode(body hcl.Body, s *schema.Schema, eval func(hcl.Expression) (cty.Value, hcl.Diagnostics)) (*Bound, hcl.Diagnostics) {
	panic("skeleton")
}

// Wire is the value as it travels. Equal values give equal bytes.
func (b *Bound) Wire() value.Value { panic("skeleton") }

// Range is the place of a path: that of the nearest part that has one.
func (b *Bound) Range(p value.Path) hcl.Range { panic("skeleton") }

// Known reports whether no part is unknown.
func (b *Bound) Known() bool { panic("skeleton") }

// Unknown lists the parts that are not known.
func (b *Bound) Unknown() []value.Path { panic("skeleton") }

// Diagnostics places a plugin's messages in the file. Subject is where those
// without a path go, such as the block's header.
func Diagnostics(b *Bound, l diag.List, subject hcl.Range) hcl.Diagnostics { panic("skeleton") }

// ArtifactType is that of artifacts: digest, media_type, uri, size, labels, path.
var ArtifactType = cty.Object(map[string]cty.Type{
	"digest": cty.String, "media_type": cty.String, "uri": cty.String,
	"size": cty.Number, "labels": cty.Map(cty.String), "path": cty.String,
})

// TypeOf is the type of values of the schema. A nil schema is the empty object.
func TypeOf(s *schema.Schema) cty.Type { panic("skeleton") }

// UnknownOf is an object of the schema whose attributes are unknown, the
// sensitive ones marked.
func UnknownOf(s *schema.Schema) cty.Value { panic("skeleton") }

// NullOf is an object of the schema whose attributes are null, as a skipped stage gives.
func NullOf(s *schema.Schema) cty.Value { panic("skeleton") }

// FromWire reads what a plugin sent, with its unknown and sensitive parts; what
// the schema calls sensitive is marked as well.
func FromWire(v value.Value, s *schema.Schema) (cty.Value, error) { panic("skeleton") }

// ToWire is the form in which an object of the schema travels.
func ToWire(v cty.Value, s *schema.Schema) (value.Value, error) { panic("skeleton") }
