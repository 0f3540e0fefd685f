package scope_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

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
