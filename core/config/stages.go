package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

var (
	useBlock      = block.Block{Type: "use", Label: "the component's name"}
	approvalAttrs = []string{"required", "from", "not_initiator", "expires"}
	gateAttrs     = []string{"message", "fail_on", "input"}
)

var stageBody = &block.Schema{
	What: "a stage block",
	Attributes: []block.Attribute{
		{Name: "for_each"}, {Name: "environment"}, {Name: "when"}, {Name: "run_if"}, {Name: "depends_on"},
		{Name: "produces"}, {Name: "pool"}, {Name: "waves"}, {Name: "max_degraded"}, {Name: "timeout"},
		{Name: "on_failure"}, {Name: "on_doubt"}, {Name: "while_waiting"},
	},
	Blocks: []block.Block{
		useBlock,
		{Type: "target", Label: "the target's name"},
		{Type: "strategy", Label: "the component's name"},
		{Type: "analysis", Single: true},
		{Type: "verify", Label: "a name for the check"},
		{Type: "approval", Label: "the approval's name", LabelOptional: true, Attributes: approvalAttrs},
		{Type: "gate", Label: "the gate's name", LabelOptional: true, Attributes: gateAttrs},
		{Type: "retry", Single: true},
		{Type: "rollback", Single: true},
	},
	Words: map[string]string{
		"if": `Did you mean "when"?`, "condition": `Did you mean "when"?`, "only_if": `Did you mean "when"?`,
		"needs": `Did you mean "depends_on"?`, "after": `Did you mean "depends_on"?`, "requires": `Did you mean "depends_on"?`,
		"count":   `Did you mean "for_each"? It makes one instance for each element.`,
		"matrix":  `Did you mean "for_each"? It makes one instance for each element.`,
		"retries": `Did you mean the block retry { attempts = … }?`, "attempts": `Did you mean the block retry { attempts = … }?`,
		"env": insideUse, "command": insideUse, "script": insideUse, "run": insideUse, "image": insideUse, "steps": insideUse, "replicas": insideUse,
		"outputs": `Did you mean "produces"?`, "artifacts": `Did you mean "produces"?`,
		"notify": `A notify block stands outside of stages, and speaks of all of them.`,
		"lock":   `Did you mean "pool"?`, "concurrency": `Did you mean "pool"?`,
	},
}

const insideUse = `What a component is to do stands inside of its block: use "COMPONENT" { … }.`

func (l *loader) stage(b *hcl.Block) *Stage {
	before := len(l.diags)
	content := l.read(b.Body, stageBody)
	misread := slices.ContainsFunc(l.diags[before:], func(d *hcl.Diagnostic) bool {
		return d.Summary == block.UnknownBlock || d.Summary == block.BlockExpected || d.Summary == block.MissingLabel
	})
	s := &Stage{
		Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0],
		ForEach:      content.Expr("for_each"),
		Environment:  content.Expr("environment"),
		When:         content.Expr("when"),
		RunIf:        content.Expr("run_if"),
		Waves:        content.Expr("waves"),
		MaxDegraded:  content.Expr("max_degraded"),
		Timeout:      content.Expr("timeout"),
		OnFailure:    content.Expr("on_failure"),
		OnDoubt:      content.Expr("on_doubt"),
		WhileWaiting: content.Expr("while_waiting"),
		DependsOn:    l.exprList(content, "depends_on"),
	}
	l.checkName(b)
	if expr := content.Expr("pool"); expr != nil {
		if name, ok := l.reference(expr, "pool"); ok {
			s.Pool = name
			l.checkPool(name, expr.Range())
		}
	}
	for _, pair := range l.pairs(content, "produces") {
		s.Produces = append(s.Produces, &Product{Name: pair.name, Path: pair.value, NameRange: pair.nameRange})
	}
	names := l.newNames()
	for _, inner := range content.Blocks {
		l.stageBlock(s, inner, names)
	}
	l.checkStage(s, misread)
	return s
}

func (l *loader) stageBlock(s *Stage, b *hcl.Block, names *names) {
	switch b.Type {
	case "use":
		if s.Use != nil {
			l.second(b, s.Use.Range, "A stage has one use block. Put the other into a stage of its own")
			return
		}
		s.Use = l.use(b)
	case "strategy":
		if s.Strategy != nil {
			l.second(b, s.Strategy.Range, "A stage has one strategy. Remove one of them")
			return
		}
		s.Strategy = l.use(b)
	case "target":
		names.add("target", b)
		s.Targets = append(s.Targets, &Target{
			Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0],
			Use: l.onlyUse(b.Body, "a target block", b.DefRange),
		})
	case "verify":
		names.add("verify", b)
		s.Verify = append(s.Verify, &Verify{
			Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0],
			Use: l.onlyUse(b.Body, "a verify block", b.DefRange),
		})
	case "analysis":
		if s.Analysis == nil {
			s.Analysis = l.analysis(b)
		}
	case "approval":
		names.add("approval", b)
		s.Approvals = append(s.Approvals, l.approval(b))
	case "gate":
		names.add("gate", b)
		s.Gates = append(s.Gates, l.gate(b))
	case "retry":
		if s.Retry == nil {
			s.Retry = l.retry(b)
		}
	case "rollback":
		if s.Rollback == nil {
			s.Rollback = l.onlyUse(b.Body, "a rollback block", b.DefRange)
		}
	}
}

// second reports a block that may stand only once, whatever its label.
func (l *loader) second(b *hcl.Block, first hcl.Range, advice string) {
	l.add(diagnostics.Error(b.DefRange, "Duplicate block", "%s; the first is at %s.", advice, block.Place(first)))
}

func (l *loader) use(b *hcl.Block) *Use {
	l.checkComponent(b.Labels[0], b.LabelRanges[0])
	return &Use{Component: b.Labels[0], Body: b.Body, ComponentRange: b.LabelRanges[0], Range: b.DefRange}
}

// onlyUse reads a body that holds one use block and nothing else; nil without it.
func (l *loader) onlyUse(body hcl.Body, what string, at hcl.Range) *Use {
	return l.mustUse(l.read(body, &block.Schema{What: what, Blocks: []block.Block{useBlock}}), what, at)
}

func (l *loader) pickUse(content *block.Content, what string) *Use {
	var use *Use
	for _, b := range content.Blocks {
		switch {
		case b.Type != "use":
		case use != nil:
			l.second(b, use.Range, "There can be one use block in "+what)
		default:
			use = l.use(b)
		}
	}
	return use
}

// mustUse is pickUse where there must be one.
func (l *loader) mustUse(content *block.Content, what string, at hcl.Range) *Use {
	use := l.pickUse(content, what)
	if use == nil {
		l.add(diagnostics.Error(at, "Missing use", `There must be a use block in %s: use "COMPONENT" { … } says which component does the work.`, what))
	}
	return use
}

var analysisBody = &block.Schema{
	What: "an analysis block",
	Attributes: append([]block.Attribute{
		{Name: "interval"}, {Name: "deadline"}, {Name: "on_inconclusive"}, {Name: "on_no_data"}, {Name: "alpha"}, {Name: "history"},
	}, comparisonAttrs...),
	Blocks: []block.Block{{Type: "metric", Label: "the metric's name"}, {Type: "slo", Label: "the SLO's name"}},
}

var comparisonAttrs = []block.Attribute{{Name: "tolerance"}, {Name: "margin"}, {Name: "margin_abs"}, {Name: "block"}}

func comparison(c *block.Content) Comparison {
	return Comparison{Tolerance: c.Expr("tolerance"), Margin: c.Expr("margin"), MarginAbs: c.Expr("margin_abs"), Block: c.Expr("block")}
}

var metricBody = &block.Schema{
	What: "a metric block",
	Attributes: append([]block.Attribute{
		{Name: "better"}, {Name: "min"}, {Name: "max"}, {Name: "min_count"}, {Name: "quantile"}, {Name: "interval"},
		{Name: "weight"}, {Name: "critical"}, {Name: "rate"},
	}, comparisonAttrs...),
	Blocks: []block.Block{useBlock},
}

var sloBody = &block.Schema{
	What:       "an slo block",
	Attributes: []block.Attribute{{Name: "objective", Required: true}, {Name: "window"}, {Name: "on_exhausted"}, {Name: "metric"}},
	Blocks:     []block.Block{useBlock},
	Words: map[string]string{
		"target": `Did you mean "objective"? It is the percentage of observations that are good.`,
		"period": `Did you mean "window"?`,
	},
}

func (l *loader) slo(b *hcl.Block) *SLO {
	c := l.read(b.Body, sloBody)
	s := &SLO{
		Name: b.Labels[0], Range: b.DefRange, NameRange: b.LabelRanges[0], Use: l.pickUse(c, "an slo block"),
		Metric: c.Expr("metric"), Objective: c.Expr("objective"), Window: c.Expr("window"), OnExhausted: c.Expr("on_exhausted"),
	}
	switch {
	case s.Use != nil && s.Metric != nil:
		l.add(diagnostics.Error(s.Metric.Range(), "Conflicting attribute",
			"The observations are counted either by the use block or by a ready-made metric of the targets. Remove one of them."))
	case s.Use == nil && s.Metric == nil:
		l.add(diagnostics.Error(b.DefRange, "Missing use",
			`Say what counts the observations and the bad ones among them: use "COMPONENT" { … }, or a ready-made metric of the targets, metric = "error_rate".`))
	}
	return s
}

func (l *loader) analysis(b *hcl.Block) *Analysis {
	content := l.read(b.Body, analysisBody)
	a := &Analysis{
		Interval: content.Expr("interval"), Deadline: content.Expr("deadline"),
		OnInconclusive: content.Expr("on_inconclusive"), OnNoData: content.Expr("on_no_data"),
		Alpha: content.Expr("alpha"), History: content.Expr("history"), Comparison: comparison(content), Range: b.DefRange,
	}
	names := l.newNames()
	for _, inner := range content.Blocks {
		if inner.Type == "slo" {
			names.add("SLO", inner)
			a.SLOs = append(a.SLOs, l.slo(inner))
			continue
		}
		names.add("metric", inner)
		m := l.read(inner.Body, metricBody)
		a.Metrics = append(a.Metrics, &Metric{
			Name: inner.Labels[0], Range: inner.DefRange, NameRange: inner.LabelRanges[0],
			Use:    l.pickUse(m, "a metric block"),
			Better: m.Expr("better"), Min: m.Expr("min"), Max: m.Expr("max"),
			MinCount: m.Expr("min_count"), Quantile: m.Expr("quantile"), Interval: m.Expr("interval"),
			Comparison: comparison(m), Weight: m.Expr("weight"), Critical: m.Expr("critical"), Rate: m.Expr("rate"),
		})
	}
	for _, s := range a.SLOs {
		if i := slices.IndexFunc(a.Metrics, func(m *Metric) bool { return m.Name == s.Name }); i >= 0 {
			l.add(diagnostics.Error(s.NameRange, "Duplicate name",
				"The metric at %s has the name %q too, and measurements are told apart by it. Rename one of them.", block.Place(a.Metrics[i].Range), s.Name))
		}
	}
	if len(a.Metrics) == 0 && len(a.SLOs) == 0 {
		l.add(diagnostics.Error(b.DefRange, "Missing metric", `An analysis needs something to measure. Add at least one metric "NAME" { … } or slo "NAME" { … } block.`))
	}
	return a
}

var approvalBody = &block.Schema{What: "an approval block", Attributes: attributes(approvalAttrs)}

func attributes(names []string) []block.Attribute {
	out := make([]block.Attribute, len(names))
	for i, name := range names {
		out[i].Name = name
	}
	return out
}

func optionalLabel(b *hcl.Block) string {
	if len(b.Labels) == 0 {
		return ""
	}
	return b.Labels[0]
}

func (l *loader) approval(b *hcl.Block) *Approval {
	content := l.read(b.Body, approvalBody)
	return &Approval{
		Name: optionalLabel(b), Range: b.DefRange,
		Required: content.Expr("required"), From: content.Expr("from"),
		NotInitiator: content.Expr("not_initiator"), Expires: content.Expr("expires"),
	}
}

var gateBody = &block.Schema{
	What:       "a gate block",
	Attributes: []block.Attribute{{Name: "message"}, {Name: "fail_on"}},
	Blocks:     []block.Block{{Type: "input", Label: "the input's name"}},
}

var gateInputBody = &block.Schema{
	What:       "an input block",
	Attributes: []block.Attribute{{Name: "type"}, {Name: "default"}, {Name: "description"}},
}

func (l *loader) gate(b *hcl.Block) *Gate {
	content := l.read(b.Body, gateBody)
	g := &Gate{Name: optionalLabel(b), Range: b.DefRange, Message: content.Expr("message"), FailOn: content.Expr("fail_on")}
	names := l.newNames()
	for _, inner := range content.Blocks {
		names.add("input", inner)
		c := l.read(inner.Body, gateInputBody)
		in := &GateInput{Name: inner.Labels[0], Range: inner.DefRange, NameRange: inner.LabelRanges[0], Type: l.variableType(c)}
		in.Description, _, _ = l.literalString(c, "description")
		in.Default = l.literalDefault(c, in.Type)
		g.Inputs = append(g.Inputs, in)
	}
	if g.FailOn != nil && len(g.Inputs) > 0 {
		l.add(diagnostics.Error(g.Inputs[0].Range, "Conflicting blocks",
			"A gate with fail_on is decided by findings, so nobody answers it and it has no inputs. Make it two gates."))
	}
	return g
}

var retryBody = &block.Schema{
	What:       "a retry block",
	Attributes: []block.Attribute{{Name: "attempts"}, {Name: "delay"}, {Name: "max_delay"}},
}

func (l *loader) retry(b *hcl.Block) *Retry {
	content := l.read(b.Body, retryBody)
	return &Retry{
		Attempts: content.Expr("attempts"), Delay: content.Expr("delay"), MaxDelay: content.Expr("max_delay"),
		Range: b.DefRange,
	}
}
