package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	describe "github.com/invopop/jsonschema"
	check "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/runner-pipelines/runner/core/cli/compare"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
)

// reflector describes Go types; strict schemas take no attribute that they do not
// describe, published ones do, so that later versions can say more.
func reflector(t *testing.T, strict bool) *describe.Reflector {
	t.Helper()
	r := &describe.Reflector{AllowAdditionalProperties: !strict, Anonymous: true, Namer: func(t reflect.Type) string {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return path.Base(t.PkgPath()) + "." + t.Name()
	}}
	if strict {
		return r
	}
	for _, dir := range []string{"../kernel", "../plan", "../diagnostics", "../journal/logs", "./view", "./compare", "../../sdk/call", "../../sdk/target", "../../sdk/strategy"} {
		if err := r.AddGoComments("github.com/runner-pipelines/runner/core/cli", dir); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// described is the schema of a type, with its definitions moved to all.
func described(r *describe.Reflector, typ reflect.Type, all describe.Definitions) *describe.Schema {
	s := r.ReflectFromType(typ)
	for name, d := range s.Definitions {
		all[name] = d
	}
	s.Version, s.Definitions = "", nil
	return s
}

func planSchema(t *testing.T, strict bool) []byte {
	r := reflector(t, strict)
	all := describe.Definitions{}
	s := described(r, reflect.TypeFor[view.PlanDocument](), all)
	addComparison(r, all)
	s.Version, s.Definitions, s.Title = describe.Version, all, "A plan, as runner show -json gives it"
	return encoded(t, s)
}

// addComparison says what the view only knows as anything.
func addComparison(r *describe.Reflector, all describe.Definitions) {
	plan := all["view.PlanDocument"]
	plan.Properties.Set("compared", described(r, reflect.TypeFor[compare.Difference](), all))
}

func eventsSchema(t *testing.T, strict bool) []byte {
	r := reflector(t, strict)
	all := describe.Definitions{}
	props := describe.NewProperties()
	props.Set("time", &describe.Schema{Type: "string", Format: "date-time"})
	types := &describe.Schema{Type: "string"}
	props.Set("type", types)
	props.Set("run", &describe.Schema{Type: "string", Description: "Absent before a run is opened."})
	props.Set("data", describe.TrueSchema)
	s := &describe.Schema{
		Version: describe.Version, Title: "A line that commands with -json write", Type: "object", Properties: props,
		Required: []string{"time", "type", "data"}, AdditionalProperties: describe.FalseSchema,
	}
	if !strict {
		s.AdditionalProperties = nil
	}
	line := func(typ string, of reflect.Type) {
		types.Enum = append(types.Enum, typ)
		is, has := describe.NewProperties(), describe.NewProperties()
		is.Set("type", &describe.Schema{Const: typ})
		has.Set("data", described(r, of, all))
		s.AllOf = append(s.AllOf, &describe.Schema{If: &describe.Schema{Properties: is}, Then: &describe.Schema{Properties: has}})
	}
	for _, f := range kernel.Facts() {
		line(f.FactType(), reflect.TypeOf(f))
	}
	line("plan", reflect.TypeFor[view.PlanDocument]())
	line("log", reflect.TypeFor[view.LogLine]())
	line("diagnostic", reflect.TypeFor[diagnostics.Diagnostic]())
	line("summary", reflect.TypeFor[view.Summary]())
	line("note", reflect.TypeFor[view.NoteLine]())
	addComparison(r, all)
	s.Definitions = all
	return encoded(t, s)
}

func encoded(t *testing.T, s *describe.Schema) []byte {
	t.Helper()
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// The published schemas are those of the types that are written.
func TestPublishedSchemas(t *testing.T) {
	for name, got := range map[string][]byte{"plan.schema.json": planSchema(t, false), "events.schema.json": eventsSchema(t, false)} {
		file := filepath.Join("../../docs/schema", name)
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date; renew it with go test ./core/cli -run TestPublishedSchemas -update (-want +got):\n%s", name, diff)
		}
	}
}

func compiled(t *testing.T, name string, schema []byte) *check.Schema {
	t.Helper()
	doc, err := check.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := check.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the program writes is what the schemas say: nothing is missing, nothing
// is of another type, and nothing is there that they do not describe.
func TestOutputFitsTheSchemas(t *testing.T) {
	ready, err := initialised()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(ready)); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"pipeline.hcl": manyFacts, "good.json": `{"*": {"counter": {"n": 1000, "events": 0}}}`, "bad.json": `{"*": {"counter": {"n": 1000, "events": 500}}}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	plugins, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	events, plans := compiled(t, "events", eventsSchema(t, true)), compiled(t, "plan", planSchema(t, true))
	published := compiled(t, "published", eventsSchema(t, false))
	for _, wrong := range []string{
		`{"time":"2026-11-23T06:00:00Z","type":"run.closed","data":{"outcome":1}}`,
		`{"time":"2026-11-23T06:00:00Z","type":"run.closed","data":{}}`,
		`{"time":"yesterday","type":"note","data":{"text":""}}`,
		`{"time":"2026-11-23T06:00:00Z","type":"nothing","data":{}}`,
	} {
		v, err := check.UnmarshalJSON(strings.NewReader(wrong))
		if err != nil {
			t.Fatal(err)
		}
		if published.Validate(v) == nil {
			t.Errorf("the schema takes %s", wrong)
		}
	}
	seen := map[string]bool{}
	runner := func(args ...string) {
		cmd := exec.Command("runner", args...)
		cmd.Dir, cmd.Env = dir, os.Environ()
		for name, value := range environment(plugins) {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, _ := cmd.Output()
		if len(out) == 0 {
			t.Errorf("runner %s wrote nothing", strings.Join(args, " "))
		}
		for text := range strings.Lines(string(out)) {
			v, err := check.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatalf("runner %s wrote %q: %s", strings.Join(args, " "), text, err)
			}
			if args[0] == "show" && strings.HasSuffix(args[len(args)-1], ".plan") {
				if err := plans.Validate(v); err != nil {
					t.Errorf("the plan does not fit: %s\n%s", text, err)
				}
				continue
			}
			typ, _ := v.(map[string]any)["type"].(string)
			seen[typ] = true
			for _, s := range []*check.Schema{events, published} {
				if err := s.Validate(v); err != nil {
					t.Errorf("line of type %s does not fit: %s\n%s", typ, text, err)
				}
			}
		}
	}
	runner("apply", "-json", "-auto-approve")
	runner("apply", "-json", "-auto-approve", "-var=version=two", "-var=metrics=bad.json")
	runner("apply", "-json", "-auto-approve", "-var=fail=permanent")
	runner("apply", "-json", "-auto-approve", "-var=ask=true")
	if out, err := exec.Command("runner", "-chdir="+dir, "approve", "-comment=yes").CombinedOutput(); err != nil {
		t.Fatalf("approve: %s\n%s", err, out)
	}
	runner("resume", "-json")
	runner("show", "-json", "latest")
	runner("plan", "-json", "-var=version=three", "-out=kept.plan")
	runner("show", "-json", "-against=latest", "kept.plan")
	var got []string
	for typ := range seen {
		got = append(got, typ)
	}
	slices.Sort(got)
	for _, must := range []string{"plan", "log", "summary", "run.opened", "node.settled", "command.failed", "verdict.reached", "rollout.aborting", "gate.answered", "run.resumed", "run.closed"} {
		if !seen[must] {
			t.Errorf("no line of type %s was written, only %v", must, got)
		}
	}
}

const manyFacts = `
pipeline "shop" {}
variable "version" {
  type    = string
  default = "one"
}
variable "metrics" {
  type    = string
  default = "good.json"
}
variable "fail" {
  type    = string
  default = ""
}
variable "ask" {
  type    = bool
  default = false
}
environment "prod" {}
stage "build" {
  use "fake_run" {
    lines = 2
    fail  = var.fail
  }
}
stage "web" {
  depends_on  = [stage.build]
  environment = environment.prod
  use "fake_target" {
    file    = "web.json"
    address = "http://${var.version}.invalid"
  }
  strategy "fake_strategy" {
    steps = [50, 100]
    bake  = "50ms"
  }
  verify "healthy" {
    use "fake_convergent" {}
  }
  analysis {
    interval        = "20ms"
    deadline        = "10s"
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = var.metrics
      }
      max = 0.01
    }
  }
}
stage "asked" {
  when = var.ask
  use "fake_plain" {}
  approval {}
}
output "key" {
  value = stage.build.key
}
`
