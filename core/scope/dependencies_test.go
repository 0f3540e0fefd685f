package scope_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/block"
	"github.com/runner-pipelines/runner/core/scope"
)

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
stage "module_key" {
  for_each = ["a", "b"]
  use "x" { a = [module.m[each.key].plain, [for k in ["a"] : module.m[k].plain]] }
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
		`stage.module_key["b"]`:      nil,
		`stage.module_all`:           {"stage.build", `module.m["a"].stage.deploy`, `module.m["b"].stage.deploy`},
		`stage.module_depends`:       {`module.m["b"].stage.deploy!`},
	}
	for address, want := range tests {
		wantDependencies(t, stage(t, s, address), want...)
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
