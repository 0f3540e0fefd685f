package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/target"
)

const killedPipeline = `pipeline "shop" {}

variable "version" {
  type = string
}

stage "web" {
  use "fake_target" {
    file    = "web.json"
    address = "http://${var.version}.invalid"
  }
  strategy "fake_strategy" {
    steps = [50, 100]
    bake  = "2s"
  }
}
`

// ended is how a rollout ended: what stands at the target, and how it came to that.
type ended struct {
	Stable   string
	Weights  map[string]target.Weight
	Releases []string
	Steps    []string
	Outcome  kernel.Outcome
}

// A runner that is killed in the middle of a bake leaves no plugin behind, and
// whoever resumes ends as if nothing had happened.
func TestKilledRunEndsAsTheUninterruptedOne(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{"uninterrupted": killedDir(t), "killed": killedDir(t)}
	for _, dir := range dirs {
		inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	}
	whole := start(t, dirs["uninterrupted"], "apply", "-auto-approve", "-var", "version=two")

	cmd := start(t, dirs["killed"], "apply", "-auto-approve", "-var", "version=two")
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dirs["killed"]) })
	plugins := children(t, cmd.Process.Pid)
	if len(plugins) == 0 {
		t.Fatal("the runner has no plugin process")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
	for _, pid := range plugins {
		waitFor(t, "plugin "+strconv.Itoa(pid)+" has ended", func() bool { return !running(pid) })
	}
	if took := time.Since(killed); took > time.Second {
		t.Errorf("the plugins were there for %s after their runner was killed", took)
	}
	if !halfway(dirs["killed"]) {
		t.Error("the runner was not killed in the middle of the bake")
	}
	inDir(t, dirs["killed"], "resume")
	if err := whole.Wait(); err != nil {
		t.Fatalf("the uninterrupted run: %v", err)
	}
	want, got := endOf(t, dirs["uninterrupted"]), endOf(t, dirs["killed"])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the killed run ended otherwise (-uninterrupted +killed):\n%s", diff)
	}
	if got.Outcome != kernel.Succeeded || len(got.Steps) != 2 {
		t.Errorf("it ended as %+v", got)
	}
}

// An interrupted run exits with 130, stays where it is, and can be resumed.
func TestInterruptedRunIsResumed(t *testing.T) {
	t.Parallel()
	for name, interrupts := range map[string]int{"once": 1, "twice": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := killedDir(t)
			inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
			cmd := start(t, dir, "apply", "-auto-approve", "-var", "version=two")
			waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
			for range interrupts {
				if err := cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != command.Interrupted {
				t.Errorf("exit code %d, want %d", code, command.Interrupted)
			}
			if !halfway(dir) {
				t.Error("the rollout was not left where it stood")
			}
			inDir(t, dir, "resume")
			if got := endOf(t, dir); got.Outcome != kernel.Succeeded || got.Weights[got.Stable] != target.Full {
				t.Errorf("it ended as %+v", got)
			}
		})
	}
}

// killedDir is a folder with the pipeline. Its releases have the same names in
// every such folder, since the path of the state is relative.
func killedDir(t *testing.T) string {
	t.Helper()
	ready, err := initialised()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.CopyFS(dir, os.DirFS(ready)), os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte(killedPipeline), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func runnerIn(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	plugins, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("runner", args...)
	cmd.Dir, cmd.Env = dir, os.Environ()
	for name, value := range environment(plugins) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

func inDir(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	out, err := runnerIn(t, dir, args...).Output()
	if err != nil {
		t.Fatalf("runner %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func start(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := runnerIn(t, dir, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(awaitDeadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after %s it is not so that %s", awaitDeadline, what)
		}
	}
}

func halfway(dir string) bool {
	s, err := fake.ReadState(filepath.Join(dir, "web.json"))
	return err == nil && s.Stable != "" && s.Weights[s.Stable] == 50*target.OnePercent
}

// children are the plugin processes of a runner.
func children(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := bytes.Cut(b, []byte(") "))
		if f := strings.Fields(string(rest)); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pid)
		}
	}
	return out
}

func endOf(t *testing.T, dir string) ended {
	t.Helper()
	s, err := fake.ReadState(filepath.Join(dir, "web.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := ended{Stable: s.Stable, Weights: s.Weights}
	for _, r := range s.Releases {
		out.Releases = append(out.Releases, r.ID)
	}
	events := bufio.NewScanner(bytes.NewReader(inDir(t, dir, "show", "-json")))
	events.Buffer(nil, 1<<20)
	for events.Scan() {
		var e struct {
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(events.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case kernel.Decided{}.FactType():
			var d kernel.Decided
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			if d.StepID != "" {
				out.Steps = append(out.Steps, d.StepID)
			}
		case kernel.RunClosed{}.FactType():
			var c kernel.RunClosed
			if err := json.Unmarshal(e.Data, &c); err != nil {
				t.Fatal(err)
			}
			out.Outcome = c.Outcome
		}
	}
	if err := events.Err(); err != nil {
		t.Fatal(err)
	}
	out.Steps = slices.Compact(out.Steps)
	return out
}
