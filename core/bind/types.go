package bind

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// ArtifactType is that of artifacts. The path is that of a local copy: unknown
// before the run, null where there is none.
var ArtifactType = cty.Object(map[string]cty.Type{
	"digest": cty.String, "media_type": cty.String, "uri": cty.String,
	"size": cty.Number, "labels": cty.Map(cty.String), "path": cty.String,
})

// TypeOf is the type of values of the schema. A nil schema is the empty object.
// Parts of type any are cty.DynamicPseudoType, and so are lists and maps of them.
func TypeOf(s *schema.Schema) cty.Type {
	if s == nil {
		return cty.EmptyObject
	}
	return cty.Object(attributeTypes(s))
}

func attributeTypes(s *schema.Schema) map[string]cty.Type {
	out := make(map[string]cty.Type, len(s.Attributes)+len(s.Blocks))
	for _, a := range s.Attributes {
		out[a.Name] = typeOf(a.Type)
	}
	for i := range s.Blocks {
		out[s.Blocks[i].Name] = blockType(&s.Blocks[i])
	}
	return out
}

// objectType is that of one block, its labels included.
func objectType(b *schema.Block) cty.Type {
	attrs := attributeTypes(&b.Schema)
	for _, label := range b.Labels {
		attrs[label] = cty.String
	}
	return cty.Object(attrs)
}

func blockType(b *schema.Block) cty.Type {
	if b.Nesting == schema.Many {
		return listType(objectType(b))
	}
	return objectType(b)
}

func typeOf(t schema.Type) cty.Type {
	switch t.Kind {
	case schema.String, schema.Duration:
		return cty.String
	case schema.Number, schema.Integer:
		return cty.Number
	case schema.Bool:
		return cty.Bool
	case schema.Artifact:
		return ArtifactType
	case schema.List:
		return listType(typeOf(*t.Elem))
	case schema.Map:
		if elem := typeOf(*t.Elem); !elem.HasDynamicTypes() {
			return cty.Map(elem)
		}
		return cty.DynamicPseudoType
	case schema.Object:
		attrs := make(map[string]cty.Type, len(t.Fields))
		for _, f := range t.Fields {
			attrs[f.Name] = typeOf(f.Type)
		}
		return cty.Object(attrs)
	}
	return cty.DynamicPseudoType
}

// listType is a list where all elements have one type, else anything: elements
// of type any may differ from each other.
func listType(elem cty.Type) cty.Type {
	if elem.HasDynamicTypes() {
		return cty.DynamicPseudoType
	}
	return cty.List(elem)
}

func listOf(elem cty.Type, values []cty.Value) cty.Value {
	switch {
	case elem.HasDynamicTypes():
		return cty.TupleVal(values)
	case len(values) == 0:
		return cty.ListValEmpty(elem)
	}
	return cty.ListVal(values)
}

func mapOf(elem cty.Type, values map[string]cty.Value) cty.Value {
	switch {
	case elem.HasDynamicTypes():
		return cty.ObjectVal(values)
	case len(values) == 0:
		return cty.MapValEmpty(elem)
	}
	return cty.MapVal(values)
}

// UnknownOf is an object of the schema whose attributes are unknown, the
// sensitive ones marked.
func UnknownOf(s *schema.Schema) cty.Value {
	return fill(s, func(ty cty.Type, sensitive bool) cty.Value { return marked(cty.UnknownVal(ty), sensitive) })
}

// NullOf is an object of the schema whose attributes are null, as a skipped
// stage gives.
func NullOf(s *schema.Schema) cty.Value {
	return fill(s, func(ty cty.Type, _ bool) cty.Value { return cty.NullVal(ty) })
}

func fill(s *schema.Schema, with func(ty cty.Type, sensitive bool) cty.Value) cty.Value {
	if s == nil {
		return cty.EmptyObjectVal
	}
	out := make(map[string]cty.Value, len(s.Attributes)+len(s.Blocks))
	for _, a := range s.Attributes {
		out[a.Name] = with(typeOf(a.Type), a.Sensitive)
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		out[b.Name] = with(blockType(b), sensitiveInside(&b.Schema))
	}
	return cty.ObjectVal(out)
}

func sensitiveInside(s *schema.Schema) bool {
	for _, a := range s.Attributes {
		if a.Sensitive {
			return true
		}
	}
	for i := range s.Blocks {
		if sensitiveInside(&s.Blocks[i].Schema) {
			return true
		}
	}
	return false
}

// UnknownArtifact is an artifact before it was made.
func UnknownArtifact() cty.Value { return cty.UnknownVal(ArtifactType) }

// Artifact is an artifact as a value. An empty path means that there is no local copy.
func Artifact(digest, mediaType, uri string, size int64, labels map[string]string, path string) cty.Value {
	l := cty.MapValEmpty(cty.String)
	if len(labels) > 0 {
		m := make(map[string]cty.Value, len(labels))
		for k, v := range labels {
			m[k] = cty.StringVal(v)
		}
		l = cty.MapVal(m)
	}
	p := cty.NullVal(cty.String)
	if path != "" {
		p = cty.StringVal(path)
	}
	return cty.ObjectVal(map[string]cty.Value{
		"digest": cty.StringVal(digest), "media_type": cty.StringVal(mediaType), "uri": cty.StringVal(uri),
		"size": cty.NumberIntVal(size), "labels": l, "path": p,
	})
}
