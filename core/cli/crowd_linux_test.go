package cli

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/figures"
)

// The stage notes when it comes and goes; between the two nobody else may come.
const crowdedPipeline = `pipeline "shop" {}

variable "who" {
  type = string
}

environment "prod" {}

stage "enter" {
  environment = environment.prod
  use "fake_run" {
    children = ["/bin/sh", "-c", "echo in ${var.who} >>journal; /bin/sleep 0.05; echo out ${var.who} >>journal"]
  }
}
`

func folderWith(t *testing.T, pipeline string) string {
	t.Helper()
	dir := killedDir(t)
	if err := os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// outcome is how a command ended.
type outcome struct {
	code int
	out  string
}

func ran(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), string(out)}
}

// Many apply to one environment at once: each has it alone, and none is lost.
func TestAppliesOnOneEnvironmentTakeTurns(t *testing.T) {
	dir := folderWith(t, crowdedPipeline)
	const n = 6
	ended := make([]outcome, n)
	var wg sync.WaitGroup
	for i := range n {
		cmd := runnerIn(t, dir, "apply", "-auto-approve", "-lock-timeout=2m", "-var", fmt.Sprintf("who=w%d", i))
		wg.Go(func() { ended[i] = ran(t, cmd) })
	}
	wg.Wait()
	waited := 0
	for i, o := range ended {
		if o.code != command.OK {
			t.Errorf("apply %d ended with %d:\n%s", i, o.code, o.out)
		}
		if strings.Contains(o.out, "Waiting for environment prod: run ") {
			waited++
		}
	}
	wantTurns(t, dir, n)
	if waited == 0 {
		t.Error("nobody said that it waits")
	}
	figures.Record(t, "Two at once: commands", "applies at once on one environment, all done, one at a time", "%d", n)
}

// wantTurns fails unless n came and went one after the other.
func wantTurns(t *testing.T, dir string, n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) != 2*n {
		t.Fatalf("%d lines for %d runs:\n%s", len(lines), n, b)
	}
	for i := 0; i < len(lines); i += 2 {
		if who, ok := strings.CutPrefix(lines[i], "in "); !ok || lines[i+1] != "out "+who {
			t.Fatalf("somebody came before another had gone:\n%s", b)
		}
	}
}

// Runs on different environments go on at the same time: each waits for the other.
func TestRunsOnDifferentEnvironmentsGoOnTogether(t *testing.T) {
	dir := folderWith(t, `pipeline "shop" {}
variable "to" {
  type = string
}
environment "dev" {}
environment "prod" {}
stage "release" {
  for_each = environment
  when     = env.name == var.to
  use "fake_run" {
    children = ["/bin/sh", "-c", "touch here-${env.name}; while ! test -e here-dev -a -e here-prod; do /bin/sleep 0.01; done"]
  }
}
`)
	var wg sync.WaitGroup
	for _, env := range []string{"dev", "prod"} {
		// The other environment has nothing to do, and its lock is not taken for that.
		cmd := runnerIn(t, dir, "apply", "-auto-approve", "-lock-timeout=20s", "-parallelism=1", "-var", "to="+env)
		wg.Go(func() {
			if o := ran(t, cmd); o.code != command.OK {
				t.Errorf("apply to %s ended with %d:\n%s", env, o.code, o.out)
			}
		})
	}
	wg.Wait()
}

// Two resume one run: one goes on with it, the other says so. Meanwhile others look
// at it and talk to it, and never stand in anybody's way.
func TestOneOfTwoResumesWins(t *testing.T) {
	dir := folderWith(t, `pipeline "shop" {}
environment "prod" {}
stage "ask" {
  environment = environment.prod
  use "fake_run" {
    children = ["/bin/sh", "-c", "touch started; while ! test -e go; do /bin/sleep 0.01; done"]
  }
  approval {}
}
`)
	if o := ran(t, runnerIn(t, dir, "apply", "-auto-approve")); o.code != command.Waiting {
		t.Fatalf("apply ended with %d:\n%s", o.code, o.out)
	}
	stop := make(chan struct{})
	var lookers sync.WaitGroup
	for range 2 {
		lookers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if o := ran(t, runnerIn(t, dir, "status")); o.code != command.OK {
					t.Errorf("status ended with %d:\n%s", o.code, o.out)
					return
				}
			}
		})
	}
	if o := ran(t, runnerIn(t, dir, "approve")); o.code != command.OK {
		t.Errorf("approve ended with %d:\n%s", o.code, o.out)
	}
	const n = 4
	ended := make(chan outcome, n)
	for range n {
		cmd := runnerIn(t, dir, "resume")
		go func() { ended <- ran(t, cmd) }()
	}
	for range n - 1 {
		if o := <-ended; o.code != command.Failed || !strings.Contains(o.out, "Error: Run is under way") {
			t.Errorf("a resume beside the one that won ended with %d:\n%s", o.code, o.out)
		}
	}
	waitFor(t, "the stage has started", func() bool {
		_, err := os.Stat(filepath.Join(dir, "started"))
		return err == nil
	})
	if o := ran(t, runnerIn(t, dir, "status", "-json")); !strings.Contains(o.out, `"live": true`) {
		t.Errorf("status says:\n%s", o.out)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := <-ended; o.code != command.OK {
		t.Errorf("the resume that won ended with %d:\n%s", o.code, o.out)
	}
	close(stop)
	lookers.Wait()
}

// A run that waits for an environment leaves when it is interrupted, and can go on later.
func TestAnInterruptEndsTheWaitForAnEnvironment(t *testing.T) {
	dir := folderWith(t, strings.Replace(crowdedPipeline, "/bin/sleep 0.05", "while ! test -e go; do /bin/sleep 0.01; done", 1))
	holder := start(t, dir, "apply", "-auto-approve", "-var", "who=holder")
	waitFor(t, "the first has the environment", func() bool {
		_, err := os.Stat(filepath.Join(dir, "journal"))
		return err == nil
	})
	waiter := runnerIn(t, dir, "apply", "-auto-approve", "-lock-timeout=1h", "-var", "who=waiter")
	said := &safeBuffer{}
	waiter.Stdout = said
	if err := waiter.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waiter.Process.Kill() })
	waitFor(t, "the second says that it waits", func() bool { return strings.Contains(said.String(), "Ctrl-C ends the wait") })
	if err := waiter.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = waiter.Wait()
	if code := waiter.ProcessState.ExitCode(); code != command.Interrupted {
		t.Errorf("exit code %d, want %d:\n%s", code, command.Interrupted, said)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	if o := ran(t, runnerIn(t, dir, "resume", "-var", "who=waiter")); o.code != command.OK {
		t.Errorf("resume ended with %d:\n%s", o.code, o.out)
	}
	wantTurns(t, dir, 2)
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Applies are killed and paused at random while others want the same environment.
// Whoever stands still keeps it; whoever is dead loses it; all that live end well.
func TestRealAppliesTakeTurnsUnderFire(t *testing.T) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("RUNNER_TEST_REAL is not set: make test-real runs this")
	}
	dir := folderWith(t, strings.Replace(crowdedPipeline, "/bin/sleep 0.05", "/bin/sleep 0.2", 1))
	const n = 32
	killed, paused := 0, 0
	ended := make([]outcome, n)
	commands := make([]*exec.Cmd, n)
	var wg sync.WaitGroup
	places := make(chan struct{}, 8)
	for i := range n {
		commands[i] = runnerIn(t, dir, "apply", "-auto-approve", "-lock-timeout=10m", "-var", fmt.Sprintf("who=w%d", i))
		places <- struct{}{}
		out := &safeBuffer{}
		commands[i].Stdout, commands[i].Stderr = out, out
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_ = commands[i].Wait()
			ended[i] = outcome{commands[i].ProcessState.ExitCode(), out.String()}
			<-places
		})
		switch p := commands[i].Process; rand.IntN(4) {
		case 0:
			killed++
			time.AfterFunc(time.Duration(rand.Int64N(int64(4*time.Second))), func() { _ = p.Kill() })
		case 1:
			paused++
			time.AfterFunc(time.Duration(rand.Int64N(int64(2*time.Second))), func() {
				_ = p.Signal(syscall.SIGSTOP)
				time.AfterFunc(3*time.Second, func() { _ = p.Signal(syscall.SIGCONT) })
			})
		}
	}
	wg.Wait()
	done := 0
	for i, o := range ended {
		switch o.code {
		case command.OK:
			done++
		case -1: // killed
		default:
			t.Errorf("apply %d ended with %d:\n%s", i, o.code, o.out)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	inside := ""
	for line := range strings.Lines(string(b)) {
		how, who, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case how == "in" && inside != "" && ended[number(t, inside)].code != -1:
			t.Errorf("%s came while %s was there:\n%s", who, inside, b)
		case how == "out" && inside != who:
			t.Errorf("%s went late: %s had come:\n%s", who, inside, b)
		}
		if inside = who; how == "out" {
			inside = ""
		}
	}
	for i, o := range ended {
		if o.code == command.OK && strings.Count(string(b), fmt.Sprintf("out w%d\n", i)) != 1 {
			t.Errorf("apply %d succeeded, but did its work another number of times than once:\n%s", i, b)
		}
	}
	t.Logf("%d applies, %d to be killed, %d to be paused, %d done", n, killed, paused, done)
	figures.Record(t, "Two at once: commands", "applies on one environment, eight at a time", "%d", n)
	figures.Record(t, "Two at once: commands", "of them killed or paused at random", "%d and %d", killed, paused)
	figures.Record(t, "Two at once: commands", "stages that ran beside one of another run", "0")
}

func number(t *testing.T, who string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(who, "w%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}
