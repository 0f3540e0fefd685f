package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

var runnerBody = &block.Schema{
	What:       "a runner block",
	Attributes: []block.Attribute{{Name: "required_version"}},
	Blocks:     []block.Block{{Type: "required_plugins", Single: true}},
}

func (l *loader) runner(b *hcl.Block) {
	r := &l.pipeline.Runner
	r.Range = b.DefRange
	content := l.read(b.Body, runnerBody)
	if text, at, ok := l.literalString(content, "required_version"); ok {
		r.RequiredVersion = l.constraint(text, at)
		r.RequiredVersionRange = at
	}
	for _, inner := range content.Blocks {
		attrs, diags := inner.Body.JustAttributes()
		l.add(reword(diags, nil)...)
		for name, attr := range attrs {
			if q := l.requiredPlugin(name, attr); q != nil {
				r.RequiredPlugins = append(r.RequiredPlugins, q)
			}
		}
	}
	slices.SortFunc(r.RequiredPlugins, func(a, b *RequiredPlugin) int { return strings.Compare(a.Name, b.Name) })
}

func (l *loader) constraint(text string, at hcl.Range) version.Constraints {
	c, err := version.NewConstraint(text)
	if err != nil {
		l.add(diagnostics.Error(at, "Invalid version constraint",
			`%q is no version constraint. Write for example "~> 1.2", or ">= 1.2, < 2.0".`, text))
		return nil
	}
	return c
}

// pluginSource is namespace/name.
var pluginSource = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*/[a-z0-9][a-z0-9_-]*$`)

func (l *loader) requiredPlugin(name string, attr *hcl.Attribute) *RequiredPlugin {
	q := &RequiredPlugin{Name: name, Range: attr.NameRange}
	if !addr.IsName(name) {
		l.add(diagnostics.Error(attr.NameRange, "Invalid name",
			"%q cannot be a plugin's name. Names have letters, digits, _ and -, and begin with a letter or _.", name))
		return nil
	}
	pairs, diags := hcl.ExprMap(attr.Expr)
	if diags.HasErrors() {
		form := `{ source = "runner/%s", version = "~> 0.1" }`
		if block.InJSON(attr.Expr.Range()) {
			form = `{"source": "runner/%s", "version": "~> 0.1"}`
		}
		l.add(diagnostics.Error(attr.Expr.Range(), "Wrong type", "A required plugin is written as "+form+".", name))
		return nil
	}
	known := []string{"source", "version"}
	for _, kv := range pairs {
		key := hcl.ExprAsKeyword(kv.Key)
		if key == "" {
			if v, diags := kv.Key.Value(nil); !diags.HasErrors() {
				key, _ = stringOf(v)
			}
		}
		if !slices.Contains(known, key) {
			l.add(diagnostics.Error(kv.Key.Range(), "Unknown attribute",
				"A required plugin has a source and a version, no %q.%s", key, diagnostics.Suggest(key, known)))
			continue
		}
		v, ok := l.literal(kv.Value, fmt.Sprintf("%q", key))
		if !ok {
			continue
		}
		text, ok := stringOf(v)
		switch {
		case !ok:
			l.add(diagnostics.Error(kv.Value.Range(), "Wrong type", "The attribute %q is a string in quotes.", key))
		case key == "version":
			q.VersionText, q.Version = text, l.constraint(text, kv.Value.Range())
		case !pluginSource.MatchString(text):
			l.add(diagnostics.Error(kv.Value.Range(), "Invalid plugin source",
				`%q is no source of a plugin. Write namespace/name in lower case, such as "runner/%s".`, text, name))
		default:
			q.Source = text
		}
	}
	if q.Source == "" {
		if !slices.ContainsFunc(pairs, func(kv hcl.KeyValuePair) bool { return hcl.ExprAsKeyword(kv.Key) == "source" }) {
			l.add(diagnostics.Error(attr.Expr.Range(), "Missing attribute", `A required plugin needs a source, such as source = "runner/%s".`, name))
		}
		return nil
	}
	return q
}

var pluginBody = &block.Schema{
	What:       "a plugin block",
	Attributes: []block.Attribute{{Name: "alias"}, {Name: "environment"}},
	Rest:       true,
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) plugin(b *hcl.Block) *Plugin {
	content := l.read(b.Body, pluginBody)
	q := &Plugin{Name: b.Labels[0], Body: content.Rest, Range: b.DefRange, NameRange: b.LabelRanges[0]}
	l.checkName(b)
	if alias, at, ok := l.literalString(content, "alias"); ok {
		if !addr.IsName(alias) {
			l.add(diagnostics.Error(at, "Invalid name",
				"%q cannot be an alias. Names have letters, digits, _ and -, and begin with a letter or _.", alias))
		}
		q.Alias = alias
	}
	for _, expr := range l.exprList(content, "environment") {
		v, ok := l.literal(expr, "The name of an environment variable")
		if !ok {
			continue
		}
		if name, ok := stringOf(v); ok && variableName.MatchString(name) {
			q.Environment = append(q.Environment, name)
		} else {
			l.add(diagnostics.Error(expr.Range(), "Invalid name",
				"Each element is the name of an environment variable that the plugin may see, such as \"AWS_REGION\": letters, digits and _, without a value. This one is none."))
		}
	}
	return q
}

var environmentBody = &block.Schema{
	What:       "an environment block",
	Attributes: []block.Attribute{{Name: "after"}, {Name: "settings"}, {Name: "plugins"}},
	Blocks:     []block.Block{{Type: "approval"}},
}

func (l *loader) environment(b *hcl.Block) *Environment {
	content := l.read(b.Body, environmentBody)
	e := &Environment{Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0], Settings: content.Expr("settings")}
	l.checkName(b)
	for _, expr := range l.exprList(content, "after") {
		if name, ok := l.reference(expr, "environment"); ok {
			e.After = append(e.After, EnvironmentRef{Name: name, Range: expr.Range()})
		}
	}
	for _, pair := range l.pairs(content, "plugins") {
		if ref, ok := l.pluginRef(pair); ok {
			e.Plugins = append(e.Plugins, ref)
		}
	}
	for _, inner := range content.Blocks {
		e.Approvals = append(e.Approvals, l.approval(inner))
	}
	return e
}

// reference reads kind.NAME, such as environment.prod.
func (l *loader) reference(expr hcl.Expression, kind string) (string, bool) {
	t, diags := hcl.AbsTraversalForExpr(block.Reference(expr))
	if !diags.HasErrors() && len(t) == 2 && t.RootName() == kind {
		if attr, ok := t[1].(hcl.TraverseAttr); ok {
			return attr.Name, true
		}
	}
	how := "without quotes"
	if block.InJSON(expr.Range()) {
		how = "in quotes"
	}
	l.add(diagnostics.Error(expr.Range(), "Invalid reference", "Write %s.NAME here, %s.", kind, how))
	return "", false
}

func (l *loader) pluginRef(p pair) (PluginRef, bool) {
	ref := PluginRef{Name: p.name, Range: p.value.Range()}
	t, diags := hcl.AbsTraversalForExpr(block.Reference(p.value))
	if !diags.HasErrors() && (len(t) == 2 || len(t) == 3) && t.RootName() == "plugin" {
		name, ok := t[1].(hcl.TraverseAttr)
		alias, aliasOK := t[len(t)-1].(hcl.TraverseAttr)
		if ok && aliasOK && name.Name == p.name {
			if len(t) == 3 {
				ref.Alias = alias.Name
			}
			return ref, true
		}
	}
	l.add(diagnostics.Error(p.value.Range(), "Invalid reference",
		"Write plugin.%s.ALIAS here: a configuration of the plugin named on the left.", p.name))
	return ref, false
}

var poolBody = &block.Schema{What: "a pool block", Attributes: []block.Attribute{{Name: "limit", Required: true}}}

func (l *loader) pool(b *hcl.Block) *Pool {
	l.checkName(b)
	return &Pool{Name: b.Labels[0], Limit: l.read(b.Body, poolBody).Expr("limit"), Range: b.DefRange, NameRange: b.LabelRanges[0]}
}

var notifyBody = &block.Schema{What: "a notify block", Attributes: []block.Attribute{{Name: "on"}}, Rest: true}

func (l *loader) notify(b *hcl.Block) *Notify {
	content := l.read(b.Body, notifyBody)
	l.checkComponent(b.Labels[0], b.LabelRanges[0])
	return &Notify{Component: b.Labels[0], ComponentRange: b.LabelRanges[0], On: content.Expr("on"), Body: content.Rest, Range: b.DefRange}
}

// checkComponent looks at the form of a component's name: "name", or "plugin/name".
func (l *loader) checkComponent(name string, at hcl.Range) {
	plugin, component, qualified := strings.Cut(name, "/")
	if addr.IsName(plugin) && (!qualified || addr.IsName(component)) {
		return
	}
	l.add(diagnostics.Error(at, "Invalid name",
		`%q cannot name a component. Write its name, such as "local_exec", or "plugin/name" where two plugins offer it.`, name))
}

var variableBody = &block.Schema{
	What: "a variable block",
	Attributes: []block.Attribute{
		{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}, {Name: "nullable"},
	},
	Blocks: []block.Block{{Type: "validation"}},
}

var validationBody = &block.Schema{
	What:       "a validation block",
	Attributes: []block.Attribute{{Name: "condition", Required: true}, {Name: "error_message", Required: true}},
}

func (l *loader) variable(b *hcl.Block) *Variable {
	content := l.read(b.Body, variableBody)
	v := &Variable{
		Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0],
		Type:      l.variableType(content),
		Sensitive: l.literalBool(content, "sensitive", false),
		Nullable:  l.literalBool(content, "nullable", true),
	}
	l.checkName(b)
	v.Description, _, _ = l.literalString(content, "description")
	if expr := content.Expr("default"); expr != nil {
		v.DefaultRange = expr.Range()
		before := len(l.diags)
		v.Default = l.literalDefault(content, v.Type)
		if len(l.diags) == before && !v.Nullable && v.Default.IsNull() {
			l.add(diagnostics.Error(expr.Range(), "Invalid default", "The default is null, and nullable = false says that the variable never is."))
		}
		if v.Sensitive {
			hide(l.diags[before:])
		}
	}
	for _, inner := range content.Blocks {
		rule := l.read(inner.Body, validationBody)
		if c, m := rule.Expr("condition"), rule.Expr("error_message"); c != nil && m != nil {
			v.Validations = append(v.Validations, &Validation{Condition: c, ErrorMessage: m, Range: inner.DefRange})
		}
	}
	return v
}

// hide keeps the source line out of messages about a sensitive value.
func hide(diags hcl.Diagnostics) {
	for _, d := range diags {
		d.Extra = diagnostics.Extra{Hidden: true}
	}
}

func (l *loader) locals(b *hcl.Block) []*Local {
	attrs, diags := b.Body.JustAttributes()
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "Unexpected ") && d.Subject != nil {
			d = diagnostics.Error(*d.Subject, "Attribute expected", "In locals there are no blocks: each local is written as name = value, an object as name = { … }.")
		}
		l.add(d)
	}
	var out []*Local
	for name, attr := range attrs {
		if !addr.IsName(name) {
			l.add(diagnostics.Error(attr.NameRange, "Invalid name",
				"%q cannot be a name. Names have letters, digits, _ and -, and begin with a letter or _.", name))
			continue
		}
		out = append(out, &Local{Name: name, Expr: attr.Expr, NameRange: attr.NameRange})
	}
	slices.SortFunc(out, func(a, b *Local) int { return a.NameRange.Start.Byte - b.NameRange.Start.Byte })
	return out
}

var outputBody = &block.Schema{
	What:       "an output block",
	Attributes: []block.Attribute{{Name: "value", Required: true}, {Name: "description"}, {Name: "sensitive"}},
}

func (l *loader) output(b *hcl.Block) *Output {
	content := l.read(b.Body, outputBody)
	o := &Output{Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0], Value: content.Expr("value")}
	l.checkName(b)
	o.Description, _, _ = l.literalString(content, "description")
	o.Sensitive = l.literalBool(content, "sensitive", false)
	if o.Value == nil {
		o.Value = hcl.StaticExpr(cty.DynamicVal, b.DefRange)
	}
	return o
}
