// Package config reads the files of a pipeline.
//
// Load finds and parses them and decodes every block into the types of
// pipeline.go and stage.go, all mistakes at once, each with its place. Nothing
// is evaluated here but literals: expressions and component bodies are kept for
// package scope and package bind.
package config

import (
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
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
func Load(dir string, opts Options) (*Pipeline, hcl.Diagnostics) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nothing(diagnostics.Error(hcl.Range{}, "Directory not readable", "Reading %s: %s.", dir, err))
	}
	root, diag := find(abs)
	if diag != nil {
		return nothing(diag)
	}
	return load(disk{root}, root, opts)
}

// LoadSources is Load for files held in memory, such as those of a saved plan.
// Keys are as in Pipeline.Sources.
func LoadSources(sources map[string][]byte, opts Options) (*Pipeline, hcl.Diagnostics) {
	return load(memory(sources), "", opts)
}

func nothing(d *hcl.Diagnostic) (*Pipeline, hcl.Diagnostics) {
	p := newPipeline()
	p.Incomplete = true
	return p, hcl.Diagnostics{d}
}

func newPipeline() *Pipeline {
	root := &Module{Path: "."}
	return &Pipeline{
		Root:    root,
		Modules: map[string]*Module{".": root},
		Sources: map[string][]byte{},
		Files:   map[string]*hcl.File{},
	}
}

func load(src sources, dir string, opts Options) (*Pipeline, hcl.Diagnostics) {
	p := newPipeline()
	p.Dir = dir
	l := &loader{src: src, pipeline: p, opts: opts, parsed: map[string][]hcl.Body{}}
	l.load()
	p.Incomplete = l.incomplete
	return p, diagnostics.Tidy(l.diags)
}

// Stage finds a stage of the module by name.
func (m *Module) Stage(name string) (*Stage, bool) {
	return findByName(m.Stages, func(s *Stage) bool { return s.Name == name })
}

// Variable finds a variable of the module by name.
func (m *Module) Variable(name string) (*Variable, bool) {
	return findByName(m.Variables, func(v *Variable) bool { return v.Name == name })
}

// Environment finds an environment by name.
func (p *Pipeline) Environment(name string) (*Environment, bool) {
	return findByName(p.Environments, func(e *Environment) bool { return e.Name == name })
}

// Pool finds a pool by name.
func (p *Pipeline) Pool(name string) (*Pool, bool) {
	return findByName(p.Pools, func(q *Pool) bool { return q.Name == name })
}

// Plugin finds a configuration of a plugin; alias is empty for the default one.
func (p *Pipeline) Plugin(name, alias string) (*Plugin, bool) {
	return findByName(p.Plugins, func(q *Plugin) bool { return q.Name == name && q.Alias == alias })
}

func findByName[T any](list []*T, is func(*T) bool) (*T, bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return nil, false
}
