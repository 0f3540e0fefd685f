package ask_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/scope"
)

const pipeline = `
pipeline "shop" {}

variable "version" {
  type        = string
  description = "What to deploy."
}
variable "replicas" {
  type = number
  validation {
    condition     = var.replicas > 0
    error_message = "At least one."
  }
}
variable "zones" {
  type = list(string)
}
variable "default" {
  default = 1
}
stage "a" {
  use "noop" {}
}
`

// person is an environment in which the input is typed by somebody.
func person(input string) (*command.Env, *bytes.Buffer) {
	var out bytes.Buffer
	return &command.Env{Stdin: strings.NewReader(input), Stderr: &out, Interactive: true}, &out
}

func load(t *testing.T, src string) *config.Pipeline {
	t.Helper()
	p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(src)}, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return p
}

func variables(t *testing.T, env *command.Env, values scope.Values) ([]string, error) {
	t.Helper()
	p := load(t, pipeline)
	return ask.Variables(env, p, values, lang.OS(".", ".", nil), func(d hcl.Diagnostics) { _ = diagnostics.Write(env.Stderr, d, p.Files) })
}

func TestVariablesAreAskedForUntilTheyFit(t *testing.T) {
	env, out := person("v2\nmany\n0\n3\n[\"a\"]\nleft")
	got, err := variables(t, env, scope.Values{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"version=v2", "replicas=3", `zones=["a"]`}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	want := `var.version
  What to deploy.

  Enter a value: 
var.replicas

  Enter a value: 
Error: Wrong type
  on -var replicas line 1:
   1: many

The variable "replicas" is of type number, and this value is not: a number is required.

  Enter a value: 
Error: Invalid value for a variable
  on pipeline.hcl line 8, in variable "replicas":
   8: variable "replicas" {

The value of "replicas" breaks the rule at pipeline.hcl:10: At least one.

  Enter a value: 
var.zones
  Of type list(string), written as in HCL.

  Enter a value: 
`
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("questions (-want +got):\n%s", diff)
	}
	// Nothing behind the last answer is taken.
	if rest, _ := io.ReadAll(env.Stdin); string(rest) != "left" {
		t.Errorf("what follows is %q", rest)
	}
}

func TestWhoIsNotAsked(t *testing.T) {
	given := scope.Values{Vars: []string{"version=1", "replicas=2", "zones=[]"}}
	env, out := person("")
	if got, err := variables(t, env, given); len(got) > 0 || err != nil || out.Len() > 0 {
		t.Errorf("with all values: %v, %v\n%s", got, err, out)
	}
	env, out = person("x\n")
	env.Interactive = false
	if got, err := variables(t, env, scope.Values{}); len(got) > 0 || err != nil || out.Len() > 0 {
		t.Errorf("without a terminal: %v, %v\n%s", got, err, out)
	}
	// The end of the input is no answer: who needs the value says what is missing.
	env, _ = person("v2\n")
	if got, err := variables(t, env, scope.Values{}); err != nil || !cmp.Equal(got, []string{"version=v2"}) {
		t.Errorf("at the end of the input: %v, %v", got, err)
	}
}

func TestCtrlCEndsAQuestion(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	interrupts <- os.Interrupt
	// Nobody ever types here.
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = in.Close(), typed.Close() })
	env := &command.Env{Stdin: in, Stderr: io.Discard, Interactive: true, Interrupts: interrupts}
	var exit *command.ExitError
	if err := ask.Approval(env, false, "apply"); !errors.As(err, &exit) || exit.Code != command.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestApproval(t *testing.T) {
	for input, want := range map[string]string{"yes\n": "", "yes": "", " yes \r\n": "", "y\n": "Nothing was done.", "": "Nothing was done."} {
		env, _ := person(input)
		got := ""
		if err := ask.Approval(env, false, "apply"); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", input, got, want)
		}
	}
}

func TestChoiceAndText(t *testing.T) {
	env, _ := person("nonsense\nB\n\n\n here \n")
	if got, err := ask.Choice(env, "Which", "a", "b"); got != "b" || err != nil {
		t.Errorf("choice: %q, %v", got, err)
	}
	if got, err := ask.Choice(env, "Which", "a", "b"); got != "a" || err != nil {
		t.Errorf("empty choice: %q, %v", got, err)
	}
	if got, err := ask.Text(env, "Name", "shop"); got != "shop" || err != nil {
		t.Errorf("empty text: %q, %v", got, err)
	}
	if got, err := ask.Text(env, "Name", "shop"); got != "here" || err != nil {
		t.Errorf("text: %q, %v", got, err)
	}
	if _, err := ask.Text(env, "Name", ""); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}
