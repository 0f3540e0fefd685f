package schema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/value"
)

// MaxInteger is the largest integer that every language reads exactly.
const MaxInteger = 1<<53 - 1

// Encode writes a tagged struct, or a pointer to one, as a value: keys are the
// names of the hcl tags, durations are strings, and what is tagged sensitive is
// listed. A nil struct is the empty object, a nil slice the empty list, a nil
// map the empty map, a nil pointer null. Equal structs give equal bytes.
//
// It fails on what cannot travel: a number that is not finite, an integer
// beyond ±(2^53−1), a function.
func Encode(v any) (value.Value, error) {
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer {
		rv = rv.Elem()
	}
	if !rv.IsValid() {
		return value.Empty(), nil
	}
	if rv.Kind() != reflect.Struct {
		return value.Value{}, fmt.Errorf("encode %T: a struct is needed", v)
	}
	p, err := planOf(rv.Type())
	if err != nil {
		return value.Value{}, err
	}
	var e encoder
	tree, err := e.body(p, rv)
	if err != nil {
		return value.Value{}, fmt.Errorf("encode %T: %w", v, err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		return value.Value{}, fmt.Errorf("encode %T: %w", v, err)
	}
	return value.Value{JSON: b, Sensitive: e.sensitive}, nil
}

type encoder struct {
	at        value.Path
	sensitive []value.Path
}

func (e *encoder) enter(s value.Step) { e.at = append(e.at, s) }
func (e *encoder) leave()             { e.at = e.at[:len(e.at)-1] }

func (e *encoder) fail(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if len(e.at) > 0 {
		err = fmt.Errorf("%s: %w", e.at, err)
	}
	return err
}

// body writes a struct whose fields may be blocks.
func (e *encoder) body(p *plan, v reflect.Value) (map[string]any, error) {
	out := make(map[string]any, len(p.fields))
	for i := range p.fields {
		f := &p.fields[i]
		held := v.FieldByIndex(f.index)
		e.enter(value.Name(f.name))
		var err error
		if f.role == roleBlock {
			out[f.name], err = e.block(f, held)
		} else {
			if f.attr.Sensitive {
				e.sensitive = append(e.sensitive, append(value.Path(nil), e.at...))
			}
			out[f.name], err = e.value(held)
		}
		e.leave()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *encoder) block(f *field, v reflect.Value) (any, error) {
	if f.block.Nesting == Single {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, nil
			}
			v = v.Elem()
		}
		return e.body(f.body, v)
	}
	out := make([]any, v.Len())
	for i := range out {
		e.enter(value.Index(i))
		item, err := v.Index(i), error(nil)
		if item.Kind() == reflect.Pointer {
			if item.IsNil() {
				return nil, e.fail("a block is nil")
			}
			item = item.Elem()
		}
		out[i], err = e.body(f.body, item)
		e.leave()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// value writes what an attribute holds as maps, slices and JSON scalars.
func (e *encoder) value(v reflect.Value) (any, error) {
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil, nil
		}
		return e.value(v.Elem())
	}
	t := v.Type()
	switch {
	case t == durationType:
		return FormatDuration(time.Duration(v.Int())), nil
	case t == artifactType:
		return e.artifact(v.Interface().(call.Artifact))
	case t == rawType:
		return e.raw(v.Bytes())
	case t == reflect.TypeFor[json.Number]():
		return e.raw([]byte(v.String()))
	case isText(t):
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return nil, e.fail("%w", err)
		}
		return string(text), nil
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, e.fail("%v is not a finite number", f)
		}
		return f, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := v.Int(); n < -MaxInteger || n > MaxInteger {
			return nil, e.fail("the integer %d is beyond ±(2^53−1)", n)
		}
		return v.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n > MaxInteger {
			return nil, e.fail("the integer %d is beyond ±(2^53−1)", n)
		}
		return v.Uint(), nil
	case reflect.Slice, reflect.Array:
		return e.list(v)
	case reflect.Map:
		return e.mapping(v)
	case reflect.Struct:
		p, err := planOf(t)
		if err != nil {
			return nil, e.fail("%w", err)
		}
		return e.body(p, v)
	}
	return nil, e.fail("a %s cannot be written as JSON", t)
}

func (e *encoder) list(v reflect.Value) (any, error) {
	out := make([]any, v.Len())
	for i := range out {
		e.enter(value.Index(i))
		item, err := e.value(v.Index(i))
		e.leave()
		if err != nil {
			return nil, err
		}
		out[i] = item
	}
	return out, nil
}

func (e *encoder) mapping(v reflect.Value) (any, error) {
	if v.Type().Key().Kind() != reflect.String {
		return nil, e.fail("the keys of a map must be strings")
	}
	out := make(map[string]any, v.Len())
	for iter := v.MapRange(); iter.Next(); {
		e.enter(value.Name(iter.Key().String()))
		item, err := e.value(iter.Value())
		e.leave()
		if err != nil {
			return nil, err
		}
		out[iter.Key().String()] = item
	}
	return out, nil
}

func (e *encoder) artifact(a call.Artifact) (any, error) {
	b, err := json.Marshal(a)
	if err != nil {
		return nil, e.fail("%w", err)
	}
	return e.raw(b)
}

// raw reads JSON that the author made, so that its numbers are checked too.
func (e *encoder) raw(b []byte) (any, error) {
	if len(b) == 0 {
		return nil, nil
	}
	tree, err := parseJSON(b)
	if err != nil {
		return nil, e.fail("%w", err)
	}
	return e.checkTree(tree)
}

func (e *encoder) checkTree(tree any) (any, error) {
	switch x := tree.(type) {
	case json.Number:
		if err := checkNumber(x); err != nil {
			return nil, e.fail("%w", err)
		}
	case []any:
		for i, item := range x {
			if _, err := e.checkTree(item); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case map[string]any:
		for k, item := range x {
			if _, err := e.checkTree(item); err != nil {
				return nil, fmt.Errorf("%s: %w", value.Path{value.Name(k)}, err)
			}
		}
	}
	return tree, nil
}

// parseJSON reads exactly one JSON value and keeps its numbers as written.
func parseJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON value")
	}
	return tree, nil
}

// checkNumber reports a number that not every reader gets exactly: not finite
// as a float64, or an integer beyond ±(2^53−1).
func checkNumber(n json.Number) error {
	f, err := n.Float64()
	if err != nil {
		return fmt.Errorf("the number %s is too large", n)
	}
	if f == math.Trunc(f) && math.Abs(f) > MaxInteger && isInteger(string(n)) {
		return fmt.Errorf("the integer %s is beyond ±(2^53−1)", n)
	}
	return nil
}

// isInteger reports whether a JSON number is written without fraction and exponent.
func isInteger(s string) bool {
	for i := range len(s) {
		if s[i] == '.' || s[i] == 'e' || s[i] == 'E' {
			return false
		}
	}
	return true
}
