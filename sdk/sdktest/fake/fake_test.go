package fake_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/target"
)

const envMain = "FAKE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		fake.Main()
	}
	os.Exit(m.Run())
}

func subject(component string, valid ...sdktest.Config) sdktest.Subject {
	return sdktest.Subject{
		Plugin: fake.Plugin(), Component: component, PluginConfig: sdktest.Config{"identity": "tester"}, Valid: valid,
		Invalid: []sdktest.Invalid{},
	}
}

// The fake, where nothing is asked of it, is a good plugin.

func TestConvergentAction(t *testing.T) {
	effects := filepath.Join(t.TempDir(), "effects")
	s := subject("fake_convergent", sdktest.Config{"effects": effects, "text": "x"}, sdktest.Config{})
	s.Invalid = []sdktest.Invalid{{Config: sdktest.Config{"invalid": "yes"}, At: "invalid"}, {Config: sdktest.Config{"fail": "well"}, At: "fail"}}
	actiontest.Run(t, actiontest.Suite{
		Subject: s, Slow: sdktest.Config{"lines": 1, "hang": true},
		Fails: []sdktest.Config{{"fail": "error"}, {"fail": "later"}, {"fail": "permanent", "effect": "done"}},
	})
}

func TestOnceAction(t *testing.T) {
	effects := filepath.Join(t.TempDir(), "effects")
	actiontest.Run(t, actiontest.Suite{
		Subject: subject("fake_once", sdktest.Config{"effects": effects, "handle": "h"}), Slow: sdktest.Config{"sleep": "30s"},
		Fails: []sdktest.Config{{"fail": "retryable"}},
	})
}

func TestMetrics(t *testing.T) {
	file := filepath.Join(t.TempDir(), "metrics.json")
	script := `{"v1": {"counter": {"n": 10, "events": 1}}, "v2": {"histogram": {"bounds": [1, 2], "counts": [3, 2, 1]}}}`
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := sdktest.Config{"file": file, "per_second": true}
	metricstest.Run(t, metricstest.Suite{
		Subject: subject("fake_metrics", cfg),
		Traffic: func(sdktest.T) metricstest.Traffic {
			to := time.Now().Truncate(time.Second)
			return metricstest.Traffic{Config: cfg, Releases: []target.Release{{ID: "v1"}, {ID: "v2"}}, From: to.Add(-12 * time.Second), To: to}
		},
	})
}

func TestStartedByHand(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		output string
		code   int
	}{
		"alone":     {nil, "runner starts it by itself", 2},
		"a command": {[]string{"hello", "you"}, "hello you\n", 3},
		"a mistake": {[]string{"helo"}, `There is no command "helo".`, 2},
		"version":   {[]string{"-version"}, "fake 1.2.3 (protocol 1", 0},
	} {
		cmd := exec.Command(os.Args[0], tt.args...)
		cmd.Env = []string{envMain + "=1", "GORACE=atexit_sleep_ms=0"}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.Contains(string(out), tt.output) {
			t.Errorf("%s: exit code %d, %q", name, code, out)
		}
	}
}

func TestReadState(t *testing.T) {
	dir := t.TempDir()
	if s, err := fake.ReadState(filepath.Join(dir, "none")); err != nil || s.World != 0 {
		t.Errorf("no file: %+v, %v", s, err)
	}
	if _, err := fake.ReadState(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory: %v", err)
	}
}
