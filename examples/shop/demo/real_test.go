package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// customers a second, in all tests.
const customers = 300

// programs is the folder of the built programs.
func programs(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("needs the built programs, real processes and real traffic; run it with: make test-real")
	}
	return bin
}

// open makes a stage for a test, which is cleared when the test ends. The
// pipeline's bakes last two seconds.
func open(t *testing.T, pipeline string) *stage {
	t.Helper()
	bin := programs(t)
	text, err := os.ReadFile(pipeline)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "pipeline.hcl")
	if err := os.WriteFile(short, bytes.ReplaceAll(text, []byte(`"4s"`), []byte(`"2s"`)), 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := (&Show{Bin: bin, Pipeline: short}).build()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.clear(false); err != nil {
			t.Error(err)
		}
	})
	if err := st.runner.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return st
}

// vars are the variables of the pipeline for a version.
func (st *stage) vars(version string) map[string]string {
	return map[string]string{"shop": st.shop, "port": st.port, "version": version, "fail_rate": "0"}
}

func (st *stage) apply(t *testing.T, version string) {
	t.Helper()
	why := ""
	got, err := st.runner.Apply(t.Context(), st.vars(version), func(e Event) {
		if e.Kind == Aborting {
			why = e.Text
		}
	})
	if err != nil || got != Promoted {
		t.Fatalf("%s was %s; %s (%v)", version, got, why, err)
	}
}

// noneLost fails when a request failed.
func noneLost(t *testing.T, answers map[string]*Answers) {
	t.Helper()
	r := Report{Answers: answers}
	if n, why := r.Lost(); n > 0 {
		t.Errorf("%d requests failed; the first: %s", n, why)
	}
	PrintAnswers(t.Output(), answers)
}

// The demo keeps its promises and leaves nothing behind.
func TestRealDemo(t *testing.T) {
	bin, temp := programs(t), t.TempDir()
	t.Setenv("TMPDIR", temp)
	show := Show{Bin: bin, Pipeline: "../../pipeline.hcl", Rate: customers, Out: t.Output()}
	report, err := show.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report.Print(t.Output())
	for _, b := range report.Broken() {
		t.Error(b)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// Twenty switches from one release to the next lose no request.
func TestRealSwitchesLoseNoRequest(t *testing.T) {
	st := open(t, "testdata/switch.hcl")
	st.apply(t, "v0")
	load := StartLoad(st.address, customers)
	defer load.Stop()
	const switches = 20
	for i := 1; i <= switches; i++ {
		st.apply(t, "v"+strconv.Itoa(i))
	}
	answers := load.Stop()
	noneLost(t, answers)
	for i := range switches {
		if answers["v"+strconv.Itoa(i)] == nil {
			t.Errorf("v%d answered nobody: the load came too late or the switch too early", i)
		}
	}
}

// A run that is killed in the middle of a bake and resumed ends as one that was
// left alone, and its plugins are gone at once.
func TestRealKilledRunEndsAsAnyOther(t *testing.T) {
	left := canary(t, false)
	killed := canary(t, true)
	if diff := cmp.Diff(left, killed); diff != "" {
		t.Errorf("what happened (-left alone +killed and resumed):\n%s", diff)
	}
	t.Logf("both: %q", left)
}

// canary deploys by canary under load and tells what happened.
func canary(t *testing.T, kill bool) []string {
	t.Helper()
	st := open(t, "../../pipeline.hcl")
	st.apply(t, "v1")
	load := StartLoad(st.address, customers)
	defer load.Stop()
	if kill {
		st.killInBake(t, "v2", "bake-25")
		if out, err := st.runner.command(t.Context(), "resume").CombinedOutput(); err != nil {
			t.Fatalf("resume: %v\n%s", err, out)
		}
	} else {
		st.apply(t, "v2")
	}
	noneLost(t, load.Stop())
	return st.happened(t)
}

// killInBake applies and kills runner with -9 at the first verdict after the step
// was entered.
func (st *stage) killInBake(t *testing.T, version, step string) {
	t.Helper()
	args := []string{"apply", "-auto-approve", "-json"}
	for name, v := range st.vars(version) {
		args = append(args, "-var", name+"="+v)
	}
	cmd := st.runner.command(t.Context(), args...)
	lines, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var plugins []string
	scan := bufio.NewScanner(lines)
	scan.Buffer(nil, 1<<20)
	for entered := false; scan.Scan(); {
		line := scan.Text()
		entered = entered || strings.Contains(line, `"step":"`+step+`"`)
		if entered && strings.Contains(line, `"type":"verdict.reached"`) {
			plugins = children(t, cmd.Process.Pid)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	at := time.Now()
	_, _ = io.Copy(io.Discard, lines)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("runner was not killed in the bake: %v", err)
	}
	if runtime.GOOS == "linux" && len(plugins) < 2 {
		t.Errorf("runner had the plugins %v, and should have had two", plugins)
	}
	for _, p := range plugins {
		for alive(p) {
			if time.Since(at) > time.Second {
				t.Fatalf("plugin %s is still there a second after runner was killed", p)
			}
			runtime.Gosched()
		}
	}
	t.Logf("the plugins were gone after %s", time.Since(at).Round(time.Millisecond))
}

// children are the processes that the process started, where /proc tells.
func children(t *testing.T, pid int) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it is gone
		}
		// The command's name is in parentheses and may hold anything.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if fields[1] == strconv.Itoa(pid) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// alive reports whether the process still runs; one that nobody has waited for
// does not.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[0] != "Z"
}

// happened is what the newest run did to the world and decided, in order. What was
// asked for twice, as after a crash, and is so once, is told once.
func (st *stage) happened(t *testing.T) (story []string) {
	t.Helper()
	cmd := st.runner.command(t.Context(), "show", "-json")
	cmd.Stderr = nil
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("show: %v\n%s", err, errorOutput(err))
	}
	issued := map[int64]string{}
	tell := func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if len(story) == 0 || story[len(story)-1] != line {
			story = append(story, line)
		}
	}
	for line := range bytes.Lines(out) {
		var e struct {
			Type string
			Data struct {
				ID                         json.RawMessage // of a timer, a text
				Command, Weight            int64
				Kind, Title, Outcome, Node string
			}
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		switch d := e.Data; e.Type {
		case "command.issued":
			id, err := strconv.ParseInt(string(d.ID), 10, 64)
			if err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			issued[id] = fmt.Sprintf("%s %d", d.Kind, d.Weight)
		case "command.succeeded":
			tell("%s", issued[d.Command])
		case "decision.made":
			if d.Title != "" {
				tell("step %s", d.Title)
			}
		case "node.settled", "run.closed":
			tell("%s %s %s", e.Type, d.Node, d.Outcome)
		}
	}
	return story
}

func errorOutput(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.Stderr
	}
	return nil
}
