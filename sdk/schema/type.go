package schema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// TypeKind is the outermost constructor of a type.
type TypeKind uint8

const (
	// Any is decided by the value; only for outputs and free-form data.
	Any TypeKind = iota
	String
	// Number is a finite float64.
	Number
	// Integer is within ±(2^53−1).
	Integer
	Bool
	// Duration is written as Go does, and in days: "1h30m", "30d". It travels as
	// that string.
	Duration
	// Artifact is something built once; see call.Artifact.
	Artifact
	List
	Map
	Object
)

var typeNames = map[TypeKind]string{
	Any: "any", String: "string", Number: "number", Integer: "integer", Bool: "bool",
	Duration: "duration", Artifact: "artifact", List: "list", Map: "map", Object: "object",
}

// Type of an attribute. The system is closed: there are no sets and no tuples.
type Type struct {
	Kind TypeKind
	// Elem is set for List and Map.
	Elem *Type
	// Fields are set for Object, in the author's order.
	Fields []Field
}

// Field of an object type.
type Field struct {
	Name     string
	Type     Type
	Optional bool
}

// ListOf is the type of lists of elem.
func ListOf(elem Type) Type { return Type{Kind: List, Elem: &elem} }

// MapOf is the type of maps from string to elem.
func MapOf(elem Type) Type { return Type{Kind: Map, Elem: &elem} }

// Primitive is the type of this kind; the kind is neither List, Map nor Object.
func Primitive(k TypeKind) Type { return Type{Kind: k} }

// String writes the type expression: list(object({name=string, size=optional(integer)})).
func (t Type) String() string {
	switch t.Kind {
	case List, Map:
		return typeNames[t.Kind] + "(" + t.Elem.String() + ")"
	case Object:
		fields := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			s := f.Type.String()
			if f.Optional {
				s = "optional(" + s + ")"
			}
			fields[i] = f.Name + "=" + s
		}
		return "object({" + strings.Join(fields, ",") + "})"
	}
	return typeNames[t.Kind]
}

// MarshalJSON writes the type expression as a string.
func (t Type) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// UnmarshalJSON reads a type expression.
func (t *Type) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	parsed, err := ParseType(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// ParseType reads what Type.String writes; white space is free. Nesting is
// limited to 32 levels.
func ParseType(s string) (Type, error) {
	p := typeParser{in: s}
	t, err := p.parse(0)
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", s, err)
	}
	if p.skipSpace(); p.pos != len(p.in) {
		return Type{}, fmt.Errorf("type %q: unexpected %q", s, p.in[p.pos:])
	}
	return t, nil
}

const maxTypeDepth = 32

type typeParser struct {
	in  string
	pos int
}

func (p *typeParser) parse(depth int) (Type, error) {
	if depth > maxTypeDepth {
		return Type{}, fmt.Errorf("nested deeper than %d levels", maxTypeDepth)
	}
	name := p.word()
	for kind, n := range typeNames {
		if n != name {
			continue
		}
		switch kind {
		case List, Map:
			if err := p.expect("("); err != nil {
				return Type{}, err
			}
			elem, err := p.parse(depth + 1)
			if err != nil {
				return Type{}, err
			}
			return Type{Kind: kind, Elem: &elem}, p.expect(")")
		case Object:
			return p.object(depth)
		}
		return Type{Kind: kind}, nil
	}
	return Type{}, fmt.Errorf("no type is named %q", name)
}

func (p *typeParser) object(depth int) (Type, error) {
	t := Type{Kind: Object}
	if err := p.expect("("); err != nil {
		return t, err
	}
	if err := p.expect("{"); err != nil {
		return t, err
	}
	for !p.accept("}") {
		if len(t.Fields) > 0 {
			if err := p.expect(","); err != nil {
				return t, err
			}
		}
		f := Field{Name: p.word()}
		if f.Name == "" {
			return t, fmt.Errorf("a field needs a name")
		}
		if err := p.expect("="); err != nil {
			return t, err
		}
		start := p.pos
		if p.word() == "optional" && p.accept("(") {
			f.Optional = true
		} else {
			p.pos = start
		}
		var err error
		if f.Type, err = p.parse(depth + 1); err != nil {
			return t, err
		}
		if f.Optional {
			if err := p.expect(")"); err != nil {
				return t, err
			}
		}
		t.Fields = append(t.Fields, f)
	}
	return t, p.expect(")")
}

func (p *typeParser) skipSpace() {
	for p.pos < len(p.in) && (p.in[p.pos] == ' ' || p.in[p.pos] == '\t' || p.in[p.pos] == '\n') {
		p.pos++
	}
}

func (p *typeParser) word() string {
	p.skipSpace()
	start := p.pos
	for p.pos < len(p.in) && !strings.ContainsRune("(){},= \t\n", rune(p.in[p.pos])) {
		p.pos++
	}
	return p.in[start:p.pos]
}

func (p *typeParser) accept(s string) bool {
	p.skipSpace()
	if strings.HasPrefix(p.in[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *typeParser) expect(s string) error {
	if !p.accept(s) {
		return fmt.Errorf("expected %q at position %d", s, p.pos)
	}
	return nil
}
