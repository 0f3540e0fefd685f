package bind

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

type decoder struct {
	eval     Eval
	tolerant bool
	ranges   map[string]hcl.Range
	diags    hcl.Diagnostics
}

func (d *decoder) add(diags ...*hcl.Diagnostic) { d.diags = append(d.diags, diags...) }

func (d *decoder) place(p value.Path, at hcl.Range) { d.ranges[p.String()] = at }

// body reads one block's body into an object. Names are those that dynamic
// blocks around bring into scope.
func (d *decoder) body(body hcl.Body, s *schema.Schema, what string, path value.Path, names map[string]cty.Value) cty.Value {
	content, diags := block.Read(body, bodySchema(s, what))
	d.add(diags...)
	out := make(map[string]cty.Value, len(s.Attributes)+len(s.Blocks))
	for i := range s.Attributes {
		a := &s.Attributes[i]
		out[a.Name] = d.attribute(content.Attributes[a.Name], a, what, path.With(value.Name(a.Name)), names)
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		out[b.Name] = d.blocks(content, b, path.With(value.Name(b.Name)), names)
	}
	for _, blk := range content.Blocks {
		if _, ok := s.Block(blk.Type); ok || blk.Type != block.Dynamic {
			continue
		}
		if _, ok := s.Block(blk.Labels[0]); !ok {
			var types []string
			for _, b := range s.Blocks {
				types = append(types, b.Name)
			}
			d.add(diagnostics.Error(blk.LabelRanges[0], block.UnknownBlock,
				"A dynamic block makes blocks of another type, and there is no block named %q here.%s", blk.Labels[0], diagnostics.Suggest(blk.Labels[0], types)))
		}
	}
	return cty.ObjectVal(out)
}

func bodySchema(s *schema.Schema, what string) *block.Schema {
	out := &block.Schema{
		What:       what,
		Attributes: make([]block.Attribute, 0, len(s.Attributes)),
		Blocks:     make([]block.Block, 0, len(s.Blocks)+1),
	}
	for _, a := range s.Attributes {
		out.Attributes = append(out.Attributes, block.Attribute{Name: a.Name, Required: a.Required})
	}
	dynamic := len(s.Blocks) > 0
	for _, b := range s.Blocks {
		out.Blocks = append(out.Blocks, block.Block{Type: b.Name, Labels: b.Labels})
		dynamic = dynamic && b.Name != block.Dynamic
	}
	if dynamic {
		out.Blocks = append(out.Blocks, block.Block{Type: block.Dynamic, Label: "the block's type"})
	}
	return out
}

func (d *decoder) attribute(given *hcl.Attribute, a *schema.Attribute, what string, path value.Path, names map[string]cty.Value) cty.Value {
	if given == nil {
		return d.absent(a)
	}
	d.placeExpression(path, given.Expr)
	if a.Deprecated != "" {
		d.add(diagnostics.Warning(given.NameRange, "Deprecated attribute", "The attribute %q will go away. Use %s.", a.Name, a.Deprecated))
	}
	v, diags := d.eval(block.WithNames(given.Expr, names))
	d.add(diags...)
	if diags.HasErrors() {
		return marked(cty.UnknownVal(typeOf(a.Type)), a.Sensitive)
	}
	if plain, _ := v.Unmark(); plain.IsNull() {
		if a.Required {
			d.add(diagnostics.Error(given.Expr.Range(), "Missing attribute", "The attribute %q must be given in %s, and here it is null. Give it a value.", a.Name, what))
			return cty.UnknownVal(typeOf(a.Type))
		}
		return d.absent(a)
	}
	c := &converter{attribute: a.Name, hidden: a.Sensitive || lang.IsSensitive(v), at: d.rangeOf}
	out := c.convert(v, a.Type, path)
	d.add(c.diags...)
	if len(c.diags) > 0 {
		return marked(cty.UnknownVal(typeOf(a.Type)), a.Sensitive)
	}
	if a.Known && !out.IsWhollyKnown() && !d.tolerant {
		d.add(diagnostics.Error(given.Expr.Range(), "Not known yet",
			"%q must be known before anything runs, and this value depends on what stages give. Use variables and locals.", a.Name))
	}
	if a.Unique {
		out = d.unique(out, a, path)
	}
	return marked(out, a.Sensitive)
}

// absent is the value of an attribute that was not given.
func (d *decoder) absent(a *schema.Attribute) cty.Value {
	if len(a.Default) == 0 {
		return marked(cty.NullVal(typeOf(a.Type)), a.Sensitive)
	}
	v, err := fromJSON(a.Default, a.Type)
	if err != nil {
		d.add(diagnostics.Error(d.ranges[""], "Invalid schema",
			"The plugin's default for %q does not fit its type: %s. This is a mistake of the plugin; give the attribute a value, and tell its author.", a.Name, err))
		return cty.UnknownVal(typeOf(a.Type))
	}
	return marked(v, a.Sensitive)
}

func marked(v cty.Value, sensitive bool) cty.Value {
	if sensitive {
		return lang.Sensitive(v)
	}
	return v
}

func (d *decoder) rangeOf(p value.Path) hcl.Range {
	for n := len(p); n > 0; n-- {
		if r, ok := d.ranges[p[:n].String()]; ok {
			return r
		}
	}
	return d.ranges[""]
}

// placeExpression remembers where a value and its parts are written.
func (d *decoder) placeExpression(path value.Path, expr hcl.Expression) {
	d.place(path, expr.Range())
	if list, diags := hcl.ExprList(expr); !diags.HasErrors() {
		for i, e := range list {
			d.placeExpression(path.With(value.Index(i)), e)
		}
		return
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return
	}
	for _, kv := range pairs {
		name := hcl.ExprAsKeyword(kv.Key)
		if name == "" {
			v, diags := kv.Key.Value(nil)
			if diags.HasErrors() || v.IsNull() || v.Type() != cty.String {
				continue
			}
			name = v.AsString()
		}
		d.placeExpression(path.With(value.Name(name)), kv.Value)
	}
}

// instance is one block, written or made by a dynamic block.
type instance struct {
	labels []string
	body   hcl.Body
	at     hcl.Range
	names  map[string]cty.Value
}

// blocks reads all blocks of one type.
func (d *decoder) blocks(content *block.Content, b *schema.Block, path value.Path, names map[string]cty.Value) cty.Value {
	var found []instance
	var unknown, sensitive bool
	for _, blk := range content.Blocks {
		switch {
		case blk.Type == b.Name:
			found = append(found, instance{blk.Labels, blk.Body, blk.DefRange, names})
		case blk.Type == block.Dynamic && blk.Labels[0] == b.Name:
			e := d.expand(blk, b, names)
			found = append(found, e.instances...)
			unknown = unknown || e.unknown
			sensitive = sensitive || e.sensitive
			if e.unknown {
				d.place(path, blk.DefRange)
			}
		}
	}
	d.checkCount(found, b, content.Missing, unknown)
	ty := blockType(b)
	values := make([]cty.Value, len(found))
	for i, inst := range found {
		at := path
		if b.Nesting == schema.Many {
			at = path.With(value.Index(i))
		}
		if !unknown {
			d.place(at, inst.at)
		}
		values[i] = d.block(inst, b, at)
	}
	if unknown {
		if must := knownInside(&b.Schema); must != "" && !d.tolerant {
			d.add(diagnostics.Error(d.rangeOf(path), "Not known yet",
				"How many %s blocks there are must be known before anything runs, since %q in them must be. Use variables and locals in for_each.", b.Name, must))
		}
		return marked(cty.UnknownVal(ty), sensitive)
	}
	switch {
	case b.Nesting == schema.Many:
		return marked(listOf(objectType(b), values), sensitive)
	case len(values) == 0:
		return cty.NullVal(ty)
	}
	return marked(values[0], sensitive)
}

func (d *decoder) block(inst instance, b *schema.Block, path value.Path) cty.Value {
	v := d.body(inst.body, &b.Schema, "a "+b.Name+" block", path, inst.names)
	if len(b.Labels) == 0 {
		return v
	}
	attrs := v.AsValueMap()
	if attrs == nil {
		attrs = map[string]cty.Value{}
	}
	for i, name := range b.Labels {
		attrs[name] = cty.StringVal(inst.labels[i])
		d.place(path.With(value.Name(name)), inst.at)
	}
	return cty.ObjectVal(attrs)
}

func (d *decoder) checkCount(found []instance, b *schema.Block, missing hcl.Range, unknown bool) {
	least, most := b.Min, b.Max
	if b.Nesting == schema.Single {
		most = 1
	}
	switch {
	case len(found) < least && !unknown:
		text := "There must be a %s block here."
		if least > 1 {
			text = "There must be at least %[2]d %[1]s blocks here."
			d.add(diagnostics.Error(missing, "Missing block", text, b.Name, least))
			return
		}
		d.add(diagnostics.Error(missing, "Missing block", text, b.Name))
	case most == 1 && len(found) > 1:
		d.add(diagnostics.Error(found[1].at, "Duplicate block",
			"There can be only one %s block here; the first is at %s. Remove one of them.", b.Name, block.Place(found[0].at)))
	case most > 0 && len(found) > most:
		d.add(diagnostics.Error(found[most].at, "Too many blocks", "There can be at most %d %s blocks here. Remove some.", most, b.Name))
	}
}

// knownInside is an attribute in the schema that must be known; empty for none.
func knownInside(s *schema.Schema) string {
	for _, a := range s.Attributes {
		if a.Known {
			return a.Name
		}
	}
	for i := range s.Blocks {
		if name := knownInside(&s.Blocks[i].Schema); name != "" {
			return name
		}
	}
	return ""
}

// expansion is what a dynamic block comes to.
type expansion struct {
	instances          []instance
	unknown, sensitive bool
}

// maxExpansion is how many blocks one dynamic block may make.
const maxExpansion = 10_000

func dynamicBody(labels bool) *block.Schema {
	s := &block.Schema{
		What:       "a dynamic block",
		Attributes: []block.Attribute{{Name: "for_each", Required: true}, {Name: "iterator"}},
		Blocks:     []block.Block{{Type: "content", Single: true}},
	}
	if labels {
		s.Attributes = append(s.Attributes, block.Attribute{Name: "labels", Required: true})
	}
	return s
}

func (d *decoder) expand(blk *hcl.Block, b *schema.Block, names map[string]cty.Value) expansion {
	content, diags := block.Read(blk.Body, dynamicBody(len(b.Labels) > 0))
	d.add(diags...)
	if diags.HasErrors() {
		return expansion{unknown: true}
	}
	if len(content.Blocks) == 0 {
		d.add(diagnostics.Error(blk.DefRange, "Missing block", "A dynamic block has a content block, which is what stands in each block that it makes."))
		return expansion{unknown: true}
	}
	iterator := b.Name
	if expr := content.Expr("iterator"); expr != nil {
		if iterator = hcl.ExprAsKeyword(expr); iterator == "" {
			d.add(diagnostics.Error(expr.Range(), "Invalid iterator", "The iterator is a name, written without quotes."))
			return expansion{unknown: true}
		}
	}
	forEach := content.Expr("for_each")
	v, evalDiags := d.eval(block.WithNames(forEach, names))
	d.add(evalDiags...)
	if evalDiags.HasErrors() {
		return expansion{unknown: true}
	}
	out := expansion{sensitive: v.IsMarked()}
	v, _ = v.Unmark()
	switch {
	case !v.IsKnown():
		out.unknown = true
		return out
	case v.IsNull() || !v.CanIterateElements():
		d.add(diagnostics.Error(forEach.Range(), "Invalid for_each", "Give a list, a map or an object; an empty one makes no block."))
		out.unknown = true
		return out
	case v.LengthInt() > maxExpansion:
		d.add(diagnostics.Error(forEach.Range(), "Invalid for_each", "There are more than %d elements.", maxExpansion))
		out.unknown = true
		return out
	}
	for it := v.ElementIterator(); it.Next(); {
		key, element := it.Element()
		if v.Type().IsSetType() {
			key = element
		}
		inner := maps.Clone(names)
		if inner == nil {
			inner = map[string]cty.Value{}
		}
		inner[iterator] = cty.ObjectVal(map[string]cty.Value{"key": key, "value": element})
		inst := instance{body: content.Blocks[0].Body, at: blk.DefRange, names: inner}
		if expr := content.Expr("labels"); expr != nil {
			inst.labels = d.labels(expr, b, inner)
			if inst.labels == nil {
				out.unknown = true
				return out
			}
		}
		out.instances = append(out.instances, inst)
	}
	return out
}

// labels evaluates the labels of a dynamic block; nil when they are wrong or unknown.
func (d *decoder) labels(expr hcl.Expression, b *schema.Block, names map[string]cty.Value) []string {
	list, diags := hcl.ExprList(expr)
	if diags.HasErrors() || len(list) != len(b.Labels) {
		d.add(diagnostics.Error(expr.Range(), "Invalid labels", "A %s block has %d labels, so this is a list of %d strings.", b.Name, len(b.Labels), len(b.Labels)))
		return nil
	}
	out := make([]string, len(list))
	for i, e := range list {
		v, diags := d.eval(block.WithNames(e, names))
		d.add(diags...)
		if diags.HasErrors() || !v.IsKnown() {
			return nil
		}
		label, err := convert.Convert(v, cty.String)
		if err != nil || v.IsMarked() || v.IsNull() {
			d.add(diagnostics.Error(e.Range(), "Invalid labels", "A label is a string that is neither null nor sensitive."))
			return nil
		}
		out[i] = label.AsString()
	}
	return out
}
