// Package schema describes the body of a component's block: its attributes,
// their types, nested blocks. It is made from a tagged struct by Of, travels to
// the host with Describe, and decides there what a pipeline file may say.
//
// A field takes part when it has an hcl tag, in the form of HCL's own:
//
//	Limit  int64         `hcl:"limit,optional" doc:"largest size of a file, in bytes"`
//	Bake   time.Duration `hcl:"bake" doc:"how long to watch each step"`
//	Token  string        `hcl:"token" sensitive:"true"`
//	Steps  []float64     `hcl:"steps" known:"true"`
//	Expect *Expect       `hcl:"expect,block"`
//	Header []Header      `hcl:"header,block"`
//	Name   string        `hcl:"name,label"`
//
// An attribute without "optional" must be given. The default of an optional
// one is read from the struct that Of is given. A *T is null when not given.
// Further tags: doc, sensitive, known (must be known at plan), unique (list
// whose elements differ), deprecated (what to use instead); on repeated blocks
// min and max.
//
// A block held as *T may be left out, a block held as T must be given, []T and
// []*T repeat. A struct as an attribute is an object; its own fields carry hcl
// tags too. An embedded struct without a tag lends its fields. A type that
// marshals to and from text, such as time.Time, is a string. The types any and
// json.RawMessage take what is given.
package schema

import (
	"encoding/json"
)

// Schema is the body of a block, or a set of outputs.
type Schema struct {
	Attributes []Attribute `json:"attributes,omitempty"`
	Blocks     []Block     `json:"blocks,omitempty"`
	Doc        string      `json:"doc,omitempty"`
	Version    int         `json:"version,omitempty"`
}

// Attribute is one name = value.
type Attribute struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Required bool   `json:"required,omitempty"`
	// Default is JSON; nil when there is none, and the value is then null.
	Default    json.RawMessage `json:"default,omitempty"`
	Sensitive  bool            `json:"sensitive,omitempty"`
	Known      bool            `json:"known,omitempty"`
	Unique     bool            `json:"unique,omitempty"`
	Doc        string          `json:"doc,omitempty"`
	Deprecated string          `json:"deprecated,omitempty"`
}

// Nesting is how blocks of one type repeat.
type Nesting string

const (
	// Single: at most one; an object or null in the value.
	Single Nesting = "single"
	// Many: any number; an array of objects in the value.
	Many Nesting = "list"
)

// Block is a nested block type. Its labels stand as string attributes, under
// these names, in the block's object.
type Block struct {
	Name    string   `json:"name"`
	Labels  []string `json:"labels,omitempty"`
	Nesting Nesting  `json:"nesting"`
	Min     int      `json:"min,omitempty"`
	// Max is 0 for no limit.
	Max    int    `json:"max,omitempty"`
	Schema Schema `json:"schema"`
}

// Attribute finds an attribute by name.
func (s *Schema) Attribute(name string) (*Attribute, bool) {
	for i := range s.Attributes {
		if s.Attributes[i].Name == name {
			return &s.Attributes[i], true
		}
	}
	return nil, false
}

// Block finds a block type by name.
func (s *Schema) Block(name string) (*Block, bool) {
	for i := range s.Blocks {
		if s.Blocks[i].Name == name {
			return &s.Blocks[i], true
		}
	}
	return nil, false
}

// Kind is the role of a component.
type Kind string

const (
	KindAction   Kind = "action"
	KindTarget   Kind = "target"
	KindStrategy Kind = "strategy"
	KindMetrics  Kind = "metrics"
)

// Class says what repeating an operation does.
type Class string

const (
	// Convergent operations state what should be so and may be issued again.
	Convergent Class = "convergent"
	// Once operations must not happen twice.
	Once Class = "once"
	// Read operations change nothing.
	Read Class = "read"
)

// Operation is one RPC that a component supports.
type Operation struct {
	// Name is the RPC in snake case: run, undo, plan, read, observe, install,
	// set_weight, scale, settle, retire, next, measure.
	Name  string `json:"name"`
	Class Class  `json:"class"`
	// Reconcile: the plugin can tell what became of it.
	Reconcile bool `json:"reconcile,omitempty"`
}
