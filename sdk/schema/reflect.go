package schema

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
)

// Defaulter is implemented, on the pointer, by a block's struct that has
// defaults of its own. SetDefaults is called on every fresh one before it is
// decoded. The component's own defaults need none: its constructor sets them.
type Defaulter interface{ SetDefaults() }

// Of makes the schema of a tagged struct, or of a pointer to one; what the
// struct holds are the defaults. The error names the Go field at fault.
func Of(v any) (Schema, error) {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer && !rv.IsNil() {
		rv = rv.Elem()
	}
	if rv.Kind() == reflect.Pointer && rv.Type().Elem().Kind() == reflect.Struct {
		rv = reflect.New(rv.Type().Elem()).Elem()
	}
	if rv.Kind() != reflect.Struct {
		return Schema{}, fmt.Errorf("schema of %T: a struct is needed", v)
	}
	p, err := planOf(rv.Type())
	if err != nil {
		return Schema{}, err
	}
	for _, f := range p.fields {
		if f.role == roleLabel {
			return Schema{}, fmt.Errorf("schema of %s: field %s: only a block has labels", rv.Type(), f.goName)
		}
	}
	return p.schema(rv)
}

type role uint8

const (
	roleAttr role = iota
	roleBlock
	roleLabel
)

// field is one tagged field of a struct.
type field struct {
	goName string
	index  []int
	role   role
	attr   Attribute // roleAttr: all but Default
	block  Block     // roleBlock: all but Labels and Schema
	body   *plan     // roleBlock: of the element's struct
	name   string    // as written in HCL
}

// plan is what is known of a struct type before a value is seen.
type plan struct {
	typ    reflect.Type
	fields []field
	byName map[string]*field
}

var plans sync.Map // reflect.Type → *plan or error

func planOf(t reflect.Type) (*plan, error) {
	if known, ok := plans.Load(t); ok {
		if p, ok := known.(*plan); ok {
			return p, nil
		}
		return nil, known.(error)
	}
	p, err := buildPlan(t, nil)
	if err != nil {
		err = fmt.Errorf("schema of %s: %w", t, err)
		plans.Store(t, err)
		return nil, err
	}
	plans.Store(t, p)
	return p, nil
}

// buildPlan reads the tags of t. outer holds the structs around t, so that
// a type that contains itself is refused.
func buildPlan(t reflect.Type, outer []reflect.Type) (*plan, error) {
	if slices.Contains(outer, t) {
		return nil, fmt.Errorf("%s contains itself", t)
	}
	outer = append(slices.Clone(outer), t)
	p := &plan{typ: t, byName: map[string]*field{}}
	if err := p.collect(t, nil, outer); err != nil {
		return nil, err
	}
	for i := range p.fields {
		f := &p.fields[i]
		if other, twice := p.byName[f.name]; twice {
			return nil, fmt.Errorf("fields %s and %s are both called %q", other.goName, f.goName, f.name)
		}
		p.byName[f.name] = f
	}
	return p, nil
}

func (p *plan) collect(t reflect.Type, index []int, outer []reflect.Type) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		tag, tagged := sf.Tag.Lookup("hcl")
		if !tagged {
			if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
				if err := p.collect(sf.Type, at, outer); err != nil {
					return err
				}
			}
			continue
		}
		f, err := newField(sf, tag, outer)
		if err != nil {
			return fmt.Errorf("field %s: %w", sf.Name, err)
		}
		f.index = at
		p.fields = append(p.fields, f)
	}
	return nil
}

func newField(sf reflect.StructField, tag string, outer []reflect.Type) (field, error) {
	name, kind, _ := strings.Cut(tag, ",")
	f := field{goName: sf.Name, name: name}
	if !sf.IsExported() {
		return f, errors.New("a tagged field must be exported")
	}
	if !validName(name) {
		return f, fmt.Errorf("%q is not a name: use lower case letters, digits and underscores", name)
	}
	switch kind {
	case "", "optional":
		return f, f.makeAttr(sf, kind == "", outer)
	case "block":
		return f, f.makeBlock(sf, outer)
	case "label":
		f.role = roleLabel
		if sf.Type.Kind() != reflect.String {
			return f, errors.New("a label must be a string")
		}
		return f, f.onlyTags(sf, "doc")
	}
	return f, fmt.Errorf("%q is not one of optional, block, label", kind)
}

func (f *field) makeAttr(sf reflect.StructField, required bool, outer []reflect.Type) error {
	t, err := typeOf(sf.Type, outer)
	if err != nil {
		return err
	}
	f.attr = Attribute{Name: f.name, Type: t, Required: required, Doc: sf.Tag.Get("doc"), Deprecated: sf.Tag.Get("deprecated")}
	for _, flag := range []struct {
		tag string
		to  *bool
	}{{"sensitive", &f.attr.Sensitive}, {"known", &f.attr.Known}, {"unique", &f.attr.Unique}} {
		text, ok := sf.Tag.Lookup(flag.tag)
		if !ok {
			continue
		}
		if *flag.to, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("tag %s: %q is not true or false", flag.tag, text)
		}
	}
	if f.attr.Unique && t.Kind != List {
		return errors.New("only a list can be unique")
	}
	return f.onlyTags(sf, "doc", "sensitive", "known", "unique", "deprecated")
}

func (f *field) makeBlock(sf reflect.StructField, outer []reflect.Type) error {
	f.role = roleBlock
	f.block = Block{Name: f.name, Nesting: Single, Max: 1}
	t := sf.Type
	switch {
	case t.Kind() == reflect.Slice:
		f.block.Nesting, f.block.Max = Many, 0
		t = t.Elem()
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	case t.Kind() == reflect.Pointer:
		t = t.Elem()
	default:
		f.block.Min = 1
	}
	if t.Kind() != reflect.Struct {
		return errors.New("a block must be a struct, a pointer to one, or a slice of them")
	}
	for _, limit := range []struct {
		tag string
		to  *int
	}{{"min", &f.block.Min}, {"max", &f.block.Max}} {
		text, ok := sf.Tag.Lookup(limit.tag)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || f.block.Nesting != Many {
			return fmt.Errorf("tag %s: a count on a repeated block is needed, not %q", limit.tag, text)
		}
		*limit.to = n
	}
	var err error
	if f.body, err = buildPlan(t, outer); err != nil {
		return err
	}
	return f.onlyTags(sf, "doc", "min", "max")
}

// onlyTags refuses our tags where they would be ignored.
func (f *field) onlyTags(sf reflect.StructField, allowed ...string) error {
	for _, tag := range []string{"doc", "sensitive", "known", "unique", "deprecated", "min", "max"} {
		if _, ok := sf.Tag.Lookup(tag); ok && !slices.Contains(allowed, tag) {
			return fmt.Errorf("tag %s has no meaning here", tag)
		}
	}
	return nil
}

func validName(s string) bool {
	for i, r := range s {
		if (r < 'a' || r > 'z') && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	artifactType  = reflect.TypeFor[call.Artifact]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	marshalText   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalText = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isText reports whether values of t travel as the text they marshal to.
func isText(t reflect.Type) bool {
	return t.Implements(marshalText) && reflect.PointerTo(t).Implements(unmarshalText)
}

// typeOf is the type of values held in t. A pointer only adds null.
func typeOf(t reflect.Type, outer []reflect.Type) (Type, error) {
	if t.Kind() == reflect.Pointer {
		if t = t.Elem(); t.Kind() == reflect.Pointer {
			return Type{}, errors.New("a pointer to a pointer cannot be written in a pipeline file")
		}
	}
	switch {
	case t == durationType:
		return Primitive(Duration), nil
	case t == artifactType:
		return Primitive(Artifact), nil
	case t == rawType:
		return Primitive(Any), nil
	case isText(t):
		return Primitive(String), nil
	}
	switch t.Kind() {
	case reflect.String:
		return Primitive(String), nil
	case reflect.Bool:
		return Primitive(Bool), nil
	case reflect.Float32, reflect.Float64:
		return Primitive(Number), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Primitive(Integer), nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return Primitive(Any), nil
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Type{}, errors.New("bytes have no type in a pipeline file: use a string")
		}
		elem, err := typeOf(t.Elem(), outer)
		return ListOf(elem), err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return Type{}, errors.New("the keys of a map must be strings")
		}
		elem, err := typeOf(t.Elem(), outer)
		return MapOf(elem), err
	case reflect.Struct:
		return objectOf(t, outer)
	}
	return Type{}, fmt.Errorf("%s has no type in a pipeline file", t)
}

func objectOf(t reflect.Type, outer []reflect.Type) (Type, error) {
	p, err := buildPlan(t, outer)
	if err != nil {
		return Type{}, err
	}
	if len(p.fields) == 0 {
		return Type{}, fmt.Errorf("%s has no field with an hcl tag", t)
	}
	obj := Type{Kind: Object}
	for _, f := range p.fields {
		a := f.attr
		if f.role != roleAttr {
			return Type{}, fmt.Errorf("field %s.%s: an object holds no blocks and no labels", t, f.goName)
		}
		if a.Sensitive || a.Known || a.Unique || a.Deprecated != "" {
			return Type{}, fmt.Errorf("field %s.%s: tags belong on the attribute that holds the object", t, f.goName)
		}
		obj.Fields = append(obj.Fields, Field{Name: f.name, Type: a.Type, Optional: !a.Required})
	}
	return obj, nil
}

// schema fills the defaults in from a value of the plan's type.
func (p *plan) schema(v reflect.Value) (Schema, error) {
	var s Schema
	for i := range p.fields {
		f := &p.fields[i]
		held := v.FieldByIndex(f.index)
		switch f.role {
		case roleAttr:
			a := f.attr
			if !a.Required {
				def, err := defaultOf(held)
				if err != nil {
					return s, fmt.Errorf("schema of %s: default of %s: %w", p.typ, f.goName, err)
				}
				a.Default = def
			}
			s.Attributes = append(s.Attributes, a)
		case roleBlock:
			b := f.block
			for _, inner := range f.body.fields {
				if inner.role == roleLabel {
					b.Labels = append(b.Labels, inner.name)
				}
			}
			var err error
			if b.Schema, err = f.body.schema(f.prototype(held)); err != nil {
				return s, err
			}
			b.Schema.Doc = p.typ.FieldByIndex(f.index).Tag.Get("doc")
			s.Blocks = append(s.Blocks, b)
		}
	}
	return s, nil
}

// prototype is a fresh struct of a block with its defaults: a copy of what the
// outer struct holds, or a new one.
func (f *field) prototype(held reflect.Value) reflect.Value {
	fresh := reflect.New(f.body.typ)
	switch {
	case held.Kind() == reflect.Struct:
		fresh.Elem().Set(held)
	case held.Kind() == reflect.Pointer && !held.IsNil():
		fresh.Elem().Set(held.Elem())
	}
	if d, ok := fresh.Interface().(Defaulter); ok {
		d.SetDefaults()
	}
	return fresh.Elem()
}

// defaultOf is nil where the zero value means "not given".
func defaultOf(v reflect.Value) (json.RawMessage, error) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map:
		if v.IsNil() {
			return nil, nil
		}
	case reflect.Struct:
		if v.IsZero() {
			return nil, nil
		}
	}
	var e encoder
	tree, err := e.value(v)
	if err != nil {
		return nil, err
	}
	return json.Marshal(tree)
}
