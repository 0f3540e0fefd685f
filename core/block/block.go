// Package block reads HCL bodies, in both syntaxes, with our own messages and
// suggestions. It knows names of attributes and blocks, no types and no values.
// Start with Read.
package block

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// Summaries of messages after which something else may seem to be missing.
const (
	BlockExpected = "Block expected"
	UnknownBlock  = "Unknown block"
	MissingLabel  = "Missing label"
)

// Schema is what may stand in a body.
type Schema struct {
	// What names the body in messages, with its article: a stage block.
	What       string
	Attributes []Attribute
	Blocks     []Block
	// Words are what other programs call an attribute or block of this body, and what
	// to write here.
	Words map[string]string
	// Rest lets other attributes and blocks stand; they are left in Content.Rest.
	Rest bool
}

// Attribute is one name = value.
type Attribute struct {
	Name     string
	Required bool
}

// Block is one block type.
type Block struct {
	Type string
	// Label says what the one label is: the stage's name. Empty for none.
	Label string
	// LabelOptional lets the label be left out.
	LabelOptional bool
	// Labels are used instead of Label where there are several.
	Labels []string
	// Single allows at most one, of each label where there is one.
	Single bool
	// Attributes are those inside; needed with LabelOptional to tell a label from
	// an attribute in the JSON syntax.
	Attributes []string
}

func (b *Block) labels() []string {
	if b.Label != "" {
		return []string{b.Label}
	}
	return b.Labels
}

// Content is what stands in a body.
type Content struct {
	Attributes map[string]*hcl.Attribute
	// Blocks in the order of the file.
	Blocks []*hcl.Block
	// Rest is set with Schema.Rest.
	Rest hcl.Body
	// Missing is where something that is missing should have been.
	Missing hcl.Range
}

// Expr is the attribute's expression; nil when it was not given.
func (c *Content) Expr(name string) hcl.Expression {
	if a := c.Attributes[name]; a != nil {
		return a.Expr
	}
	return nil
}

// Read reads a body, all mistakes at once. The content is never nil.
func Read(body hcl.Body, s *Schema) (*Content, hcl.Diagnostics) {
	var content *Content
	var diags hcl.Diagnostics
	if native, ok := body.(*hclsyntax.Body); ok {
		content, diags = readNative(native, s)
	} else {
		content, diags = readJSON(body, s)
	}
	for _, a := range s.Attributes {
		if a.Required && content.Attributes[a.Name] == nil {
			diags = append(diags, diagnostics.Error(content.Missing, "Missing attribute",
				"The attribute %q must be given in %s.", a.Name, s.What))
		}
	}
	return content, append(diags, checkSingle(content.Blocks, s)...)
}

func readNative(body *hclsyntax.Body, s *Schema) (*Content, hcl.Diagnostics) {
	content := &Content{Attributes: map[string]*hcl.Attribute{}, Missing: body.MissingItemRange()}
	var diags hcl.Diagnostics
	rest := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: body.SrcRange, EndRange: body.EndRange}
	for _, attr := range sortedAttributes(body) {
		switch {
		case s.hasAttribute(attr.Name):
			content.Attributes[attr.Name] = attr.AsHCLAttribute()
		case s.Rest && s.block(attr.Name) == nil:
			rest.Attributes[attr.Name] = attr
		default:
			diags = append(diags, s.unknownAttribute(attr.Name, attr.NameRange))
		}
	}
	for _, b := range body.Blocks {
		schema := s.block(b.Type)
		switch {
		case schema != nil:
			if diag := checkLabels(b, schema); diag != nil {
				diags = append(diags, diag)
				continue
			}
			content.Blocks = append(content.Blocks, b.AsHCLBlock())
		case s.Rest && !s.hasAttribute(b.Type):
			rest.Blocks = append(rest.Blocks, b)
		default:
			diags = append(diags, s.unknownBlock(b.Type, b.TypeRange))
		}
	}
	if s.Rest {
		content.Rest = rest
	}
	return content, diags
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	attrs := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		attrs = append(attrs, a)
	}
	slices.SortFunc(attrs, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return attrs
}

func (s *Schema) hasAttribute(name string) bool {
	return slices.ContainsFunc(s.Attributes, func(a Attribute) bool { return a.Name == name })
}

func (s *Schema) block(name string) *Block {
	for i := range s.Blocks {
		if s.Blocks[i].Type == name {
			return &s.Blocks[i]
		}
	}
	return nil
}

func (s *Schema) unknownAttribute(name string, at hcl.Range) *hcl.Diagnostic {
	if b := s.block(name); b != nil {
		return diagnostics.Error(at, BlockExpected,
			"In %s, %q is a block. Write it without an equals sign: %s.", s.What, name, b.example())
	}
	names := make([]string, 0, len(s.Attributes))
	for _, a := range s.Attributes {
		names = append(names, a.Name)
	}
	hint := diagnostics.Suggest(name, names)
	if word := s.Words[name]; word != "" {
		hint = " " + word
	}
	if hint == "" {
		hint = s.suggestBlock(name)
	}
	switch {
	case hint == "" && len(names) == 0:
		types := make([]string, 0, len(s.Blocks))
		for _, b := range s.Blocks {
			types = append(types, b.Type)
		}
		hint = listing(" It has only blocks: ", types)
	case hint == "":
		hint = listing(" Its attributes are: ", names)
	}
	return diagnostics.Error(at, "Unknown attribute", "%s has no attribute named %q.%s", upperFirst(s.What), name, hint)
}

func (s *Schema) suggestBlock(name string) string {
	types := make([]string, 0, len(s.Blocks))
	for _, b := range s.Blocks {
		types = append(types, b.Type)
	}
	if near := diagnostics.Nearest(name, types); near != "" {
		return fmt.Sprintf(" Did you mean the block %s?", s.block(near).example())
	}
	return ""
}

func (s *Schema) unknownBlock(name string, at hcl.Range) *hcl.Diagnostic {
	if s.hasAttribute(name) {
		return diagnostics.Error(at, "Attribute expected",
			"In %s, %q is an attribute. Write it with an equals sign: %s = ….", s.What, name, name)
	}
	types := make([]string, 0, len(s.Blocks))
	for _, b := range s.Blocks {
		types = append(types, b.Type)
	}
	hint := diagnostics.Suggest(name, types)
	if word := s.Words[name]; word != "" {
		hint = " " + word
	}
	switch {
	case hint != "":
	case len(types) == 0:
		hint = " It has only attributes; remove the block."
	default:
		hint = listing(" Its blocks are: ", types)
	}
	return diagnostics.Error(at, UnknownBlock, "%s has no block named %q.%s", upperFirst(s.What), name, hint)
}

// listing names what there is, where the list is short enough to read.
func listing(intro string, names []string) string {
	if len(names) == 0 || len(names) > 12 {
		return ""
	}
	return intro + strings.Join(names, ", ") + "."
}

func (b *Block) example() string {
	var out strings.Builder
	out.WriteString(b.Type)
	if !b.LabelOptional {
		for range b.labels() {
			out.WriteString(` "…"`)
		}
	}
	out.WriteString(" { … }")
	return out.String()
}

func checkLabels(b *hclsyntax.Block, s *Block) *hcl.Diagnostic {
	want := s.labels()
	switch {
	case len(b.Labels) > len(want) && len(want) == 0:
		return diagnostics.Error(b.LabelRanges[0], "Unexpected label", "The block %q has no label here. Write: %s.", s.Type, s.example())
	case len(b.Labels) > len(want):
		return diagnostics.Error(b.LabelRanges[len(want)], "Unexpected label",
			"The block %q has one label less: %s. Write: %s.", s.Type, strings.Join(want, ", "), s.example())
	case len(b.Labels) < len(want) && !s.LabelOptional:
		return diagnostics.Error(b.DefRange(), MissingLabel,
			"The block %q needs a label: %s. Write: %s.", s.Type, want[len(b.Labels)], s.example())
	}
	return nil
}

func checkSingle(blocks []*hcl.Block, s *Schema) hcl.Diagnostics {
	var diags hcl.Diagnostics
	first := map[string]hcl.Range{}
	for _, b := range blocks {
		schema := s.block(b.Type)
		if schema == nil || !schema.Single {
			continue
		}
		id := b.Type + "\x00" + strings.Join(b.Labels, "\x00")
		earlier, found := first[id]
		if !found {
			first[id] = b.DefRange
			continue
		}
		name := b.Type
		if len(b.Labels) > 0 {
			name += fmt.Sprintf(" %q", b.Labels[0])
		}
		diags = append(diags, diagnostics.Error(b.DefRange, "Duplicate block",
			"In %s there can be only one %s; the first is at %s. Remove one of them.", s.What, name, Place(earlier)))
	}
	return diags
}

// Place writes where a range begins: pipeline.hcl:7.
func Place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
