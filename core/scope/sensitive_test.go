package scope_test

import (
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

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
