package create_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Whatever is written, the plugins that there are accept it at once.
func TestRealPluginsAcceptWhatIsWritten(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("RUNNER_TEST_REAL is not set: make test-real runs this")
	}
	for name, a := range archived(t) {
		t.Run(name, func(t *testing.T) {
			dir, _ := made(t, a)
			for _, args := range [][]string{{"init"}, {"validate"}, {"plan", "-var=registry=registry.example.com/team"}} {
				if name != "everything" && args[0] == "plan" {
					args = args[:1]
				}
				cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "runner"), args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "RUNNER_PLUGIN_DIR="+bin)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("runner %v: %v\n%s", args, err, out)
				}
			}
		})
	}
}
