// Package config reads the files of a pipeline.
//
// Load finds and parses them and decodes every block into the types of
// pipeline.go and stage.go, all mistakes at once, each with its place. Nothing
// is evaluated here: expressions and component bodies are kept for package
// scope and package bind.
package config

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
)

// Options of Load.
type Options struct {
	// Version of this program; required_version is checked against it unless empty.
	Version string
}

// Load reads the pipeline that dir belongs to: the nearest directory, dir or
// above, with a pipeline.hcl or pipeline.hcl.json. Files named *.pipeline.hcl
// beside it are part of it. The pipeline is never nil: with errors it holds what
// could be read, and Files for showing them.
func Load(dir string, opts Options) (*Pipeline, hcl.Diagnostics) { panic("skeleton") }

// LoadSources is Load for files held in memory, such as those of a saved plan.
// Keys are as in Pipeline.Sources.
func LoadSources(sources map[string][]byte, opts Options) (*Pipeline, hcl.Diagnostics) {
	panic("skeleton")
}

// VariableType is a type constraint as written in a variable block.
type VariableType struct {
	// Type is cty.DynamicPseudoType when none was given.
	Type cty.Type
	// Defaults are those of optional(type, default); nil when there are none.
	Defaults *typeexpr.Defaults
}

// Stage finds a stage of the module by name.
func (m *Module) Stage(name string) (*Stage, bool) { panic("skeleton") }

// Variable finds a variable of the module by name.
func (m *Module) Variable(name string) (*Variable, bool) { panic("skeleton") }

// Environment finds an environment by name.
func (p *Pipeline) Environment(name string) (*Environment, bool) { panic("skeleton") }

// Plugin finds a configuration of a plugin; alias is empty for the default one.
func (p *Pipeline) Plugin(name, alias string) (*Plugin, bool) { panic("skeleton") }
