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
	}
	diags = s.reword(diags)
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

// reword puts the reader's messages into our words.
func (s *Schema) reword(diags hcl.Diagnostics) hcl.Diagnostics {
	out := make(hcl.Diagnostics, 0, len(diags))
	// A block without its label is told twice.
	unlabelled := map[string]bool{}
	for _, d := range diags {
		switch {
		case d.Subject == nil:
		case d.Summary == "Extraneous JSON object property":
			d = s.unknownProperty(d)
		case d.Summary == "Missing block label" || d.Summary == "Incorrect JSON value type":
			b, label := s.meant(d.Detail)
			switch {
			case b == nil:
				d.Detail = strings.ReplaceAll(d.Detail, "arguments", "attributes")
			case label && unlabelled[place(d, b)]:
				continue
			case label:
				unlabelled[place(d, b)] = true
				d = diagnostics.Error(*d.Subject, MissingLabel, "The block %q needs a label: %s. Write: %s.", b.Type, strings.Join(b.labels(), ", "), b.jsonExample())
			default:
				d = diagnostics.Error(*d.Subject, BlockExpected, "In %s, %q is a block. Write: %s.", s.What, b.Type, b.jsonExample())
			}
		}
		out = append(out, d)
	}
	return out
}

// meant is the block that a message of the reader is about, and whether it is
// about the block's label.
func (s *Schema) meant(detail string) (_ *Block, label bool) {
	for i := range s.Blocks {
		b := &s.Blocks[i]
		for _, l := range b.labels() {
			if strings.Contains(detail, l+" labels for") || strings.Contains(detail, "represents the "+b.Type+" block's") {
				return b, true
			}
		}
		if strings.Contains(detail, fmt.Sprintf("%q blocks", b.Type)) {
			return b, false
		}
	}
	return nil, false
}

// jsonExample shows the block in the JSON syntax.
func (b *Block) jsonExample() string {
	out := "{ … }"
	if !b.LabelOptional {
		for range b.labels() {
			out = `{"…": ` + out + "}"
		}
	}
	return fmt.Sprintf("%q: %s", b.Type, out)
}

func (s *Schema) unknownProperty(d *hcl.Diagnostic) *hcl.Diagnostic {
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
	return diagnostics.Error(*d.Subject, "Unknown attribute",
		"%s has no attribute or block named %q.%s", upperFirst(s.What), name, diagnostics.Suggest(name, names))
}

// place is where a message about a block stands.
func place(d *hcl.Diagnostic, b *Block) string { return fmt.Sprint(d.Subject.Start.Line, b.Type) }
