package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Decode reads a value into a tagged struct, on top of the defaults that it
// holds: an attribute that is null or missing keeps its default; a block that
// is null or missing is nil, or empty. What is not known is set to zero, and no
// diagnostic speaks of it. into must be a pointer to a struct.
//
// Each diagnostic has the path of the place at fault.
func Decode(v value.Value, into any) diag.List {
	rv := reflect.ValueOf(into)
	if rv.Kind() != reflect.Pointer || rv.IsNil() || rv.Elem().Kind() != reflect.Struct {
		return diag.List{{Severity: diag.Error, Summary: "Invalid component", Detail: fmt.Sprintf("The plugin decodes its configuration into a %T; a pointer to a struct is needed. This is a mistake in the plugin.", into)}}
	}
	p, err := planOf(rv.Type().Elem())
	if err != nil {
		return diag.List{{Severity: diag.Error, Summary: "Invalid component", Detail: err.Error() + ". This is a mistake in the plugin."}}
	}
	d := decoder{unknown: v.Unknown}
	tree, err := parseJSON(v.JSON)
	if err != nil {
		d.add("Invalid value", "The configuration is not JSON: %v.", err)
		return d.diags
	}
	d.body(p, tree, rv.Elem())
	return d.diags
}

// DropUnknown leaves out the diagnostics that speak of a place that is not
// known yet, of a part of one, or of an attribute that holds one: what looks
// wrong about it may only be missing.
func DropUnknown(diags diag.List, unknown []value.Path) diag.List {
	if len(unknown) == 0 {
		return diags
	}
	return slices.DeleteFunc(slices.Clone(diags), func(g diag.Diagnostic) bool {
		return slices.ContainsFunc(unknown, func(u value.Path) bool {
			return g.Path.HasPrefix(u) || len(g.Path) > 0 && u.HasPrefix(g.Path)
		})
	})
}

type decoder struct {
	at      value.Path
	unknown []value.Path
	diags   diag.List
}

func (d *decoder) enter(s value.Step) { d.at = append(d.at, s) }
func (d *decoder) leave()             { d.at = d.at[:len(d.at)-1] }

func (d *decoder) add(summary, format string, args ...any) {
	d.diags = append(d.diags, diag.Diagnostic{
		Severity: diag.Error, Summary: summary, Detail: fmt.Sprintf(format, args...), Path: slices.Clone(d.at),
	})
}

func (d *decoder) wrong(want string, got any) {
	d.add("Wrong type of value", "Here %s is needed, not %s.", want, describe(got))
}

func (d *decoder) unsupported(name string) {
	d.add("Unsupported attribute", "There is no attribute or block named %q here.", name)
}

func (d *decoder) missing(name string) {
	d.add("Missing attribute", "The attribute %q must be given.", name)
}

func (d *decoder) nullElement() { d.add("Missing value", "An element must not be null.") }

func (d *decoder) isUnknown() bool {
	return slices.ContainsFunc(d.unknown, func(u value.Path) bool { return d.at.HasPrefix(u) })
}

// body reads a block's object, or the whole configuration.
func (d *decoder) body(p *plan, tree any, into reflect.Value) {
	if d.isUnknown() {
		into.SetZero()
		return
	}
	obj, ok := tree.(map[string]any)
	if !ok {
		d.wrong("an object", tree)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		if _, known := p.byName[name]; !known {
			d.enter(value.Name(name))
			d.unsupported(name)
			d.leave()
		}
	}
	for i := range p.fields {
		f := &p.fields[i]
		d.enter(value.Name(f.name))
		d.field(f, obj[f.name], into.FieldByIndex(f.index))
		d.leave()
	}
}

func (d *decoder) field(f *field, tree any, into reflect.Value) {
	switch {
	case f.role == roleBlock && f.block.Nesting == Single:
		d.single(f, tree, into)
	case f.role == roleBlock:
		d.many(f, tree, into)
	case d.isUnknown():
		into.SetZero()
	case tree == nil:
		if f.role == roleLabel || f.attr.Required {
			d.missing(f.name)
		}
	default:
		into.SetZero()
		d.value(tree, into)
		if f.attr.Unique {
			d.unique(tree)
		}
	}
}

func (d *decoder) single(f *field, tree any, into reflect.Value) {
	fresh := f.prototype(into)
	switch {
	case d.isUnknown():
		into.SetZero()
		return
	case tree == nil:
		into.SetZero()
		if f.block.Min > 0 {
			d.add("Missing block", "A block %q must be given.", f.name)
		}
		return
	}
	d.body(f.body, tree, fresh)
	if into.Kind() == reflect.Pointer {
		fresh = fresh.Addr()
	}
	into.Set(fresh)
}

func (d *decoder) many(f *field, tree any, into reflect.Value) {
	into.SetZero()
	if d.isUnknown() {
		return
	}
	items, ok := tree.([]any)
	if !ok && tree != nil {
		d.wrong("a list of blocks", tree)
		return
	}
	if n := len(items); n < f.block.Min || f.block.Max > 0 && n > f.block.Max {
		d.add("Wrong number of blocks", "There must be %s of %q, not %d.", countRange(f.block.Min, f.block.Max), f.name, n)
		return
	}
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	for i, item := range items {
		d.enter(value.Index(i))
		fresh := f.prototype(reflect.Value{})
		d.body(f.body, item, fresh)
		if list.Index(i).Kind() == reflect.Pointer {
			fresh = fresh.Addr()
		}
		list.Index(i).Set(fresh)
		d.leave()
	}
	if len(items) > 0 {
		into.Set(list)
	}
}

func countRange(least, most int) string {
	switch {
	case most == 0:
		return fmt.Sprintf("at least %d", least)
	case least == 0:
		return fmt.Sprintf("at most %d", most)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// value reads what an attribute holds; into is zero. Null is the zero value.
func (d *decoder) value(tree any, into reflect.Value) {
	if tree == nil || d.isUnknown() {
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	t := into.Type()
	switch {
	case t == durationType:
		d.duration(tree, into)
		return
	case t == artifactType:
		d.artifact(tree, into)
		return
	case t == rawType:
		d.anything(tree)
		if b, err := json.Marshal(tree); err == nil {
			into.SetBytes(b)
		}
		return
	case isText(t):
		d.text(tree, into)
		return
	}
	switch into.Kind() {
	case reflect.String:
		if s, ok := tree.(string); ok {
			into.SetString(s)
			return
		}
		d.wrong("a string", tree)
	case reflect.Bool:
		if b, ok := tree.(bool); ok {
			into.SetBool(b)
			return
		}
		d.wrong("true or false", tree)
	case reflect.Float32, reflect.Float64:
		d.number(tree, into)
	case reflect.Interface:
		if x := d.anything(tree); x != nil {
			into.Set(reflect.ValueOf(x))
		}
	case reflect.Slice:
		d.list(tree, into)
	case reflect.Map:
		d.mapping(tree, into)
	case reflect.Struct:
		p, err := planOf(t)
		if err != nil {
			d.add("Invalid component", "%v. This is a mistake in the plugin.", err)
			return
		}
		d.body(p, tree, into)
	default:
		d.integer(tree, into)
	}
}

func (d *decoder) duration(tree any, into reflect.Value) {
	s, ok := tree.(string)
	if !ok {
		d.wrong(`a duration such as "1h30m"`, tree)
		return
	}
	v, err := ParseDuration(s)
	if err != nil {
		d.add("Invalid duration", "%s.", sentence(err.Error()))
		return
	}
	into.SetInt(int64(v))
}

func (d *decoder) text(tree any, into reflect.Value) {
	s, ok := tree.(string)
	if !ok {
		d.wrong("a string", tree)
		return
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		d.add("Invalid value", "%s.", sentence(err.Error()))
	}
}

func (d *decoder) artifact(tree any, into reflect.Value) {
	c := checker{decoder{at: d.at, unknown: d.unknown}}
	if c.artifactValue(tree); len(c.diags) > 0 {
		d.diags = append(d.diags, c.diags...)
		return
	}
	b, err := json.Marshal(tree)
	if err == nil {
		err = json.Unmarshal(b, into.Addr().Interface())
	}
	if err != nil {
		d.add("Invalid value", "%s.", sentence(err.Error()))
	}
}

func (d *decoder) number(tree any, into reflect.Value) {
	n, ok := tree.(json.Number)
	if !ok {
		d.wrong("a number", tree)
		return
	}
	f, err := n.Float64()
	if err != nil || into.OverflowFloat(f) {
		d.add("Number out of range", "The number %s is too large.", n)
		return
	}
	into.SetFloat(f)
}

func (d *decoder) integer(tree any, into reflect.Value) {
	n, ok := tree.(json.Number)
	if !ok {
		d.wrong("an integer", tree)
		return
	}
	i, err := parseInteger(n)
	if err != nil {
		d.add("Number out of range", "%s.", sentence(err.Error()))
		return
	}
	if into.CanInt() {
		if !into.OverflowInt(i) {
			into.SetInt(i)
			return
		}
	} else if i >= 0 && !into.OverflowUint(uint64(i)) {
		into.SetUint(uint64(i))
		return
	}
	d.add("Number out of range", "The integer %d does not fit here.", i)
}

// parseInteger reads an integer in any form that JSON has for it: 5, 5.0, 5e0.
func parseInteger(n json.Number) (int64, error) {
	i, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		f, err := n.Float64()
		switch {
		case err != nil || math.Abs(f) > MaxInteger:
			return 0, fmt.Errorf("the integer %s is beyond ±(2^53−1)", n)
		case f != math.Trunc(f):
			return 0, fmt.Errorf("the number %s is not an integer", n)
		}
		i = int64(f)
	}
	if i < -MaxInteger || i > MaxInteger {
		return 0, fmt.Errorf("the integer %s is beyond ±(2^53−1)", n)
	}
	return i, nil
}

func (d *decoder) list(tree any, into reflect.Value) {
	items, ok := tree.([]any)
	if !ok {
		d.wrong("a list", tree)
		return
	}
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	for i, item := range items {
		d.enter(value.Index(i))
		d.element(item, list.Index(i))
		d.leave()
	}
	into.Set(list)
}

func (d *decoder) mapping(tree any, into reflect.Value) {
	obj, ok := tree.(map[string]any)
	if !ok {
		d.wrong("a map", tree)
		return
	}
	m := reflect.MakeMapWithSize(into.Type(), len(obj))
	for _, k := range slices.Sorted(maps.Keys(obj)) {
		item := reflect.New(into.Type().Elem()).Elem()
		d.enter(value.Name(k))
		d.element(obj[k], item)
		d.leave()
		m.SetMapIndex(reflect.ValueOf(k).Convert(into.Type().Key()), item)
	}
	into.Set(m)
}

// element reads one element of a list or map. Only a pointer or any can be null.
func (d *decoder) element(tree any, into reflect.Value) {
	if tree == nil && into.Kind() != reflect.Pointer && into.Kind() != reflect.Interface && !d.isUnknown() {
		d.nullElement()
		return
	}
	d.value(tree, into)
}

// anything reads free-form data: numbers become float64.
func (d *decoder) anything(tree any) any {
	switch x := tree.(type) {
	case json.Number:
		if err := checkNumber(x); err != nil {
			d.add("Number out of range", "%s.", sentence(err.Error()))
			return nil
		}
		f, _ := x.Float64()
		return f
	case []any:
		out := make([]any, len(x))
		for i, item := range x {
			d.enter(value.Index(i))
			out[i] = d.anything(item)
			d.leave()
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, item := range x {
			d.enter(value.Name(k))
			out[k] = d.anything(item)
			d.leave()
		}
		return out
	}
	return tree
}

// unique reports the second of two equal elements.
func (d *decoder) unique(tree any) {
	items, _ := tree.([]any)
	seen := make(map[string]int, len(items))
	for i, item := range items {
		d.enter(value.Index(i))
		if b, err := json.Marshal(item); err == nil && !d.isUnknown() {
			if first, twice := seen[string(b)]; twice {
				d.add("Duplicate element", "This element is equal to the one at position %d; the elements of this list must differ.", first+1)
			} else {
				seen[string(b)] = i
			}
		}
		d.leave()
	}
}

func describe(tree any) string {
	switch tree.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case []any:
		return "a list"
	}
	return "an object"
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
