package create_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/create"
	"github.com/runner-pipelines/runner/core/cli/format"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

var update = flag.Bool("update", false, "write what was got into the cases")

// cases are the subjects, so that a lost file fails and does not vanish.
var cases = []string{"both", "empty", "everything", "go", "go_library", "node", "one_environment", "service", "terraform"}

// archived lists the cases: archives of a folder, with "args" where there are any,
// and "want", the pipeline.
func archived(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	out := map[string]*txtar.Archive{}
	for _, name := range cases {
		a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = a
	}
	if files, _ := filepath.Glob("testdata/*.txtar"); len(files) != len(cases) {
		t.Errorf("testdata has %d cases, want %d", len(files), len(cases))
	}
	return out
}

// made writes the folder of a case and runs runner new in it.
func made(t *testing.T, a *txtar.Archive) (dir, said string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "shop")
	args := []string{"new"}
	for _, f := range a.Files {
		switch f.Name {
		case "want":
		case "args":
			args = append(args, strings.Fields(string(f.Data))...)
		default:
			put(t, filepath.Join(dir, f.Name), f.Data)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	code, said := runner(t, dir, "", args...)
	if code != command.OK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	return dir, said
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// runner runs a command in a folder; with an input, somebody types it.
func runner(t *testing.T, dir, input string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	env := &command.Env{Stdin: strings.NewReader(input), Stdout: &out, Stderr: &out, Dir: dir, Version: "0.1.0", Interactive: input != ""}
	code := command.Dispatch(t.Context(), env, []*command.Command{create.New(env, nil), format.New(env, nil)}, args)
	return code, out.String()
}

func TestWhatIsWritten(t *testing.T) {
	for name, a := range archived(t) {
		t.Run(name, func(t *testing.T) {
			dir, _ := made(t, a)
			got, err := os.ReadFile(filepath.Join(dir, "pipeline.hcl"))
			if err != nil {
				t.Fatal(err)
			}
			p, diags := config.Load(dir, config.Options{Version: "0.1.0"})
			if len(diags) > 0 {
				var b bytes.Buffer
				_ = diagnostics.Write(&b, diags, p.Files)
				t.Error(b.String())
			}
			if code, said := runner(t, dir, "", "fmt", "-check", "-diff"); code != command.OK {
				t.Errorf("it is not formatted:\n%s", said)
			}
			if *update {
				renew(t, name, a, got)
			}
			var want []byte
			for _, f := range a.Files {
				if f.Name == "want" {
					want = f.Data
				}
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
				t.Errorf("pipeline.hcl (-want +got):\n%s", diff)
			}
		})
	}
}

func renew(t *testing.T, name string, a *txtar.Archive, got []byte) {
	t.Helper()
	var files []txtar.File
	for _, f := range a.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	a.Files = append(files, txtar.File{Name: "want", Data: got})
	if err := os.WriteFile(filepath.Join("testdata", name+".txtar"), txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsFoundIsTold(t *testing.T) {
	_, said := made(t, archived(t)["everything"])
	want := `Found a Go module.
Found a Node package with the scripts test, build.
Found a Dockerfile.
Found a Helm chart in charts/shop.
Found Terraform files in infra.
Wrote pipeline.hcl of pipeline "shop". To go on:
  runner init
  runner plan -var registry=…
`
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPersonIsAsked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my shop!")
	put(t, filepath.Join(dir, "Chart.yaml"), []byte("name: x\n"))
	code, said := runner(t, dir, "store\n\ndev prod\n", "new")
	if code != command.OK {
		t.Fatalf("exit code %d: %s", code, said)
	}
	for _, want := range []string{"Name of the pipeline [my-shop]: ", "[helm]: ", "Environments, in the order of promotion [staging,prod]: ", `of pipeline "store"`} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in:\n%s", want, said)
		}
	}
	p, diags := config.Load(dir, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var names []string
	for _, e := range p.Environments {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"dev", "prod"}, names); diff != "" || p.Name != "store" {
		t.Errorf("pipeline %q, environments (-want +got):\n%s", p.Name, diff)
	}
	// What an option says is not asked, and -input=false asks nothing.
	dir = t.TempDir()
	if code, said := runner(t, dir, "\n", "new", "-name=a", "-with="); code != command.OK || strings.Contains(said, "[") {
		t.Errorf("exit code %d: %s", code, said)
	}
	dir = t.TempDir()
	if code, said := runner(t, dir, "typed\n", "new", "-input=false", "-name=a"); code != command.OK || strings.Contains(said, "[") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "pipeline.hcl")
	put(t, file, []byte("mine"))
	code, said := runner(t, dir, "", "new", "-name=a")
	if kept, _ := os.ReadFile(file); code != command.Failed || string(kept) != "mine" || !strings.Contains(said, "runner new -force") {
		t.Errorf("exit code %d: %s; the file is %q", code, said, kept)
	}
	if code, said := runner(t, dir, "", "new", "-name=a", "-force"); code != command.OK {
		t.Errorf("with -force: exit code %d: %s", code, said)
	}
	if now, _ := os.ReadFile(file); !bytes.Contains(now, []byte(`pipeline "a"`)) {
		t.Errorf("with -force: the file is %q", now)
	}
	// Two files would be one pipeline with everything twice.
	dir = t.TempDir()
	put(t, filepath.Join(dir, "pipeline.hcl.json"), []byte("{}"))
	if code, said := runner(t, dir, "", "new", "-name=a", "-force"); code != command.Failed || !strings.Contains(said, "pipeline.hcl.json exists") {
		t.Errorf("beside JSON: exit code %d: %s", code, said)
	}
}

func TestMistakesAreTold(t *testing.T) {
	for want, args := range map[string][]string{
		`Did you mean "docker"?`:                     {"new", "-with=dokcer"},
		"There is: go, node":                         {"new", "-with=xyz"},
		`"1a" cannot be the name of a pipeline`:      {"new", "-name=1a"},
		`"a.b" cannot be the name of an environment`: {"new", "-with=helm", "-environments=a.b"},
		`"a" stands twice among a,b,a`:               {"new", "-with=helm", "-environments=a,b,a"},
		"A service needs a program to run":           {"new", "-with=service"},
		"at most one folder":                         {"new", "a", "b"},
	} {
		dir := t.TempDir()
		code, said := runner(t, dir, "", args...)
		if code != command.Failed || !strings.Contains(said, want) {
			t.Errorf("%v: exit code %d: %s", args, code, said)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("%v: something was written", args)
		}
	}
	dir := t.TempDir()
	put(t, filepath.Join(dir, "package.json"), []byte("{"))
	if code, said := runner(t, dir, "", "new"); code != command.Failed || !strings.Contains(said, "package.json is no JSON") {
		t.Errorf("exit code %d: %s", code, said)
	}
}

// The folder need not be there, and its name may be no name of a pipeline.
func TestFoldersOfAllKinds(t *testing.T) {
	for folder, want := range map[string]string{"a/b": "b", "42": "pipeline-42", "ä": "pipeline", "x y": "x-y"} {
		dir := t.TempDir()
		if code, said := runner(t, dir, "", "new", folder); code != command.OK {
			t.Errorf("%s: exit code %d: %s", folder, code, said)
		}
		p, diags := config.Load(filepath.Join(dir, folder), config.Options{})
		if diags.HasErrors() || p.Name != want {
			t.Errorf("%s: pipeline %q, want %q; %v", folder, p.Name, want, diags)
		}
	}
}
