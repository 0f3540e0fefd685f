package cli

import (
	"bufio"
	"bytes"
	"errors"
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

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

// What a run may cost whatever its plugins do: memory of the runner's process,
// time, and what it leaves in its state.
const (
	liarMemory = 150 << 20
	liarTime   = 30 * time.Second
	liarState  = 16 << 20
	liarOutput = 128 << 10
)

// The pipelines that are lied to.
const (
	lieAction = `stage "a" {
  use "fake_run" {
    text = "some text"
%s
  }
}
`
	lieTarget = `stage "web" {
  use "fake_target" {
    file = "web.json"
  }
  strategy "fake_strategy" {
%s
  }
}
`
	lieMetrics = `stage "web" {
  use "fake_target" {
    file = "web.json"
  }
  strategy "fake_strategy" {
    bake = "20s"
  }
  analysis {
    interval        = "50ms"
    deadline        = "3s"
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = "metrics.json"
%s
      }
      max = 0.01
    }
  }
}
`
)

// liarCase is one lie and how it must end.
type liarCase struct {
	name, pipeline string
	// with stands in the pipeline, start in FAKE_START.
	with, start string
	// exit is the exit code; want are expressions that the output must match.
	exit int
	want []string
	// time that is allowed; for those that take theirs, which are left to the test
	// with real programs. 0 for the usual.
	time time.Duration
	// planned: the plan is made honestly, and only its run is lied to.
	planned bool
	// loud: the plugin's log is the output.
	loud bool
	// effects is how many there are in the world after all.
	effects int
}

const (
	mistake = `This is a mistake in the plugin`
	broke   = `Plugin broke the protocol`
	asked   = command.Waiting
	back    = command.RolledBack
)

var liarCases = []liarCase{
	// What the plugin says is not what the protocol allows.
	{name: "action, gRPC error", pipeline: lieAction, start: "lie:Run:error", exit: 1, want: []string{broke, `plugin "fake".* "run" of fake_run .*I will not say`, mistake, "had its effect is not known"}},
	{name: "action, garbage", pipeline: lieAction, start: "lie:Run:garbage", exit: 1, want: []string{broke, "cannot parse invalid wire-format", mistake}},
	{name: "action, no outcome", pipeline: lieAction, start: "lie:Run:no outcome", exit: 1, want: []string{broke, "the call ended without an outcome"}},
	{name: "action, two outcomes", pipeline: lieAction, start: "lie:Run:two outcomes", exit: 1, want: []string{broke, "an event came after the outcome"}},
	{name: "action, late event", pipeline: lieAction, start: "lie:Run:late event", exit: 1, want: []string{broke, "an event came after the outcome"}},
	{name: "action, empty event", pipeline: lieAction, start: "lie:Run:empty event", exit: 1, want: []string{broke, "an event says nothing"}},
	{name: "action, empty outcome", pipeline: lieAction, start: "lie:Run:empty outcome", exit: 1, want: []string{broke, "neither success nor failure"}},
	{name: "action, no end", pipeline: lieAction, start: "lie:Run:no end", exit: 0, want: []string{`stage\.a +succeeded`}},
	{name: "action, plan garbage", pipeline: lieAction, start: "lie:Plan:garbage", exit: 1, want: []string{broke, `"plan" with what it must not`, `on pipeline.hcl line \d+`}},
	{name: "action, validate garbage", pipeline: lieAction, start: "lie:Validate:garbage", exit: 1, want: []string{broke, `"validate"`, `on pipeline.hcl line \d+`}},
	{name: "target, gRPC error", pipeline: lieTarget, start: "lie:Observe:error", exit: 1, want: []string{broke, `"observe"`, mistake}},
	{name: "target, garbage", pipeline: lieTarget, start: "lie:Install:garbage", exit: back, want: []string{broke, `"install" of fake_target`}},
	{name: "target, no outcome", pipeline: lieTarget, start: "lie:Settle:no outcome", exit: back, want: []string{broke, `"settle" of fake_target`}},
	{name: "target, other release", pipeline: lieTarget, start: "lie:Install:other release", exit: back, want: []string{broke, "does not hold release"}},
	{name: "target, two outcomes on every way", pipeline: lieTarget, start: "lie:SetWeight:two outcomes", exit: command.RollbackFailed, want: []string{broke, `"set weight" of fake_target`, "people are needed"}},
	{name: "strategy, gRPC error", pipeline: lieTarget, start: "lie:Next:error", exit: 1, want: []string{broke, `"next"`}},
	{name: "strategy, garbage", pipeline: lieTarget, start: "lie:Next:garbage", exit: 1, want: []string{broke, `"next"`}},
	{name: "strategy, empty change", pipeline: lieTarget, start: "lie:Next:no change", exit: 1, want: []string{`a change of target "main" says nothing`}},
	{name: "metrics, gRPC error", pipeline: lieMetrics, start: "lie:Measure:error", exit: back, want: []string{broke, `"measure" of the metrics`}},
	{name: "metrics, garbage", pipeline: lieMetrics, start: "lie:Measure:garbage", exit: back, want: []string{broke, "wire-format"}},

	// What it says does not fit what it declared, or cannot be.
	{name: "action, outputs that are no JSON", pipeline: lieAction, start: "lie:Run:not JSON", exit: 1, want: []string{"Outputs do not fit the schema: What fake_run gave", "not valid JSON", mistake}},
	{name: "action, other outputs", pipeline: lieAction, start: "lie:Run:other outputs", exit: 1, want: []string{"text: expected a string, got an object", mistake}},
	{name: "action, unknown outputs", pipeline: lieAction, start: "lie:Run:unknown", exit: 1, want: []string{`"text" is not known although the operation has ended`}},
	{name: "action, unknown paths", pipeline: lieAction, start: "lie:Run:nowhere", exit: 1, want: []string{`"nowhere\[?.* not known|nowhere.* is not known`}},
	{name: "action, planned outputs that are no JSON", pipeline: lieAction, start: "lie:Plan:not JSON", exit: 1, want: []string{"Outputs do not fit the schema", mistake}},
	{name: "target, 250 %", pipeline: lieTarget, start: "lie:Observe:weights", exit: 1, want: []string{broke, `release "r" has a weight of 250%`}},
	{name: "target, less than nothing", pipeline: lieTarget, start: "lie:Observe:negative weight", exit: 1, want: []string{`release "r" has a weight of -0.001%`}},
	{name: "target, more than all", pipeline: lieTarget, start: "lie:Observe:more than all", exit: 1, want: []string{"more than all of the traffic"}},
	{name: "target, a release twice", pipeline: lieTarget, start: "lie:Observe:twice", exit: 1, want: []string{`release "r" is there twice`}},
	{name: "target, a release without a name", pipeline: lieTarget, start: "lie:Observe:nameless", exit: 1, want: []string{"a release has no id"}},
	{name: "target, stable is nowhere", pipeline: lieTarget, start: "lie:Observe:stranger", exit: 1, want: []string{`the stable release "nobody" is not installed`}},
	{name: "strategy, 250 %", pipeline: lieTarget, start: "lie:Next:weights", exit: 1, want: []string{"Strategy cannot be carried out", "weight 250%"}},
	{name: "strategy, less than nothing", pipeline: lieTarget, start: "lie:Next:negative weight", exit: 1, want: []string{"weight -0.001%"}},
	{name: "metrics, no numbers", pipeline: lieMetrics, start: "lie:Measure:not a number", exit: back, want: []string{broke, "a measurement that is no number"}},
	{name: "metrics, bounds", pipeline: lieMetrics, start: "lie:Measure:bounds", exit: back, want: []string{broke, "a measurement that is no number"}},
	{name: "metrics, no data", pipeline: lieMetrics, start: "lie:Measure:no data", exit: back, want: []string{broke, "has no data, and no reason why"}},
	{name: "metrics, a stranger", pipeline: lieMetrics, start: "lie:Measure:stranger", exit: back, want: []string{broke, `release "nobody", which nobody asked for`}},
	{name: "metrics, twice", pipeline: lieMetrics, start: "lie:Measure:twice", exit: back, want: []string{broke, "twice"}},
	{name: "metrics, counts below zero", pipeline: lieMetrics, start: "lie:Measure:negative", exit: back, want: []string{"makes no sense"}},
	{name: "metrics, more events than observations", pipeline: lieMetrics, start: "lie:Measure:more events", exit: back, want: []string{"makes no sense"}},

	// The process ends, or never answers.
	{name: "action, crash before the effect", pipeline: lieAction, with: `crash = "before"`, exit: asked, want: []string{`plugin "fake" gave no answer .*"run" of fake_run`, "exit status 13", "nobody knows whether the operation happened"}},
	{name: "action, crash after the effect", pipeline: lieAction, with: `crash = "after"`, exit: asked, want: []string{"exit status 14"}},
	{name: "action, panic", pipeline: lieAction, with: `crash = "panic"`, exit: 1, want: []string{"I was asked to panic"}},
	{name: "action, panic elsewhere", pipeline: lieAction, with: `crash = "goroutine"`, exit: asked, want: []string{"panic: I was asked to crash"}},
	{name: "action, crash while planning", pipeline: lieAction, start: "lie:Plan:crash", exit: 1, want: []string{"Plugin was lost", "exit status 13"}},
	{name: "target, crash again and again", pipeline: lieTarget, start: "lie:Install:crash", exit: back, want: []string{"lost again and again"}},
	{name: "target, crash while settling", pipeline: lieTarget, start: "lie:Settle:crash", exit: back, want: []string{"lost again and again"}},
	{name: "strategy, crash", pipeline: lieTarget, start: "lie:Next:crash", exit: 1, want: []string{"Plugin was lost"}},
	{name: "metrics, crash", pipeline: lieMetrics, start: "lie:Measure:crash", exit: back, want: []string{"its process was lost"}},
	{name: "action, hang and no ear for cancelling", pipeline: `stage "a" {
  timeout = "200ms"
  use "fake_run" {
    stubborn = "10m"
  }
}
`, exit: 1, want: []string{"timed out|time"}, time: 60 * time.Second},
	// What is said to be lost must not happen later, while the run goes on.
	{name: "action, effect long after it was given up", pipeline: `stage "a" {
  timeout = "200ms"
  use "fake_run" {
    stubborn = "35s"
    deaf     = true
    effects  = "effects"
  }
}

stage "b" {
  depends_on = [stage.a]
  run_if     = "always"
  use "fake_run" {
    sleep   = "35s"
    effects = "effects"
  }
}
`, exit: 1, want: []string{"timed out", `stage\.b +(done|succeeded)`}, effects: 1, time: 2 * time.Minute},
	{name: "strategy, hang while planning", pipeline: lieTarget, start: "lie:Next:deaf", exit: 1, want: []string{"Plugin does not answer", "did not answer in time"}},
	{name: "strategy, hang", pipeline: lieTarget, start: "lie:Next:deaf", planned: true, exit: back, want: []string{"ask_strategy: its process was lost: it did not answer in time", `strategy "fake_strategy" gave no answer`}, time: 2 * time.Minute},

	// Too much of everything.
	{name: "action, 100 MB of outputs", pipeline: lieAction, with: "size = 104857600", exit: 1, want: []string{"Result too large", "104857600|10[0-9]{7} bytes"}},
	{name: "action, 100 MB in a message", pipeline: lieAction, start: "lie:Run:huge message", exit: 1, want: []string{broke, "larger than 16 MiB"}},
	{name: "action, 5 MB of outputs", pipeline: lieAction, start: "lie:Run:huge outputs", exit: 1, want: []string{"Outputs too large", "the limit is 262144"}},
	{name: "action, deep outputs", pipeline: lieAction, start: "lie:Run:deep", exit: 1, want: []string{"Outputs too large"}},
	{name: "action, many paths", pipeline: lieAction, start: "lie:Run:many paths", exit: 1, want: []string{broke, "500000 paths, at most 10000"}},
	{name: "action, many handles", pipeline: lieAction, start: "lie:Run:many handles", exit: 1, want: []string{broke, "more than 64 handles"}},
	{name: "action, huge handle", pipeline: lieAction, start: "lie:Run:huge handle", exit: 1, want: []string{broke, "a handle has 10485760 bytes, at most 65536"}},
	{name: "action, huge undo", pipeline: lieAction, start: "lie:Run:huge undo", exit: 1, want: []string{broke, "what undoing needs has"}},
	{name: "action, huge world", pipeline: lieAction, start: "lie:Run:huge world", exit: 1, want: []string{broke, "the version of the world has"}},
	{name: "action, planned huge world", pipeline: lieAction, start: "lie:Plan:huge world", exit: 1, want: []string{broke, "the version of the world has"}},
	{name: "action, many changes", pipeline: lieAction, start: "lie:Plan:huge changes", exit: 1, want: []string{broke, "200000 changes, at most 10000"}},
	{name: "action, many diagnostics", pipeline: lieAction, start: "lie:Run:many", exit: 1, want: []string{"One of many", "More diagnostics than are shown: The plugin sent 99900 more"}},
	{name: "action, long diagnostics", pipeline: lieAction, start: "lie:Run:long", exit: 1, want: []string{`bytes left out\)`}},
	{name: "action, many complaints", pipeline: lieAction, start: "lie:Validate:many", exit: 1, want: []string{"One of many", "99900 more"}},
	{name: "action, long complaints", pipeline: lieAction, start: "lie:Validate:long", exit: 1, want: []string{`bytes left out\)`}},
	{name: "action, endless log", pipeline: `stage "a" {
  timeout = "5s"
  use "fake_run" {}
}
`, start: "lie:Run:endless log", exit: 1, want: []string{"of what follows only the end is kept", "lines are left out here", `stage\.a +failed`}, time: 60 * time.Second, loud: true},
	{name: "action, a million lines", pipeline: lieAction, with: "lines = 1000000", exit: 0, want: []string{"of what follows only the end is kept", "line 999999\n"}, time: 4 * time.Minute, loud: true},
	{name: "action, pollution", pipeline: lieAction, with: "stdout = \"1|1|unix|/nowhere|grpc|\"\n    stderr = \"noise\"", exit: 0, want: []string{`stage\.a +succeeded`}},
	{name: "target, huge world", pipeline: lieTarget, start: "lie:Observe:huge", exit: 1, want: []string{broke, "the version of the world has"}},
	{name: "target, many releases", pipeline: lieTarget, start: "lie:Observe:many", exit: 1, want: []string{broke, "100000 releases, at most 10000"}},
	{name: "target, huge release", pipeline: lieTarget, start: "lie:Install:huge release", exit: back, want: []string{broke, "a release has 5242"}},
	{name: "strategy, huge memory", pipeline: lieTarget, start: "lie:Next:memory", exit: 1, want: []string{"the memory has 10485760 bytes, at most 16384"}},
	{name: "strategy, huge reason", pipeline: lieTarget, start: "lie:Next:huge", exit: 0, want: []string{`stage\.web +succeeded`}},
	{name: "strategy, huge reason to abort", pipeline: lieTarget, start: "lie:Next:huge abort", exit: 1, want: []string{"abort abort abort"}},
	{name: "strategy, huge step", pipeline: lieTarget, start: "lie:Next:huge step", exit: 1, want: []string{broke, "the id of a step has|larger than 16 MiB"}},
	{name: "strategy, many changes", pipeline: lieTarget, start: "lie:Next:many", exit: 1, want: []string{broke, "100000 changes, at most 10000"}},
	{name: "metrics, a million samples", pipeline: lieMetrics, start: "lie:Measure:huge", exit: back, want: []string{broke, "samples, at most 10000"}, time: 30 * time.Second},
	{name: "metrics, huge reason", pipeline: lieMetrics, start: "lie:Measure:huge reason", exit: back, want: []string{"why why"}},

	// Before it serves at all.
	{name: "start, a line before the greeting", pipeline: lieAction, start: "early", exit: 1, want: []string{"Program is not a plugin", `"loading"`}},
	{name: "start, output without an end", pipeline: lieAction, start: "endless", exit: 1, want: []string{"Program is not a plugin"}},
	{name: "start, exit", pipeline: lieAction, start: "exit", exit: 1, want: []string{"Plugin ended at once", "I was asked to exit"}},
	{name: "start, panic", pipeline: lieAction, start: "panic", exit: 1, want: []string{"Plugin ended at once", "I was asked to panic"}},
	{name: "start, no certificate", pipeline: lieAction, start: "plain", exit: 1, want: []string{"Plugin cannot be reached"}},
	{name: "start, garbage on the wire", pipeline: lieAction, start: "garbage", exit: 1, want: []string{"Plugin cannot be reached|Plugin does not answer"}, time: 60 * time.Second},
	{name: "start, a later protocol", pipeline: lieAction, start: "future", exit: 1, want: []string{"Plugin speaks another protocol", "Use a newer runner"}},
}

// A plugin that lies ends in a clear message, and costs no more than the limits.
func TestLiars(t *testing.T) {
	t.Parallel()
	for _, tt := range liarCases {
		if tt.time == 0 {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				lie(t, tt)
			})
		}
	}
}

// All of them, with hangs and floods, at full speed.
func TestRealLiars(t *testing.T) {
	if os.Getenv("RUNNER_TEST_REAL") == "" {
		t.Skip("hangs and floods take minutes: make test-real has the time")
	}
	t.Parallel()
	var mu sync.Mutex
	most := map[string]int64{}
	atMost := func(what string, n int64) {
		mu.Lock()
		defer mu.Unlock()
		most[what] = max(most[what], n)
	}
	t.Run("cases", func(t *testing.T) {
		for _, tt := range liarCases {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				used := lie(t, tt)
				atMost("memory", used.memory)
				if tt.time == 0 {
					atMost("time", int64(used.time))
				}
				atMost("state", used.state)
			})
		}
	})
	const topic = "Lying plugins"
	figures.Record(t, topic, "ways of lying, each ended in its own message", "%d", len(liarCases))
	figures.Record(t, topic, "most memory that a runner used", "%d MiB of %d", most["memory"]>>20, liarMemory>>20)
	figures.Record(t, topic, "longest time until the message, without hangs and floods", "%.1f s", time.Duration(most["time"]).Seconds())
	figures.Record(t, topic, "most state that a run left", "%.1f MiB of %d", float64(most["state"])/(1<<20), liarState>>20)
}

// used is what a run cost.
type used struct {
	memory, state int64
	time          time.Duration
}

func lie(t *testing.T, tt liarCase) used {
	dir := liarDir(t, tt)
	args := []string{"apply", "-auto-approve"}
	if tt.planned {
		inDir(t, dir, "plan", "-out=kept.plan")
		args = append(args, "kept.plan")
	}
	cmd := runnerIn(t, dir, args...)
	cmd.Env = append(cmd.Env, fake.EnvStart+"="+tt.start)
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	limit := liarTime
	if tt.time > 0 {
		limit = tt.time
	}
	began := time.Now()
	memory := watched(t, cmd, limit)
	u := used{memory: memory, time: time.Since(began), state: sizeOf(t, filepath.Join(dir, ".runner"))}
	if code := cmd.ProcessState.ExitCode(); code != tt.exit {
		t.Errorf("exit code %d, want %d", code, tt.exit)
	}
	said, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range tt.want {
		if !regexp.MustCompile(want).Match(said) {
			t.Errorf("the output does not match %q", want)
		}
	}
	world, err := os.ReadFile(filepath.Join(dir, "effects"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if n := bytes.Count(world, []byte("\n")); n != tt.effects {
		t.Errorf("%d effects, want %d:\n%s", n, tt.effects, world)
	}
	allowed := int64(liarMemory)
	if raceEnabled {
		allowed *= 4 // the detector's own
	}
	if u.memory > allowed {
		t.Errorf("the runner used %d MiB of memory, at most %d are allowed", u.memory>>20, liarMemory>>20)
	}
	if u.state > liarState {
		t.Errorf("the run left %d KiB of state, at most %d are allowed", u.state>>10, liarState>>10)
	}
	if !tt.loud && len(said) > liarOutput {
		t.Errorf("the output has %d bytes", len(said))
	}
	if bytes.Contains(said, []byte("Run cannot go on")) || bytes.Contains(said, []byte("goroutine ")) && !strings.Contains(tt.name, "panic") {
		t.Error("the run itself broke")
	}
	if t.Failed() {
		t.Logf("%+v\n%s", u, said[:min(len(said), 6000)])
	}
	return u
}

func liarDir(t *testing.T, tt liarCase) string {
	t.Helper()
	ready, err := initialised()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{
		"pipeline.hcl": "pipeline \"shop\" {}\n" + strings.Replace(tt.pipeline, "%s", "    "+tt.with, 1),
		"metrics.json": `{"*":{"counter":{"n":1000,"events":1}}}`,
	}
	if tt.pipeline == lieMetrics {
		files["web.json"] = `{"stable":"old","releases":[{"ID":"old"}],"weights":{"old":100000}}`
	}
	if err := os.CopyFS(dir, os.DirFS(ready)); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// watched runs a command to its end, at most for the limit, and gives the most
// memory that it had.
func watched(t *testing.T, cmd *exec.Cmd, limit time.Duration) (memory int64) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for {
		select {
		case <-ended:
			return memory
		case <-late:
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("it was not over after %s", limit)
			return memory
		case <-tick.C:
			memory = max(memory, highWater(cmd.Process.Pid))
		}
	}
}

// highWater is the most memory that a process has had so far; 0 when it has ended.
func highWater(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 3 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

func sizeOf(t *testing.T, dir string) (sum int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
