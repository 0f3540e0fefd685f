package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

type act struct {
	Name string `hcl:"name,optional"`
}

func (*act) Run(context.Context, *action.Request) (action.Result, error) {
	return action.Result{}, nil
}

type badAct struct {
	act
	C chan int `hcl:"c"`
}

type badOutputs struct{ act }

func (*badOutputs) Outputs() any { return 5 }

type byValue struct{}

func (byValue) Run(context.Context, *action.Request) (action.Result, error) {
	return action.Result{}, nil
}

type place struct {
	target.Target
	caps target.Capabilities
}

func (p *place) Capabilities() target.Capabilities { return p.caps }

type config struct {
	A string `hcl:"A"`
}

func (*config) Configure() error { return nil }

func TestTheLiteralIsChecked(t *testing.T) {
	shared := &act{}
	good := func() action.Action { return &act{} }
	for name, tt := range map[string]struct {
		change func(*Plugin)
		want   string
	}{
		"good":            {func(*Plugin) {}, ""},
		"no name":         {func(p *Plugin) { p.Name = "" }, `the plugin's name "" must be`},
		"name":            {func(p *Plugin) { p.Name = "My Plugin" }, `the plugin's name "My Plugin" must be`},
		"version":         {func(p *Plugin) { p.Version = "v1.0" }, `the version "v1.0" must be semantic`},
		"parallel":        {func(p *Plugin) { p.MaxParallel = -1 }, "MaxParallel must not be negative"},
		"environment":     {func(p *Plugin) { p.Env = map[string]string{"A=B": ""} }, `"A=B" is not the name of an environment variable`},
		"component name":  {func(p *Plugin) { p.Actions = map[string]func() action.Action{"a-b": good} }, `action "a-b": the name must be`},
		"nil constructor": {func(p *Plugin) { p.Actions["b"] = nil }, `action "b": the constructor is nil`},
		"nil component":   {func(p *Plugin) { p.Actions["b"] = func() action.Action { return nil } }, `action "b": the constructor returns nil`},
		"nil pointer":     {func(p *Plugin) { p.Actions["b"] = func() action.Action { return (*act)(nil) } }, `action "b": the constructor returns nil`},
		"no pointer":      {func(p *Plugin) { p.Actions["b"] = func() action.Action { return byValue{} } }, "must return a pointer to a struct"},
		"shared":          {func(p *Plugin) { p.Actions["b"] = func() action.Action { return shared } }, "it must make a fresh one"},
		"schema":          {func(p *Plugin) { p.Actions["b"] = func() action.Action { return &badAct{} } }, `action "b": schema of sdk.badAct: field C: chan int has no type`},
		"outputs":         {func(p *Plugin) { p.Actions["b"] = func() action.Action { return &badOutputs{} } }, `action "b": outputs: schema of int`},
		"two kinds": {func(p *Plugin) {
			p.Metrics = map[string]func() metrics.Metrics{"a": nil}
		}, `metrics "a": the name already belongs to a component of kind action`},
		"nil strategy": {func(p *Plugin) { p.Strategies = map[string]func() strategy.Strategy{"s": nil} }, `strategy "s": the constructor is nil`},
		"step": {func(p *Plugin) {
			p.Targets = map[string]func() target.Target{"t": func() target.Target {
				return &place{caps: target.Capabilities{Weights: target.PercentSteps}}
			}}
		}, `target "t": capabilities: a step of 0%`},
		"capacity": {func(p *Plugin) {
			p.Targets = map[string]func() target.Target{"t": func() target.Target { return &place{caps: target.Capabilities{Capacity: true}} }}
		}, "capacity is declared, so Scale must be implemented"},
		"config":     {func(p *Plugin) { p.Config = func() Configurer { return &config{} } }, `plugin block: schema of sdk.config: field A: "A" is not a name`},
		"nil config": {func(p *Plugin) { p.Config = func() Configurer { return nil } }, "plugin block: the constructor returns nil"},
		"command":    {func(p *Plugin) { p.Commands = map[string]Command{"-x": {}} }, `command "-x"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := Plugin{Name: "test", Version: "0.1.0", Actions: map[string]func() action.Action{"a": good}}
			tt.change(&p)
			_, err := newServer(p)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v; want %q", err, tt.want)
			}
		})
	}
}

func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	_, err := newServer(Plugin{Name: "X", Version: "x", Actions: map[string]func() action.Action{"a": nil, "b": nil}})
	if err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("got %v", err)
	}
}

func TestAProgramStartedByHandExplainsItself(t *testing.T) {
	p := Plugin{Name: "local", Version: "1.2.3", Commands: map[string]Command{
		"ls": {Doc: "list services", Run: func([]string) int { return 0 }}, "proxy": {Run: func([]string) int { return 0 }},
	}}
	const about = "runner-plugin-local is the plugin \"local\" of runner, version 1.2.3. runner starts it by itself when a\npipeline names it in required_plugins.\n\nBy hand it can be asked to:\n  runner-plugin-local ls         list services\n"
	for name, tt := range map[string]struct {
		args           []string
		stdout, stderr string
		code           int
	}{
		"nothing":  {nil, "", about, 2},
		"help":     {[]string{"--help"}, about, "", 0},
		"version":  {[]string{"version"}, "local 1.2.3 (protocol 1, sdk go/0.1.0)\n", "", 0},
		"mistaken": {[]string{"sl"}, "", "There is no command \"sl\".\n\n" + about, 2},
	} {
		var stdout, stderr bytes.Buffer
		code := explain(p, append([]string{"/bin/runner-plugin-local"}, tt.args...), &stdout, &stderr)
		if code != tt.code {
			t.Errorf("%s: exit code %d", name, code)
		}
		if d := cmp.Diff(tt.stdout, stdout.String()); d != "" {
			t.Errorf("%s: stdout (-want +got):\n%s", name, d)
		}
		if d := cmp.Diff(tt.stderr, stderr.String()); d != "" {
			t.Errorf("%s: stderr (-want +got):\n%s", name, d)
		}
	}
}

func TestTheDefaultLoggerSpeaksToTheHost(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var b bytes.Buffer
	logToHost(&b)
	slog.Warn("careful", "n", 1, slog.Group("g", "msg", "inner"))
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["@timestamp"] == nil {
		t.Errorf("no time: %s", b.String())
	}
	delete(got, "@timestamp")
	want := map[string]any{"@level": "warn", "@message": "careful", "n": 1.0, "g": map[string]any{"msg": "inner"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestABadDescriptorIsAnError(t *testing.T) {
	for _, text := range []string{"x", "-1", "9999"} {
		_, err := holdOn(func(name string) string {
			if name == "RUNNER_LIFELINE_FD" {
				return text
			}
			return ""
		}, func() { t.Error("the host is said to be gone") })
		if err == nil || !strings.Contains(err.Error(), "RUNNER_LIFELINE_FD") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if held, err := holdOn(func(string) string { return "" }, func() {}); err != nil || held != nil {
		t.Errorf("without a lifeline: %v, %v", held, err)
	}
}
