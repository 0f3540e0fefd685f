package bind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// ToWire is the form in which a value travels: JSON with sorted keys, and the
// paths of what is unknown and of what is sensitive. Equal values give equal
// bytes.
func ToWire(v cty.Value) value.Value { return wireOf(v) }

func wireOf(v cty.Value) value.Value {
	w := &wireWriter{}
	w.write(v, nil, false)
	w.out.JSON = w.buf.Bytes()
	return w.out
}

type wireWriter struct {
	buf bytes.Buffer
	out value.Value
}

// write appends v; hidden says that a value around it is sensitive already.
func (w *wireWriter) write(v cty.Value, path value.Path, hidden bool) {
	if v.IsMarked() {
		plain, _ := v.Unmark()
		if !hidden && lang.HasSensitiveMark(v) {
			w.out.Sensitive = append(w.out.Sensitive, path)
			hidden = true
		}
		v = plain
	}
	if !v.IsKnown() {
		w.out.Unknown = append(w.out.Unknown, path)
		w.buf.WriteString("null")
		return
	}
	if v.IsNull() {
		w.buf.WriteString("null")
		return
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		w.text(v.AsString())
	case ty == cty.Bool:
		w.buf.WriteString(strconv.FormatBool(v.True()))
	case ty == cty.Number:
		w.buf.WriteString(numberText(v.AsBigFloat()))
	case ty.IsListType() || ty.IsTupleType() || ty.IsSetType():
		w.buf.WriteByte('[')
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			if i > 0 {
				w.buf.WriteByte(',')
			}
			_, e := it.Element()
			w.write(e, path.With(value.Index(i)), hidden)
		}
		w.buf.WriteByte(']')
	case ty.IsMapType() || ty.IsObjectType():
		elements := v.AsValueMap()
		w.buf.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(elements)) {
			if i > 0 {
				w.buf.WriteByte(',')
			}
			w.text(name)
			w.buf.WriteByte(':')
			w.write(elements[name], path.With(value.Name(name)), hidden)
		}
		w.buf.WriteByte('}')
	default:
		// Decode and FromWire make no other types.
		w.buf.WriteString("null")
	}
}

func (w *wireWriter) text(s string) {
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	// A string always encodes.
	_ = enc.Encode(s)
	w.buf.Truncate(w.buf.Len() - 1)
}

// numberText writes integers in full and other numbers as the shortest text
// that reads back as the same float64.
func numberText(f *big.Float) string {
	if f.IsInt() {
		if n, accuracy := f.Int64(); accuracy == big.Exact && n <= maxInteger && n >= -maxInteger {
			return strconv.FormatInt(n, 10)
		}
	}
	x, _ := f.Float64()
	if math.IsInf(x, 0) {
		x = math.Copysign(math.MaxFloat64, x)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return "null"
	}
	return string(b)
}

// FromWire reads what a plugin sent, with its unknown and sensitive parts; what
// the schema calls sensitive is marked as well. What is left out is null. An
// error means that the plugin broke its own schema.
func FromWire(v value.Value, s *schema.Schema) (cty.Value, error) {
	if s == nil {
		s = &schema.Schema{}
	}
	data := v.JSON
	if len(bytes.TrimSpace(data)) == 0 {
		data = []byte("{}")
	}
	tree, err := parseJSON(data)
	if err != nil {
		return cty.NilVal, err
	}
	r := &wireReader{unknown: map[string]bool{}, sensitive: map[string]bool{}}
	for _, p := range v.Unknown {
		r.unknown[p.String()] = true
	}
	for _, p := range v.Sensitive {
		r.sensitive[p.String()] = true
	}
	if r.unknown[""] {
		return marked(UnknownOf(s), r.sensitive[""]), nil
	}
	out, err := r.body(tree, s, nil, nil)
	if err != nil {
		return cty.NilVal, err
	}
	return marked(out, r.sensitive[""]), nil
}

func parseJSON(data []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not valid JSON: text after the value")
	}
	return tree, nil
}

// fromJSON reads one value of a type.
func fromJSON(data []byte, t schema.Type) (cty.Value, error) {
	tree, err := parseJSON(data)
	if err != nil {
		return cty.NilVal, err
	}
	return (&wireReader{}).value(tree, t, nil)
}

type wireReader struct {
	// unknown and sensitive are paths by their text.
	unknown, sensitive map[string]bool
}

func (r *wireReader) body(tree any, s *schema.Schema, labels []string, path value.Path) (cty.Value, error) {
	given, ok := tree.(map[string]any)
	if !ok {
		return cty.NilVal, wrong(path, "an object", tree)
	}
	out := make(map[string]cty.Value, len(s.Attributes)+len(s.Blocks)+len(labels))
	for i := range s.Attributes {
		a := &s.Attributes[i]
		v, err := r.value(given[a.Name], a.Type, path.With(value.Name(a.Name)))
		if err != nil {
			return cty.NilVal, err
		}
		out[a.Name] = marked(v, a.Sensitive)
	}
	for i := range s.Blocks {
		b := &s.Blocks[i]
		v, err := r.block(given[b.Name], b, path.With(value.Name(b.Name)))
		if err != nil {
			return cty.NilVal, err
		}
		out[b.Name] = v
	}
	for _, name := range labels {
		v, err := r.value(given[name], schema.Primitive(schema.String), path.With(value.Name(name)))
		if err != nil {
			return cty.NilVal, err
		}
		out[name] = v
	}
	for name := range given {
		if _, known := out[name]; !known {
			return cty.NilVal, fmt.Errorf("%s: the schema has no such attribute", path.With(value.Name(name)))
		}
	}
	return cty.ObjectVal(out), nil
}

func (r *wireReader) block(tree any, b *schema.Block, path value.Path) (cty.Value, error) {
	v, err := r.blockPlain(tree, b, path)
	return marked(v, err == nil && r.sensitive[path.String()]), err
}

func (r *wireReader) blockPlain(tree any, b *schema.Block, path value.Path) (cty.Value, error) {
	if r.unknown[path.String()] {
		return marked(cty.UnknownVal(blockType(b)), sensitiveInside(&b.Schema)), nil
	}
	if b.Nesting != schema.Many {
		if tree == nil {
			return cty.NullVal(blockType(b)), nil
		}
		return r.body(tree, &b.Schema, b.Labels, path)
	}
	list, ok := tree.([]any)
	if !ok && tree != nil {
		return cty.NilVal, wrong(path, "a list", tree)
	}
	values := make([]cty.Value, len(list))
	for i, e := range list {
		v, err := r.body(e, &b.Schema, b.Labels, path.With(value.Index(i)))
		if err != nil {
			return cty.NilVal, err
		}
		values[i] = v
	}
	return listOf(objectType(b), values), nil
}

func wrong(path value.Path, want string, got any) error {
	kind := "null"
	switch got.(type) {
	case string:
		kind = "a string"
	case json.Number:
		kind = "a number"
	case bool:
		kind = "a boolean"
	case []any:
		kind = "a list"
	case map[string]any:
		kind = "an object"
	}
	name := path.String()
	if name == "" {
		name = "the value"
	}
	return fmt.Errorf("%s: expected %s, got %s", name, want, kind)
}

func (r *wireReader) value(tree any, t schema.Type, path value.Path) (cty.Value, error) {
	key := path.String()
	v, err := r.plain(tree, t, path, r.unknown[key])
	return marked(v, err == nil && r.sensitive[key]), err
}

func (r *wireReader) plain(tree any, t schema.Type, path value.Path, unknown bool) (cty.Value, error) {
	switch {
	case unknown:
		return cty.UnknownVal(typeOf(t)), nil
	case tree == nil:
		return cty.NullVal(typeOf(t)), nil
	}
	switch t.Kind {
	case schema.String, schema.Duration:
		s, ok := tree.(string)
		if !ok {
			return cty.NilVal, wrong(path, "a string", tree)
		}
		if t.Kind == schema.Duration {
			if _, err := lang.ParseDuration(s); err != nil {
				return cty.NilVal, fmt.Errorf("%s: %w", path, err)
			}
		}
		return cty.StringVal(s), nil
	case schema.Number, schema.Integer:
		return number(tree, t, path)
	case schema.Bool:
		b, ok := tree.(bool)
		if !ok {
			return cty.NilVal, wrong(path, "a boolean", tree)
		}
		return cty.BoolVal(b), nil
	case schema.List:
		list, ok := tree.([]any)
		if !ok {
			return cty.NilVal, wrong(path, "a list", tree)
		}
		return r.list(list, *t.Elem, path)
	case schema.Map:
		m, ok := tree.(map[string]any)
		if !ok {
			return cty.NilVal, wrong(path, "an object", tree)
		}
		out, err := r.members(m, path, func(string) schema.Type { return *t.Elem })
		if err != nil {
			return cty.NilVal, err
		}
		return mapOf(typeOf(*t.Elem), out), nil
	case schema.Object:
		return r.object(tree, t.Fields, path)
	case schema.Artifact:
		return r.artifact(tree, path)
	}
	return r.free(tree, path)
}

func number(tree any, t schema.Type, path value.Path) (cty.Value, error) {
	n, ok := tree.(json.Number)
	if !ok {
		return cty.NilVal, wrong(path, "a number", tree)
	}
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) {
		return cty.NilVal, fmt.Errorf("%s: the number is too large", path)
	}
	if t.Kind == schema.Integer && (f != math.Trunc(f) || math.Abs(f) > maxInteger) {
		return cty.NilVal, fmt.Errorf("%s: expected a whole number within ±(2^53−1)", path)
	}
	// As the same number in a pipeline file, digit by digit.
	v, err := cty.ParseNumberVal(n.String())
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s: not a number", path)
	}
	return v, nil
}

func (r *wireReader) list(list []any, elem schema.Type, path value.Path) (cty.Value, error) {
	values := make([]cty.Value, len(list))
	for i, e := range list {
		v, err := r.value(e, elem, path.With(value.Index(i)))
		if err != nil {
			return cty.NilVal, err
		}
		values[i] = v
	}
	return listOf(typeOf(elem), values), nil
}

func (r *wireReader) members(m map[string]any, path value.Path, typeOfMember func(string) schema.Type) (map[string]cty.Value, error) {
	out := make(map[string]cty.Value, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, err := r.value(m[name], typeOfMember(name), path.With(value.Name(name)))
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func (r *wireReader) object(tree any, fields []schema.Field, path value.Path) (cty.Value, error) {
	given, ok := tree.(map[string]any)
	if !ok {
		return cty.NilVal, wrong(path, "an object", tree)
	}
	out := make(map[string]cty.Value, len(fields))
	for _, f := range fields {
		v, err := r.value(given[f.Name], f.Type, path.With(value.Name(f.Name)))
		if err != nil {
			return cty.NilVal, err
		}
		out[f.Name] = v
	}
	for name := range given {
		if _, known := out[name]; !known {
			return cty.NilVal, fmt.Errorf("%s: the type has no such attribute", path.With(value.Name(name)))
		}
	}
	return cty.ObjectVal(out), nil
}

// artifactFields are an artifact's, as it travels.
var artifactFields = []schema.Field{
	{Name: "digest", Type: schema.Primitive(schema.String)},
	{Name: "media_type", Type: schema.Primitive(schema.String)},
	{Name: "uri", Type: schema.Primitive(schema.String)},
	{Name: "size", Type: schema.Primitive(schema.Integer)},
	{Name: "labels", Type: schema.MapOf(schema.Primitive(schema.String))},
	{Name: "path", Type: schema.Primitive(schema.String)},
}

// artifact fills in what travels only when it is not empty.
func (r *wireReader) artifact(tree any, path value.Path) (cty.Value, error) {
	v, err := r.object(tree, artifactFields, path)
	if err != nil {
		return cty.NilVal, err
	}
	attrs := v.AsValueMap()
	for name, empty := range map[string]cty.Value{
		"media_type": cty.StringVal(""), "uri": cty.StringVal(""), "size": cty.Zero, "labels": cty.MapValEmpty(cty.String),
	} {
		if plain, marks := attrs[name].Unmark(); plain.IsNull() {
			attrs[name] = empty.WithMarks(marks)
		}
	}
	return cty.ObjectVal(attrs), nil
}

func (r *wireReader) free(tree any, path value.Path) (cty.Value, error) {
	anything := schema.Primitive(schema.Any)
	switch x := tree.(type) {
	case string:
		return cty.StringVal(x), nil
	case bool:
		return cty.BoolVal(x), nil
	case json.Number:
		return number(x, schema.Primitive(schema.Number), path)
	case []any:
		return r.list(x, anything, path)
	case map[string]any:
		out, err := r.members(x, path, func(string) schema.Type { return anything })
		if err != nil {
			return cty.NilVal, err
		}
		return cty.ObjectVal(out), nil
	}
	return cty.NilVal, wrong(path, "a value", tree)
}
