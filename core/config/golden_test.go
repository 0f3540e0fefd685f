package config_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/schema"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

// minBad is how many cases of wrong pipelines there are at least, so that a lost
// folder fails and does not vanish.
const minBad = 236

// TestBad renders all diagnostics of wrong pipelines. Each case is an archive of
// the files of a pipeline; of "vars" (lines for -var), "env" (lines NAME=value)
// and *.runnervars, all optional; and of "want", the text that a person sees.
func TestBad(t *testing.T) {
	cases := archives(t, "testdata/bad")
	if len(cases) < minBad {
		t.Errorf("%d cases of wrong pipelines, want at least %d", len(cases), minBad)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, c := readCase(t, file)
			diags, files := c.check(scope.Options{})
			var got bytes.Buffer
			if err := diagnostics.Write(&got, diags, files); err != nil {
				t.Fatal(err)
			}
			if !diags.HasErrors() && !strings.HasPrefix(got.String(), "Warning") {
				t.Error("nothing was found wrong")
			}
			if *update {
				writeWant(t, file, archive, got.Bytes())
				return
			}
			if diff := cmp.Diff(strings.Split(c.want, "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("diagnostics differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGood holds pipelines that have nothing wrong.
func TestGood(t *testing.T) {
	cases := archives(t, "testdata/good")
	if len(cases) < 5 {
		t.Errorf("%d good pipelines, want at least 5", len(cases))
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			_, c := readCase(t, file)
			for _, allowMissing := range []bool{false, true} {
				diags, files := c.check(scope.Options{AllowMissing: allowMissing})
				var got strings.Builder
				if err := diagnostics.Write(&got, diags, files); err != nil {
					t.Fatal(err)
				}
				if got.Len() > 0 {
					t.Errorf("with AllowMissing = %v:\n%s", allowMissing, got.String())
				}
			}
		})
	}
}

func archives(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

type goldenCase struct {
	sources map[string][]byte
	values  scope.Values
	world   fakeWorld
	want    string
}

func readCase(t testing.TB, file string) (*txtar.Archive, *goldenCase) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := txtar.Parse(src)
	c := &goldenCase{sources: map[string][]byte{}, world: fakeWorld{files: map[string]string{}, env: map[string]string{}}}
	for _, f := range archive.Files {
		lines := strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		switch {
		case f.Name == "want":
			c.want = string(f.Data)
		case f.Name == "vars":
			c.values.Vars = lines
		case f.Name == "env":
			c.values.Environ = lines
		case strings.Contains(f.Name, ".runnervars"):
			c.values.Files = append(c.values.Files, scope.ValuesFile{Name: f.Name, Source: f.Data})
		default:
			c.sources[f.Name] = f.Data
			c.world.files[f.Name] = string(f.Data)
		}
	}
	for _, pair := range c.values.Environ {
		name, v, _ := strings.Cut(pair, "=")
		c.world.env[name] = v
	}
	return archive, c
}

func writeWant(t *testing.T, file string, archive *txtar.Archive, want []byte) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: "want", Data: want})
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// check goes as far as it can without plugins.
func (c *goldenCase) check(opts scope.Options) (hcl.Diagnostics, map[string]*hcl.File) {
	p, diags := config.LoadSources(c.sources, config.Options{Version: "0.1.0"})
	if p.Incomplete {
		return diags, p.Files
	}
	opts.Values, opts.World = c.values, c.world
	outputs := &typedOutputs{}
	opts.Outputs = outputs
	s, scopeDiags := scope.New(p, opts)
	diags = append(diags, scopeDiags...)
	outputs.scope = s
	diags = append(diags, s.Check()...)
	for _, e := range s.Environments() {
		_, d := settings.Environment(s, e)
		diags = append(diags, d...)
	}
	_, poolDiags := settings.Pools(s, p)
	diags = append(diags, poolDiags...)
	for _, st := range s.Stages() {
		diags = append(diags, checkStage(st, opts.AllowMissing)...)
	}
	return diagnostics.Tidy(diags), p.Files
}

func checkStage(st *scope.Stage, tolerant bool) hcl.Diagnostics {
	_, diags := st.Dependencies()
	_, d := settings.Of(st)
	diags = append(diags, d...)
	_, d = settings.Products(st)
	diags = append(diags, d...)
	release, target := cty.UnknownVal(scope.ReleaseType), cty.UnknownVal(scope.TargetType)
	checks := st.CheckContext(release, release, target)
	bodies := map[*config.Use]*scope.Context{}
	cfg := st.Config
	for _, u := range []*config.Use{cfg.Use, cfg.Strategy} {
		bodies[u] = st.Context()
	}
	bodies[cfg.Rollback] = st.RollbackContext(cty.DynamicVal)
	for _, t := range cfg.Targets {
		bodies[t.Use] = st.Context()
	}
	for _, v := range cfg.Verify {
		bodies[v.Use] = checks
	}
	if cfg.Analysis != nil {
		for _, m := range cfg.Analysis.Metrics {
			bodies[m.Use] = checks
		}
	}
	for use, c := range bodies {
		if use == nil {
			continue
		}
		s, ok := components[use.Component]
		if !ok {
			diags = append(diags, diagnostics.Error(use.ComponentRange, "Unknown component", "The test has no component named %q.", use.Component))
			continue
		}
		var opts []bind.Option
		if tolerant {
			opts = append(opts, bind.Tolerant)
		}
		_, d := bind.Decode(use.Body, s, c.Eval, opts...)
		diags = append(diags, d...)
	}
	return diags
}

// typedOutputs knows of each stage what its component and produces give.
type typedOutputs struct{ scope *scope.Scope }

func (o *typedOutputs) Outputs(a addr.Stage) cty.Value {
	st, ok := o.scope.Stage(a)
	if !ok {
		return cty.DynamicVal
	}
	attrs := map[string]cty.Value{}
	if st.Config.Use != nil {
		attrs = bind.UnknownOf(outputs[st.Config.Use.Component]).AsValueMap()
	}
	if attrs == nil {
		attrs = map[string]cty.Value{}
	}
	for _, p := range st.Config.Produces {
		attrs[p.Name] = bind.UnknownArtifact()
	}
	return cty.ObjectVal(attrs)
}

type fakeWorld struct{ files, env map[string]string }

func (w fakeWorld) Env(name string) (string, bool, error) {
	v, ok := w.env[name]
	return v, ok, nil
}

func (w fakeWorld) File(path string) ([]byte, error) {
	if s, ok := w.files[path]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

func (w fakeWorld) Git() (lang.Git, error) { return lang.Git{}, lang.ErrNoRepository }

func (w fakeWorld) Cwd() string { return "/start" }

func mustType(s string) schema.Type {
	t, err := schema.ParseType(s)
	if err != nil {
		panic(fmt.Sprintf("type %s: %v", s, err))
	}
	return t
}

func attribute(name, ty string, change ...func(*schema.Attribute)) schema.Attribute {
	a := schema.Attribute{Name: name, Type: mustType(ty)}
	for _, c := range change {
		c(&a)
	}
	return a
}

func required(a *schema.Attribute)  { a.Required = true }
func sensitive(a *schema.Attribute) { a.Sensitive = true }
func known(a *schema.Attribute)     { a.Known = true }
func unique(a *schema.Attribute)    { a.Unique = true }

// components are those that the cases may use.
var components = map[string]*schema.Schema{
	"noop": {Attributes: []schema.Attribute{attribute("name", "string")}},
	"local_exec": {
		Attributes: []schema.Attribute{
			attribute("command", "list(string)", required), attribute("dir", "string"), attribute("env", "map(string)"),
			attribute("artifact", "artifact"), attribute("token", "string", sensitive),
			attribute("tags", "list(string)", unique), attribute("settings", "any"),
			attribute("grace", "duration", func(a *schema.Attribute) { a.Default = []byte(`"10s"`) }),
			attribute("shell", "bool", func(a *schema.Attribute) { a.Deprecated = "command" }),
		},
	},
	"local_service": {
		Attributes: []schema.Attribute{
			attribute("command", "list(string)", required), attribute("replicas", "integer"),
			attribute("limits", "object({cpu=number,memory=optional(integer)})"),
		},
		Blocks: []schema.Block{
			{Name: "health", Nesting: schema.Single, Min: 1, Schema: schema.Schema{Attributes: []schema.Attribute{
				attribute("path", "string", required), attribute("interval", "duration"),
			}}},
			{Name: "header", Labels: []string{"name"}, Nesting: schema.Many, Max: 3, Schema: schema.Schema{Attributes: []schema.Attribute{
				attribute("value", "string", required),
			}}},
		},
	},
	"local_http":    {Attributes: []schema.Attribute{attribute("url", "string", required), attribute("status", "integer")}},
	"local_metrics": {Attributes: []schema.Attribute{attribute("metric", "string")}},
	"canary": {Attributes: []schema.Attribute{
		attribute("steps", "list(number)", required, known), attribute("bake", "duration", known), attribute("approve", "map(string)", known),
	}},
}

// outputs are what the components give.
var outputs = map[string]*schema.Schema{
	"local_exec": {Attributes: []schema.Attribute{
		attribute("exit_code", "integer"), attribute("json", "any"), attribute("password", "string", sensitive),
	}},
}
