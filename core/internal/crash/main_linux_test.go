package crash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/cli"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

// fakePlugin is the file name of the fake plugin: this test binary.
const fakePlugin = "runner-plugin-fake"

// envRole makes this test binary the program.
const envRole = "RUNNER_CRASH_ROLE"

const testVersion = "0.1.0"

func TestMain(m *testing.M) {
	if exe, err := os.Executable(); err == nil && filepath.Base(exe) == fakePlugin {
		fake.Watch = Watch()
		fake.Main()
		return
	}
	if os.Getenv(envRole) != "" {
		os.Exit(cli.Main(testVersion, Hook))
	}
	os.Exit(m.Run())
}

// yard is a scenario whose first version is deployed, ready to be copied.
type yard struct {
	scenario
	// program is the runner, plugins the folder of its plugins.
	program, plugins string
	// ready is the folder that is copied, first the run in it.
	ready, first string
	// whole is how the run ends when nothing happens to it, and places what it passes.
	whole  ended
	places []string
	// lingering is a program that goes on until it is killed.
	lingering []string
}

// programs are the runner and, in a folder of their own, its plugins: the fake and
// those that are named of the folder bin.
func programs(t *testing.T, bin string, names ...string) (program, plugins string) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plugins = t.TempDir()
	from := map[string]string{fakePlugin: program}
	for _, name := range names {
		from[name] = filepath.Join(bin, name)
	}
	for name, source := range from {
		content, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(filepath.Join(plugins, name), content, 0o700)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return program, plugins
}

// newYard deploys the first version and then, in a copy, the second one without
// any harm being done.
func newYard(t *testing.T, sc scenario, program, plugins string) *yard {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{scenario: sc, program: program, plugins: plugins, ready: t.TempDir(), lingering: []string{sleep, "600"}}
	y.write(t, "pipeline.hcl", sc.pipeline)
	y.write(t, "metrics.json", `{"*": {"counter": {"n": 1000, "events": 0}}}`)
	tr := &trial{y: y, dir: y.ready, marks: t.TempDir()}
	for _, args := range [][]string{{"init"}, {"apply", "-auto-approve", "-var", "version=one"}} {
		if code := tr.run(t.Context(), Order{}, args...); code != 0 {
			t.Fatalf("runner %s: exit code %d\n%s", strings.Join(args, " "), code, tr.said.String())
		}
	}
	for name, content := range sc.then {
		y.write(t, name, content)
	}
	run, err := tr.newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	y.first = run.id
	whole, err := y.newTrial(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	exit := whole.run(t.Context(), Order{}, y.apply()...)
	if y.whole, err = whole.end(t.Context(), exit); err != nil {
		t.Fatalf("the uninterrupted run: %v\n%s", err, whole.said.String())
	}
	if y.whole.Exit != sc.exit {
		t.Fatalf("the uninterrupted run ended with %d, want %d\n%s", y.whole.Exit, sc.exit, whole.said.String())
	}
	y.places = whole.passed
	return y
}

func (y *yard) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(y.ready, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (y *yard) apply() []string { return []string{"apply", "-auto-approve", "-var", "version=two"} }

// newTrial copies the yard.
func (y *yard) newTrial(dir string) (*trial, error) {
	tr := &trial{y: y, dir: filepath.Join(dir, "shop"), marks: filepath.Join(dir, "marks")}
	return tr, errors.Join(copyDir(tr.dir, y.ready), os.Mkdir(tr.marks, 0o700))
}

// copyDir is os.CopyFS, and keeps others out as the original does.
func copyDir(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(at, 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, content, 0o600)
	})
}

// orders are one for every place that an uninterrupted run passes: there the
// runner is killed, and there a plugin is. Where a call has an effect, both are
// killed inside it too, just before and just after.
// While the run is only planned nothing is at stake: there, every fifth place stands
// for the others.
func (y *yard) orders() []Order {
	var out []Order
	opened := slices.IndexFunc(y.places, func(what string) bool { return strings.HasPrefix(what, "before put") })
	for i, at := range orderAt(y.places) {
		if i < opened && i%5 != 0 {
			continue
		}
		for _, v := range []Victim{Runner, Plugin} {
			at.Victim = v
			out = append(out, at)
		}
		words := strings.Fields(at.Place)
		if words[0] != "before" || !effectful[words[1]] {
			continue
		}
		for _, when := range []fake.Moment{fake.Ready, fake.Happened} {
			for _, v := range []Victim{Runner, Plugin} {
				out = append(out, Order{Place: at.Place, At: at.At, Victim: v, When: when})
			}
		}
		out = append(out, Order{Place: at.Place, At: at.At, Victim: Runner, When: fake.Happened, Linger: y.lingering})
	}
	return out
}

// orderAt are orders for all places of a run, in its order.
func orderAt(places []string) []Order {
	seen := map[string]int{}
	var out []Order
	for _, what := range places {
		seen[what]++
		out = append(out, Order{Place: what, At: seen[what]})
	}
	return out
}

// effectful are the calls inside which the fake plugin has an effect.
var effectful = map[string]bool{"run": true, "undo": true, "install": true, "set_weight": true, "settle": true, "retire": true}

func (o Order) String() string {
	where := fmt.Sprintf("%s killed %s (%d)", o.Victim, o.Place, o.At)
	if o.When != "" {
		where += ", inside: " + string(o.When)
	}
	if len(o.Linger) > 0 {
		where += ", and something lingers"
	}
	return where
}

// command is a process of the program.
func (tr *trial) command(order Order, args ...string) *exec.Cmd {
	order.Dir, order.Services = tr.marks, tr.y.services(tr.dir)
	cmd := exec.Command(tr.y.program, args...)
	cmd.Dir = tr.dir
	cmd.Env = append(os.Environ(), envRole+"=1", Env+"="+encoded(order), "RUNNER_PLUGIN_DIR="+tr.y.plugins,
		"RUNNER_LOCAL_DIR="+order.Services, "GORACE=atexit_sleep_ms=0", "RUNNER_PLUGIN_CACHE_DIR=", "RUNNER_DATA_DIR=")
	return cmd
}
