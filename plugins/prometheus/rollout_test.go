package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRealRolloutIsJudged deploys by canary what Prometheus scrapes from the proxy
// of a local_service, as the example does: a good version goes to all, a bad one is taken back.
func TestRealRolloutIsJudged(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, t.TempDir())
	bin, err := filepath.Abs(os.Getenv("RUNNER_TEST_REAL"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pipeline, err := os.ReadFile(filepath.Join(example, "pipeline.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pipeline.hcl"), pipeline, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) (string, int) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, program), args...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RUNNER_LOCAL_DIR=" + filepath.Join(dir, "services")}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatalf("%s: %v", program, err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	address := freePort(t)
	_, port, _ := strings.Cut(address, ":")
	apply := func(version, failRate string) (string, int) {
		t.Helper()
		return run("runner", "apply", "-auto-approve", "-var", "version="+version, "-var", "fail_rate="+failRate,
			"-var", "shop="+filepath.Join(bin, "shop"), "-var", "port="+port, "-var", "prometheus="+p.address)
	}
	if out, code := run("runner", "init"); code != 0 {
		t.Fatalf("init: exit code %d\n%s", code, out)
	}
	// Not the test's context, which is over by then.
	t.Cleanup(func() {
		cmd := exec.Command(filepath.Join(bin, "runner-plugin-local"), "stop", "-all")
		cmd.Env = []string{"RUNNER_LOCAL_DIR=" + filepath.Join(dir, "services")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("stop: %v\n%s", err, out)
		}
	})
	if out, code := apply("v1", "0"); code != 0 {
		t.Fatalf("v1: exit code %d\n%s", code, out)
	}
	listed, _ := run("runner-plugin-local", "ls", "-json")
	var services []struct{ Metrics string }
	if err := json.Unmarshal([]byte(listed), &services); err != nil || len(services) != 1 {
		t.Fatalf("%v in %s", err, listed)
	}
	metrics, err := url.Parse(services[0].Metrics)
	if err != nil {
		t.Fatal(err)
	}
	p.scrape(map[string]map[string]string{metrics.Host: {}})

	serves := func() (version string, err error) {
		res, err := http.Get("http://" + address + "/api/products")
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.Header.Get("X-Shop-Version"), err
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
				_, _ = serves() // whether it failed is counted by the proxy
			}
		}
	}()
	defer func() { close(end); <-ended }()

	if out, code := apply("v2", "0"); code != 0 {
		t.Fatalf("v2: exit code %d\n%s", code, out)
	}
	out, code := apply("v3", "0.5")
	if code == 0 || !strings.Contains(out, "errors") {
		t.Errorf("a version that fails half of all requests ends with exit code %d:\n%s", code, out)
	}
	for i := range 20 {
		if version, err := serves(); err != nil || version != "v2" {
			t.Fatalf("request %d after the way back was answered by %q, %v", i, version, err)
		}
	}
	t.Log(last(out, 12))
}

// last are the last lines.
func last(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Sprintf("the end of the bad version:\n%s", strings.Join(lines[max(0, len(lines)-n):], "\n"))
}
