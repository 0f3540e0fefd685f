package scope_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/addr"
	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scan"
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

func TestPrecedenceOfValues(t *testing.T) {
	p := load(t, `
variable "a" { default = "default" }
variable "b" { default = "default" }
variable "c" { default = "default" }
variable "d" { default = "default" }
variable "e" { default = "default" }
variable "f" { default = "default" }
stage "s" {
  use "x" {}
}
`)
	s := newScope(t, p, scope.Options{Values: scope.Values{
		Environ: []string{"RUNNER_VAR_b=env", "RUNNER_VAR_c=env", "RUNNER_VAR_d=env", "RUNNER_VAR_e=env", "RUNNER_VAR_f=env", "RUNNER_VAR_unknown=x"},
		Files: []scope.ValuesFile{
			{Name: "a.auto.runnervars", Source: []byte("c = \"auto\"\nd = \"auto\"\ne = \"auto\"\nf = \"auto\"\n")},
			{Name: "x.runnervars.json", Source: []byte(`{"d": "file", "e": "file", "f": "file"}`)},
		},
		Vars:  []string{"e=first", "e=flag", "f=flag"},
		Final: map[string]cty.Value{"f": cty.StringVal("plan")},
	}})
	got := map[string]string{}
	for name, v := range s.Variables() {
		got[name] = v.AsString()
	}
	want := map[string]string{"a": "default", "b": "env", "c": "auto", "d": "file", "e": "flag", "f": "plan"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestTypesOfValues(t *testing.T) {
	p := load(t, `
variable "text" {}
variable "string" { type = string }
variable "number" { type = number }
variable "list" { type = list(number) }
variable "object" { type = object({ a = string, b = optional(number, 7) }) }
variable "null_to_default" {
  type     = string
  nullable = false
  default  = "x"
}
variable "secret" {
  type      = list(string)
  sensitive = true
}
stage "s" {
  use "x" {}
}
`)
	s := newScope(t, p, scope.Options{Values: scope.Values{
		Vars:  []string{"text=[1]", "string=5", "number=5", "list=[1, \"2\"]", `object={a = "x"}`, `secret=["a"]`},
		Files: []scope.ValuesFile{{Name: "f", Source: []byte("null_to_default = null")}},
	}})
	want := map[string]cty.Value{
		"text": cty.StringVal("[1]"), "string": cty.StringVal("5"), "number": cty.NumberIntVal(5),
		"list":            cty.ListVal([]cty.Value{cty.NumberIntVal(1), cty.NumberIntVal(2)}),
		"object":          cty.ObjectVal(map[string]cty.Value{"a": cty.StringVal("x"), "b": cty.NumberIntVal(7)}),
		"null_to_default": cty.StringVal("x"),
		"secret":          lang.Sensitive(cty.ListVal([]cty.Value{cty.StringVal("a")})),
	}
	for name, v := range want {
		wantValue(t, name, s.Variables()[name], v)
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
func wantDependencies(t *testing.T, st *scope.Stage, want ...string) {
	t.Helper()
	deps, diags := st.Dependencies()
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var got []string
	for _, d := range deps {
		text := d.Stage.String()
		if d.Explicit {
			text += "!"
		}
		got = append(got, text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dependencies of %s (-want +got):\n%s", st.Addr, diff)
	}
}

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

func TestDependencies(t *testing.T) {
	p := load(t, "pipeline.hcl", `
pipeline "p" {}
`+strings.Replace(promotion, "plugins  = { aws = plugin.aws.prod }", "", 1)+`
variable "which" { default = "prod" }
locals {
  url   = "https://${local.host}"
  host  = stage.release["prod"].host
  keyed = { (var.which) = 1 }
}
stage "build" {
  use "x" {}
}
stage "release" {
  for_each = environment
  use "x" { image = stage.build.image }
}
stage "smoke" {
  for_each = environment
  use "x" { url = stage.release[each.key].host }
}
stage "smoke_env" {
  for_each = environment
  use "x" {}
  depends_on = [stage.release[env.name]]
}
stage "literal" {
  use "x" { url = stage.release["staging"].host }
}
stage "computed" {
  use "x" { url = stage.release[var.which].host }
}
stage "through_local" {
  use "x" { url = local.url }
}
stage "all" {
  use "x" { urls = [for k, s in stage.release : s.host] }
}
stage "unknown_key" {
  use "x" { url = stage.release[stage.build.where].host }
}
stage "bound_key" {
  use "x" { urls = [for k in ["prod"] : stage.release[k].host] }
}
stage "everywhere" {
  target "eu" {
    use "x" { a = stage.t1.a }
  }
  strategy "s" { a = stage.t2.a }
  analysis {
    metric "m" {
      use "x" { a = "${candidate.id} ${stage.t3.a}" }
      max = stage.t4.a
    }
  }
  verify "v" {
    use "x" { a = stage.t5.a }
  }
  rollback {
    use "x" { a = [self.b, stage.t6.a] }
  }
  gate { message = stage.t7.a }
  approval { from = stage.t8.a }
  retry { attempts = stage.t9.a }
  when     = stage.t10.a
  produces = { p = stage.t11.a }
}
stage "dynamic" {
  use "x" {
    dynamic "block" {
      for_each = stage.t1.a
      iterator = stage
      content { value = stage.value }
    }
    dynamic "other" {
      for_each = stage.t2.a
      labels   = [other.key]
      content { value = [other.value, stage.t3.a] }
    }
  }
}
stage "both" {
  use "x" { a = stage.build.a }
  depends_on = [stage.build, stage.t1]
}
module "m" {
  for_each   = ["a", "b"]
  source     = "./m"
  inputs     = { image = stage.build.image, other = stage.t2.a }
  depends_on = [stage.t3]
}
stage "module_output" {
  use "x" { a = module.m["a"].url }
}
stage "module_other" {
  use "x" { a = module.m["a"].plain }
}
stage "module_all" {
  use "x" { a = [for m in module.m : m.url] }
}
stage "module_depends" {
  use "x" {}
  depends_on = [module.m["b"]]
}
`+func() string {
		var b strings.Builder
		for i := 1; i <= 11; i++ {
			fmt.Fprintf(&b, "stage \"t%d\" {\n  use \"x\" {}\n}\n", i)
		}
		return b.String()
	}(), "m/module.hcl", `
variable "image" {}
variable "other" {}
stage "deploy" {
  use "x" { image = var.image }
}
output "url" { value = "${stage.deploy.url}-${var.image}" }
output "plain" { value = 1 }
`)
	s := newScope(t, p, scope.Options{})
	tests := map[string][]string{
		`stage.build`:                nil,
		`stage.release["prod"]`:      {"stage.build"},
		`stage.smoke["prod"]`:        {`stage.release["prod"]`},
		`stage.smoke["staging"]`:     {`stage.release["staging"]`},
		`stage.smoke_env["audit"]`:   {`stage.release["audit"]!`},
		`stage.literal`:              {`stage.release["staging"]`},
		`stage.computed`:             {`stage.release["prod"]`},
		`stage.through_local`:        {`stage.release["prod"]`},
		`stage.all`:                  {`stage.release["staging"]`, `stage.release["prod"]`, `stage.release["audit"]`},
		`stage.unknown_key`:          {"stage.build", `stage.release["staging"]`, `stage.release["prod"]`, `stage.release["audit"]`},
		`stage.bound_key`:            {`stage.release["staging"]`, `stage.release["prod"]`, `stage.release["audit"]`},
		`stage.everywhere`:           {"stage.t1", "stage.t2", "stage.t3", "stage.t4", "stage.t5", "stage.t6", "stage.t7", "stage.t8", "stage.t9", "stage.t10", "stage.t11"},
		`stage.dynamic`:              {"stage.t1", "stage.t2", "stage.t3"},
		`stage.both`:                 {"stage.build", "stage.t1!"},
		`module.m["a"].stage.deploy`: {"stage.build", "stage.t3!"},
		`stage.module_output`:        {"stage.build", `module.m["a"].stage.deploy`},
		`stage.module_other`:         nil,
		`stage.module_all`:           {"stage.build", `module.m["a"].stage.deploy`, `module.m["b"].stage.deploy`},
		`stage.module_depends`:       {`module.m["b"].stage.deploy!`},
	}
	for address, want := range tests {
		wantDependencies(t, stage(t, s, address), want...)
	}
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

func TestSensitiveStays(t *testing.T) {
	p := load(t, "pipeline.hcl", `
pipeline "p" {}
variable "token" {
  type      = string
  sensitive = true
  default   = "hunter2"
}
locals { header = "Bearer ${var.token}" }
stage "a" {
  use "x" {}
}
module "m" {
  source = "./m"
  inputs = { a = var.token, b = "x" }
}
`, "m/module.hcl", `
variable "a" {}
variable "b" { sensitive = true }
stage "s" {
  use "x" {}
}
output "a" { value = upper(var.a) }
output "b" { value = var.b }
output "c" {
  value     = "plain"
  sensitive = true
}
output "d" { value = "plain" }
`)
	s := newScope(t, p, scope.Options{Outputs: given{"stage.a": object("key", lang.Sensitive(cty.StringVal("s")), "url", cty.StringVal("u"))}})
	c := stage(t, s, "stage.a").Context()
	for src, want := range map[string]bool{
		"local.header": true, "jsonencode({ a = [var.token] })": true, `{ a = local.header }`: true,
		"module.m.a": true, "module.m.b": true, "module.m.c": true, "module.m.d": false,
		"stage.a.key": true, "stage.a.url": false, "stage.a": true, "sha256(stage.a.key)": true,
		"nonsensitive(var.token)": false, "length(var.token) > 3 ? 1 : 2": true, `sensitive("x")`: true,
		`{ for k in ["a"] : k => var.token }`: true, "try(var.token, 1)": true,
	} {
		if got := lang.IsSensitive(mustEvaluate(t, c, src)); got != want {
			t.Errorf("%s: sensitive = %v, want %v", src, got, want)
		}
	}
}

func TestErrorsDoNotShowSecrets(t *testing.T) {
	p := load(t, `
variable "token" {
  type      = string
  sensitive = true
  default   = "hunter2-and-more"
}
variable "map" {
  type      = map(string)
  sensitive = true
  default   = { hunter2-and-more = "x" }
}
stage "a" {
  use "x" {}
}
`)
	s := newScope(t, p, scope.Options{})
	c := stage(t, s, "stage.a").Context()
	for _, src := range []string{
		"parseint(var.token, 10)", "file(var.token)", "env(var.token)", "env(upper(var.token))", "jsondecode(var.token)", "regex(\"(\", var.token)", "regex(var.token, \"x\")",
		"formatdate(var.token, var.token)", "timeadd(var.token, var.token)", "{ for k in [var.token, var.token] : k => 1 }", "var.map[\"y\"]",
		"var.map.y", "tonumber(var.token)", "tonumber(lower(var.token))", "index([], var.token)", "base64decode(var.token)",
		"try(parseint(var.token, 10), parseint(upper(var.token), 10))", "var.token + 1", "var.token ? 1 : 2", "[1][var.token]", "templatefile(var.token, {})",
		"merge(var.token)", "lookup(var.map, var.token)", "[for k in var.token : k]", "substr(var.token, 0.5, 1)", "range(var.token)", "{ (var.map) = 1 }",
		"format(var.token, 1)", "format(\"%d\", var.token)",
	} {
		v, diags := evaluate(t, c, src)
		if !diags.HasErrors() {
			t.Errorf("%s = %#v, want an error", src, v)
		}
		if all := strings.ToLower(text(diags, p)); strings.Contains(all, "hunter2") {
			t.Errorf("%s shows the secret:\n%s", src, all)
		}
		for _, d := range diags {
			if d.EvalContext != nil || d.Expression != nil {
				t.Errorf("%s: the diagnostic carries values", src)
			}
		}
	}
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

func TestReferences(t *testing.T) {
	p := load(t, "stage \"a\" {\n use \"x\" {}\n}\nstage \"b\" {\n use \"x\" {}\n}\n")
	s := newScope(t, p, scope.Options{})
	expr, _ := hclsyntax.ParseExpression([]byte("[stage.b.x, block.value]"), "t", hcl.InitialPos)
	bound := block.WithNames(expr, map[string]cty.Value{"block": cty.DynamicVal})
	deps, diags := stage(t, s, "stage.a").Context().References(bound)
	if diags.HasErrors() || len(deps) != 1 || deps[0].Stage.Name != "b" || deps[0].Range.Filename != "t" {
		t.Errorf("References = %v, %v", deps, diags)
	}
}

// A chain of locals longer than any person writes ends in a diagnostic.
func TestLongChains(t *testing.T) {
	chain := func(n int) string {
		var b strings.Builder
		b.WriteString("locals {\n  l0 = 1\n")
		for i := 1; i <= n; i++ {
			fmt.Fprintf(&b, "  l%d = local.l%d\n", i, i-1)
		}
		fmt.Fprintf(&b, "}\nstage \"a\" {\n  use \"x\" { y = local.l%d }\n}\n", n)
		return b.String()
	}
	p := load(t, chain(900))
	s := newScope(t, p, scope.Options{})
	wantValue(t, "the end of the chain", mustEvaluate(t, stage(t, s, "stage.a").Context(), "local.l900"), cty.NumberIntVal(1))

	p = load(t, chain(5000))
	s = newScope(t, p, scope.Options{})
	st := stage(t, s, "stage.a")
	if _, diags := evaluate(t, st.Context(), "local.l5000"); !diags.HasErrors() || diags[0].Summary != "References too long" {
		t.Errorf("diagnostics: %v", diags)
	}
	if _, diags := st.Dependencies(); diags.HasErrors() {
		t.Error(diags)
	}
}

func TestCycleThroughManyNames(t *testing.T) {
	p := load(t, `
locals {
  a = [local.b, local.c]
  b = local.c
  c = { x = local.d }
  d = local.b
  e = local.a
}
stage "a" {
  use "x" { y = local.e }
}
`)
	s := newScope(t, p, scope.Options{})
	diags := s.Check()
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "local.b → local.c → local.d → local.b") {
		t.Errorf("diagnostics:\n%s", text(diags, p))
	}
	if _, diags := stage(t, s, "stage.a").Dependencies(); diags.HasErrors() {
		t.Error(diags)
	}
}

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
					st.Dependencies()
				}
			}
		})
	}
	wg.Wait()
}

type constant struct{ v cty.Value }

func (c constant) Outputs(addr.Stage) cty.Value { return c.v }

func TestAutoFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.auto.runnervars", "a.auto.runnervars.json", "c.runnervars", "auto.runnervars.txt"} {
		write(t, dir, name, "{}")
	}
	files, err := scope.AutoFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"a.auto.runnervars.json", "b.auto.runnervars"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if _, err := scope.AutoFiles(dir + "/nowhere"); err == nil {
		t.Error("a missing directory is no error")
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzEval(f *testing.F) {
	for _, src := range []string{
		"1 + 2", `"${var.a}"`, "[for k, s in stage.r : s.x if k != \"a\"]", `stage.r[each.key].x`, "try(git.commit, null)", "module.m.out",
		`{ (var.a) = local.l }`, "env.settings.n", "stage.b[*].x", `templatefile("t", {})`, "local.l...", "sensitive(var.a) ? 1 : 2", "environment[each.key].name",
		`<<E
%{ for a in [1] }${a}%{ endfor }
E
`,
	} {
		f.Add(src)
	}
	p := load(f, "pipeline.hcl", `
pipeline "p" {}
environment "a" { settings = { n = 1 } }
variable "a" { default = "a" }
locals { l = [1, var.a] }
stage "b" {
  use "x" {}
}
stage "r" {
  for_each = environment
  use "x" {}
}
module "m" { source = "./m" }
`, "m/module.hcl", "output \"out\" {\n value = 1\n}\n")
	s := newScope(f, p, scope.Options{Outputs: constant{object("x", cty.UnknownVal(cty.String), "y", lang.Sensitive(cty.StringVal("s")))}})
	st := stage(f, s, `stage.r["a"]`)
	f.Fuzz(func(t *testing.T, src string) {
		if scan.Template([]byte(`${`+src+`}`)) != nil {
			return
		}
		expr, diags := hclsyntax.ParseExpression([]byte(src), "test", hcl.InitialPos)
		if diags.HasErrors() {
			return
		}
		v, diags := st.Context().Eval(expr)
		if !diags.HasErrors() && v == cty.NilVal {
			t.Error("no value and no error")
		}
		for _, d := range diags {
			if d.Summary == "Evaluation failed" {
				t.Error(d)
			}
		}
		first, _ := st.Context().References(expr)
		again, _ := st.Context().References(expr)
		if diff := cmp.Diff(first, again); diff != "" {
			t.Error(diff)
		}
	})
}
