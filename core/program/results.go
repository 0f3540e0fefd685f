package program

import (
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/scope"
)

// results is what stages gave, as far as it is known.
type results struct {
	program *Program
	mu      sync.RWMutex
	nodes   map[addr.Stage]*Node
	known   map[addr.Stage]cty.Value
}

func newResults(p *Program) *results {
	return &results{program: p, nodes: map[addr.Stage]*Node{}, known: map[addr.Stage]cty.Value{}}
}

func (r *results) add(a addr.Stage, n *Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes[a] = n
}

// Outputs implements scope.Outputs.
func (r *results) Outputs(a addr.Stage) cty.Value {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok := r.known[a]; ok {
		return v
	}
	n, ok := r.nodes[a]
	if !ok || n.Action == nil && len(n.Targets) == 0 {
		return cty.DynamicVal
	}
	return n.Unknown()
}

// SetResult makes what a stage gave known to those that refer to it. The value
// comes from Gave or Null.
func (p *Program) SetResult(a addr.Stage, v cty.Value) {
	p.results.mu.Lock()
	defer p.results.mu.Unlock()
	p.results.known[a] = v
}

// Result is what a stage gave; unknown before.
func (p *Program) Result(a addr.Stage) cty.Value { return p.results.Outputs(a) }

// Unknown is what the stage will give: values of the right types, not known yet.
func (n *Node) Unknown() cty.Value {
	attrs := map[string]cty.Value{}
	if n.Action != nil {
		for name, v := range unknownOutputs(n.Action) {
			attrs[name] = v
		}
	}
	for _, pr := range n.Stage.Config.Produces {
		attrs[pr.Name] = cty.UnknownVal(bind.ArtifactType)
	}
	n.addGates(attrs, func(kernel.Input) cty.Value { return cty.DynamicVal })
	if n.Kind == kernel.RolloutNode {
		targets := map[string]cty.Value{}
		for _, t := range n.Targets {
			targets[t.Name] = cty.UnknownVal(scope.ReleaseType)
		}
		n.addReleases(attrs, targets)
	}
	return cty.ObjectVal(attrs)
}

func unknownOutputs(s *Slot) map[string]cty.Value {
	if s.Entry.Outputs == nil {
		return nil
	}
	return bind.UnknownOf(s.Entry.Outputs).AsValueMap()
}

// Gave is what the stage gave: the outputs of its action, the artifacts it
// declared, the values people entered at its gates, the releases it installed.
func (n *Node) Gave(outputs cty.Value, artifacts map[string]cty.Value, answers map[string]map[string]cty.Value, releases map[string]cty.Value) cty.Value {
	attrs := map[string]cty.Value{}
	if outputs != cty.NilVal {
		outputs, _ := outputs.Unmark()
		for name, v := range outputs.AsValueMap() {
			attrs[name] = v
		}
	}
	for name, v := range artifacts {
		attrs[name] = v
	}
	if len(n.Gates) > 0 {
		gates := map[string]cty.Value{}
		for _, g := range n.Gates {
			values := map[string]cty.Value{}
			for _, in := range g.Inputs {
				v, ok := answers[g.Name][in.Name]
				if !ok {
					v = n.defaultOf(g.Name, in.Name)
				}
				values[in.Name] = v
			}
			gates[g.Name] = cty.ObjectVal(values)
		}
		attrs["gates"] = cty.ObjectVal(gates)
	}
	if n.Kind == kernel.RolloutNode {
		n.addReleases(attrs, releases)
	}
	return cty.ObjectVal(attrs)
}

func (n *Node) setDefault(gate, input string, v cty.Value) {
	if n.defaults == nil {
		n.defaults = map[string]map[string]cty.Value{}
	}
	if n.defaults[gate] == nil {
		n.defaults[gate] = map[string]cty.Value{}
	}
	n.defaults[gate][input] = v
}

func (n *Node) defaultOf(gate, input string) cty.Value {
	if v := n.defaults[gate][input]; v != cty.NilVal {
		return v
	}
	return cty.NullVal(cty.DynamicPseudoType)
}

// Null is what a stage that did not run gives: everything null.
func (n *Node) Null() cty.Value {
	attrs := n.Unknown().AsValueMap()
	for name, v := range attrs {
		attrs[name] = cty.NullVal(v.Type())
	}
	if attrs == nil {
		return cty.EmptyObjectVal
	}
	return cty.ObjectVal(attrs)
}

func (n *Node) addGates(attrs map[string]cty.Value, value func(kernel.Input) cty.Value) {
	if len(n.Gates) == 0 {
		return
	}
	gates := map[string]cty.Value{}
	for _, g := range n.Gates {
		values := map[string]cty.Value{}
		for _, in := range g.Inputs {
			values[in.Name] = value(in)
		}
		gates[g.Name] = cty.ObjectVal(values)
	}
	attrs["gates"] = cty.ObjectVal(gates)
}

// addReleases gives the releases by target, and the lone one by itself.
func (n *Node) addReleases(attrs map[string]cty.Value, releases map[string]cty.Value) {
	attrs["targets"] = cty.ObjectVal(releases)
	if len(n.Targets) == 1 {
		attrs["release"] = releases[n.Targets[0].Name]
	}
}
