package schema

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Check reports every place where the value is not what the schema says. What
// is listed as unknown is left out.
func (s Schema) Check(v value.Value) diag.List {
	c := checker{decoder{unknown: v.Unknown}}
	tree, err := parseJSON(v.JSON)
	if err != nil {
		c.add("Invalid value", "The value is not JSON: %v.", err)
		return c.diags
	}
	c.body(&s, tree)
	return c.diags
}

// Complete makes a whole value of one that says only what differs from the
// defaults: what is missing becomes its default, null, or an empty list of
// blocks, and what the schema calls sensitive is listed. The diagnostics are
// those of Check on the result.
func (s Schema) Complete(v value.Value) (value.Value, diag.List) {
	tree, err := parseJSON(v.JSON)
	if err != nil {
		return v, s.Check(v)
	}
	out := value.Value{Unknown: v.Unknown, Sensitive: slices.Clone(v.Sensitive)}
	if obj, ok := tree.(map[string]any); ok {
		s.complete(obj, nil, &out)
	}
	if out.JSON, err = json.Marshal(tree); err != nil {
		return v, diag.List{{Severity: diag.Error, Summary: "Invalid value", Detail: err.Error()}}
	}
	return out, s.Check(out)
}

func (s *Schema) complete(obj map[string]any, at value.Path, out *value.Value) {
	for _, a := range s.Attributes {
		path := at.With(value.Name(a.Name))
		if a.Sensitive {
			out.Sensitive = append(out.Sensitive, path)
		}
		if obj[a.Name] != nil {
			continue
		}
		obj[a.Name] = nil
		if a.Default == nil || slices.ContainsFunc(out.Unknown, path.HasPrefix) {
			continue
		}
		if def, err := parseJSON(a.Default); err == nil {
			obj[a.Name] = def
		}
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		path := at.With(value.Name(b.Name))
		if obj[b.Name] == nil {
			obj[b.Name] = nil
			if b.Nesting == Many && !slices.ContainsFunc(out.Unknown, path.HasPrefix) {
				obj[b.Name] = []any{}
			}
		}
		switch x := obj[b.Name].(type) {
		case map[string]any:
			b.Schema.complete(x, path, out)
		case []any:
			for i, item := range x {
				if inner, ok := item.(map[string]any); ok {
					b.Schema.complete(inner, path.With(value.Index(i)), out)
				}
			}
		}
	}
}

// CheckValue reports why JSON text is not of the type; null is of every type.
func CheckValue(t Type, raw []byte) error {
	tree, err := parseJSON(raw)
	if err != nil {
		return err
	}
	var c checker
	c.value(t, tree)
	return c.diags.Err()
}

// checker walks a tree by schema, as a decoder does by struct.
type checker struct{ decoder }

func (c *checker) body(s *Schema, tree any, labels ...string) {
	if c.isUnknown() {
		return
	}
	obj, ok := tree.(map[string]any)
	if !ok {
		c.wrong("an object", tree)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		_, attr := s.Attribute(name)
		_, block := s.Block(name)
		if !attr && !block && !slices.Contains(labels, name) {
			c.enter(value.Name(name))
			c.unsupported(name)
			c.leave()
		}
	}
	for _, label := range labels {
		c.enter(value.Name(label))
		if obj[label] == nil {
			c.missing(label)
		}
		c.value(Primitive(String), obj[label])
		c.leave()
	}
	for _, a := range s.Attributes {
		c.enter(value.Name(a.Name))
		switch {
		case c.isUnknown():
		case obj[a.Name] == nil && a.Required:
			c.missing(a.Name)
		default:
			c.value(a.Type, obj[a.Name])
			if a.Unique {
				c.unique(obj[a.Name])
			}
		}
		c.leave()
	}
	for i := range s.Blocks {
		c.enter(value.Name(s.Blocks[i].Name))
		c.block(&s.Blocks[i], obj[s.Blocks[i].Name])
		c.leave()
	}
}

func (c *checker) block(b *Block, tree any) {
	switch {
	case c.isUnknown():
	case b.Nesting == Single && tree == nil:
		if b.Min > 0 {
			c.add("Missing block", "A block %q must be given.", b.Name)
		}
	case b.Nesting == Single:
		c.body(&b.Schema, tree, b.Labels...)
	default:
		items, ok := tree.([]any)
		if !ok && tree != nil {
			c.wrong("a list of blocks", tree)
			return
		}
		if n := len(items); n < b.Min || b.Max > 0 && n > b.Max {
			c.add("Wrong number of blocks", "There must be %s of %q, not %d.", countRange(b.Min, b.Max), b.Name, n)
		}
		for i, item := range items {
			c.enter(value.Index(i))
			c.body(&b.Schema, item, b.Labels...)
			c.leave()
		}
	}
}

func (c *checker) value(t Type, tree any) {
	if tree == nil || c.isUnknown() {
		return
	}
	switch t.Kind {
	case Any:
		c.anything(tree)
	case String:
		if _, ok := tree.(string); !ok {
			c.wrong("a string", tree)
		}
	case Bool:
		if _, ok := tree.(bool); !ok {
			c.wrong("true or false", tree)
		}
	case Number:
		if n, ok := tree.(json.Number); !ok {
			c.wrong("a number", tree)
		} else if _, err := n.Float64(); err != nil {
			c.add("Number out of range", "The number %s is too large.", n)
		}
	case Integer:
		if n, ok := tree.(json.Number); !ok {
			c.wrong("an integer", tree)
		} else if _, err := parseInteger(n); err != nil {
			c.add("Number out of range", "%s.", sentence(err.Error()))
		}
	case Duration:
		if s, ok := tree.(string); !ok {
			c.wrong(`a duration such as "1h30m"`, tree)
		} else if _, err := ParseDuration(s); err != nil {
			c.add("Invalid duration", "%s.", sentence(err.Error()))
		}
	case Artifact:
		c.artifactValue(tree)
	case List:
		items, ok := tree.([]any)
		if !ok {
			c.wrong("a list", tree)
		}
		for i, item := range items {
			c.element(value.Index(i), *t.Elem, item)
		}
	case Map:
		obj, ok := tree.(map[string]any)
		if !ok {
			c.wrong("a map", tree)
		}
		for _, k := range slices.Sorted(maps.Keys(obj)) {
			c.element(value.Name(k), *t.Elem, obj[k])
		}
	case Object:
		c.object(t, tree)
	}
}

func (c *checker) element(at value.Step, t Type, tree any) {
	c.enter(at)
	defer c.leave()
	if tree == nil && t.Kind != Any && !c.isUnknown() {
		c.nullElement()
		return
	}
	c.value(t, tree)
}

func (c *checker) object(t Type, tree any) {
	s := Schema{Attributes: make([]Attribute, len(t.Fields))}
	for i, f := range t.Fields {
		s.Attributes[i] = Attribute{Name: f.Name, Type: f.Type, Required: !f.Optional}
	}
	c.body(&s, tree)
}

// artifactShape is how an artifact looks from outside.
var artifactShape = Type{Kind: Object, Fields: []Field{
	{Name: "digest", Type: Primitive(String)},
	{Name: "media_type", Type: Primitive(String), Optional: true},
	{Name: "uri", Type: Primitive(String), Optional: true},
	{Name: "size", Type: Primitive(Integer), Optional: true},
	{Name: "labels", Type: MapOf(Primitive(String)), Optional: true},
	{Name: "path", Type: Primitive(String), Optional: true},
}}

func (c *checker) artifactValue(tree any) {
	if _, ok := tree.(map[string]any); !ok {
		c.wrong("an artifact", tree)
		return
	}
	c.object(artifactShape, tree)
}
