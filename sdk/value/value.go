// Package value is configuration and outputs as they travel between core and
// plugins: JSON, with the places that are not known and the places that must
// not be shown.
package value

import (
	"strconv"
	"strings"
)

// Value is JSON text with two lists of places. The JSON holds null wherever
// the value is not known.
type Value struct {
	JSON      []byte
	Unknown   []Path
	Sensitive []Path
}

// Empty is an object without attributes.
func Empty() Value { return Value{JSON: []byte("{}")} }

// Path leads from the outside of a value in. The empty path is the whole value.
type Path []Step

// Step is one attribute name or map key, or one list index.
type Step struct {
	Name  string
	Index int
	// IsIndex tells a list index from a name.
	IsIndex bool
}

// Name is the step to an attribute or map key.
func Name(name string) Step { return Step{Name: name} }

// Index is the step to a list element, from 0.
func Index(i int) Step { return Step{Index: i, IsIndex: true} }

// Names is the path through nested attributes.
func Names(names ...string) Path {
	p := make(Path, len(names))
	for i, n := range names {
		p[i] = Name(n)
	}
	return p
}

// With returns a new path that is one step longer; p stays as it is.
func (p Path) With(s Step) Path {
	out := make(Path, len(p)+1)
	copy(out, p)
	out[len(p)] = s
	return out
}

// HasPrefix reports whether p leads through prefix, or is prefix.
func (p Path) HasPrefix(prefix Path) bool {
	if len(p) < len(prefix) {
		return false
	}
	for i, s := range prefix {
		if p[i] != s {
			return false
		}
	}
	return true
}

// Equal reports whether both lead to the same place.
func (p Path) Equal(q Path) bool { return len(p) == len(q) && p.HasPrefix(q) }

// String writes the path as HCL would: steps[2].name, labels["a.b"].
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.IsIndex:
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		case !isIdent(s.Name):
			b.WriteString("[" + strconv.Quote(s.Name) + "]")
		default:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.Name)
		}
	}
	return b.String()
}

func isIdent(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '-' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}
