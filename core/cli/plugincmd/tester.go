package plugincmd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/strategy/strategytest"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/target/targettest"
	"github.com/runner-pipelines/runner/sdk/value"
)

// tester runs the suites.
type tester struct {
	program []string
	samples *samples
	view    view
	env     *command.Env
}

// component runs the suite of one component. Its error is a mistake in the samples.
func (t *tester) component(ctx context.Context, c host.Component) error {
	dir, err := os.MkdirTemp("", "runner-plugin-test-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := t.samples.about(c.Kind, c.Name, dir)
	subject := sdktest.Subject{Command: t.program, Component: c.Name, PluginConfig: t.samples.Plugin, Env: t.samples.Env}
	configs := cty.DynamicPseudoType
	b.get("valid", configs, &subject.Valid)
	b.get("invalid", configs, (*invalids)(&subject.Invalid))
	suites := map[schema.Kind]func(*block, host.Component, sdktest.Subject) (func(sdktest.T), string){
		schema.KindAction: t.action, schema.KindTarget: t.target, schema.KindStrategy: t.strategy, schema.KindMetrics: t.metrics,
	}
	suite, missing := suites[c.Kind](b, c, subject)
	if err := show(t.env, b.diags, t.samples.files); err != nil {
		return err
	}
	t.view.component(c)
	if missing != "" {
		t.view.untested(fmt.Sprintf("%s in the block %s %q of %s", missing, c.Kind, c.Name, t.samples.path))
		return nil
	}
	sdktest.Each(ctx, t.view.check, suite)
	return nil
}

// invalids are read as the file says them.
type invalids []sdktest.Invalid

func (in *invalids) UnmarshalJSON(b []byte) error {
	var list []struct {
		Config sdktest.Config `json:"config"`
		At     string         `json:"at"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return err
	}
	for _, one := range list {
		*in = append(*in, sdktest.Invalid(one))
	}
	return nil
}

// needsValid says that a configuration is needed where the empty one is not enough.
func needsValid(c host.Component, s sdktest.Subject) string {
	if len(s.Valid) > 0 {
		return ""
	}
	if _, diags := c.Config.Complete(value.Empty()); !diags.HasErrors() {
		return ""
	}
	return "It has attributes that must be given: put a list of configurations under valid"
}

func (t *tester) action(b *block, c host.Component, s sdktest.Subject) (func(sdktest.T), string) {
	suite := actiontest.Suite{Subject: s}
	b.get("fails", cty.DynamicPseudoType, &suite.Fails)
	b.get("slow", cty.DynamicPseudoType, &suite.Slow)
	var look []string
	b.get("world", cty.List(cty.String), &look)
	suite.World = func() (string, error) { return world(b.dir, look) }
	return func(st sdktest.T) { actiontest.Check(st, suite) }, needsValid(c, s)
}

func (t *tester) target(b *block, _ host.Component, s sdktest.Subject) (func(sdktest.T), string) {
	if !b.has("fresh") {
		return nil, "Every check needs a target at which nothing is installed: put its configuration under fresh"
	}
	suite := targettest.Suite{Subject: s}
	b.get("sequences", cty.Number, &suite.Sequences)
	b.get("length", cty.Number, &suite.Length)
	addresses := false
	b.get("addresses", cty.Bool, &addresses)
	if addresses {
		suite.Probe = answersHTTP
	}
	count := 0
	fresh := func() (c sdktest.Config, diags hcl.Diagnostics) {
		count++
		diags = t.samples.value(b.attributes["fresh"], b.variables(count), cty.DynamicPseudoType, &c)
		return c, diags
	}
	_, diags := fresh()
	b.diags = append(b.diags, diags...)
	suite.Fresh = func(st sdktest.T) sdktest.Config {
		c, diags := fresh()
		if diags.HasErrors() {
			st.Fatalf("the sample fresh: %v", diags)
		}
		return c
	}
	return func(st sdktest.T) { targettest.Check(st, suite) }, ""
}

// answersHTTP asks a release at its own address.
func answersHTTP(ctx context.Context, r target.Release) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Address, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// kindOfTarget is what a strategy is tried with, as the file says it.
type kindOfTarget struct {
	SideBySide     bool              `json:"side_by_side"`
	Weights        target.WeightKind `json:"weights"`
	Step           float64           `json:"step"`
	Propagation    string            `json:"propagation"`
	ReleaseAddress bool              `json:"release_address"`
	ReleaseMetrics bool              `json:"release_metrics"`
}

func (k kindOfTarget) capabilities() (target.Capabilities, error) {
	c := target.Capabilities{SideBySide: k.SideBySide, Weights: k.Weights, ReleaseAddress: k.ReleaseAddress, ReleaseMetrics: k.ReleaseMetrics}
	switch k.Weights {
	case target.NoWeights, target.Switch, target.PercentSteps:
	default:
		return c, fmt.Errorf("weights is %q; it must be none, switch or percent", k.Weights)
	}
	var err error
	if c.Step, err = target.Percent(k.Step); err != nil {
		return c, err
	}
	if k.Weights == target.PercentSteps && c.Step == 0 {
		return c, fmt.Errorf("with weights %q a step in percent is needed", k.Weights)
	}
	if k.Propagation != "" {
		c.Propagation, err = schema.ParseDuration(k.Propagation)
	}
	return c, err
}

func (t *tester) strategy(b *block, c host.Component, s sdktest.Subject) (func(sdktest.T), string) {
	suite := strategytest.Suite{Subject: s}
	b.get("approvals", cty.List(cty.String), &suite.Approvals)
	b.get("worlds", cty.Number, &suite.Worlds)
	b.get("targets", cty.DynamicPseudoType, (*targetKinds)(&suite.Targets))
	return func(st sdktest.T) { strategytest.Check(st, suite) }, needsValid(c, s)
}

// targetKinds are read as the file says them.
type targetKinds []target.Capabilities

func (tk *targetKinds) UnmarshalJSON(b []byte) error {
	var list []kindOfTarget
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return err
	}
	for _, k := range list {
		c, err := k.capabilities()
		if err != nil {
			return err
		}
		*tk = append(*tk, c)
	}
	return nil
}

func (t *tester) metrics(b *block, c host.Component, s sdktest.Subject) (func(sdktest.T), string) {
	suite := metricstest.Suite{Subject: s}
	var program []string
	b.get("traffic", cty.List(cty.String), &program)
	if len(program) > 0 {
		suite.Traffic = func(st sdktest.T) metricstest.Traffic {
			out, err := output(st.Context(), b.dir, program)
			if err != nil {
				st.Fatalf("traffic: %v", err)
			}
			var traffic struct {
				Config          sdktest.Config
				Releases        []target.Release
				From, To, Quiet time.Time
			}
			d := json.NewDecoder(strings.NewReader(out))
			d.UseNumber()
			if err := d.Decode(&traffic); err != nil {
				st.Fatalf("traffic: the program does not write the JSON object that is asked for: %v", err)
			}
			if len(traffic.Releases) == 0 {
				st.Fatalf("traffic: the program names no release")
			}
			return metricstest.Traffic(traffic)
		}
	}
	return func(st sdktest.T) { metricstest.Check(st, suite) }, needsValid(c, s)
}

// world is what lies in the folder, and what a program says of what lies elsewhere.
func world(dir string, look []string) (string, error) {
	var lines []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		content := d.Type().String()
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("sha256:%.6x (%d bytes)", sha256.Sum256(b), len(b))
		}
		lines = append(lines, name+" "+content)
		return nil
	})
	if err == nil && len(look) > 0 {
		var out string
		out, err = output(context.Background(), dir, look)
		lines = append(lines, out)
	}
	return strings.Join(lines, "\n"), err
}

// helperTime is how long a program of the samples may take.
const helperTime = time.Minute

// output is what a program of the samples writes.
func output(ctx context.Context, dir string, command []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, helperTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}
