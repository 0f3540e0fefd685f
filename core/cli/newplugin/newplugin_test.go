package newplugin_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/newplugin"
)

func runner(t *testing.T, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	env := &command.Env{Stdout: &out, Stderr: &out, Dir: dir, Version: "0.1.0"}
	code := command.Dispatch(t.Context(), env, []*command.Command{newplugin.New(env, nil)}, append([]string{"new-plugin"}, args...))
	return code, out.String()
}

func TestEveryKindIsWritten(t *testing.T) {
	for _, kind := range newplugin.Kinds {
		dir := t.TempDir()
		code, said := runner(t, dir, "-kind", kind, "my-thing")
		if code != command.OK || !strings.Contains(said, `the `+kind+` "my_thing" into runner-plugin-my-thing`) {
			t.Errorf("%s: exit code %d: %s", kind, code, said)
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "runner-plugin-my-thing", "*"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			names = append(names, filepath.Base(f))
			b, err := os.ReadFile(f)
			if err != nil || bytes.Contains(b, []byte("{{.")) || bytes.Contains(b, []byte("<no value>")) {
				t.Errorf("%s: %s has a hole:\n%s", kind, filepath.Base(f), b)
			}
		}
		if diff := cmp.Diff([]string{"README.md", "component.go", "component_test.go", "go.mod", "main.go"}, names); diff != "" {
			t.Errorf("%s: files (-want +got):\n%s", kind, diff)
		}
	}
}

func TestMistakesAreTold(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"takes the plugin's name":      {},
		`Did you mean "strategy"?`:     {"-kind=stratgy", "x"},
		"There is: action, target":     {"-kind=q", "x"},
		"cannot be the name":           {"Big"},
		"no folder with the SDK":       {"-sdk=nowhere", "x"},
		"holds something already":      {"-dir=.", "x"},
		`"a--b" cannot be the name of`: {"a--b"},
	} {
		if code, said := runner(t, dir, args...); code != command.Failed || !strings.Contains(said, want) {
			t.Errorf("%v: exit code %d: %s", args, code, said)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("something was written: %v", entries)
	}
}

// Each plugin passes the suite of its kind as it is written.
func TestRealPluginsPassTheirSuites(t *testing.T) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("RUNNER_TEST_REAL is not set: make test-real runs this")
	}
	sdk, err := filepath.Abs("../../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// A workspace: the SDK's own sums are all that the plugins need.
	work := "go 1.26.0\n\nuse " + sdk + "\n"
	var packages []string
	for _, kind := range newplugin.Kinds {
		name := "try-" + kind
		if code, said := runner(t, dir, "-kind", kind, "-sdk", sdk, "-dir", name, name); code != command.OK {
			t.Fatalf("%s: exit code %d: %s", kind, code, said)
		}
		work += "use ./" + name + "\n"
		packages = append(packages, "./"+name+"/...")
	}
	if err := os.WriteFile(filepath.Join(dir, "go.work"), []byte(work), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"vet"}, {"test", "-count=1"}} {
		cmd := exec.CommandContext(t.Context(), "go", slices.Concat(args, packages)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=", "GOFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("go %s: %v\n%s", args[0], err, out)
		}
		t.Logf("go %s:\n%s", args[0], out)
	}
}
