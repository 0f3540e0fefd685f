package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// maxOutputs is the largest set of outputs of a stage, in bytes.
const maxOutputs = 256 << 10

// stagePlan is what the plugin planned for a stage.
type stagePlan struct {
	sealed []byte
	world  string
	// unchanged: running would change nothing and give outputs.
	unchanged bool
	outputs   value.Value
}

type stagePlans struct {
	mu     sync.Mutex
	byNode map[string]*stagePlan
}

func (s *stagePlans) get(node string) *stagePlan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byNode[node]
}

func (s *stagePlans) set(node string, p *stagePlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byNode[node] = p
}

// call is what the plugin is told of who asks.
func (e *Engine) call(j job) call.Call {
	c := call.Call{
		Key: j.Key, Run: e.Config.Run.ID, Pipeline: e.Plan.Pipeline, Node: j.Node, Target: j.Target, Attempt: j.Attempt,
	}
	if j.node != nil {
		c.Environment = j.node.Environment()
	}
	return c
}

// ready binds a slot and gets its process. Sensitive parts are made known to
// the redactor before anything else sees them.
func (e *Engine) ready(ctx context.Context, n *program.Node, s *program.Slot, around program.Surroundings) (host.Plugin, *bind.Bound, hcl.Diagnostics) {
	bound, diags := e.Program.Bind(n, s, around)
	if diags.HasErrors() {
		return nil, nil, diags
	}
	if !bound.Known() {
		for _, p := range bound.Unknown() {
			diags = append(diags, diagnostics.Error(bound.Range(p), "Value not known",
				"The value of %q is still not known although every stage before this one has ended.", p.String()))
		}
		return nil, nil, diags
	}
	if err := e.protect(bound.Wire()); err != nil {
		return nil, nil, append(diags, diagnostics.Error(s.Use.Range, "Secret cannot be kept out of logs", "%s.", err))
	}
	spec, more := e.Program.Spec(s)
	if diags = append(diags, more...); diags.HasErrors() {
		return nil, nil, diags
	}
	if spec.Config != nil {
		if err := e.protect(*spec.Config); err != nil {
			return nil, nil, append(diags, diagnostics.Error(s.Use.Range, "Secret cannot be kept out of logs", "%s.", err))
		}
	}
	plugin, err := e.Plugins.Get(ctx, spec)
	if err != nil {
		return nil, nil, append(diags, notStarted(err, bound, s.Use.Range)...)
	}
	return plugin, bound, diags
}

// protect makes every sensitive text of a value known to the redactor.
func (e *Engine) protect(v value.Value) error {
	if len(v.Sensitive) == 0 {
		return nil
	}
	var tree any
	if err := json.Unmarshal(v.JSON, &tree); err != nil {
		return err
	}
	for _, p := range v.Sensitive {
		part, _ := find(tree, p)
		if err := e.protectTree(part); err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) protectTree(tree any) error {
	switch t := tree.(type) {
	case string:
		return e.Redactor.Add(t)
	case []any:
		for _, v := range t {
			if err := e.protectTree(v); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, v := range t {
			if err := e.protectTree(v); err != nil {
				return err
			}
		}
	}
	return nil
}

// find is the part of a value that a path leads to.
func find(tree any, p value.Path) (part any, ok bool) {
	for _, step := range p {
		switch t := tree.(type) {
		case map[string]any:
			if tree, ok = t[step.Name]; !ok {
				return nil, false
			}
		case []any:
			if step.Index < 0 || step.Index >= len(t) {
				return nil, false
			}
			tree = t[step.Index]
		default:
			return nil, false
		}
	}
	return tree, true
}

// planNode resolves a node's inputs and looks at the world that it will meet.
func (e *Engine) planNode(ctx context.Context, j job) kernel.Fact {
	set, diags := settings.Of(j.node.Stage)
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	if when := set.When; when.IsKnown() && !when.IsNull() && when.False() {
		return kernel.NodePlanned{Command: j.ID, Node: j.Node, Skip: "when is false"}
	}
	if j.node.Kind == kernel.RolloutNode {
		return e.planRollout(ctx, j)
	}
	plugin, bound, diags := e.ready(ctx, j.node, j.node.Action, program.Surroundings{})
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	sp, err := e.planAction(ctx, j, plugin, bound)
	if err != nil {
		return e.failed(ctx, j, plugin, err, j.node.Action.Use.Range, "")
	}
	moved := ""
	if made := e.Plan.Node(j.Node); made != nil && made.World != "" && made.World != sp.world {
		moved = "what the plan looked at has changed since"
	}
	return kernel.NodePlanned{
		Command: j.ID, Node: j.Node, World: sp.world, Moved: moved,
		Digest: e.Plan.InputsDigest(bound.Wire().JSON, sp.sealed, []byte(sp.world)),
	}
}

// planAction is the plugin's plan for an action: the one of the run's plan while
// the world is the same, else a new one.
func (e *Engine) planAction(ctx context.Context, j job, plugin host.Plugin, bound *bind.Bound) (*stagePlan, error) {
	s := j.node.Action
	if _, plans := s.Entry.Operation("plan"); !plans {
		return &stagePlan{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	p, err := plugin.PlanAction(ctx, e.call(j), s.Entry.Name, bound.Wire())
	if err == nil {
		err = p.Diagnostics.Err()
	}
	if err != nil {
		return nil, err
	}
	sp := &stagePlan{sealed: p.Sealed, world: e.world(p.World), outputs: p.Outputs}
	sp.unchanged = len(p.Changes) == 0 && p.Deferred == "" && len(p.Outputs.Unknown) == 0 && len(p.Outputs.JSON) > 0
	if made := e.Plan.Node(j.Node); made != nil && made.World == sp.world && len(made.Sealed) > 0 {
		if sp.sealed, err = e.Plan.StagePlan(e.Key, j.Node); err != nil {
			return nil, err
		}
	}
	e.plans.set(j.Node, sp)
	return sp, nil
}

func (e *Engine) runAction(ctx context.Context, j job) kernel.Fact {
	s := j.node.Action
	plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{})
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	sp := e.plans.get(j.Node)
	if sp == nil {
		var err error
		if sp, err = e.planAction(ctx, j, plugin, bound); err != nil {
			return e.failed(ctx, j, plugin, err, s.Use.Range, "")
		}
	}
	if sp.unchanged {
		return e.succeeded(ctx, j, host.Outcome{Outputs: sp.outputs, World: sp.world}, "")
	}
	if gone := e.notOurs(ctx, j); gone != nil {
		return gone
	}
	log := e.newSink(j)
	out, err := plugin.RunAction(ctx, e.call(j), s.Entry.Name, bound.Wire(), sp.sealed, log)
	ref := log.close()
	if err != nil {
		return e.failed(ctx, j, plugin, err, s.Use.Range, ref)
	}
	return e.succeeded(ctx, j, out, ref)
}

// result is what the journal keeps of an action. With anything sensitive in
// the outputs all of them are sealed.
type result struct {
	Outputs   json.RawMessage          `json:"outputs,omitempty"`
	Sealed    []byte                   `json:"sealed,omitempty"`
	Artifacts map[string]call.Artifact `json:"artifacts,omitempty"`
	// Undo is sealed.
	Undo []byte `json:"undo,omitempty"`
}

// succeeded keeps what an action gave: it checks the outputs against what the
// component declares, and takes the declared artifacts into the store.
func (e *Engine) succeeded(ctx context.Context, j job, out host.Outcome, logs string) kernel.Fact {
	s := j.node.Action
	fail := func(summary, detail string) kernel.Fact {
		return kernel.CommandFailed{Command: j.ID, Logs: logs, Failure: kernel.Failure{
			Summary: summary, Detail: e.redact(detail), Where: s.Use.Range.String(), Effect: "done",
		}}
	}
	if len(out.Outputs.JSON) > maxOutputs {
		return fail("Outputs too large", fmt.Sprintf("%d bytes, the limit is %d; hand larger things on as an artifact (produces).", len(out.Outputs.JSON), maxOutputs))
	}
	r := result{}
	if s.Entry.Outputs != nil {
		if err := fits(out.Outputs, s.Entry.Outputs); err != nil {
			return fail("Outputs do not fit the schema", fmt.Sprintf("What %s gave is not what it declares: %s. This is a mistake in the plugin: tell its author, or use another version of it.", s.Entry.Name, err))
		}
		if err := e.protect(sensitiveOutputs(out.Outputs, s.Entry.Outputs)); err != nil {
			return fail("Secret cannot be kept out of logs", err.Error())
		}
		out.Outputs = e.tainted(out.Outputs)
		r.Outputs = out.Outputs.JSON
		if len(sensitiveOutputs(out.Outputs, s.Entry.Outputs).Sensitive) > 0 {
			plain, err := json.Marshal(out.Outputs)
			if err != nil {
				return fail("Outputs cannot be kept", err.Error())
			}
			r.Sealed, r.Outputs = e.Key.Seal(plain, e.place(j.Node, "outputs")), nil
		}
	}
	var err error
	if r.Artifacts, err = e.collect(ctx, j.node); err != nil {
		return fail("Product is missing", err.Error())
	}
	if len(out.Undo) > 0 {
		r.Undo = e.Key.Seal(out.Undo, e.place(j.Node, "undo"))
	}
	kept, err := json.Marshal(r)
	if err != nil {
		return fail("Outputs cannot be kept", err.Error())
	}
	return kernel.CommandSucceeded{Command: j.ID, Result: kept, World: e.world(out.World), Logs: logs}
}

// fits checks outputs against what the component declares: all of them are known,
// and what is called sensitive is there.
func fits(v value.Value, s *schema.Schema) error {
	if _, err := bind.FromWire(v, s); err != nil {
		return err
	}
	if len(v.Unknown) > 0 {
		return fmt.Errorf("%q is not known although the operation has ended", v.Unknown[0].String())
	}
	if len(v.Sensitive) == 0 {
		return nil
	}
	var tree any
	if err := json.Unmarshal(v.JSON, &tree); err != nil {
		return err
	}
	for _, p := range v.Sensitive {
		if _, ok := find(tree, p); !ok {
			return fmt.Errorf("%q is called sensitive and is not there", p.String())
		}
	}
	return nil
}

// sensitiveOutputs adds what the schema calls sensitive to what the plugin did.
func sensitiveOutputs(v value.Value, s *schema.Schema) value.Value {
	for i := range s.Attributes {
		if s.Attributes[i].Sensitive {
			v.Sensitive = append(v.Sensitive[:len(v.Sensitive):len(v.Sensitive)], value.Names(s.Attributes[i].Name))
		}
	}
	return v
}

// tainted marks every text of the outputs that holds a known secret, such as
// what a program printed: it is kept sealed, and sensitive for who uses it.
func (e *Engine) tainted(v value.Value) value.Value {
	if text := string(v.JSON); e.redact(text) == text {
		return v
	}
	var tree any
	if json.Unmarshal(v.JSON, &tree) != nil {
		return v
	}
	v.Sensitive = v.Sensitive[:len(v.Sensitive):len(v.Sensitive)]
	e.taint(tree, nil, &v.Sensitive)
	return v
}

func (e *Engine) taint(tree any, at value.Path, found *[]value.Path) {
	switch t := tree.(type) {
	case string:
		if e.redact(t) != t {
			*found = append(*found, at)
		}
	case []any:
		for i, x := range t {
			e.taint(x, at.With(value.Index(i)), found)
		}
	case map[string]any:
		for k, x := range t {
			if e.redact(k) != k {
				*found = append(*found, at)
				continue
			}
			e.taint(x, at.With(value.Name(k)), found)
		}
	}
}

// collect takes the stage's declared products into the artifact store.
func (e *Engine) collect(ctx context.Context, n *program.Node) (map[string]call.Artifact, error) {
	if len(n.Stage.Config.Produces) == 0 {
		return nil, nil
	}
	paths, diags := settings.Products(n.Stage)
	if diags.HasErrors() {
		return nil, diags
	}
	out := map[string]call.Artifact{}
	for name, v := range paths {
		if !v.IsKnown() || v.IsNull() {
			return nil, fmt.Errorf("the path of %q is not known", name)
		}
		path := filepath.FromSlash(v.AsString())
		if !filepath.IsAbs(path) {
			path = filepath.Join(e.Dir, path)
		}
		a, err := e.Artifacts.Put(ctx, path)
		if errors.Is(err, artifact.ErrNoSource) {
			return nil, fmt.Errorf("the stage declares %q but has not made %s", name, v.AsString())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = a
	}
	return out, nil
}

func (e *Engine) undoAction(ctx context.Context, j job) kernel.Fact {
	var r result
	if len(j.Command.Key) > 0 && len(j.result) > 0 {
		if err := json.Unmarshal(j.result, &r); err != nil {
			return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Result cannot be read", Detail: err.Error()}}
		}
	}
	s, around, err := e.wayBack(j)
	if err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Result cannot be read", Detail: err.Error()}}
	}
	plugin, bound, diags := e.ready(ctx, j.node, s, around)
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	if gone := e.notOurs(ctx, j); gone != nil {
		return gone
	}
	log := e.newSink(j)
	if j.node.Rollback != nil {
		_, err = plugin.RunAction(ctx, e.call(j), s.Entry.Name, bound.Wire(), nil, log)
	} else {
		var undo []byte
		if len(r.Undo) > 0 {
			if undo, err = e.Key.Open(r.Undo, e.place(j.Node, "undo")); err != nil {
				log.close()
				return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "What undoing needs cannot be opened", Detail: err.Error()}}
			}
		}
		_, err = plugin.UndoAction(ctx, e.call(j), s.Entry.Name, bound.Wire(), undo, log)
	}
	ref := log.close()
	if err != nil {
		return e.failed(ctx, j, plugin, err, s.Use.Range, ref)
	}
	return kernel.CommandSucceeded{Command: j.ID, Logs: ref}
}

// wayBack is what undoes an action: the stage's own rollback, which sees what the
// action gave, or the action itself.
func (e *Engine) wayBack(j job) (*program.Slot, program.Surroundings, error) {
	if j.node.Rollback == nil {
		return j.node.Action, program.Surroundings{}, nil
	}
	self := j.node.Null()
	if len(j.result) > 0 {
		var err error
		if self, err = e.gave(e.Config.Run.ID, j.node, j.result, nil); err != nil {
			return nil, program.Surroundings{}, err
		}
	}
	return j.node.Rollback, program.Surroundings{Self: self}, nil
}

// reconcile asks what became of a lost command.
func (e *Engine) reconcile(ctx context.Context, j job) kernel.Fact {
	s, around, operation := j.node.Action, program.Surroundings{}, "run"
	if j.of.Kind == kernel.UndoAction {
		var err error
		if s, around, err = e.wayBack(j); err != nil {
			return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Result cannot be read", Detail: err.Error()}}
		}
		if j.node.Rollback == nil {
			operation = "undo"
		}
	}
	plugin, bound, diags := e.ready(ctx, j.node, s, around)
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	callCtx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	handle, err := e.handle(j.of)
	if err != nil {
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Handle cannot be opened", Detail: err.Error()}}
	}
	r, err := plugin.Reconcile(callCtx, e.call(j), s.Entry.Kind, s.Entry.Name, operation, bound.Wire(), handle)
	if err != nil {
		return e.failed(callCtx, j, plugin, err, s.Use.Range, "")
	}
	f := kernel.CommandReconciled{Command: j.ID, Of: j.Of, State: string(r.State), Retry: kernel.Time(r.Retry / time.Millisecond)}
	if r.State == call.Done {
		ended := j
		ended.ID = j.Of
		var fact kernel.Fact
		switch {
		case r.Err != nil:
			fact = e.failed(ctx, ended, plugin, r.Err, s.Use.Range, "")
		case j.of.Kind == kernel.UndoAction:
			fact = kernel.CommandSucceeded{Command: j.Of}
		default:
			fact = e.succeeded(ctx, ended, r.Outcome, "")
		}
		switch fact := fact.(type) {
		case kernel.CommandSucceeded:
			f.Succeeded = &fact
		case kernel.CommandFailed:
			f.Failed = &fact
		}
	}
	return f
}

// verify runs one verification of a candidate. That it does not hold is an
// answer, not a failure.
func (e *Engine) verify(ctx context.Context, j job) kernel.Fact {
	s := slotNamed(j.node.Verifies, j.Command.Verify)
	candidate, stable := e.releases(j)
	plugin, bound, diags := e.ready(ctx, j.node, s, program.Surroundings{
		Candidate: candidate, Stable: stable, Target: cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(j.Target)}),
	})
	if diags.HasErrors() {
		return e.misconfigured(j, diags)
	}
	if gone := e.notOurs(ctx, j); gone != nil {
		return gone
	}
	log := e.newSink(j)
	_, err := plugin.RunAction(ctx, e.call(j), s.Entry.Name, bound.Wire(), nil, log)
	ref := log.close()
	f := kernel.Verified{Command: j.ID, Node: j.Node, Target: j.Target, Name: j.Command.Verify, OK: err == nil, Logs: ref}
	if err == nil {
		return f
	}
	failed, ok := e.failed(ctx, j, plugin, err, s.Use.Range, ref).(kernel.CommandFailed)
	switch {
	case !ok:
		return kernel.CommandLost{Command: j.ID}
	case failed.Failure.Cancelled, failed.Failure.Retry != "":
		return failed
	}
	f.Why = failed.Failure.Summary
	if failed.Failure.Detail != "" {
		f.Why += ": " + failed.Failure.Detail
	}
	return f
}

func slotNamed(slots []*program.Slot, name string) *program.Slot {
	for _, s := range slots {
		if s.Name == name {
			return s
		}
	}
	return nil
}
