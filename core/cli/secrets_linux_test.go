package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The environment of a plugin holds what it asked for and the lock file records,
// and nothing else of whoever runs the program.
func TestAPluginSeesOnlyWhatWasConsentedTo(t *testing.T) {
	t.Parallel()
	l := leakingDir(t, nil, `stage "a" {
  use "fake_run" {}
}

output "env" {
  value = stage.a.env
}
`)
	l.env = append(l.env, "FAKE_TOKEN=for the plugin", "AWS_SECRET_ACCESS_KEY=not for the plugin", "RUNNER_VAR_token=neither", "RUNNER_STATE_KEY="+strings.Repeat("A", 43)+"=")
	out, _ := l.run(t, "apply", "-auto-approve", "-json")
	var env map[string]string
	for line := range strings.Lines(string(out)) {
		var s struct {
			Type string
			Data struct {
				Outputs struct{ Env map[string]string }
			}
		}
		if json.Unmarshal([]byte(line), &s) == nil && s.Type == "summary" {
			env = s.Data.Outputs.Env
		}
	}
	if diff := cmp.Diff([]string{"FAKE_TOKEN", "TMPDIR"}, slices.Sorted(maps.Keys(env))); diff != "" {
		t.Errorf("the plugin's environment (-want +got):\n%s\n%s", diff, out)
	}
}

// Neither the runner nor its plugins leave their memory in a file.
func TestNobodyDumpsCore(t *testing.T) {
	allowCoreDumps(t)
	l := leakingDir(t, nil, "stage \"a\" {\n  use \"fake_run\" {\n    children = [\"/bin/sleep\", \"600\"]\n    pids     = \"pids\"\n  }\n}\n")
	cmd := start(t, l.dir, "apply", "-auto-approve")
	var child int
	waitFor(t, "the plugin's child runs", func() bool {
		b, _ := os.ReadFile(filepath.Join(l.dir, "pids"))
		child, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		return child > 0
	})
	pids := append(children(t, cmd.Process.Pid), cmd.Process.Pid, child)
	if len(pids) < 3 {
		t.Fatal("the runner has no plugin")
	}
	for _, pid := range pids {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`(?m)^Max core file size +0 `).Match(limits) {
			t.Errorf("process %d may dump core:\n%s", pid, limits)
		}
	}
}

// allowCoreDumps lets what is started dump core unless it forbids that by itself; by
// many systems' defaults nothing dumps core, which would prove nothing.
func allowCoreDumps(t *testing.T) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if before.Max == 0 {
		t.Skip("no process may dump core here, whatever it wants")
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_CORE, &before) })
}

// What is sealed opens only with the key that it was sealed with, and says so.
func TestWhatIsSealedNeedsItsKey(t *testing.T) {
	t.Parallel()
	l := leakingDir(t, nil, `stage "a" {
  use "fake_run" {
    secret = "a sealed output"
  }
}

stage "b" {
  approval {
    required = 1
  }
  use "fake_plain" {
    text = stage.a.secret
  }
}
`)
	if out, code := l.run(t, "apply", "-auto-approve"); code != 3 {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	key := filepath.Join(l.dir, ".runner", "state.key")
	own, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ key, want string }{
		"another key": {strings.Repeat("B", 43) + "=\n", "(?s)sealed with another state key.* needs key [0-9a-f]{16}, this is [0-9a-f]{16}"},
		"half a key":  {string(own[:20]), "state key cannot be used"},
		"no key":      {"\n", "state key cannot be used: it has 0 bytes instead of 32"},
	} {
		if err := os.WriteFile(key, []byte(tt.key), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := l.run(t, "resume")
		if code != 1 || !regexp.MustCompile(tt.want).Match(out) || strings.Contains(string(out), "sealed output") {
			t.Errorf("%s: exit code %d, want 1 and %q:\n%s", name, code, tt.want, out)
		}
	}
	if err := errors.Join(os.Remove(key), os.WriteFile(key, own, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out, code := l.run(t, "approve"); code != 0 {
		t.Errorf("approve: exit code %d:\n%s", code, out)
	}
	if out, code := l.run(t, "resume"); code != 0 {
		t.Errorf("with its own key again, resume: exit code %d:\n%s", code, out)
	}
}
