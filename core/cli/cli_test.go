package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

const testVersion = "0.1.0"

// pluginName is the file name of the fake plugin: the test binary itself, in a
// folder of its own, since plugins are also looked for beside the program.
const pluginName = "runner-plugin-fake"

func TestMain(m *testing.M) {
	// What the tests ask of a terminal would be answered otherwise in CI. Scripts set
	// for the programs that they start what they need.
	if strings.HasSuffix(os.Args[0], ".test") {
		for _, name := range []string{"CI", "GITHUB_ACTIONS", "GITLAB_CI"} {
			_ = os.Unsetenv(name)
		}
	}
	// Not the name that it was called by: a plugin also starts itself, as its guard.
	if exe, err := os.Executable(); err == nil && filepath.Base(exe) == pluginName {
		if _, err := os.Stat(filepath.Join(filepath.Dir(exe), otherwise)); err == nil {
			sdk.Serve(hastyPlugin())
			return
		}
		fake.Main()
		return
	}
	testscript.Main(m, map[string]func(){
		"runner":    func() { os.Exit(Main(testVersion)) },
		"runner-as": runnerAs,
	})
}

// runnerAs is the program as another user would run it: runner-as USER[:GROUP] ARGS….
func runnerAs() {
	env := ofProcess(testVersion)
	user, group, _ := strings.Cut(os.Args[1], ":")
	env.User, env.Groups, env.Host = user, []string{group}, "laptop"
	os.Exit(command.Dispatch(context.Background(), env, Commands(env), os.Args[2:]))
}

var update = flag.Bool("update", false, "write what was got into the files that scripts compare with")

// scripts are the subjects, so that a lost file fails and does not vanish.
var scripts = []string{
	"abort", "analyze", "analyze_stage", "apply", "artifacts", "cancel", "compare", "completion", "console", "doctor", "doctor_files", "doctor_snapshot", "doubt", "explain", "failures", "fmt", "gates",
	"github", "graph", "help", "init", "interrupt", "locks", "logs_follow", "order", "output", "plan", "plan_against", "plan_file", "plugin_test", "ready", "records",
	"reject", "report", "rollout", "rollout_approval", "sensitive", "slo", "stages", "status", "undo", "unlock", "validate", "variables", "watch", "waves",
}

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimSuffix(filepath.Base(f), ".txtar"))
	}
	if diff := cmp.Diff(scripts, got); diff != "" {
		t.Errorf("scripts in testdata/script (-want +got):\n%s", diff)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, Setup: setup, RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "await": await, "nowhere": nowhere, "edit": edit, "flip": flip, "gone": gone, "lines": lines, "waiting": waiting,
			"record": record,
		},
	})
}

// setup gives every script the fake plugin, and nothing of who runs the tests. A
// pipeline that does not say which plugins it requires gets that, and what runner
// init would have written.
func setup(env *testscript.Env) error {
	plugins, err := pluginDir()
	if err != nil {
		return err
	}
	for name, value := range environment(plugins) {
		env.Setenv(name, value)
	}
	env.Setenv("ME", ofProcess(testVersion).User)
	file, err := os.ReadFile(filepath.Join(env.WorkDir, "pipeline.hcl"))
	if errors.Is(err, fs.ErrNotExist) || bytes.Contains(file, []byte("required_plugins")) {
		return nil
	}
	ready, err := initialised()
	if err != nil {
		return err
	}
	return errors.Join(os.CopyFS(env.WorkDir, os.DirFS(ready)), os.Chmod(filepath.Join(env.WorkDir, ".runner"), 0o700))
}

func environment(plugins string) map[string]string {
	return map[string]string{
		"PLUGINS": plugins, "RUNNER_PLUGIN_DIR": plugins, "TZ": "UTC",
		// The sockets of plugins lie there, and their paths must not be long.
		"TMPDIR": os.TempDir(),
		// Under the race detector every process would sleep for a second at its end.
		"GORACE": "atexit_sleep_ms=0",
	}
}

// pluginDir is the folder of the fake plugin. It goes with the programs of the tests.
var pluginDir = sync.OnceValues(func() (string, error) {
	program, err := exec.LookPath("runner")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(program), "plugins")
	// A copy: the times of a link change with every other link of the file, and a
	// plugin whose times change while it starts is refused.
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, pluginName), content, 0o700))
})

// initialised is a folder with a requirement and what runner init makes of it.
var initialised = sync.OnceValues(func() (string, error) {
	plugins, err := pluginDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(plugins), "initialised")
	for name, content := range map[string]string{
		"pipeline.hcl": "pipeline \"ready\" {}\nstage \"a\" {\n  use \"fake_plain\" {}\n}\n",
		"plugins.pipeline.hcl": `runner {
  required_plugins {
    fake = { source = "runner/fake", version = "~> 1.2" }
  }
}
`,
	} {
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)); err != nil {
			return "", err
		}
	}
	cmd := exec.Command("runner", "-chdir="+dir, "init")
	cmd.Env = os.Environ()
	for name, value := range environment(plugins) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("runner init: %w\n%s", err, out)
	}
	return dir, os.Remove(filepath.Join(dir, "pipeline.hcl"))
})

// exits runs a program that must end with a code: exits CODE PROGRAM ARGS….
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS…")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%s", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// awaitDeadline is far more than any script waits on a busy machine.
const awaitDeadline = 30 * time.Second

// await waits until a file has a line that matches: await FILE REGEXP.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	until(ts, fmt.Sprintf("%s has no line that matches %s", args[0], args[1]), func() bool {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && re.Match(b)
	})
}

// gone waits until the processes whose ids a file lists have ended: gone FILE.
func gone(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: gone FILE")
	}
	for _, text := range strings.Fields(ts.ReadFile(args[0])) {
		pid, err := strconv.Atoi(text)
		ts.Check(err)
		until(ts, fmt.Sprintf("process %d has not ended", pid), func() bool { return !running(pid) })
	}
}

// waiting waits until the state of the newest run matches: waiting REGEXP, of what
// runner status -json shows.
func waiting(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waiting REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	until(ts, "runner status shows nothing that matches "+args[0], func() bool {
		return ts.Exec("runner", "status", "-json") == nil && re.MatchString(ts.ReadFile("stdout"))
	})
}

func until(ts *testscript.TestScript, otherwise string, ok func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(awaitDeadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("after %s, %s", awaitDeadline, otherwise)
		}
	}
}

// nowhere fails when a text is in the output of the last program or in a file
// below one of the folders: nowhere TEXT DIR….
func nowhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: nowhere TEXT DIR…")
	}
	text, files := []byte(args[0]), 0
	for _, out := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(out), args[0]) {
			ts.Fatalf("%s has %q", out, args[0])
		}
	}
	for _, dir := range args[1:] {
		err := filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			b, err := os.ReadFile(path)
			if bytes.Contains(b, text) {
				ts.Fatalf("%s has %q", path, args[0])
			}
			return err
		})
		ts.Check(err)
	}
	if files == 0 {
		ts.Fatalf("there are no files to look into")
	}
}

// edit replaces a text that is in a file: edit FILE OLD NEW.
func edit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	b := ts.ReadFile(args[0])
	if !strings.Contains(b, args[1]) {
		ts.Fatalf("%s does not have %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(b, args[1], args[2])), 0o600))
}

// flip changes one bit in the middle of a file: flip FILE.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	b := []byte(ts.ReadFile(args[0]))
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// lines counts those of a file: lines FILE N [PREFIX].
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: lines FILE N [PREFIX]")
	}
	prefix := strings.Join(args[2:], " ")
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("%s has %d lines that begin with %q, want %s:\n%s", args[0], n, prefix, args[1], ts.ReadFile(args[0]))
	}
}
