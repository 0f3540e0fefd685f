package scope_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

// load reads files given as "name", "content" pairs; a lone text is pipeline.hcl.

func load(t testing.TB, files ...string) *config.Pipeline {
	t.Helper()
	if len(files) == 1 {
		files = []string{"pipeline.hcl", "pipeline \"p\" {}\n" + files[0]}
	}
	sources := map[string][]byte{}
	for i := 0; i < len(files); i += 2 {
		sources[files[i]] = []byte(files[i+1])
	}
	p, diags := config.LoadSources(sources, config.Options{})
	noErrors(t, diags, p)
	return p
}

func noErrors(t testing.TB, diags hcl.Diagnostics, p *config.Pipeline) {
	t.Helper()
	if diags.HasErrors() {
		t.Fatal(text(diags, p))
	}
}

func text(diags hcl.Diagnostics, p *config.Pipeline) string {
	var b strings.Builder
	_ = diagnostics.Write(&b, diags, p.Files)
	return b.String()
}

func newScope(t testing.TB, p *config.Pipeline, opts scope.Options) *scope.Scope {
	t.Helper()
	if opts.World == nil {
		opts.World = lang.OS(t.TempDir(), "/start", nil)
	}
	s, diags := scope.New(p, opts)
	noErrors(t, diags, p)
	return s
}

func stage(t testing.TB, s *scope.Scope, address string) *scope.Stage {
	t.Helper()
	a, err := addr.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := s.Stage(a)
	if !ok {
		t.Fatalf("there is no %s", address)
	}
	return st
}

func evaluate(t testing.TB, c *scope.Context, src string) (cty.Value, hcl.Diagnostics) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(src), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return c.Eval(expr)
}

func mustEvaluate(t testing.TB, c *scope.Context, src string) cty.Value {
	t.Helper()
	v, diags := evaluate(t, c, src)
	if diags.HasErrors() {
		t.Fatalf("%s: %v", src, diags)
	}
	return v
}

func wantValue(t testing.TB, what string, got, want cty.Value) {
	t.Helper()
	if !got.RawEquals(want) {
		t.Errorf("%s = %#v, want %#v", what, got, want)
	}
}

func TestPlaceholders(t *testing.T) {
	p := load(t, "pipeline.hcl", `
pipeline "p" {}
variable "names" { type = list(string) }
stage "a" {
  for_each = var.names
  use "x" { y = each.key }
}
stage "b" {
  use "x" { y = [stage.a["k"].z, module.m["k"].out] }
}
module "m" {
  for_each = var.names
  source   = "./m"
}
`, "m/module.hcl", `
stage "x" {
  use "x" {}
}
output "out" { value = stage.x.y }
`)
	s := newScope(t, p, scope.Options{AllowMissing: true})
	a := stage(t, s, `stage.a["*"]`)
	if !a.Placeholder {
		t.Error("stage.a is not a placeholder")
	}
	if inner := stage(t, s, `module.m["*"].stage.x`); !inner.Placeholder {
		t.Error("a stage of a module that stands for unknown ones is not a placeholder")
	}
	if v := mustEvaluate(t, a.Context(), "each.key"); v.IsKnown() {
		t.Errorf("each.key = %#v, want unknown", v)
	}
	b := stage(t, s, "stage.b")
	for _, src := range []string{`stage.a["k"].z`, `[for s in stage.a : s.z]`, `module.m["k"].out`} {
		if v := mustEvaluate(t, b.Context(), src); v.IsWhollyKnown() {
			t.Errorf("%s = %#v, want unknown", src, v)
		}
	}
	wantDependencies(t, b, `stage.a["*"]`, `module.m["*"].stage.x`)
}

// wantDependencies compares addresses; those of depends_on end with "!".

const promotion = `
environment "prod" {
  after    = [environment.staging]
  settings = { replicas = 6 }
  plugins  = { aws = plugin.aws.prod }
}
environment "staging" { settings = { replicas = 1 } }
environment "audit" { after = [environment.prod] }
`

func TestEnvironments(t *testing.T) {
	p := load(t, `
runner {
  required_plugins { aws = { source = "runner/aws" } }
}
plugin "aws" { alias = "prod" }
`+promotion+`
stage "release" {
  for_each = environment
  use "x" {}
}
stage "chosen" {
  for_each = { for k, e in environment : k => e if k != "audit" }
  use "x" {}
}
stage "one" {
  environment = environment["prod"]
  use "x" {}
}
stage "by_key" {
  for_each    = ["staging", "prod"]
  environment = environment[each.key]
  use "x" {}
}
stage "none" {
  use "x" {}
}
`)
	s := newScope(t, p, scope.Options{})
	var order []string
	for _, e := range s.Environments() {
		order = append(order, e.Name)
	}
	if diff := cmp.Diff([]string{"staging", "prod", "audit"}, order); diff != "" {
		t.Errorf("promotion order (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	var stages []string
	for _, st := range s.Stages() {
		stages = append(stages, st.Addr.String())
		if st.Environment != nil {
			got[st.Addr.String()] = fmt.Sprintf("%s alias=%q", st.Environment.Name, st.Environment.Alias("aws"))
		}
	}
	wantStages := []string{
		`stage.release["staging"]`, `stage.release["prod"]`, `stage.release["audit"]`,
		`stage.chosen["staging"]`, `stage.chosen["prod"]`, `stage.one`, `stage.by_key["prod"]`, `stage.by_key["staging"]`, `stage.none`,
	}
	if diff := cmp.Diff(wantStages, stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	want := map[string]string{
		`stage.release["staging"]`: `staging alias=""`, `stage.release["prod"]`: `prod alias="prod"`, `stage.release["audit"]`: `audit alias=""`,
		`stage.chosen["staging"]`: `staging alias=""`, `stage.chosen["prod"]`: `prod alias="prod"`,
		`stage.one`: `prod alias="prod"`, `stage.by_key["prod"]`: `prod alias="prod"`, `stage.by_key["staging"]`: `staging alias=""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environments of stages (-want +got):\n%s", diff)
	}
	c := stage(t, s, `stage.release["prod"]`).Context()
	wantValue(t, "settings", mustEvaluate(t, c, "[env.name, env.settings.replicas, each.key, each.value.settings.replicas, environment.staging.settings.replicas]"),
		cty.TupleVal([]cty.Value{cty.StringVal("prod"), cty.NumberIntVal(6), cty.StringVal("prod"), cty.NumberIntVal(6), cty.NumberIntVal(1)}))
}

// given is what stages gave.

type given map[string]cty.Value

func (g given) Outputs(a addr.Stage) cty.Value { return g[a.String()] }

func object(pairs ...any) cty.Value {
	attrs := map[string]cty.Value{}
	for i := 0; i < len(pairs); i += 2 {
		attrs[pairs[i].(string)] = pairs[i+1].(cty.Value)
	}
	return cty.ObjectVal(attrs)
}

func TestOutputsAreAskedEachTime(t *testing.T) {
	p := load(t, "pipeline.hcl", `
pipeline "p" {}
locals {
  url = "https://${stage.a.host}"
}
stage "a" {
  use "x" {}
}
stage "b" {
  use "x" {}
}
stage "each" {
  for_each = ["k", "l"]
  use "x" {}
}
module "m" {
  source = "./m"
  inputs = { url = local.url }
}
output "url" { value = module.m.url }
`, "m/module.hcl", `
variable "url" { type = string }
stage "s" {
  use "x" {}
}
output "url" {
  value     = "${var.url}/${run.id}"
}
`)
	outputs := given{"stage.a": object("host", cty.UnknownVal(cty.String))}
	s := newScope(t, p, scope.Options{Outputs: outputs})
	b := stage(t, s, "stage.b").Context()
	if v := mustEvaluate(t, b, "local.url"); v.IsKnown() {
		t.Errorf("local.url = %#v before stage.a ran", v)
	}
	if v := mustEvaluate(t, b, "module.m.url"); v.IsKnown() || v.Type() != cty.String {
		t.Errorf("module.m.url = %#v before stage.a ran", v)
	}
	outputs["stage.a"] = object("host", cty.StringVal("h"))
	s.SetRun("r1", "ada")
	wantValue(t, "local.url", mustEvaluate(t, b, "local.url"), cty.StringVal("https://h"))
	wantValue(t, "run", mustEvaluate(t, b, "run"), object("id", cty.StringVal("r1"), "initiator", cty.StringVal("ada")))
	values, diags := s.OutputValues()
	noErrors(t, diags, p)
	wantValue(t, "output", values[0].Value, cty.StringVal("https://h/r1"))

	outputs[`stage.each["k"]`] = object("n", cty.NumberIntVal(1))
	outputs[`stage.each["l"]`] = object("n", cty.NumberIntVal(2))
	wantValue(t, "one instance", mustEvaluate(t, b, `stage.each["k"].n`), cty.NumberIntVal(1))
	wantValue(t, "all instances", mustEvaluate(t, b, `[for k, s in stage.each : "${k}${s.n}"]`),
		cty.TupleVal([]cty.Value{cty.StringVal("k1"), cty.StringVal("l2")}))
}

// An expression asks only for the instances that it names: with many stages

// anything else would be quadratic.

func TestOnlyNamedInstancesAreAsked(t *testing.T) {
	p := load(t, `
stage "a" {
  for_each = ["k", "l", "m"]
  use "x" {}
}
stage "b" {
  for_each = ["k", "l", "m"]
  use "x" {}
}
`)
	asked := &askedFor{}
	s := newScope(t, p, scope.Options{Outputs: asked})
	mustEvaluate(t, stage(t, s, `stage.b["l"]`).Context(), `[stage.a[each.key].n, stage.a["m"].n]`)
	slices.Sort(asked.addresses)
	if diff := cmp.Diff([]string{`stage.a["l"]`, `stage.a["m"]`}, asked.addresses); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

type askedFor struct{ addresses []string }

func (a *askedFor) Outputs(s addr.Stage) cty.Value {
	a.addresses = append(a.addresses, s.String())
	return object("n", cty.NumberIntVal(1))
}

func TestFacts(t *testing.T) {
	p := load(t, "pipeline.hcl", `
pipeline "shop" {}
stage "a" {
  use "x" {}
}
module "m" { source = "./deep/m" }
`, "deep/m/module.hcl", `
stage "s" {
  use "x" {}
}
`)
	s := newScope(t, p, scope.Options{})
	want := cty.TupleVal([]cty.Value{cty.StringVal("."), cty.StringVal("deep/m"), cty.StringVal("/start"), cty.StringVal("shop")})
	wantValue(t, "facts", mustEvaluate(t, stage(t, s, "module.m.stage.s").Context(), "[path.root, path.module, path.cwd, pipeline.name]"), want)
	if v := mustEvaluate(t, stage(t, s, "stage.a").Context(), "run.id"); v.IsKnown() {
		t.Errorf("run.id = %#v before the run", v)
	}
	if _, diags := evaluate(t, s.Static(), "run.id"); !diags.HasErrors() {
		t.Error("run.id is allowed where all must be known")
	}
}

func TestCheckContexts(t *testing.T) {
	p := load(t, "stage \"a\" {\n use \"x\" {}\n}\n")
	s := newScope(t, p, scope.Options{})
	st := stage(t, s, "stage.a")
	release := cty.ObjectVal(map[string]cty.Value{
		"id": cty.StringVal("r2"), "version": cty.StringVal("v2"), "address": cty.StringVal("http://c"), "labels": cty.MapValEmpty(cty.String),
	})
	c := st.CheckContext(release, cty.UnknownVal(scope.ReleaseType), object("name", cty.StringVal("eu")))
	wantValue(t, "candidate", mustEvaluate(t, c, `"${candidate.address}/${target.name}"`), cty.StringVal("http://c/eu"))
	if v := mustEvaluate(t, c, "stable.id"); v.IsKnown() {
		t.Errorf("stable.id = %#v", v)
	}
	wantValue(t, "self", mustEvaluate(t, st.RollbackContext(object("id", cty.StringVal("1"))), "self.id"), cty.StringVal("1"))
	wantValue(t, "with", mustEvaluate(t, st.Context().With("extra", cty.True), "extra"), cty.True)
	if _, diags := evaluate(t, st.Context(), "candidate.id"); !diags.HasErrors() {
		t.Error("candidate is in scope outside of checks")
	}
}

// A chain of locals longer than any person writes ends in a diagnostic.

func TestConcurrentUse(t *testing.T) {
	p := load(t, `
locals {
  a = upper("x")
  b = "${local.a}-${stage.s["k1"].host}"
}
stage "s" {
  for_each = ["k1", "k2", "k3"]
  use "x" {}
}
stage "t" {
  use "x" { y = local.b }
}
`)
	s := newScope(t, p, scope.Options{Outputs: constant{object("host", cty.StringVal("h"))}})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				s.SetRun(fmt.Sprint(i), "x")
				for _, st := range s.Stages() {
					if v, diags := evaluate(t, st.Context(), "[local.b, run.id]"); diags.HasErrors() || v.AsValueSlice()[0].AsString() != "X-h" {
						t.Error(v, diags)
					}
					if _, diags := st.Dependencies(); diags.HasErrors() {
						t.Error(diags)
					}
				}
			}
		})
	}
	wg.Wait()
}

type constant struct{ v cty.Value }

func (c constant) Outputs(addr.Stage) cty.Value { return c.v }
