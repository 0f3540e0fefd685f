package plugincmd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// oldestNode is the oldest major version that the SDK for JavaScript runs with.
const oldestNode = 20

// installTime is how long npm may take.
const installTime = 5 * time.Minute

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := installed(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// installed is a copy of what the example needs, with its dependencies as the lock
// files say; made once, and only when asked for.
var installed = sync.OnceValues(func() (string, error) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		return "", errors.New("nothing real is tested")
	}
	dir, err := os.MkdirTemp("", "runner-node-")
	if err != nil {
		return "", err
	}
	root := filepath.Join("..", "..", "..")
	for _, part := range []string{"sdk/proto", "sdk/node", "examples/node-plugin"} {
		if err := copyTree(filepath.Join(dir, part), filepath.Join(root, part)); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	for _, part := range []string{"sdk/node", "examples/node-plugin"} {
		cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = filepath.Join(dir, part)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm ci in %s: %w\n%s", part, err, out)
		}
	}
	return dir, nil
})

// copyTree copies what is under version control there, as far as names tell.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == "node_modules" {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, info.Mode().Perm())
	})
}

// lacking skips where a machine cannot run JavaScript, and fails where CI runs: there
// a skip would say that all is well.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// ready gives the program runner and the copy, or skips with the reason.
func ready(t *testing.T) (runner, dir string) {
	t.Helper()
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("RUNNER_TEST_REAL names no folder of programs; make test-real sets it")
	}
	if runtime.GOOS == "windows" {
		t.Skip("plugins in JavaScript run on Linux and macOS")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking(t, "%s is not installed", program)
		}
	}
	out, err := exec.CommandContext(t.Context(), "node", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		lacking(t, "node is %s; %d or newer is needed", version, oldestNode)
	}
	dir, err = installed()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, "runner"), dir
}

func run(t *testing.T, dir string, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

func TestRealNodeSDK(t *testing.T) {
	_, dir := ready(t)
	out := run(t, filepath.Join(dir, "sdk", "node"), nil, "npm", "test")
	if m := regexp.MustCompile(`(?m)^(?:#|ℹ) pass (\d+)$`).FindStringSubmatch(out); m == nil || m[1] == "0" {
		t.Errorf("no test of the SDK has run:\n%s", out)
	}
}

// TestRealNodeConformance holds what the programs in JavaScript keep, and what of
// that is not asked of them.
func TestRealNodeConformance(t *testing.T) {
	runner, dir := ready(t)
	all := 0
	noPlan := []string{
		"APlanChangesNothing", "APlanIsMadeOrDeferredWhenPartsAreUnknown", "AfterTheRunThereIsNothingToPlan", "ReadChangesNothing", "UndoMayBeRepeated",
	}
	for program, want := range map[string]map[string][]string{
		"examples/node-plugin/runner-plugin-greet": {
			"action greet":    {"WhatNeverStartedIsNotDone", "WhatWasDoneIsKnownToBe"},
			"strategy halves": nil,
			"target flag":     {"ACandidateAnswersAtItsOwnAddress", "AWeightBetweenTwoStepsIsRefused", "CapacityIsSetApartFromWeight"},
		},
		"sdk/node/test/fixture/plugin": {
			"action ask":    append([]string{"ARunTwiceLeavesWhatOnceWould", "AnInvalidConfigurationIsBlamedOnItsAttribute", "WhatNeverStartedIsNotDone", "WhatWasDoneIsKnownToBe"}, noPlan...),
			"action record": append([]string{"ARunTwiceLeavesWhatOnceWould", "CancelStopsTheRun"}, noPlan...),
			"metrics lines": {"AnInvalidConfigurationIsBlamedOnItsAttribute"},
		},
	} {
		t.Run(filepath.Base(program), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), runner, "plugin", "test", "-json", filepath.Join(dir, program))
			out, err := cmd.Output()
			var report struct {
				SDK        string
				Components []struct {
					Kind, Name, Untested string
					Checks               []struct{ Name, Status, Text string }
				}
			}
			if jsonErr := json.Unmarshal(out, &report); jsonErr != nil || report.SDK != "node/0.1.0" {
				t.Fatalf("sdk %q: %v, %v\n%s", report.SDK, err, jsonErr, out)
			}
			got := map[string][]string{}
			for _, c := range report.Components {
				name := c.Kind + " " + c.Name
				got[name] = nil
				kept := 0
				for _, check := range c.Checks {
					switch check.Status {
					case "passed":
						kept++
					case "skipped":
						if check.Name != "TheNetworkIsNotNeeded" { // not every machine can try that
							got[name] = append(got[name], check.Name)
						}
					default:
						t.Errorf("%s: %s: %s", name, check.Name, check.Text)
					}
				}
				slices.Sort(got[name])
				all += kept
				if kept == 0 || c.Untested != "" {
					t.Errorf("%s: %d promises are kept %s", name, kept, c.Untested)
				}
			}
			for _, names := range want {
				slices.Sort(names)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("not asked for (-want +got):\n%s", d)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	figures.Record(t, "Any language", "promises that plugins in JavaScript keep", "%d", all)
}

// TestRealNodePipeline runs the example's pipeline: its plan is made, its action
// runs, its target is moved by its strategy, and all is taken back.
func TestRealNodePipeline(t *testing.T) {
	runner, dir := ready(t)
	example, work := filepath.Join(dir, "examples", "node-plugin"), t.TempDir()
	file, err := os.ReadFile(filepath.Join(example, "pipeline.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "pipeline.hcl"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"RUNNER_PLUGIN_DIR=" + example, "RUNNER_VAR_bake=300ms"}
	says := func(out string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("it does not say %q:\n%s", text, out)
			}
		}
	}
	says(run(t, work, env, runner, "init"), "example/greet 0.1.0", "serves greet, halves, flag")
	says(run(t, work, env, runner, "plan"), "+ greeting.txt: greets world", "way back: undo greet (exact)")
	says(run(t, work, env, runner, "apply", "-auto-approve"), "first release", "promoted", `text = "Hello, world!\n"`)
	says(run(t, work, env, runner, "apply", "-auto-approve", "-var", "name=Ada"), "50% of the traffic", "step watch 50%", "100% of the traffic", "promoted")
	if b, err := os.ReadFile(filepath.Join(work, "greeting.txt")); err != nil || string(b) != "Hello, Ada!\n" {
		t.Errorf("the greeting is %q, %v", b, err)
	}
	cmd := exec.CommandContext(t.Context(), runner, "plan", "-var", "name=")
	cmd.Dir, cmd.Env = work, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("a plan with an empty name is made:\n%s", out)
	}
	says(string(out), "Error: Nobody to greet", "on pipeline.hcl line", "name = var.name")
}

// started is the fixture, under this process as its host.
func started(t *testing.T, dir, config string, env ...string) *host.Process {
	t.Helper()
	cert, err := host.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	p, err := host.Start(t.Context(), host.Config{
		Name: "fixture", Command: []string{filepath.Join(dir, "sdk", "node", "test", "fixture", "plugin")}, Env: env, Certificate: cert,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	if config != "" {
		if err := p.Configure(t.Context(), call.Call{}, value.Value{JSON: []byte(config)}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// events writes down what happens.
type events struct{ lines []string }

func (e *events) Log(l host.Line) {
	e.lines = append(e.lines, fmt.Sprintf("log %s %s %v %s", l.Level, l.Message, l.Attrs, l.Stream))
}
func (e *events) Progress(p int, m string) {
	e.lines = append(e.lines, fmt.Sprintf("progress %d %s", p, m))
}
func (e *events) Handle(h call.Handle) error {
	e.lines = append(e.lines, fmt.Sprintf("handle %s %s", h.ID, h.Opaque))
	return nil
}

func ask(ctx context.Context, p *host.Process, sink host.Sink, config string) (host.Outcome, error) {
	return p.RunAction(ctx, call.Call{Key: "key", Node: "stage.a", Attempt: 2}, "ask", value.Value{JSON: []byte(config)}, nil, sink)
}

func TestRealNodeCalls(t *testing.T) {
	_, dir := ready(t)
	p := started(t, dir, `{"token": "t0ken"}`)

	t.Run("events come in order, and all of the outcome", func(t *testing.T) {
		sink := &events{}
		out, err := ask(t.Context(), p, sink, `{"mode": "talk"}`)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"progress 10 begun", "log WARN careful map[answer:42] ", "log INFO a line map[] stdout", "handle h-1 opaque"}, sink.lines); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		want := host.Outcome{
			Outputs:   value.Value{JSON: []byte(`{"text":"stage.a 2 t0ken","secret":"s3cret"}`), Sensitive: []value.Path{value.Names("secret")}},
			Artifacts: []call.Artifact{{Digest: "sha256:00", MediaType: "text/plain", Size: 3}}, Undo: []byte("way back"), World: "v1",
		}
		if d := cmp.Diff(want, out); d != "" {
			t.Errorf("outcome (-want +got):\n%s", d)
		}
	})
	t.Run("a program that it runs", func(t *testing.T) {
		sink := &events{}
		out, err := ask(t.Context(), p, sink, `{"mode": "child", "file": "f", "command": ["/bin/sh", "-c", "echo $FILE; env | grep -c -e PLUGIN -e RUNNER; exit 3"]}`)
		if err != nil || !strings.Contains(string(out.Outputs.JSON), `"3 null"`) {
			t.Errorf("%s, %v", out.Outputs.JSON, err)
		}
		if d := cmp.Diff([]string{"log INFO f map[] stdout", "log INFO 0 map[] stdout"}, sink.lines); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
	})
	for mode, want := range map[string]struct {
		says   string
		code   string
		path   string
		retry  diag.Retry
		after  time.Duration
		effect diag.Effect
	}{
		"typo":   {says: "Plugin crashed: run threw TypeError", code: "plugin_panic"},
		"plain":  {says: "Operation failed: something is wrong"},
		"later":  {says: "Not now: Somebody else is at it.", path: "more[0]", retry: diag.Later, after: 1500 * time.Millisecond, effect: diag.None},
		"wrong":  {says: "Invalid outputs: The output text is not as declared", effect: diag.Done},
		"large":  {says: "Result too large", effect: diag.Done},
		"nobody": {says: "Plugin crashed"},
	} {
		t.Run("a failure: "+mode, func(t *testing.T) {
			_, err := ask(t.Context(), p, nil, fmt.Sprintf(`{"mode": %q}`, mode))
			var problem *diag.Problem
			if !errors.As(err, &problem) {
				t.Fatal(err)
			}
			d := problem.Diagnostics[0]
			if !strings.Contains(err.Error(), want.says) || want.code != "" && d.Code != want.code || d.Path.String() != want.path {
				t.Errorf("code %q at %q: %v", d.Code, d.Path, err)
			}
			if problem.Retry != want.retry || problem.After != want.after || problem.Effect != want.effect {
				t.Errorf("retry %v after %v, effect %v", problem.Retry, problem.After, problem.Effect)
			}
		})
	}
	t.Run("text that is not valid", func(t *testing.T) {
		sink := &events{}
		out, err := ask(t.Context(), p, sink, `{"mode": "odd"}`)
		if err != nil || !json.Valid(out.Outputs.JSON) || len(sink.lines) != 1 || !strings.Contains(sink.lines[0], "\uFFFD") {
			t.Errorf("%q, %s, %v", sink.lines, out.Outputs.JSON, err)
		}
	})
	t.Run("a deadline", func(t *testing.T) {
		_, err := p.RunAction(t.Context(), call.Call{Key: "late", Deadline: time.Now().Add(50 * time.Millisecond)}, "ask", value.Value{JSON: []byte(`{"mode": "slow", "after": "1h"}`)}, nil, nil)
		if err == nil || !strings.Contains(err.Error(), "Operation cancelled") {
			t.Error(err)
		}
	})
	t.Run("what the host must not ask", func(t *testing.T) {
		unknown := value.Value{JSON: []byte(`{"mode": null}`), Unknown: []value.Path{value.Names("mode")}}
		if _, err := p.RunAction(t.Context(), call.Call{}, "ask", unknown, nil, nil); err == nil || !strings.Contains(err.Error(), "not wholly known") {
			t.Error(err)
		}
		if _, err := p.PlanAction(t.Context(), call.Call{}, "ask", value.Empty()); err == nil || !strings.Contains(err.Error(), `offers no operation "plan"`) {
			t.Error(err)
		}
		if _, err := p.Validate(t.Context(), schema.KindAction, "constructor", value.Empty()); err == nil || !strings.Contains(err.Error(), "there is no action named") {
			t.Error(err)
		}
		if err := p.Configure(t.Context(), call.Call{}, value.Empty()); err == nil || !strings.Contains(err.Error(), "configured already") {
			t.Error(err)
		}
	})
	t.Run("who it is", func(t *testing.T) {
		identity, diags, err := p.Check(t.Context(), call.Call{})
		if identity != "user of t0ken" || len(diags) > 0 || err != nil {
			t.Errorf("%q, %v, %v", identity, diags, err)
		}
		d, err := p.Describe(t.Context())
		if err != nil || d.MaxParallel != 7 || d.Config == nil || len(d.EnvWanted) != 1 {
			t.Errorf("%+v, %v", d, err)
		}
	})
	t.Run("a warning stops nothing", func(t *testing.T) {
		diags, err := p.Validate(t.Context(), schema.KindAction, "record", value.Value{JSON: []byte(`{"file": "f", "rate": 0}`)})
		if err != nil || len(diags) != 1 || diags.HasErrors() {
			t.Errorf("%v, %v", diags, err)
		}
	})
}

func TestRealNodeProcess(t *testing.T) {
	_, dir := ready(t)
	t.Run("it is there soon", func(t *testing.T) {
		var took []time.Duration
		for range 5 {
			begin := time.Now()
			p := started(t, dir, "")
			took = append(took, time.Since(begin))
			p.Stop(time.Second)
		}
		slices.Sort(took)
		figures.Record(t, "Any language", "start of a plugin in JavaScript, until it has described itself (p50 of 5)", "%d ms", took[2].Milliseconds())
		t.Logf("from start to description: %v", took)
	})
	t.Run("before it is configured it does nothing", func(t *testing.T) {
		p := started(t, dir, "")
		if _, err := ask(t.Context(), p, nil, `{"mode": "talk"}`); err == nil || !strings.Contains(err.Error(), "Plugin not configured") {
			t.Error(err)
		}
		for config, says := range map[string]string{`{"token": ""}`: "Empty token", `{"fail": true}`: "It was told to fail", `{"toke": 1}`: "Unsupported attribute"} {
			if err := p.Configure(t.Context(), call.Call{}, value.Value{JSON: []byte(config)}); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", config, err)
			}
		}
		if err := p.Configure(t.Context(), call.Call{}, value.Empty()); err != nil {
			t.Error(err)
		}
	})
	t.Run("what nobody catches ends it", func(t *testing.T) {
		p := started(t, dir, "{}")
		_, err := ask(t.Context(), p, nil, `{"mode": "crash"}`)
		if !errors.Is(err, host.ErrLost) || !strings.Contains(err.Error(), "nobody caught this") {
			t.Error(err)
		}
		<-p.Done()
	})
	t.Run("it leaves when it is let go", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "goodbye")
		p := started(t, dir, "{}", "FIXTURE_GOODBYE="+file)
		begin := time.Now()
		p.Stop(20 * time.Second)
		if b, err := os.ReadFile(file); err != nil || string(b) != "goodbye\n" {
			t.Errorf("after %s it had said %q, %v", time.Since(begin), b, err)
		}
	})
}

// TestRealNodeEndsWithRunner kills the host in the middle: nothing of the plugin
// may be left, whatever it is doing.
func TestRealNodeEndsWithRunner(t *testing.T) {
	runner, dir := ready(t)
	for name, use := range map[string]string{
		"while its own code never pauses": `mode = "busy"
    file = "pids"`,
		"with the programs that it runs": `mode    = "child"
    command = ["/bin/sh", "-c", "sleep 1000 & echo $! $$ >pids; wait"]`,
	} {
		t.Run(name, func(t *testing.T) {
			work := t.TempDir()
			pipeline := fmt.Sprintf(`runner {
  required_plugins {
    plugin = { source = "example/fixture", version = "1.2.3-test" }
  }
}
pipeline "end" {}
stage "a" {
  use "ask" {
    %s
  }
}
`, use)
			plugins := filepath.Join(work, "plugins")
			if err := errors.Join(os.Mkdir(plugins, 0o700), os.WriteFile(filepath.Join(work, "pipeline.hcl"), []byte(pipeline), 0o600)); err != nil {
				t.Fatal(err)
			}
			script := fmt.Sprintf("#!/bin/sh\necho $$ >>%s/started\nexec %s/sdk/node/test/fixture/plugin \"$@\"\n", work, dir)
			if err := os.WriteFile(filepath.Join(plugins, "runner-plugin-fixture"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			env := []string{"RUNNER_PLUGIN_DIR=" + plugins}
			run(t, work, env, runner, "init")
			cmd := exec.CommandContext(t.Context(), runner, "apply", "-auto-approve")
			cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = work, append(os.Environ(), env...), t.Output(), io.Discard
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pids := func() []string {
				var all []string
				for _, file := range []string{"started", "pids"} {
					b, _ := os.ReadFile(filepath.Join(work, file))
					all = append(all, strings.Fields(string(b))...)
				}
				return all
			}
			until(t, "it has not begun", func() bool {
				b, err := os.ReadFile(filepath.Join(work, "pids"))
				return err == nil && strings.HasSuffix(string(b), "\n")
			})
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			for _, text := range pids() {
				pid, err := strconv.Atoi(text)
				if err != nil {
					continue // the word that it is busy
				}
				until(t, fmt.Sprintf("process %d has not ended", pid), func() bool { return !running(pid) })
			}
		})
	}
}

func until(t *testing.T, otherwise string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after a minute, %s", otherwise)
		}
	}
}

// running tells whether a process lives; one that nobody has reaped does not.
func running(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return exec.Command("/bin/kill", "-0", strconv.Itoa(pid)).Run() == nil && runtime.GOOS != "linux"
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}
