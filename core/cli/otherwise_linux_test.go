package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/target"
)

// A strategy that answers otherwise than it did changes nothing that was decided; what
// comes next is decided by the one that is there.
func TestAnotherStrategyDoesNotChangeThePast(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(frozenDir(kernel.FactFormat), "baking")
	titles := map[bool][]string{}
	for _, other := range []bool{false, true} {
		w := thaw(t, dir)
		if other {
			if err := os.WriteFile(filepath.Join(w.plugins, "program", otherwise), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.as(t, "ada:sre", 0, "resume")
		if got := newest(t, w); got.Outcome != kernel.Succeeded {
			t.Errorf("it ended as %q", got.Outcome)
		}
		unchanged(t, w, readFrozen(t, dir))
		for _, name := range []string{"eu.json", "us.json"} {
			s, err := fake.ReadState(filepath.Join(w.dir, name))
			if err != nil || s.Weights[s.Stable] != target.Full {
				t.Errorf("%s is %+v, %v", name, s, err)
			}
		}
		for line := range strings.Lines(w.as(t, "ada:sre", 0, "show", "-json")) {
			if _, rest, ok := strings.Cut(line, `"title":"`); ok {
				title, _, _ := strings.Cut(rest, `"`)
				titles[other] = append(titles[other], title)
			}
		}
	}
	// The first wave, and the step at which the run was killed, are of the past.
	want := map[bool][]string{
		false: {"10%", "50%", "100%", "10%", "50%", "100%"},
		true:  {"10%", "50%", "100%", "10%", "100%"},
	}
	if diff := cmp.Diff(want, titles); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

// The program of a plugin is pinned for the life of a run. When it was replaced
// nothing at all is done, and the message says how to go on.
func TestAReplacedPluginStopsTheRunBeforeAnythingIsDone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(frozenDir(kernel.FactFormat), "baking")
	for _, how := range []string{"resume", "rollback"} {
		w := thaw(t, dir)
		program := filepath.Join(w.plugins, pluginName)
		if err := os.WriteFile(program, []byte(frozenPlugin+"# another version\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		before := newest(t, w)
		out := w.as(t, "ada:sre", 1, how)
		for _, says := range []string{"Plugin program was changed", "the program that it was planned with", "RUNNER_PLUGIN_DIR"} {
			if !strings.Contains(out, says) {
				t.Errorf("runner %s does not say %q:\n%s", how, says, out)
			}
		}
		if diff := cmp.Diff(before, newest(t, w)); diff != "" {
			t.Errorf("runner %s has changed the run:\n%s", how, diff)
		}
		if err := os.WriteFile(program, []byte(frozenPlugin), 0o700); err != nil {
			t.Fatal(err)
		}
		// What was posted is not lost: the run that was to be taken back is.
		w.as(t, "ada:sre", map[string]int{"resume": 0, "rollback": 4}[how], "resume")
	}
}
