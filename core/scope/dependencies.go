package scope

import (
	"cmp"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// Dependency is one instance that another waits for.
type Dependency struct {
	Stage addr.Stage
	// Range is where it is referred to.
	Range hcl.Range
	// Explicit is true for depends_on: an edge without data.
	Explicit bool
}

// Dependencies are all instances that the stage's expressions and bodies lead
// to, also through locals and modules, and those of depends_on; each once, in the
// order of Stages. Environments' barriers are not among them.
func (s *Stage) Dependencies() ([]Dependency, hcl.Diagnostics) {
	w := newDependencyWalk(s.module.scope)
	c := s.Context()
	w.expressions(c, s.expressions())
	for _, expr := range s.Config.DependsOn {
		w.dependsOn(c, expr)
	}
	for m := s.module; m.parent != nil; m = m.parent {
		for _, expr := range m.caller.DependsOn {
			w.dependsOn(m.callContext(), expr)
		}
	}
	if at, ok := w.found[s]; ok {
		w.diags = append(w.diags, diagnostics.Error(at.Range, "Stage waits for itself",
			"This leads back to %s, the stage that it stands in, so the stage could never start. Remove the reference; a rollback block reads what its stage gave from self.", s.Addr))
		delete(w.found, s)
	}
	return w.list(), diagnostics.Tidy(w.diags)
}

// References are the instances that the expressions lead to.
func (c *Context) References(exprs ...hcl.Expression) ([]Dependency, hcl.Diagnostics) {
	w := newDependencyWalk(c.module.scope)
	w.expressions(c, exprs)
	return w.list(), diagnostics.Tidy(w.diags)
}

// expressions are all that the stage's block holds, but for_each, which comes
// before any stage, and depends_on.
func (s *Stage) expressions() []hcl.Expression {
	cfg := s.Config
	out := []hcl.Expression{
		cfg.When, cfg.RunIf, cfg.Waves, cfg.MaxDegraded, cfg.Timeout, cfg.OnFailure, cfg.OnDoubt, cfg.WhileWaiting,
	}
	use := func(u *config.Use) {
		if u != nil {
			out = append(out, block.Expressions(u.Body)...)
		}
	}
	use(cfg.Use)
	use(cfg.Strategy)
	use(cfg.Rollback)
	for _, t := range cfg.Targets {
		use(t.Use)
	}
	for _, v := range cfg.Verify {
		use(v.Use)
	}
	for _, p := range cfg.Produces {
		out = append(out, p.Path)
	}
	if a := cfg.Analysis; a != nil {
		compared := func(c config.Comparison) { out = append(out, c.Tolerance, c.Margin, c.MarginAbs, c.Block) }
		out = append(out, a.Interval, a.Deadline, a.OnInconclusive, a.OnNoData, a.Alpha, a.History)
		compared(a.Comparison)
		for _, m := range a.Metrics {
			use(m.Use)
			compared(m.Comparison)
			out = append(out, m.Better, m.Min, m.Max, m.MinCount, m.Quantile, m.Interval, m.Weight, m.Critical, m.Rate)
		}
		for _, o := range a.SLOs {
			use(o.Use)
			out = append(out, o.Metric, o.Objective, o.Window, o.OnExhausted)
		}
	}
	for _, a := range cfg.Approvals {
		out = append(out, a.Required, a.From, a.NotInitiator, a.Expires)
	}
	for _, g := range cfg.Gates {
		out = append(out, g.Message, g.FailOn)
	}
	if r := cfg.Retry; r != nil {
		out = append(out, r.Attempts, r.Delay, r.MaxDelay)
	}
	return slices.DeleteFunc(out, func(e hcl.Expression) bool { return e == nil })
}

type dependencyWalk struct {
	scope *Scope
	found map[*Stage]Dependency
	diags hcl.Diagnostics
	// closures are what each name leads to, as far as it was followed.
	closures map[nameID][]*Stage
	depth    int
}

func newDependencyWalk(s *Scope) *dependencyWalk {
	return &dependencyWalk{scope: s, found: map[*Stage]Dependency{}, closures: map[nameID][]*Stage{}}
}

func (w *dependencyWalk) list() []Dependency {
	stages := make([]*Stage, 0, len(w.found))
	for s := range w.found {
		stages = append(stages, s)
	}
	slices.SortFunc(stages, func(a, b *Stage) int { return cmp.Compare(a.index, b.index) })
	out := make([]Dependency, len(stages))
	for i, s := range stages {
		out[i] = w.found[s]
	}
	return out
}

func (w *dependencyWalk) add(s *Stage, at hcl.Range, explicit bool) {
	if d, ok := w.found[s]; !ok || d.Explicit && !explicit {
		w.found[s] = Dependency{Stage: s.Addr, Range: at, Explicit: explicit}
	}
}

func (w *dependencyWalk) expressions(c *Context, exprs []hcl.Expression) {
	for _, expr := range exprs {
		w.follow(c, expr, func(s *Stage, at hcl.Range) { w.add(s, at, false) })
	}
}

// follow finds the instances that an expression leads to.
func (w *dependencyWalk) follow(c *Context, expr hcl.Expression, emit func(*Stage, hcl.Range)) {
	for _, r := range collect(expr) {
		name, ok := r.name()
		if !ok {
			continue
		}
		if _, extra := c.extra[r.RootName()]; extra {
			continue
		}
		switch r.RootName() {
		case "stage":
			for _, s := range w.stages(c, r, name) {
				emit(s, r.SourceRange())
			}
		case "local":
			w.named(nameID{c.module, "local", name}, r, emit)
		case "var":
			if c.module.parent != nil {
				w.named(nameID{c.module, "var", name}, r, emit)
			}
		case "module":
			for _, m := range w.modules(c, r, name) {
				for _, output := range wantedOutputs(m, r) {
					w.named(nameID{m, "output", output}, r, emit)
				}
			}
		}
	}
}

func (w *dependencyWalk) named(id nameID, r ref, emit func(*Stage, hcl.Range)) {
	for _, s := range w.closure(id) {
		emit(s, r.SourceRange())
	}
}

func (w *dependencyWalk) stages(c *Context, r ref, name string) []*Stage {
	cfg := c.module.declared[name]
	if cfg == nil {
		w.diags = append(w.diags, unknownStage(r, c.module, name))
		return nil
	}
	all := c.module.stages[name]
	if cfg.ForEach == nil {
		return all.list
	}
	return chooseFor(w, c, r, all)
}

func (w *dependencyWalk) modules(c *Context, r ref, name string) []*module {
	all, made := c.module.children[name]
	if !made {
		return nil
	}
	if c.module.calls[name].ForEach == nil {
		return all.list
	}
	return chooseFor(w, c, r, all)
}

// chooseFor is choose for dependencies.
func chooseFor[T interface{ instanceKey() string }](w *dependencyWalk, c *Context, r ref, all *instances[T]) []T {
	if len(all.list) == 1 && all.list[0].instanceKey() == PlaceholderKey {
		return all.list
	}
	chosen, diag := choose(&inputs{ev: newEvaluation(w.scope, true), c: c}, r, all)
	if diag != nil && !r.tried {
		w.diags = append(w.diags, diag)
	}
	return chosen
}

// wantedOutputs are the outputs of a module that a reference can mean.
func wantedOutputs(m *module, r ref) []string {
	position := 2
	if m.caller.ForEach != nil {
		position = 3
	}
	name, ok := r.after(position)
	if !ok {
		return m.outputNames()
	}
	if _, exists := m.outputs[name]; !exists {
		return nil
	}
	return []string{name}
}

// closure is all that a name leads to. The scope keeps those that are complete.
func (w *dependencyWalk) closure(id nameID) []*Stage {
	if known, ok := id.module.closure(id); ok {
		return known
	}
	if partial, ok := w.closures[id]; ok || w.depth > maxChain {
		return partial // a circle, or a chain too long: the evaluation reports it
	}
	w.closures[id] = nil
	w.depth++
	var out []*Stage
	seen := map[*Stage]bool{}
	c, expr := id.expression()
	if expr != nil {
		w.follow(c, expr, func(s *Stage, _ hcl.Range) {
			if !seen[s] {
				seen[s] = true
				out = append(out, s)
			}
		})
	}
	w.depth--
	w.closures[id] = out
	if w.depth == 0 {
		id.module.keepClosure(id, out)
	}
	return out
}

// expression is what a name stands for, and where it is evaluated; nil when it
// is a constant or unknown.
func (id nameID) expression() (*Context, hcl.Expression) {
	m := id.module
	switch id.kind {
	case "local":
		if l := m.locals[id.name]; l != nil {
			return m.context(), l.Expr
		}
	case "output":
		return m.context(), m.outputs[id.name].Value
	case "var":
		if in := m.given[id.name]; in != nil {
			return m.callContext(), in.Expr
		}
	}
	return nil, nil
}

// dependsOn reads one element of a depends_on list.
func (w *dependencyWalk) dependsOn(c *Context, expr hcl.Expression) {
	r, ok := wholeReference(expr)
	if !ok {
		detail := `Each element names a stage or a module: stage.NAME, stage.NAME["KEY"], module.NAME.`
		if text, diags := expr.Value(nil); !diags.HasErrors() && text.Type() == cty.String && !block.InJSON(expr.Range()) {
			detail += " Write it without quotes."
		}
		w.diags = append(w.diags, diagnostics.Error(expr.Range(), "Invalid depends_on", "%s", detail))
		return
	}
	name, _ := r.name()
	if r.RootName() == "stage" {
		for _, s := range w.stages(c, r, name) {
			w.add(s, r.SourceRange(), true)
		}
		return
	}
	if c.module.calls[name] == nil {
		w.diags = append(w.diags, unknownModule(r, c.module, name))
		return
	}
	for _, m := range w.modules(c, r, name) {
		m.eachStage(func(s *Stage) { w.add(s, r.SourceRange(), true) })
	}
}

// wholeReference reads an expression that is nothing but a reference to a stage
// or module, or to an instance of one.
func wholeReference(expr hcl.Expression) (ref, bool) {
	var r ref
	expr = block.Reference(expr)
	if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() {
		r.Traversal = t
	} else {
		for _, candidate := range collect(expr) {
			if candidate.key != nil {
				r = candidate
			}
		}
		if r.key == nil {
			return r, false
		}
	}
	if _, ok := r.name(); !ok || r.RootName() != "stage" && r.RootName() != "module" {
		return r, false
	}
	if len(r.Traversal) == 3 {
		_, isIndex := r.Traversal[2].(hcl.TraverseIndex)
		return r, isIndex
	}
	return r, len(r.Traversal) == 2
}

// eachStage visits the stages of the module instance and of those inside.
func (m *module) eachStage(visit func(*Stage)) {
	for _, cfg := range m.config.Stages {
		for _, s := range m.stages[cfg.Name].list {
			visit(s)
		}
	}
	for _, call := range m.config.Calls {
		if all, made := m.children[call.Name]; made {
			for _, child := range all.list {
				child.eachStage(visit)
			}
		}
	}
}
