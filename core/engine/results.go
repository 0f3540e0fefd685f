package engine

import (
	"encoding/json"
	"fmt"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

func (e *Engine) place(node, name string) seal.Place {
	return seal.Place{Run: e.Config.Run.ID, Node: node, Name: name}
}

func (e *Engine) index() *runs.Index { return runs.New(e.Store) }

// source is a run whose results are known.
type source struct {
	run   string
	state *kernel.State
}

func (e *Engine) own() source { return source{e.Config.Run.ID, e.State} }

// Restore makes what the settled stages of a run gave known to its program, for
// those who ask afterwards. Of the configuration it needs Program, Run, State, Key,
// Redactor and Replayed. What cannot be opened is an error.
func Restore(cfg Config) error { return New(cfg).restoreResults() }

// restoreResults makes what settled stages gave known again after a resume, and
// what those gave that another run has gone through. What cannot be opened must
// not be taken for nothing.
func (e *Engine) restoreResults() error {
	if r := e.Replayed; r != nil {
		from := source{r.Run, r.State}
		for _, v := range r.State.Nodes() {
			if _, mine := e.State.Node(v.ID); !mine && v.Status == "settled" {
				e.publish(from, v.ID)
			}
		}
	}
	for _, v := range e.State.Nodes() {
		if v.Status == "settled" {
			e.publish(e.own(), v.ID)
		}
	}
	return e.unreadable
}

// publish makes what a settled stage gave known to those that refer to it.
func (e *Engine) publish(from source, id string) {
	n, ok := e.Program.Node(id)
	if !ok || n.Stage == nil {
		return
	}
	view, _ := from.state.Node(id)
	switch {
	case view.Outcome != kernel.Succeeded:
		e.Program.SetResult(n.Stage.Addr, n.Null())
	case n.Kind == kernel.RolloutNode:
		e.Program.SetResult(n.Stage.Addr, n.Gave(cty.NilVal, nil, answers(from.state, n), installed(from.state, n)))
	default:
		v, err := e.gave(from.run, n, from.state.Result(id), answers(from.state, n))
		if err != nil {
			e.unreadable = err
		}
		e.Program.SetResult(n.Stage.Addr, v)
	}
}

// gave reads what the journal kept of an action.
func (e *Engine) gave(run string, n *program.Node, kept []byte, answers map[string]map[string]cty.Value) (cty.Value, error) {
	outputs := cty.NilVal
	if n.Action.Entry.Outputs != nil {
		outputs = bind.NullOf(n.Action.Entry.Outputs)
	}
	artifacts := map[string]cty.Value{}
	for _, p := range n.Stage.Config.Produces {
		artifacts[p.Name] = cty.NullVal(bind.ArtifactType)
	}
	var r result
	if len(kept) > 0 && json.Unmarshal(kept, &r) == nil {
		v := value.Value{JSON: r.Outputs}
		if len(r.Sealed) > 0 {
			if plain, err := e.Key.Open(r.Sealed, seal.Place{Run: run, Node: n.ID, Name: "outputs"}); err != nil {
				return n.Null(), fmt.Errorf("the outputs of %s cannot be opened: %w", n.ID, err)
			} else if err := json.Unmarshal(plain, &v); err != nil {
				return n.Null(), fmt.Errorf("the outputs of %s cannot be read: %w", n.ID, err)
			}
		}
		if len(v.JSON) > 0 && n.Action.Entry.Outputs != nil {
			_ = e.protect(sensitiveOutputs(v, n.Action.Entry.Outputs))
			if out, err := bind.FromWire(v, n.Action.Entry.Outputs); err == nil {
				outputs = out
			}
		}
		for name, a := range r.Artifacts {
			artifacts[name] = artifactValue(a)
		}
	}
	return n.Gave(outputs, artifacts, answers, nil), nil
}

func artifactValue(a call.Artifact) cty.Value {
	return bind.Artifact(a.Digest, a.MediaType, a.URI, a.Size, a.Labels, a.Path)
}

// answers are the values that people gave at the node's gates.
func answers(state *kernel.State, n *program.Node) map[string]map[string]cty.Value {
	out := map[string]map[string]cty.Value{}
	for gate, values := range state.Answers(n.ID) {
		out[gate] = map[string]cty.Value{}
		for name, raw := range values {
			typ, err := ctyjson.ImpliedType(raw)
			if err != nil {
				continue
			}
			if v, err := ctyjson.Unmarshal(raw, typ); err == nil {
				out[gate][name] = v
			}
		}
	}
	return out
}

// installed are the releases that a rollout left in place, by target.
func installed(state *kernel.State, n *program.Node) map[string]cty.Value {
	out := map[string]cty.Value{}
	for _, t := range n.Targets {
		candidate, stable := state.Releases(n.ID, t.Name)
		if len(candidate) == 0 {
			candidate = stable
		}
		out[t.Name] = releaseValue(candidate)
	}
	return out
}

// releases are the candidate and the stable release as expressions see them.
func (e *Engine) releases(j job) (candidate, stable cty.Value) {
	return releaseValue(j.candidate), releaseValue(j.stable)
}

// releaseValue reads a release as a target described it; null without one.
func releaseValue(raw []byte) cty.Value {
	var r target.Release
	if len(raw) == 0 || json.Unmarshal(raw, &r) != nil {
		return cty.NullVal(program.ReleaseType)
	}
	return program.ReleaseValue(r)
}
