package config

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// names finds two things of one kind with the same name.
type names struct {
	l     *loader
	first map[string]hcl.Range
}

func (l *loader) newNames() *names { return &names{l, map[string]hcl.Range{}} }

// add takes the name of a block from its label, and checks its form.
func (n *names) add(kind string, b *hcl.Block) {
	if len(b.Labels) == 0 {
		n.declare(kind, "", b.DefRange)
		return
	}
	n.l.checkName(b)
	n.declare(kind, b.Labels[0], b.DefRange)
}

func (n *names) declare(kind, name string, at hcl.Range) {
	id := kind + "\x00" + name
	earlier, found := n.first[id]
	switch {
	case !found:
		n.first[id] = at
	case name == "":
		n.l.add(diagnostics.Error(at, "Duplicate name",
			"There is already %s without a name at %s. Give one of them a name.", article(kind), block.Place(earlier)))
	default:
		n.l.add(diagnostics.Error(at, "Duplicate name",
			"%s named %q is already declared at %s. Rename or remove one of them.", upperFirst(article(kind)), name, block.Place(earlier)))
	}
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) || noun == "SLO" {
		return "an " + noun
	}
	return "a " + noun
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func (l *loader) checkModule(m *Module) {
	n := l.newNames()
	for _, v := range m.Variables {
		n.declare("variable", v.Name, v.Range)
	}
	for _, v := range m.Locals {
		n.declare("local", v.Name, v.NameRange)
	}
	for _, v := range m.Outputs {
		n.declare("output", v.Name, v.Range)
	}
	for _, v := range m.Calls {
		n.declare("module", v.Name, v.Range)
	}
	for _, v := range m.Stages {
		n.declare("stage", v.Name, v.Range)
	}
}

// checkPipeline looks at what only the whole can tell. What is missing is said
// only where everything could be read.
func (l *loader) checkPipeline() {
	p := l.pipeline
	l.checkModule(p.Root)
	n := l.newNames()
	for _, e := range p.Environments {
		n.declare("environment", e.Name, e.Range)
	}
	for _, q := range p.Pools {
		n.declare("pool", q.Name, q.Range)
	}
	l.checkPlugins()
	l.checkEnvironments()
	pools := make([]string, len(p.Pools))
	for i, q := range p.Pools {
		pools[i] = q.Name
	}
	known := setOf(pools)
	for _, wanted := range l.pools {
		if !known[wanted.name] {
			l.add(diagnostics.Error(wanted.at, "Unknown pool", "No pool is named %q.%s", wanted.name,
				diagnostics.SuggestOr(wanted.name, pools, "Declare it with pool %q { limit = … }.", wanted.name)))
		}
	}
	if l.incomplete {
		return
	}
	at := l.anyFile()
	if l.firstPipeline.Filename == "" && !l.diags.HasErrors() {
		l.add(diagnostics.Error(at, "Missing pipeline block", `The pipeline needs a name, under which its runs are recorded. Write pipeline "NAME" {}.`))
	}
	stages := 0
	for _, m := range p.Modules {
		stages += len(m.Stages)
	}
	if stages == 0 && !l.diags.HasErrors() {
		l.add(diagnostics.Error(p.NameRange, "Empty pipeline", `There is no stage, so there is nothing to run. Write stage "NAME" { use "COMPONENT" { … } }.`))
	}
}

// anyFile is the beginning of the first file.
func (l *loader) anyFile() hcl.Range {
	var first string
	for name := range l.pipeline.Files {
		if first == "" || name < first {
			first = name
		}
	}
	return hcl.Range{Filename: first, Start: hcl.InitialPos, End: hcl.InitialPos}
}

func (l *loader) checkPlugins() {
	p := l.pipeline
	var required []string
	for _, q := range p.Runner.RequiredPlugins {
		required = append(required, q.Name)
	}
	known := setOf(required)
	type id struct{ name, alias string }
	first := map[id]hcl.Range{}
	for _, q := range p.Plugins {
		if earlier, found := first[id{q.Name, q.Alias}]; found {
			advice := "Give one of them an alias."
			if q.Alias != "" {
				advice = "Give one of them another alias."
			}
			l.add(diagnostics.Error(q.Range, "Duplicate name", "The plugin %q is already configured in this way at %s. %s", q.Name, block.Place(earlier), advice))
		}
		first[id{q.Name, q.Alias}] = q.Range
		if !l.incomplete && !known[q.Name] {
			l.add(diagnostics.Error(q.NameRange, "Unknown plugin",
				"required_plugins does not list %q, so it is not known where this plugin comes from.%s", q.Name, diagnostics.Suggest(q.Name, required)))
		}
	}
}

func (l *loader) checkEnvironments() {
	p := l.pipeline
	var all []string
	for _, e := range p.Environments {
		all = append(all, e.Name)
	}
	known := setOf(all)
	for _, e := range p.Environments {
		for _, ref := range e.After {
			if !known[ref.Name] {
				l.add(diagnostics.Error(ref.Range, "Unknown environment", "No environment is named %q.%s", ref.Name,
					diagnostics.SuggestOr(ref.Name, all, "Declare it with environment %q { … }.", ref.Name)))
			}
		}
		for _, ref := range e.Plugins {
			if _, ok := p.Plugin(ref.Name, ref.Alias); ok || ref.Alias == "" {
				continue
			}
			var aliases []string
			for _, q := range p.Plugins {
				if q.Name == ref.Name && q.Alias != "" {
					aliases = append(aliases, q.Alias)
				}
			}
			l.add(diagnostics.Error(ref.Range, "Unknown plugin configuration",
				"No plugin %q block has the alias %q.%s", ref.Name, ref.Alias, diagnostics.Suggest(ref.Alias, aliases)))
		}
	}
	if cycle := environmentCycle(p.Environments); cycle != nil {
		at, _ := p.Environment(cycle[0])
		l.add(diagnostics.Error(at.Range, "Environments in a circle",
			"Each of these environments comes after the next, so none can be first: %s. Remove one of the references in after.", strings.Join(append(cycle, cycle[0]), " → ")))
	}
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// environmentCycle is one circle of environments, nil when there is none.
func environmentCycle(environments []*Environment) []string {
	const (
		open = iota + 1
		done
	)
	byName := map[string]*Environment{}
	for _, e := range environments {
		byName[e.Name] = e
	}
	state := map[string]int{}
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		switch state[name] {
		case open:
			return slices.Clone(path[slices.Index(path, name):])
		case done:
			return nil
		}
		state[name] = open
		path = append(path, name)
		if e := byName[name]; e != nil {
			for _, ref := range e.After {
				if cycle := visit(ref.Name); cycle != nil {
					return cycle
				}
			}
		}
		path = path[:len(path)-1]
		state[name] = done
		return nil
	}
	for _, e := range environments {
		if cycle := visit(e.Name); cycle != nil {
			return cycle
		}
	}
	return nil
}

func (l *loader) checkPool(name string, at hcl.Range) {
	l.pools = append(l.pools, wantedPool{name, at})
}

type wantedPool struct {
	name string
	at   hcl.Range
}

// checkStage looks at what belongs together. Misread says that blocks of the
// stage were not understood, so that nothing can be said to be missing.
func (l *loader) checkStage(s *Stage, misread bool) {
	switch {
	case s.Use != nil && len(s.Targets) > 0:
		l.add(diagnostics.Error(s.Targets[0].Range, "Conflicting blocks",
			"A stage has either a use block or target blocks; the use is at %s. Put it into a target block of its own.", block.Place(s.Use.Range)))
	case s.Use == nil && len(s.Targets) == 0 && !misread && !l.incomplete:
		l.add(diagnostics.Error(s.Range, "Missing use",
			`A stage needs something to do: use "COMPONENT" { … }, or target "NAME" { … } blocks for a rollout over several targets.`))
	case s.Use != nil:
		for _, given := range []struct {
			name string
			expr hcl.Expression
		}{{"waves", s.Waves}, {"max_degraded", s.MaxDegraded}} {
			if given.expr != nil {
				l.add(diagnostics.Error(given.expr.Range(), "Attribute without effect",
					"%q orders several targets, and this stage has only its use block. Write target blocks, or remove %s.", given.name, given.name))
			}
		}
	}
	if s.Analysis != nil && s.Strategy == nil {
		l.add(diagnostics.Error(s.Analysis.Range, "Missing strategy",
			`An analysis judges how a strategy moves traffic, and this stage has none. Add strategy "COMPONENT" { … }.`))
	}
}
