package cli

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/kernel"
)

const hungPipeline = `pipeline "shop" {}

variable "version" {
  type = string
}

stage "web" {
  use "fake_target" {
    file    = "web.json"
    address = "http://${var.version}.invalid"
  }
  strategy "fake_strategy" {
    steps     = [50, 100]
    misbehave = "hang"
    after     = 1
    while     = "hung"
  }
  analysis {
    interval        = "50ms"
    deadline        = "30s"
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = "metrics.json"
      }
      max = 0.01
    }
  }
}
`

const (
	healthy = `{"*": {"counter": {"n": 1000, "events": 0}}}`
	harmful = `{"*": {"counter": {"n": 1000, "events": 500}}}`
)

// hungDir is a folder in which the strategy of the next rollout hangs at 50 %.
func hungDir(t *testing.T) string {
	t.Helper()
	dir := killedDir(t)
	put(t, dir, "pipeline.hcl", hungPipeline)
	put(t, dir, "metrics.json", healthy)
	inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	return dir
}

func put(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name+".new"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, name+".new"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// hangs starts a rollout whose strategy hangs once half of the traffic has moved.
func hangs(t *testing.T, dir string) (wait func(code int)) {
	t.Helper()
	inDir(t, dir, "plan", "-out=two.plan", "-var", "version=two") // it asks the strategy, too
	put(t, dir, "hung", "")
	cmd := runnerIn(t, dir, "apply", "two.plan")
	out := outputOf(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
	return func(code int) {
		t.Helper()
		ends(t, cmd, out, code)
	}
}

// comesBack waits until the stable release has all the traffic and returns how
// long that took.
func comesBack(t *testing.T, dir string) time.Duration {
	t.Helper()
	began := time.Now()
	waitFor(t, "all traffic is with the stable release", func() bool {
		s := stateOf(t, dir)
		return len(s.Weights) == 1 && s.Weights[s.Stable] > 0
	})
	return time.Since(began)
}

// The strategy's plugin hangs, and so does its neighbour's process, as they are
// one: nothing that leads back waits for an answer, nor for its five seconds.
func TestTheWayBackWithTheStrategyHung(t *testing.T) {
	t.Parallel()
	// Far less than the strategy has to answer, and more than a busy machine takes.
	const prompt = 4 * time.Second
	for name, test := range map[string]func(t *testing.T, dir string) time.Duration{
		"harm": func(t *testing.T, dir string) time.Duration {
			wait := hangs(t, dir)
			put(t, dir, "metrics.json", harmful)
			took := comesBack(t, dir)
			wait(command.RolledBack)
			return took
		},
		"cancel from another process": func(t *testing.T, dir string) time.Duration {
			wait := hangs(t, dir)
			cancel := start(t, dir, "cancel")
			took := comesBack(t, dir)
			wait(command.RolledBack)
			if err := cancel.Wait(); err != nil {
				t.Errorf("runner cancel: %v", err)
			}
			return took
		},
		"rollback from another process": func(t *testing.T, dir string) time.Duration {
			wait := hangs(t, dir)
			back := start(t, dir, "rollback")
			took := comesBack(t, dir)
			wait(command.RolledBack)
			if err := back.Wait(); err != nil {
				t.Errorf("runner rollback: %v", err)
			}
			return took
		},
		"interrupted twice, then rollback": func(t *testing.T, dir string) time.Duration {
			inDir(t, dir, "plan", "-out=two.plan", "-var", "version=two")
			put(t, dir, "hung", "")
			cmd := runnerIn(t, dir, "apply", "two.plan")
			out := follow(t, cmd)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
			sendTo(t, cmd, os.Interrupt)
			out.await(t, "stopping after what is under way")
			sendTo(t, cmd, os.Interrupt)
			wantExit(t, cmd, command.Interrupted, awaitDeadline)
			back := start(t, dir, "rollback")
			took := comesBack(t, dir)
			if err := back.Wait(); err != nil {
				t.Errorf("runner rollback: %v", err)
			}
			return took
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := hungDir(t)
			took := test(t, dir)
			if took > prompt {
				t.Errorf("the traffic was back after %s", took)
			}
			isBack(t, dir)
			if got := endOf(t, dir); got.Outcome != kernel.RolledBack {
				t.Errorf("it ended as %+v", got)
			}
			figures.Record(t, "The way back", "all traffic back with the strategy's plugin hung, after "+name, "%.2f s", took.Seconds())
		})
	}
}
