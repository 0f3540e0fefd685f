package analyze

import (
	"slices"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

// ofStage takes the policy of a stage of the pipeline: what the command line says
// goes before it. No plugin is started.
func (o *Options) ofStage() error {
	if o.Stage == "" {
		return nil
	}
	a, err := o.analysisOf(o.Stage)
	if err != nil {
		return err
	}
	o.Policy.stage = a.Judged()
	if !o.given["alpha"] && a.Alpha > 0 {
		o.Policy.alpha = a.Alpha
	}
	if !o.given["interval"] {
		o.Interval = a.Shortest()
	}
	if o.What == doSimulate && !o.given["past"] {
		o.Past = a.History
	}
	if o.Prometheus != "" && len(o.History) == 0 && a.History > 0 {
		o.History = command.Repeated{a.History.String()}
	}
	return nil
}

// analysisOf finds the analysis of a stage, by its address or name.
func (o *Options) analysisOf(name string) (*settings.Analysis, error) {
	w, diags := workspace.Open(o.Env)
	if err := w.Show(o.Env.Stderr, diags); err != nil {
		return nil, err
	}
	if err := w.Show(o.Env.Stderr, w.Initialised()); err != nil {
		return nil, err
	}
	prog, diags, err := w.Program(o.Vars, o.VarFiles)
	if err != nil {
		return nil, err
	}
	if err := w.Show(o.Env.Stderr, diags); err != nil {
		return nil, err
	}
	var known []string
	for _, n := range prog.Nodes {
		if n.Settings == nil {
			continue
		}
		if n.ID == name || n.ID == "stage."+name {
			if a := n.Settings.Analysis; a == nil || len(a.Metrics) == 0 {
				return nil, failed("Nothing to judge", "%s has no analysis with a metric, so it has no policy. Add a metric block to its analysis.", n.ID)
			}
			return n.Settings.Analysis, nil
		}
		known = append(known, n.ID)
	}
	hint := diagnostics.Suggest(name, known)
	if hint == "" {
		hint = diagnostics.Suggest("stage."+name, known)
	}
	return nil, failed("Unknown stage", "The pipeline has no stage %q.%s", name, hint)
}

// of is what the stage says of a metric; nil is nothing.
func (p *policy) of(metric string) *analysis.Metric {
	i := slices.IndexFunc(p.stage, func(m analysis.Metric) bool { return m.Name == metric })
	if i < 0 {
		return nil
	}
	return &p.stage[i]
}

// metrics are the names of those that the stage has.
func (p *policy) metrics() (out []string) {
	for _, m := range p.stage {
		out = append(out, m.Name)
	}
	return out
}

// played is the metric that a simulation is about.
func (o *Options) played() (string, error) {
	known := o.Policy.metrics()
	switch {
	case o.Stage == "":
		return errorsMetric, nil
	case len(o.Metrics) == 1 && slices.Contains(known, o.Metrics[0]):
		return o.Metrics[0], nil
	case len(o.Metrics) == 1:
		return "", failed("Unknown metric", "%s has no metric %q.%s There is %s.", o.Stage, o.Metrics[0], diagnostics.Suggest(o.Metrics[0], known), names(known))
	case len(known) == 1:
		return known[0], nil
	}
	return "", failed("Unknown metric", "%s has the metrics %s. To say which of them is played:\n  -metric NAME", o.Stage, names(known))
}
