package scope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scan"
	"github.com/runner-pipelines/runner/core/scope"
)

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
