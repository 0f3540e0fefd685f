// Package compare says how a plan differs from that of an earlier run: which
// stages are new, which are gone, and of the others which attributes have another
// value. Values that are sensitive are neither shown nor compared.
package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/runs"
)

// Difference is how a plan differs from that of a run.
type Difference struct {
	Run     string `json:"run"`
	Outcome string `json:"outcome,omitempty"`
	// Unreadable says why the two cannot be compared; nothing else is set then.
	Unreadable string `json:"unreadable,omitempty"`
	// Around are variables, plugins and the like that differ.
	Around  []Change `json:"around,omitempty"`
	New     []string `json:"new,omitempty"`
	Gone    []string `json:"gone,omitempty"`
	Changed []Stage  `json:"changed,omitempty"`
	// Same counts the stages that do not differ.
	Same int `json:"same"`
}

// Stage is a stage that differs.
type Stage struct {
	ID      string   `json:"id"`
	Changes []Change `json:"changes"`
}

// Change is one value that differs. Was and Is are JSON, or words in parentheses
// where there is no value to show.
type Change struct {
	// Where is the part of the stage, such as strategy "canary"; Path the attribute in it.
	Where string `json:"where,omitempty"`
	Path  string `json:"path,omitempty"`
	Was   string `json:"was"`
	Is    string `json:"is"`
}

// Side is a plan and the program that it was made of.
type Side struct {
	Plan    *plan.Plan
	Program *program.Program
}

// Plans compares a plan with that of an earlier run.
func Plans(rec runs.Record, was, is Side, r *redact.Redactor) *Difference {
	d := &Difference{Run: rec.ID, Outcome: rec.Outcome, Around: around(was, is)}
	before := map[string]int{}
	for i, n := range was.Plan.Nodes {
		before[n.ID] = i
	}
	for i, n := range is.Plan.Nodes {
		if n.Kind == kernel.BarrierNode {
			continue
		}
		j, known := before[n.ID]
		if !known {
			d.New = append(d.New, n.ID)
			continue
		}
		if changes := between(facts(was, j), facts(is, i)); len(changes) > 0 {
			d.Changed = append(d.Changed, Stage{ID: n.ID, Changes: changes})
		} else {
			d.Same++
		}
	}
	here := map[string]bool{}
	for _, n := range is.Plan.Nodes {
		here[n.ID] = true
	}
	for _, n := range was.Plan.Nodes {
		if n.Kind != kernel.BarrierNode && !here[n.ID] {
			d.Gone = append(d.Gone, n.ID)
		}
	}
	d.redact(r)
	return d
}

func (d *Difference) redact(r *redact.Redactor) {
	clean := func(list []Change) {
		for i := range list {
			list[i].Was, list[i].Is = r.Redact(list[i].Was), r.Redact(list[i].Is)
		}
	}
	clean(d.Around)
	for _, s := range d.Changed {
		clean(s.Changes)
	}
}

// around compares what all stages share: variables, plugins, the program.
func around(was, is Side) []Change {
	var out []Change
	now := is.Program.Scope.Variables()
	for _, name := range slices.Sorted(maps.Keys(is.Plan.Variables)) {
		where := "variable " + name
		old, had := was.Plan.Variables[name]
		switch {
		case !had:
			out = append(out, Change{Where: where, Was: none, Is: variable(is.Plan.Variables[name])})
		case is.Plan.Variables[name].Hash != "" && !now[name].IsWhollyKnown():
			// Its value was not given again: nothing is known.
		case !was.Plan.SameVariable(name, now[name]):
			out = append(out, Change{Where: where, Was: variable(old), Is: variable(is.Plan.Variables[name])})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was.Plan.Variables)) {
		if _, has := is.Plan.Variables[name]; !has {
			out = append(out, Change{Where: "variable " + name, Was: variable(was.Plan.Variables[name]), Is: none})
		}
	}
	out = append(out, plugins(was.Plan, is.Plan)...)
	if was.Plan.Runner != is.Plan.Runner {
		out = append(out, Change{Where: "runner", Was: was.Plan.Runner, Is: is.Plan.Runner})
	}
	return out
}

// What stands where there is no value to show.
const (
	none     = "(none)"
	secret   = "(sensitive)"
	notKnown = "(known when the stage starts)"
)

func variable(v plan.Variable) string {
	if v.Hash != "" {
		return secret
	}
	typ, err := ctyjson.UnmarshalType(v.Type)
	if err != nil {
		return none
	}
	val, err := ctyjson.Unmarshal(v.Value, typ)
	if err != nil || lang.IsSensitive(val) {
		return none
	}
	b, err := ctyjson.SimpleJSONValue{Value: val}.MarshalJSON()
	if err != nil || val == cty.NilVal {
		return none
	}
	return string(b)
}

func plugins(was, is *plan.Plan) []Change {
	old, _ := lockfile.Parse(lockfile.Name, was.Lock)
	now, _ := lockfile.Parse(lockfile.Name, is.Lock)
	if old == nil || now == nil {
		return nil
	}
	var out []Change
	for _, p := range now.Plugins {
		o := old.Plugin(p.Source)
		switch {
		case o == nil:
			out = append(out, Change{Where: "plugin " + p.Source, Was: none, Is: p.Version})
		case o.Version != p.Version:
			out = append(out, Change{Where: "plugin " + p.Source, Was: o.Version, Is: p.Version})
		case !slices.Equal(o.Hashes, p.Hashes):
			out = append(out, Change{Where: "plugin " + p.Source, Was: p.Version, Is: p.Version + ", another program"})
		}
	}
	for _, o := range old.Plugins {
		if now.Plugin(o.Source) == nil {
			out = append(out, Change{Where: "plugin " + o.Source, Was: o.Version, Is: none})
		}
	}
	return out
}

// place is an attribute within a stage.
type place struct{ where, path string }

// between compares what two programs say of a stage.
func between(was, is map[place]string) []Change {
	places := slices.Collect(maps.Keys(is))
	for at := range was {
		if _, ok := is[at]; !ok {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.path, b.path)) })
	var out []Change
	for _, at := range places {
		old, had := was[at]
		now, has := is[at]
		if had && has && old == now {
			continue
		}
		if !had {
			old = none
		}
		if !has {
			now = none
		}
		out = append(out, Change{Where: at.where, Path: at.path, Was: old, Is: now})
	}
	return out
}

// facts are all values of a stage's blocks, and how the kernel will treat it.
func facts(s Side, i int) map[place]string {
	out := map[place]string{}
	n, ok := s.Program.Node(s.Plan.Nodes[i].ID)
	if !ok {
		return out
	}
	for _, slot := range n.Slots() {
		where := fmt.Sprintf("%s %q", slot.Role, slot.Name)
		if slot.Role == program.ActionRole || slot.Name == program.MainTarget {
			where = ""
		}
		out[place{where, "use"}] = quote(slot.Entry.Name)
		bound, _ := s.Program.Bind(n, slot, program.Surroundings{})
		leaves(out, where, bound.Wire())
	}
	treatment(out, s.Plan, i)
	return out
}

// treatment adds the stage's settings: what the kernel goes by.
func treatment(out map[place]string, p *plan.Plan, i int) {
	k := p.Graph.Nodes[i]
	for _, a := range k.After {
		out[place{"settings", "after " + p.Graph.Nodes[a].ID}] = "true"
	}
	k.ID, k.Kind, k.After, k.Prepare, k.Action = "", "", nil, false, nil
	if k.Rollout != nil {
		r := *k.Rollout
		r.Targets, r.Limits, r.Verifies, r.Strategy = nil, nil, nil, ""
		k.Rollout = &r
	}
	b, err := json.Marshal(k)
	if err != nil {
		return
	}
	var v map[string]any
	if json.Unmarshal(b, &v) == nil {
		delete(v, "id")
		delete(v, "kind")
		flatten(out, "settings", nil, v, nil, nil)
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
