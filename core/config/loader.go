package config

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// loader reads one pipeline. It reports a mistake and goes on.
type loader struct {
	src      sources
	opts     Options
	pipeline *Pipeline
	parsed   map[string][]hcl.Body
	// open are the modules whose calls are being followed.
	open  []string
	diags hcl.Diagnostics

	// pools are those that stages name; checked when all are known.
	pools []wantedPool

	firstPipeline, firstRunner hcl.Range
	// incomplete says that something could not be read at all.
	incomplete bool
}

func (l *loader) add(d ...*hcl.Diagnostic) { l.diags = append(l.diags, d...) }

func (l *loader) read(body hcl.Body, s *block.Schema) *block.Content {
	content, diags := block.Read(body, s)
	l.add(diags...)
	return content
}

func (l *loader) load() {
	bodies := l.parseDir(".", rootFile, hcl.Range{})
	if len(bodies) == 0 && len(l.diags) == 0 {
		l.add(diagnostics.Error(hcl.Range{}, "No pipeline here", "There is no %s among the sources.", rootFile))
		l.incomplete = true
	}
	if l.refusedByVersion(bodies) {
		l.incomplete = true
		return
	}
	for _, body := range bodies {
		l.rootBody(body)
	}
	l.checkPipeline()
}

// refusedByVersion looks at required_version before all else: a file for another
// version may use what this one does not know, and then only that is worth saying.
func (l *loader) refusedByVersion(bodies []hcl.Body) bool {
	for _, body := range bodies {
		outer, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "runner"}}})
		for _, b := range outer.Blocks {
			inner, _, _ := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "required_version"}}})
			attr := inner.Attributes["required_version"]
			if attr == nil || l.opts.Version == "" {
				continue
			}
			v, diags := attr.Expr.Value(nil)
			text, ok := stringOf(v)
			if diags.HasErrors() || !ok {
				continue
			}
			want, err := version.NewConstraint(text)
			have, haveErr := version.NewVersion(l.opts.Version)
			if err != nil || haveErr != nil || want.Check(have.Core()) {
				continue
			}
			l.diags = hcl.Diagnostics{diagnostics.Error(attr.Expr.Range(), "Unsupported version of runner",
				"This pipeline wants runner %s, and this is %s. Use a version that fits, or change required_version.", text, l.opts.Version)}
			return true
		}
	}
	return false
}

var pipelineBody = &block.Schema{What: "a pipeline file", Blocks: []block.Block{
	{Type: "runner"},
	{Type: "pipeline", Label: "the pipeline's name"},
	{Type: "variable", Label: "the variable's name"},
	{Type: "locals"},
	{Type: "output", Label: "the output's name"},
	{Type: "plugin", Label: "the plugin's name"},
	{Type: "environment", Label: "the environment's name"},
	{Type: "pool", Label: "the pool's name"},
	{Type: "module", Label: "a name for this use of the module"},
	{Type: "notify", Label: "the component's name"},
	{Type: "stage", Label: "the stage's name"},
}, Words: map[string]string{
	"provider": `Did you mean "plugin"?`, "terraform": `Did you mean "runner"?`, "workspace": `Did you mean "environment"?`,
	"job": `Did you mean "stage"?`, "step": `Did you mean "stage"?`, "task": `Did you mean "stage"?`, "build": `Did you mean "stage"?`, "deploy": `Did you mean "stage"?`,
	"resource": `What is done stands in a stage: stage "…" { use "COMPONENT" { … } }.`,
	"data":     `What is looked up stands in a stage, whose outputs others refer to.`,
	"import":   `Did you mean "module"?`, "include": `Did you mean "module"?`,
	"name": `The name is the label of the pipeline block: pipeline "NAME" {}.`,
}}

// inModules are the blocks that a module may have.
var inModules = []string{"variable", "locals", "output", "module", "stage"}

func (l *loader) rootBody(body hcl.Body) {
	p := l.pipeline
	for _, b := range l.read(body, pipelineBody).Blocks {
		switch b.Type {
		case "runner":
			if l.once(&l.firstRunner, b) {
				l.runner(b)
			}
		case "pipeline":
			if l.once(&l.firstPipeline, b) {
				p.Name, p.NameRange = b.Labels[0], b.LabelRanges[0]
				l.checkName(b)
				l.read(b.Body, &block.Schema{What: "a pipeline block"})
			}
		case "plugin":
			p.Plugins = append(p.Plugins, l.plugin(b))
		case "environment":
			p.Environments = append(p.Environments, l.environment(b))
		case "pool":
			p.Pools = append(p.Pools, l.pool(b))
		case "notify":
			p.Notify = append(p.Notify, l.notify(b))
		default:
			l.moduleBlock(p.Root, b)
		}
	}
}

// once reports whether b is the first block of its type in all files.
func (l *loader) once(first *hcl.Range, b *hcl.Block) bool {
	if first.Filename == "" {
		*first = b.DefRange
		return true
	}
	l.add(diagnostics.Error(b.DefRange, "Duplicate block",
		"A pipeline has only one %s block; the first is at %s. Remove one of them.", b.Type, block.Place(*first)))
	return false
}

func (l *loader) moduleBlock(m *Module, b *hcl.Block) {
	switch b.Type {
	case "variable":
		m.Variables = append(m.Variables, l.variable(b))
	case "locals":
		m.Locals = append(m.Locals, l.locals(b)...)
	case "output":
		m.Outputs = append(m.Outputs, l.output(b))
	case "module":
		m.Calls = append(m.Calls, l.call(m, b))
	case "stage":
		m.Stages = append(m.Stages, l.stage(b))
	}
}

// module reads the module in a directory, once, and gives it nil when it cannot
// be read. At is where it is called.
func (l *loader) module(dir string, at hcl.Range) *Module {
	if i := slices.Index(l.open, dir); i >= 0 || dir == "." {
		l.add(diagnostics.Error(at, "Module contains itself",
			"The module leads back to itself: %s. A module cannot be part of itself.", strings.Join(append(l.open[max(i, 0):], dir), " → ")))
		return nil
	}
	if m, ok := l.pipeline.Modules[dir]; ok {
		return m
	}
	l.open = append(l.open, dir)
	defer func() { l.open = l.open[:len(l.open)-1] }()
	before := len(l.diags)
	bodies := l.parseDir(dir, moduleFile, at)
	if len(bodies) == 0 {
		if len(l.diags) == before {
			l.add(diagnostics.Error(at, "No module here", "There is no %s in %s, which this path leads to.", moduleFile, dir))
		}
		l.incomplete = true
		return nil
	}
	m := &Module{Path: dir}
	l.pipeline.Modules[dir] = m
	for _, body := range bodies {
		for _, b := range l.read(body, pipelineBody).Blocks {
			if !slices.Contains(inModules, b.Type) {
				l.add(diagnostics.Error(b.DefRange, "Block not allowed in a module",
					"The block %q belongs into the pipeline's own files, since it holds for all modules. Move it to %s.", b.Type, rootFile))
				continue
			}
			l.moduleBlock(m, b)
		}
	}
	l.checkModule(m)
	return m
}

var callBody = &block.Schema{What: "a module block", Attributes: []block.Attribute{
	{Name: "source", Required: true}, {Name: "for_each"}, {Name: "inputs"}, {Name: "depends_on"},
}}

func (l *loader) call(m *Module, b *hcl.Block) *Call {
	content := l.read(b.Body, callBody)
	c := &Call{
		Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0],
		ForEach: content.Expr("for_each"), DependsOn: l.exprList(content, "depends_on"),
	}
	l.checkName(b)
	for _, pair := range l.pairs(content, "inputs") {
		c.Inputs = append(c.Inputs, &Input{Name: pair.name, Expr: pair.value, NameRange: pair.nameRange})
	}
	source, at, ok := l.literalString(content, "source")
	if !ok {
		return c
	}
	if !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") {
		l.add(diagnostics.Error(at, "Unsupported module source",
			`A module is a directory beside the pipeline: write a path that begins with "./" or "../", not %q.`, source))
		return c
	}
	dir := path.Join(m.Path, source)
	if called := l.module(dir, at); called != nil {
		c.Path = dir
		l.checkInputs(c, called)
	}
	return c
}

// checkInputs compares what a call gives with the variables of the module.
func (l *loader) checkInputs(c *Call, called *Module) {
	given := map[string]bool{}
	var names []string
	for _, v := range called.Variables {
		names = append(names, v.Name)
	}
	for _, in := range c.Inputs {
		given[in.Name] = true
		if _, ok := called.Variable(in.Name); !ok {
			l.add(diagnostics.Error(in.NameRange, "Unknown input",
				"The module in %s has no variable named %q.%s", called.Path, in.Name, diagnostics.Suggest(in.Name, names)))
		}
	}
	for _, v := range called.Variables {
		if v.Default == cty.NilVal && !given[v.Name] {
			l.add(diagnostics.Error(c.Range, "Missing input",
				"The module in %s needs a value for its variable %q. Add it to inputs, or give the variable a default.", called.Path, v.Name))
		}
	}
}

func (l *loader) checkName(b *hcl.Block) {
	if name := b.Labels[0]; !addr.IsName(name) {
		l.add(diagnostics.Error(b.LabelRanges[0], "Invalid name",
			"%q cannot be a name. Names have letters, digits, _ and -, and begin with a letter or _.", name))
	}
}
