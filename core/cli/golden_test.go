package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// minWrong is how many cases there are at least, so that a lost folder fails and
// does not vanish.
const minWrong = 72

// TestWrongPipelines plans wrong pipelines and compares all that a person sees.
// Each case is an archive of the files of a pipeline, of "vars" (lines NAME=VALUE)
// where it needs them, and of "want". What is wrong here only shows to those who
// know the components, or ask the plugins; core/config has the rest.
func TestWrongPipelines(t *testing.T) {
	cases, err := filepath.Glob("testdata/wrong/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < minWrong {
		t.Errorf("%d cases of wrong pipelines, want at least %d", len(cases), minWrong)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(src)
			want, got := planned(t, archive)
			if *update {
				writeWant(t, file, archive, got)
				return
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("runner plan says (-want +got):\n%s", diff)
			}
		})
	}
}

// planned runs runner plan on a case and gives what it should say and what it says.
func planned(t *testing.T, archive *txtar.Archive) (want, got string) {
	t.Helper()
	ready, err := initialised()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(ready)); err != nil {
		t.Fatal(err)
	}
	args := []string{"plan"}
	for _, f := range archive.Files {
		switch f.Name {
		case "want":
			want = string(f.Data)
		case "vars":
			for v := range strings.Lines(string(f.Data)) {
				args = append(args, "-var", strings.TrimSpace(v))
			}
		default:
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	plugins, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	env := &command.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Dir: dir, Version: testVersion, User: "ada", Host: "here",
		Environ: []string{"RUNNER_PLUGIN_DIR=" + plugins},
	}
	code := command.Dispatch(context.Background(), env, Commands(env), args)
	if warned := strings.HasPrefix(stderr.String(), "Warning"); code != command.Failed && !warned {
		t.Errorf("exit code %d, nothing was found wrong", code)
	}
	if code == command.Failed && stdout.Len() > 0 {
		t.Errorf("a wrong pipeline has a plan:\n%s", &stdout)
	}
	return want, strings.ReplaceAll(stderr.String(), dir, "DIR")
}

func writeWant(t *testing.T, file string, archive *txtar.Archive, want string) {
	t.Helper()
	var files []txtar.File
	for _, f := range archive.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	archive.Files = append(files, txtar.File{Name: "want", Data: []byte(want)})
	if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
