package scope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

const asking = `
pipeline "shop" {}

variable "name" {
  type = string
  validation {
    condition     = length(var.name) > var.least
    error_message = "Too short."
  }
}
variable "least" {
  type = number
}
variable "zones" {
  type = list(string)
}
variable "token" {
  type      = string
  sensitive = true
}
variable "given" {}
variable "file" {}
variable "env" {}
variable "default" {
  default = null
}
stage "a" {
  use "noop" {}
}
`

func TestMissingAndRefuse(t *testing.T) {
	p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(asking)}, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	values := scope.Values{
		Environ: []string{"RUNNER_VAR_env=1", "OTHER=2"},
		Files:   []scope.ValuesFile{{Name: "x.runnervars", Source: []byte("file = 1\n")}},
		Vars:    []string{"given=1"},
	}
	var names []string
	for _, v := range scope.Missing(p, values) {
		names = append(names, v.Name)
	}
	if diff := cmp.Diff([]string{"name", "least", "zones", "token"}, names); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		name, text string
		given      []string
		want       []string
	}{
		{name: "name", text: "a"}, // what it is measured by is missing too
		{name: "name", text: "a", given: []string{"least=3"}, want: []string{"Invalid value for a variable"}},
		{name: "name", text: "abcd", given: []string{"least=3"}},
		{name: "least", text: "many", want: []string{"Wrong type"}},
		{name: "least", text: "2"},
		{name: "zones", text: `["a"]`},
		{name: "zones", text: "[a]", want: []string{"Literal expected"}},
		{name: "zones", text: "[", want: []string{"Missing expression"}},
		// What is wrong with others is not this variable's fault.
		{name: "least", text: "2", given: []string{"nonsense=1", "name"}},
	} {
		v := values
		v.Vars = append(v.Vars, c.given...)
		var got []string
		for _, d := range scope.Refuse(p, v, lang.OS(t.TempDir(), t.TempDir(), nil), c.name, c.text) {
			got = append(got, d.Summary)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s=%s with %v (-want +got):\n%s", c.name, c.text, c.given, diff)
		}
	}
}
