package block

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// readJSON reads a body of the JSON syntax, where a property may be an attribute
// or a block and only the schema can tell.
func readJSON(body hcl.Body, s *Schema) (*Content, hcl.Diagnostics) {
	schema := &hcl.BodySchema{}
	for _, a := range s.Attributes {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: a.Name})
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		labels := b.labels()
		if b.LabelOptional && !labelled(body, b) {
			labels = nil
		}
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: b.Type, LabelNames: labels})
	}
	var read *hcl.BodyContent
	var rest hcl.Body
	var diags hcl.Diagnostics
	if s.Rest {
		read, rest, diags = body.PartialContent(schema)
	} else {
		read, diags = body.Content(schema)
		diags = s.reword(diags)
	}
	return &Content{Attributes: read.Attributes, Blocks: read.Blocks, Rest: rest, Missing: read.MissingItemRange}, diags
}

// labelled reports whether blocks of an optional label have one here: whether a
// property inside is something else than an attribute of the block.
func labelled(body hcl.Body, b *Block) bool {
	unlabelled := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: b.Type}}}
	content, _, _ := body.PartialContent(unlabelled)
	known := map[string]bool{}
	for _, name := range b.Attributes {
		known[name] = true
	}
	for _, found := range content.Blocks {
		attrs, _ := found.Body.JustAttributes()
		for name := range attrs {
			if !known[name] {
				return true
			}
		}
	}
	return false
}

// reword puts the reader's message about unknown properties into our words.
func (s *Schema) reword(diags hcl.Diagnostics) hcl.Diagnostics {
	out := make(hcl.Diagnostics, 0, len(diags))
	for _, d := range diags {
		if d.Summary != "Extraneous JSON object property" || d.Subject == nil {
			out = append(out, d)
			continue
		}
		var name string
		if _, after, ok := strings.Cut(d.Detail, "named "); ok {
			if _, err := fmt.Sscanf(after, "%q", &name); err != nil {
				name = ""
			}
		}
		var names []string
		for _, a := range s.Attributes {
			names = append(names, a.Name)
		}
		for _, b := range s.Blocks {
			names = append(names, b.Type)
		}
		out = append(out, diagnostics.Error(*d.Subject, "Unknown attribute",
			"%s has no attribute or block named %q.%s", upperFirst(s.What), name, diagnostics.Suggest(name, names)))
	}
	return out
}
