// Package settings evaluates the core's own attributes of a stage: how long,
// how often, in which waves, who must approve. Start with Of.
package settings

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/scope"
)

// Stage is what a stage's own attributes come to. All but When must be known
// before anything runs.
type Stage struct {
	// When is true unless given; unknown while it depends on other stages.
	When cty.Value
	// RunIf is "success", "failure" or "always".
	RunIf string
	// Timeout is 0 for none.
	Timeout time.Duration
	Retry   Retry
	// OnFailure is "rollback" or "stop"; empty when not given: rollouts roll back,
	// actions stop.
	OnFailure string
	// OnDoubt is "ask", "retry" or "fail".
	OnDoubt string
	// WhileWaiting is "watch" or "stable".
	WhileWaiting string
	// Pool is empty for none.
	Pool string
	// Waves are target labels; every target stands in exactly one. One wave with all
	// of them when not given, nil for a stage with a lone use.
	Waves [][]string
	// MaxDegraded is how many targets may be unsettled at the same time; 0 when not given.
	MaxDegraded int
	// Approvals of the stage, in the order of the file. Those of the environment
	// come from Environment.
	Approvals []Approval
	Gates     []Gate
	// Analysis is nil when there is none.
	Analysis *Analysis
}

// Retry of failed operations.
type Retry struct {
	// Attempts counts the first one too; 1 means no retry.
	Attempts int
	// Delay is before the second attempt, and doubles up to MaxDelay.
	Delay    time.Duration
	MaxDelay time.Duration
}

// Approval is a question to people.
type Approval struct {
	// Name is empty for the one that comes before the stage.
	Name     string
	Required int
	// From are "user:NAME" and "group:NAME"; empty for anybody.
	From         []string
	NotInitiator bool
	// Expires is 0 for never.
	Expires time.Duration
	Range   hcl.Range
}

// Gate must be passed.
type Gate struct {
	Name    string
	Message string
	// FailOn is a severity, for a gate on findings; else people answer.
	FailOn string
	Inputs []*config.GateInput
	Range  hcl.Range
}

// Severities of findings, lowest first, as fail_on takes them.
var Severities = []string{"low", "medium", "high", "critical"}

const (
	defaultDelay    = time.Second
	defaultMaxDelay = time.Minute
	defaultInterval = 10 * time.Second
	maxAttempts     = 100
)

// Of evaluates the settings of one instance, all mistakes at once. It is never
// nil; what is wrong has its default.
func Of(s *scope.Stage) (*Stage, hcl.Diagnostics) {
	cfg := s.Config
	r := &reader{c: s.Context()}
	out := &Stage{
		When:         r.when(cfg.When),
		RunIf:        r.oneOf(cfg.RunIf, "run_if", "success", "failure", "always"),
		Timeout:      r.duration(cfg.Timeout, "timeout", 0),
		OnDoubt:      r.oneOf(cfg.OnDoubt, "on_doubt", "ask", "retry", "fail"),
		WhileWaiting: r.oneOf(cfg.WhileWaiting, "while_waiting", "watch", "stable"),
		Pool:         cfg.Pool,
		Retry:        Retry{Attempts: 1, Delay: defaultDelay, MaxDelay: defaultMaxDelay},
		Waves:        r.waves(cfg),
		MaxDegraded:  r.whole(cfg.MaxDegraded, "max_degraded", 0, 1, max(1, len(cfg.Targets))),
		Approvals:    r.approvals(cfg.Approvals),
		Analysis:     r.analysis(cfg.Analysis),
	}
	if cfg.OnFailure != nil {
		out.OnFailure = r.oneOf(cfg.OnFailure, "on_failure", "rollback", "stop")
	}
	if y := cfg.Retry; y != nil {
		out.Retry.Attempts = r.whole(y.Attempts, "attempts", 3, 1, maxAttempts)
		out.Retry.Delay = r.duration(y.Delay, "delay", defaultDelay)
		out.Retry.MaxDelay = r.duration(y.MaxDelay, "max_delay", max(defaultMaxDelay, out.Retry.Delay))
		if y.MaxDelay != nil && out.Retry.MaxDelay < out.Retry.Delay {
			r.add(diagnostics.Error(y.MaxDelay.Range(), "Invalid retry",
				"max_delay is shorter than delay. Delays grow from delay up to max_delay."))
		}
	}
	for _, g := range cfg.Gates {
		out.Gates = append(out.Gates, r.gate(g))
	}
	return out, r.diags
}

// Environment evaluates the approvals of an environment.
func Environment(sc *scope.Scope, e *scope.Environment) ([]Approval, hcl.Diagnostics) {
	r := &reader{c: sc.Static()}
	return r.approvals(e.Config.Approvals), r.diags
}

// Pools evaluates the limits of all pools, by name.
func Pools(sc *scope.Scope, p *config.Pipeline) (map[string]int, hcl.Diagnostics) {
	r := &reader{c: sc.Static()}
	out := make(map[string]int, len(p.Pools))
	for _, q := range p.Pools {
		out[q.Name] = r.whole(q.Limit, "limit", 1, 1, unbounded)
	}
	return out, r.diags
}

// Products evaluates the paths of the artifacts that the stage makes, by name.
// They may be unknown before the stage starts. A known one is relative and
// leads nowhere above.
func Products(s *scope.Stage) (map[string]cty.Value, hcl.Diagnostics) {
	r := &reader{c: s.Context()}
	out := make(map[string]cty.Value, len(s.Config.Produces))
	for _, p := range s.Config.Produces {
		out[p.Name] = cty.UnknownVal(cty.String)
		v, ok := r.value(p.Path, "produces."+p.Name, cty.String)
		if !ok || !v.IsKnown() {
			continue
		}
		file := strings.ReplaceAll(v.AsString(), `\`, "/")
		clean := path.Clean(file)
		if file == "" || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(strings.SplitN(clean, "/", 2)[0], ":") {
			r.add(diagnostics.Error(p.Path.Range(), "Invalid path",
				"The artifact %q is a file or directory inside the directory in which the stage runs. Write a relative path that does not lead above it.", p.Name))
			continue
		}
		out[p.Name] = v
	}
	return out, r.diags
}

func (r *reader) when(expr hcl.Expression) cty.Value {
	if expr == nil {
		return cty.True
	}
	v, ok := r.value(expr, "when", cty.Bool)
	if !ok {
		return cty.UnknownVal(cty.Bool)
	}
	return v
}

func (r *reader) waves(cfg *config.Stage) [][]string {
	labels := make([]string, len(cfg.Targets))
	for i, t := range cfg.Targets {
		labels[i] = t.Name
	}
	if cfg.Waves == nil || len(labels) == 0 {
		if len(labels) == 0 {
			return nil
		}
		return [][]string{labels}
	}
	v, ok := r.known(cfg.Waves, "waves", cty.List(cty.List(cty.String)))
	if !ok {
		return [][]string{labels}
	}
	at := cfg.Waves.Range()
	var out [][]string
	seen := map[string]bool{}
	for _, wave := range v.AsValueSlice() {
		var names []string
		if !wave.IsNull() {
			for _, name := range wave.AsValueSlice() {
				if name.IsNull() {
					r.add(diagnostics.Error(at, "Invalid waves", "A wave holds null. Each element names a target."))
					continue
				}
				label := name.AsString()
				switch {
				case !slices.Contains(labels, label):
					r.add(diagnostics.Error(at, "Invalid waves", "No target is named %q.%s", label, diagnostics.Suggest(label, labels)))
					seen[label] = true
				case seen[label]:
					r.add(diagnostics.Error(at, "Invalid waves", "The target %q stands there twice. Each target moves once.", label))
				}
				seen[label] = true
				names = append(names, label)
			}
		}
		if len(names) == 0 {
			r.add(diagnostics.Error(at, "Invalid waves", "A wave is empty. Each wave holds the targets that move together."))
			continue
		}
		out = append(out, names)
	}
	for _, label := range labels {
		if !seen[label] {
			r.add(diagnostics.Error(at, "Invalid waves", "The target %q stands in no wave, so it would never move. Add it to one.", label))
		}
	}
	return out
}

func (r *reader) approvals(list []*config.Approval) []Approval {
	var out []Approval
	for _, a := range list {
		q := Approval{
			Name: a.Name, Range: a.Range,
			Required:     r.whole(a.Required, "required", 1, 1, 1000),
			From:         r.texts(a.From, "from"),
			NotInitiator: r.boolean(a.NotInitiator, "not_initiator", false),
			Expires:      r.duration(a.Expires, "expires", 0),
		}
		for _, who := range q.From {
			kind, name, _ := strings.Cut(who, ":")
			if kind != "user" && kind != "group" || name == "" {
				r.add(diagnostics.Error(a.From.Range(), "Invalid approver", `%q is nobody. Write "user:NAME" or "group:NAME".`, who))
			}
		}
		out = append(out, q)
	}
	return out
}

func (r *reader) gate(g *config.Gate) Gate {
	out := Gate{Name: g.Name, Inputs: g.Inputs, Range: g.Range}
	if g.Message != nil {
		out.Message = r.text(g.Message, "message")
	}
	if g.FailOn != nil {
		out.FailOn = r.oneOf(g.FailOn, "fail_on", Severities...)
	}
	return out
}
