package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/dump"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// freeze writes the runs of the current format anew. Do it once, when the format of
// facts gets a new number (see kernel.FactFormat): the folders of earlier formats
// are what earlier versions wrote, and are never written again.
var freeze = flag.Bool("freeze", false, "write testdata/frozen for the current format of facts")

// frozenKey is the state key of the frozen runs.
const frozenKey = "ZnJvemVuIHJ1bnMgb2YgYW4gZWFybGllciBydW5uZXI="

// frozenPlugin is the fake plugin in a form whose hash is the same in every build.
const frozenPlugin = "#!/bin/sh\n# The program itself is built anew with every test; this file is not.\nexec \"${0%/*}/program/runner-plugin-fake\" \"$@\"\n"

// schemas is the folder of what the plugin offers, beside the runs of a format.
const schemas = "schemas"

func frozenDir(format int) string { return filepath.Join("testdata", "frozen", strconv.Itoa(format)) }

// frozenRun is how a run was written, and how it goes on.
type frozenRun struct {
	name     string
	pipeline string
	files    map[string]string
	// write leaves the state as it is to be frozen.
	write func(*testing.T, *frozenWorld)
	// goOn is what whoever finds it does; nil for a run that has ended.
	goOn func(*testing.T, *frozenWorld)
	// outcome of the newest run in the end.
	outcome kernel.Outcome
}

// frozenWorld is a folder where commands run as when the runs were written.
type frozenWorld struct {
	dir, plugins string
}

func (w *frozenWorld) command(t *testing.T, who string, args ...string) *exec.Cmd {
	cmd := exec.Command("runner-as", append([]string{who}, args...)...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "RUNNER_STATE_KEY="+frozenKey)
	for name, value := range environment(w.plugins) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// as runs a command as somebody, and expects an exit code.
func (w *frozenWorld) as(t *testing.T, who string, code int, args ...string) string {
	t.Helper()
	cmd := w.command(t, who, args...)
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("runner %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// killedWhen applies, and kills the runner once its status matches.
func (w *frozenWorld) killedWhen(t *testing.T, status string, args ...string) {
	t.Helper()
	re := regexp.MustCompile("(?s)" + status)
	cmd := w.command(t, "ada:sre", args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the run has "+status, func() bool {
		out, err := w.command(t, "ada:sre", "status", "-json").Output()
		return err == nil && re.Match(out)
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// newFrozenWorld is a folder with the fixed plugin.
func newFrozenWorld(t *testing.T) *frozenWorld {
	t.Helper()
	fake, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	w := &frozenWorld{dir: t.TempDir(), plugins: t.TempDir()}
	program, err := os.ReadFile(filepath.Join(fake, pluginName))
	err = errors.Join(err, os.Mkdir(filepath.Join(w.plugins, "program"), 0o700),
		os.WriteFile(filepath.Join(w.plugins, "program", pluginName), program, 0o700),
		os.WriteFile(filepath.Join(w.plugins, pluginName), []byte(frozenPlugin), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// platforms are those on which the frozen runs go on: the fixed plugin is a script.
var platforms = []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64"}

// TestFreeze writes the folder of the current format, with -freeze only.
func TestFreeze(t *testing.T) {
	if !*freeze {
		t.Skip("frozen runs are written with -freeze, once for each format of facts")
	}
	dir := frozenDir(kernel.FactFormat)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for _, run := range frozenRuns {
		w := newFrozenWorld(t)
		for name, content := range run.files {
			if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(w.dir, "pipeline.hcl"), []byte(run.pipeline), 0o600); err != nil {
			t.Fatal(err)
		}
		w.as(t, "ada:sre", 0, "init")
		forAllPlatforms(t, filepath.Join(w.dir, lockfile.Name))
		run.write(t, w)
		keepFrozen(t, w, filepath.Join(dir, run.name))
		if err := os.WriteFile(filepath.Join(dir, run.name, "summary.json"), summaryOf(t, readFrozen(t, filepath.Join(dir, run.name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func forAllPlatforms(t *testing.T, path string) {
	t.Helper()
	f, diags := lockfile.Load(path)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, p := range f.Plugins {
		_, hash, _ := strings.Cut(p.Hashes[0], ":")
		p.Hashes = nil
		for _, platform := range platforms {
			p.Hashes = append(p.Hashes, platform+":"+hash)
		}
	}
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
}

// keepFrozen copies what a run has left into a folder of text files. Schemas are the
// same for all, and lie beside it.
func keepFrozen(t *testing.T, w *frozenWorld, dir string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(w.dir, ".runner", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var items []store.Item
	for it, err := range store.Scan(t.Context(), s, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, it)
	}
	var text bytes.Buffer
	if err := dump.Write(&text, items); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(w.dir, path)
		schema := strings.HasPrefix(name, ".runner/schemas/")
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(name, ".runner/") && !schema {
			return err
		}
		b, err := os.ReadFile(path)
		to := filepath.Join(dir, "files", strings.ReplaceAll(name, ".runner", "dot-runner"))
		if schema {
			to = filepath.Join(dir, "..", schemas, filepath.Base(name))
		}
		return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, b, 0o644))
	})
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "records.txt"), text.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func readFrozen(t *testing.T, dir string) []store.Item {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "records.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	items, err := dump.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// thaw puts a frozen run into a new folder.
func thaw(t *testing.T, dir string) *frozenWorld {
	t.Helper()
	w := newFrozenWorld(t)
	kept := filepath.Join(w.dir, ".runner", "schemas")
	if err := errors.Join(os.MkdirAll(kept, 0o700), os.CopyFS(kept, os.DirFS(filepath.Join(dir, "..", schemas)))); err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(dir, "files")
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(from, path)
		b, err := os.ReadFile(path)
		to := filepath.Join(w.dir, strings.ReplaceAll(name, "dot-runner", ".runner"))
		return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, b, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), filepath.Join(w.dir, ".runner", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dump.Load(t.Context(), s, readFrozen(t, dir)), s.Close()); err != nil {
		t.Fatal(err)
	}
	return w
}

// summary is what a run comes to when it is folded.
type summary struct {
	Run      runs.Record
	Idle     kernel.Idle
	Outcome  kernel.Outcome
	Segments int
	Facts    map[string]int
	Timers   map[string]kernel.Time `json:",omitempty"`
	InFlight []kernel.InFlight      `json:",omitempty"`
	Nodes    []kernel.NodeView
}

// summaryOf folds every run of a store with today's code.
func summaryOf(t *testing.T, items []store.Item) []byte {
	t.Helper()
	s := memstore.New()
	if err := dump.Load(t.Context(), s, items); err != nil {
		t.Fatal(err)
	}
	var out []summary
	index := runs.New(s)
	for rec, err := range index.List(t.Context(), runs.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := index.Plan(t.Context(), rec.ID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		state := kernel.New(&p.Graph)
		sum := summary{Run: rec, Facts: map[string]int{}}
		for seg, err := range journal.Read(t.Context(), s, rec.ID, journal.Head{}) {
			if err != nil {
				t.Fatal(err)
			}
			sum.Segments++
			for _, raw := range seg.Records {
				ev, err := drive.Fold(state, raw)
				if err != nil {
					t.Fatalf("run %s, segment %d: %v", rec.ID, seg.Number, err)
				}
				sum.Facts[ev.Fact.FactType()]++
			}
		}
		sum.Idle, sum.Outcome, sum.Timers, sum.InFlight, sum.Nodes = state.Idle(), state.Outcome(), state.Timers(), state.InFlight(), state.Nodes()
		out = append(out, sum)
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// frozen calls each for every run of every format that was ever written.
func frozen(t *testing.T, each func(t *testing.T, dir string, run frozenRun)) {
	for format := 1; format <= kernel.FactFormat; format++ {
		entries, err := os.ReadDir(frozenDir(format))
		if err != nil {
			t.Fatalf("format %d has no frozen runs: %v", format, err)
		}
		for _, e := range entries {
			if e.Name() == schemas {
				continue
			}
			i := slices.IndexFunc(frozenRuns, func(r frozenRun) bool { return r.name == e.Name() })
			if i < 0 {
				t.Fatalf("nobody knows how the run %s of format %d goes on", e.Name(), format)
			}
			t.Run(fmt.Sprintf("format %d/%s", format, e.Name()), func(t *testing.T) {
				each(t, filepath.Join(frozenDir(format), e.Name()), frozenRuns[i])
			})
		}
	}
}

// Runs that an earlier version wrote come to what they came to then.
func TestFrozenRunsAreFoldedAsTheyWere(t *testing.T) {
	n := 0
	facts := map[string]int{}
	frozen(t, func(t *testing.T, dir string, _ frozenRun) {
		n++
		want, err := os.ReadFile(filepath.Join(dir, "summary.json"))
		if err != nil {
			t.Fatal(err)
		}
		got := summaryOf(t, readFrozen(t, dir))
		if *update {
			want, err = got, os.WriteFile(filepath.Join(dir, "summary.json"), got, 0o644)
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("folded (-then +now):\n%s\nWhere the state only shows more than it did, renew the summaries with -update.", diff)
		}
		var sums []summary
		if err := json.Unmarshal(got, &sums); err != nil {
			t.Fatal(err)
		}
		for _, s := range sums {
			for typ, count := range s.Facts {
				facts[typ] += count
			}
		}
	})
	if n < len(frozenRuns) {
		t.Errorf("%d frozen runs, want at least %d", n, len(frozenRuns))
	}
	// Those that no frozen run has: each is rare, and tested in the kernel.
	rare := []string{"lock.freed", "run.unwatched", "rollout.halted", "rollout.parked", "target.left"}
	for _, typ := range kernel.FactTypes() {
		if facts[typ] == 0 && !slices.Contains(rare, typ) {
			t.Errorf("no frozen run has the fact %s", typ)
		}
	}
	total := 0
	for count := range maps.Values(facts) {
		total += count
	}
	figures.Record(t, "Resume by a newer runner", "frozen runs of earlier formats, folded as they were", "%d runs, %d facts of %d types", n, total, len(facts))
}

// Whoever resumes a frozen run with today's program ends as it would have ended then,
// and what was written stays as it was.
func TestFrozenRunsGoOn(t *testing.T) {
	n := 0
	frozen(t, func(t *testing.T, dir string, run frozenRun) {
		if run.goOn != nil {
			n++
		}
		t.Parallel()
		before := readFrozen(t, dir)
		w := thaw(t, dir)
		if run.goOn != nil {
			run.goOn(t, w)
		}
		w.as(t, "ada:sre", 0, "show")
		w.as(t, "ada:sre", 0, "doctor", "latest")
		if got := newest(t, w); got.Outcome != run.outcome {
			t.Errorf("it ended as %q, want %q", got.Outcome, run.outcome)
		}
		unchanged(t, w, before)
	})
	t.Cleanup(func() { // after the parallel ones
		figures.Record(t, "Resume by a newer runner", "frozen runs resumed with today's program", "%d", n)
	})
}

type told struct {
	Outcome kernel.Outcome
	Nodes   []kernel.NodeView
}

func newest(t *testing.T, w *frozenWorld) told {
	t.Helper()
	out, err := w.command(t, "ada:sre", "status", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Run   runs.Record
		Nodes []kernel.NodeView
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return told{kernel.Outcome(s.Run.Outcome), s.Nodes}
}

// unchanged makes sure that every segment that there was is there as it was.
func unchanged(t *testing.T, w *frozenWorld, before []store.Item) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(w.dir, ".runner", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, it := range before {
		if !strings.Contains(it.Key, "/journal/") {
			continue
		}
		now, err := s.Get(t.Context(), it.Key)
		if err != nil || !bytes.Equal(now.Value, it.Value) {
			t.Errorf("%s was changed (error %v)", it.Key, err)
		}
	}
}
