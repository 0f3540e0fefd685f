package scope

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// roots are the names that an expression can begin with, everywhere or in
// certain places.
var roots = []string{
	"var", "local", "path", "pipeline", "run", "git", "env", "each", "environment", "stage", "module",
	"candidate", "stable", "target", "self",
}

// failUnlessTried is for what may rightly be absent: inside try and can it is
// left out, and the function finds out for itself.
func (in *inputs) failUnlessTried(r ref, d *hcl.Diagnostic) {
	if !r.tried {
		in.fail(d)
	}
}

// add finds the value of one reference.
func (in *inputs) add(r ref) {
	root := r.RootName()
	if v, ok := in.c.extra[root]; ok {
		in.setWhole(root, v)
		in.use(result{dynamic: root})
		return
	}
	switch root {
	case "var", "local":
		in.addNamed(root, r)
	case "stage", "module":
		in.addInstances(root, r)
	case "environment":
		in.addEnvironment(r)
	case "path", "pipeline", "run", "git":
		in.addFacts(root, r)
	case "each":
		if in.c.each == nil {
			in.failUnlessTried(r, diagnostics.Error(r.SourceRange(), "No for_each here", "%q stands for one element of for_each, and there is none here.", "each"))
			return
		}
		in.setWhole(root, cty.ObjectVal(map[string]cty.Value{"key": in.c.each.key, "value": in.c.each.value}))
		in.checkName(r, "each", []string{"key", "value"})
	case "env":
		in.addEnv(r)
	default:
		in.fail(in.unknownRoot(r))
	}
}

func (in *inputs) unknownRoot(r ref) *hcl.Diagnostic {
	root := r.RootName()
	m := in.c.module
	switch {
	case root == "plugin" || root == "pool":
		return diagnostics.Error(r.SourceRange(), "Reference not allowed here",
			"%q can be named where a block asks for it, and has no value that could be used in an expression.", r.text(2))
	case slices.Contains(roots, root):
		return diagnostics.Error(r.SourceRange(), "Reference not allowed here",
			"%q has a meaning in %s blocks only.", root, meaningful(root))
	}
	hint := diagnostics.Suggest(root, roots)
	switch {
	case m.variables[root] != nil:
		hint = fmt.Sprintf(" Did you mean var.%s?", root)
	case m.locals[root] != nil:
		hint = fmt.Sprintf(" Did you mean local.%s?", root)
	case m.declared[root] != nil:
		hint = fmt.Sprintf(" Did you mean stage.%s?", root)
	case hint != "":
	case len(r.Traversal) == 1 && in.interpolated(r.SourceRange()):
		hint = fmt.Sprintf(" To give it to a shell as it stands, write $${%s}.", root)
	case len(r.Traversal) == 1:
		hint = fmt.Sprintf(" A text needs quotes: %q.", root)
	default:
		hint = " References begin with " + strings.Join(roots[:11], ", ") + "."
	}
	return diagnostics.Error(r.SourceRange(), "Unknown name", "Nothing is called %q here.%s", root, hint)
}

// meaningful are the blocks in which a root that is not for everywhere can stand.
func meaningful(root string) string {
	if root == "self" {
		return "rollback"
	}
	return "verify and metric"
}

// interpolated reports whether ${ stands right before a place.
func (in *inputs) interpolated(at hcl.Range) bool {
	f := in.c.module.scope.pipeline.Files[at.Filename]
	return f != nil && at.Start.Byte >= 2 && at.Start.Byte <= len(f.Bytes) && string(f.Bytes[at.Start.Byte-2:at.Start.Byte]) == "${"
}

// wholeNotAllowed is for roots that exist only as names to pick from.
func wholeNotAllowed(r ref, example string) *hcl.Diagnostic {
	return diagnostics.Error(r.SourceRange(), "Incomplete reference",
		"%q alone is no value. Name what is meant, such as %s.", r.RootName(), example)
}

func (in *inputs) addNamed(root string, r ref) {
	name, ok := r.name()
	if !ok {
		in.fail(wholeNotAllowed(r, root+".NAME"))
		return
	}
	if in.has(root, name) {
		return
	}
	m := in.c.module
	if root == "var" {
		if res, ok := in.ev.variable(m, name, r.SourceRange()); ok {
			in.pick(root, name, in.use(res))
			return
		}
		hint := diagnostics.Suggest(name, slices.Collect(maps.Keys(m.variables)))
		if hint == "" {
			hint = fmt.Sprintf(" Declare it with variable %q { … }.", name)
		}
		in.fail(diagnostics.Error(r.SourceRange(), "Unknown variable", "No variable is named %q.%s", name, hint))
		return
	}
	if res, ok := in.ev.local(m, name, r.SourceRange()); ok {
		in.pick(root, name, in.use(res))
		return
	}
	hint := diagnostics.Suggest(name, slices.Collect(maps.Keys(m.locals)))
	if hint == "" {
		hint = " Declare it in a locals block."
	}
	in.fail(diagnostics.Error(r.SourceRange(), "Unknown local", "No local is named %q.%s", name, hint))
}

func (in *inputs) addFacts(root string, r ref) {
	s := in.ev.scope
	var v cty.Value
	switch root {
	case "path":
		cwd := cty.UnknownVal(cty.String)
		if name, ok := r.name(); !ok || name == "cwd" {
			cwd = cty.StringVal(s.world.Cwd())
		} else if before, ok := in.whole["path"]; ok {
			cwd = before.GetAttr("cwd")
		}
		v = cty.ObjectVal(map[string]cty.Value{"root": cty.StringVal("."), "module": cty.StringVal(in.c.module.config.Path), "cwd": cwd})
	case "pipeline":
		v = cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(s.pipeline.Name)})
	case "run":
		if in.c.static {
			in.fail(notYet(r, r.text(2)))
			return
		}
		in.use(result{dynamic: "run"})
		v = s.runValue()
	case "git":
		g, err := s.world.Git()
		if err != nil {
			in.failUnlessTried(r, diagnostics.Error(r.SourceRange(), "Git facts not available",
				"%s. Run this in a clone of a repository, or give another value with try(git.…, …).", upperFirst(err.Error())))
			return
		}
		v = cty.ObjectVal(map[string]cty.Value{
			"commit": cty.StringVal(g.Commit), "short_commit": cty.StringVal(g.ShortCommit),
			"branch": cty.StringVal(g.Branch), "tag": cty.StringVal(g.Tag), "dirty": cty.BoolVal(g.Dirty),
		})
	}
	in.setWhole(root, v)
	in.checkName(r, root, slices.Sorted(maps.Keys(v.Type().AttributeTypes())))
}

// checkName reports an unknown second step with a suggestion.
func (in *inputs) checkName(r ref, what string, names []string) {
	if len(r.Traversal) < 2 {
		return
	}
	if name, ok := attr(r.Traversal[1]); ok && !slices.Contains(names, name) {
		in.fail(diagnostics.Error(r.SourceRange(), "Unknown name",
			"%s has no %q.%s", what, name, suggestOrList(name, names)))
	}
}

// suggestOrList is a suggestion, or all there is where that is little.
func suggestOrList(name string, names []string) string {
	if hint := diagnostics.Suggest(name, names); hint != "" {
		return hint
	}
	switch n := len(names); {
	case n == 0:
		return " There is none."
	case n <= 12:
		return " There is: " + strings.Join(names, ", ") + "."
	}
	return ""
}

func notYet(r ref, what string) *hcl.Diagnostic {
	return diagnostics.Error(r.SourceRange(), "Not known yet",
		"%s is known only later, and this must be known before anything else. Use variables and locals that do not depend on it.", what)
}

func (in *inputs) addEnv(r ref) {
	switch c := in.c; {
	case c.env != nil:
		in.setWhole("env", c.env.Value)
		in.checkName(r, "env", []string{"name", "settings"})
	case c.envUnknown:
		in.setWhole("env", cty.DynamicVal)
	default:
		in.failUnlessTried(r, diagnostics.Error(r.SourceRange(), "No environment here",
			`"env" is the environment that a stage belongs to, and here is none. Give the stage for_each = environment, or environment = environment.NAME.`))
	}
}

func (in *inputs) addEnvironment(r ref) {
	s := in.ev.scope
	names := make([]string, len(s.environments))
	for i, e := range s.environments {
		names[i] = e.Name
	}
	if len(r.Traversal) > 1 {
		if name, ok := attr(r.Traversal[1]); ok && !slices.Contains(names, name) {
			in.failUnlessTried(r, diagnostics.Error(r.SourceRange(), "Unknown environment", "No environment is named %q.%s", name,
				diagnostics.SuggestOr(name, names, "Declare it with environment %q { … }.", name)))
			return
		}
	}
	if s.environmentValue == cty.NilVal {
		in.fail(notYet(r, "What environments are"))
		return
	}
	in.setWhole("environment", s.environmentValue)
}

// addInstances finds a stage's outputs or a module's.
func (in *inputs) addInstances(root string, r ref) {
	name, ok := r.name()
	if !ok {
		in.fail(wholeNotAllowed(r, root+".NAME"))
		return
	}
	if in.c.static {
		in.fail(notYet(r, fmt.Sprintf("What %s gives", r.text(2))))
		return
	}
	if root == "stage" {
		in.addStage(r, name)
	} else {
		in.addModule(r, name)
	}
}

func (in *inputs) addStage(r ref, name string) {
	m := in.c.module
	cfg := m.declared[name]
	if cfg == nil {
		in.fail(unknownStage(r, m, name))
		return
	}
	in.use(result{dynamic: "stage." + name})
	all := m.stages[name]
	if in.ev.static {
		// Instances may not have been made yet.
		in.pick("stage", name, cty.DynamicVal)
		return
	}
	if cfg.ForEach == nil {
		if !in.has("stage", name) {
			in.pick("stage", name, in.ev.outputsOf(all.list[0]))
		}
		return
	}
	if len(all.list) == 1 && all.list[0].Placeholder {
		in.pick("stage", name, cty.DynamicVal)
		return
	}
	chosen, diag := choose(in, r, all)
	if diag != nil {
		in.failUnlessTried(r, diag)
		return
	}
	if len(all.list) == 0 {
		in.pick("stage", name, cty.EmptyObjectVal)
		return
	}
	for _, s := range chosen {
		if !in.hasInstance("stage", name, s.Addr.Key) {
			in.pickInstance("stage", name, s.Addr.Key, in.ev.outputsOf(s))
		}
	}
}

func unknownStage(r ref, m *module, name string) *hcl.Diagnostic {
	names := make([]string, len(m.config.Stages))
	for i, s := range m.config.Stages {
		names[i] = s.Name
	}
	where := ""
	if m.addr != "" {
		where = " in this module"
	}
	return diagnostics.Error(r.SourceRange(), "Unknown stage", "No stage is named %q%s.%s", name, where,
		diagnostics.SuggestOr(name, names, "Declare it with stage %q { … }.", name))
}

func unknownModule(r ref, m *module, name string) *hcl.Diagnostic {
	names := make([]string, len(m.config.Calls))
	for i, c := range m.config.Calls {
		names[i] = c.Name
	}
	return diagnostics.Error(r.SourceRange(), "Unknown module", "No module is named %q.%s", name,
		diagnostics.SuggestOr(name, names, "Declare it with module %q { … }.", name))
}

func (in *inputs) addModule(r ref, name string) {
	m := in.c.module
	call := m.calls[name]
	if call == nil {
		in.fail(unknownModule(r, m, name))
		return
	}
	all, made := m.children[name]
	if !made || in.ev.static || len(all.list) == 1 && all.list[0].placeholder {
		// Instances may not have been made yet, or cannot be.
		in.use(result{dynamic: "module." + name})
		in.pick("module", name, cty.DynamicVal)
		return
	}
	if call.ForEach == nil {
		in.pick("module", name, in.outputsOfModule(all.list[0], r, 2, in.picked["module"][name]))
		return
	}
	chosen, diag := choose(in, r, all)
	if diag != nil {
		in.failUnlessTried(r, diag)
		return
	}
	if len(all.list) == 0 {
		in.pick("module", name, cty.EmptyObjectVal)
		return
	}
	for _, child := range chosen {
		in.pickInstance("module", name, child.key, in.outputsOfModule(child, r, 3, in.instances["module"][name][child.key]))
	}
}

// outputsOfModule is an object of those outputs that are referred to: the step
// at the position, or all. Before is what was gathered by earlier references.
func (in *inputs) outputsOfModule(m *module, r ref, position int, before cty.Value) cty.Value {
	out := map[string]cty.Value{}
	if before != cty.NilVal {
		maps.Copy(out, before.AsValueMap())
	}
	names := m.outputNames()
	wanted := names
	if name, ok := r.after(position); ok {
		if !slices.Contains(names, name) {
			in.fail(diagnostics.Error(r.SourceRange(), "Unknown output", "The module has no output named %q.%s", name, suggestOrList(name, names)))
			return cty.DynamicVal
		}
		wanted = []string{name}
	}
	for _, name := range wanted {
		if _, done := out[name]; !done {
			res, _ := in.ev.output(m, name, r.SourceRange())
			out[name] = in.use(res)
		}
	}
	return cty.ObjectVal(out)
}

func (ev *evaluation) outputsOf(s *Stage) cty.Value {
	if ev.static || ev.scope.outputs == nil {
		return cty.DynamicVal
	}
	if v := ev.scope.outputs.Outputs(s.Addr); v != cty.NilVal {
		return v
	}
	return cty.DynamicVal
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
