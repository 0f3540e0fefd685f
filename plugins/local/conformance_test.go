//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/target/targettest"
)

func TestExecConformance(t *testing.T) {
	actiontest.Run(t, actiontest.Suite{
		New: func() action.Action { return NewExec() },
		Subject: sdktest.Subject{
			Valid: []sdktest.Config{
				{"command": []string{"/bin/sh", "-c", `echo '{"a": [1]}'; echo hint >&2`}},
				{"command": []string{"/bin/cat"}, "stdin": "text", "env": map[string]string{"A": "b"}, "dir": "/", "grace": "1s"},
				{"command": []string{"/bin/sh", "-c", "exit 3"}, "ok_exit_codes": []int{0, 3}},
			},
			Invalid: []sdktest.Invalid{
				{Config: sdktest.Config{"command": []string{}}, At: "command"},
				{Config: sdktest.Config{"command": []string{"a"}, "env": map[string]string{"A=B": "c"}}, At: `env["A=B"]`},
				{Config: sdktest.Config{"command": []string{"a"}, "ok_exit_codes": []int{0, -1}}, At: "ok_exit_codes[1]"},
				{Config: sdktest.Config{"command": []string{"a"}, "grace": "-1s"}, At: "grace"},
			},
		},
		Fails: []sdktest.Config{
			{"command": []string{"/bin/sh", "-c", "exit 1"}},
			{"command": []string{"no-such-program"}},
			{"command": []string{"/bin/sh"}, "dir": "/no/such/dir"},
		},
		Slow: sdktest.Config{"command": []string{"/bin/sh", "-c", "echo begun; sleep 300"}},
	})
}

func TestNoopConformance(t *testing.T) {
	actiontest.Run(t, actiontest.Suite{
		New: func() action.Action { return NewNoop() },
		Subject: sdktest.Subject{
			Valid: []sdktest.Config{{}, {"value": "text"}, {"value": map[string]any{"a": []any{1, "b", nil, true}}}},
		},
		World: func() (string, error) { return "as it is", nil },
	})
}

func TestHTTPConformance(t *testing.T) {
	address := page(t)
	once := sdktest.Config{"url": address, "interval": "1ms"}
	with := func(key string, val any) sdktest.Config {
		return sdktest.Config{"url": address, key: val}
	}
	actiontest.Run(t, actiontest.Suite{
		New: func() action.Action { return NewHTTP() },
		Subject: sdktest.Subject{
			Valid: []sdktest.Config{
				once,
				{"url": address, "method": "HEAD", "headers": map[string]string{"A": "b"}, "successes": 3, "interval": "1ms"},
				{"url": address, "expect": sdktest.Config{"body_contains": "welcome", "max_latency": "1m"}},
			},
			Invalid: []sdktest.Invalid{
				{Config: sdktest.Config{"url": "nowhere"}, At: "url"},
				{Config: with("method", ""), At: "method"},
				{Config: with("timeout", "0s"), At: "timeout"},
				{Config: with("interval", "-1s"), At: "interval"},
				{Config: with("deadline", "-1s"), At: "deadline"},
				{Config: with("successes", 0), At: "successes"},
				{Config: with("expect", sdktest.Config{"status": []int{200, 1000}}), At: "expect.status[1]"},
				{Config: with("expect", sdktest.Config{"body_matches": "("}), At: "expect.body_matches"},
			},
		},
		Fails: []sdktest.Config{
			{"url": address, "deadline": "0s", "expect": sdktest.Config{"status": []int{404}}},
			{"url": "http://127.0.0.1:1/", "deadline": "0s"},
		},
		Slow: sdktest.Config{"url": address, "expect": sdktest.Config{"status": []int{404}}, "deadline": "1h", "interval": "1m"},
	})
}

func TestServiceConformance(t *testing.T) {
	serve := func(args ...string) []string { return append([]string{os.Args[0], testServiceArg}, args...) }
	fresh := func(t sdktest.T) sdktest.Config {
		name := fmt.Sprintf("conformance-%d", serial.Add(1))
		t.Cleanup(func() {
			root, err := service.Root()
			if err == nil {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				err = control.NewClient(service.At(root, name)).Stop(ctx)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("stop %s: %v", name, err)
			}
		})
		return sdktest.Config{"name": name, "command": serve(), "drain": "1s", "grace": "1s"}
	}
	bad := func(key string, val any) sdktest.Config { return sdktest.Config{"command": serve(), key: val} }
	targettest.Run(t, targettest.Suite{
		New: func() target.Target { return NewService() },
		Subject: sdktest.Subject{
			Env: []string{"PATH=" + os.Getenv("PATH"), testRoot + "=" + os.Getenv("RUNNER_LOCAL_DIR")},
			Invalid: []sdktest.Invalid{
				{Config: bad("command", []string{""}), At: "command"},
				{Config: bad("env", map[string]string{"": ""}), At: `env[""]`},
				{Config: bad("replicas", 0), At: "replicas"},
				{Config: bad("replicas", 101), At: "replicas"},
				{Config: bad("name", "No Name"), At: "name"},
				{Config: bad("host", "localhost"), At: "host"},
				{Config: bad("port", 65536), At: "port"},
				{Config: bad("protocol", "spdy"), At: "protocol"},
				{Config: bad("drain", "-1s"), At: "drain"},
				{Config: bad("grace", "-1s"), At: "grace"},
				{Config: bad("health", sdktest.Config{"path": "healthz"}), At: "health.path"},
				{Config: bad("health", sdktest.Config{"status": []int{}}), At: "health.status"},
				{Config: bad("health", sdktest.Config{"status": []int{200, 1}}), At: "health.status[1]"},
				{Config: bad("health", sdktest.Config{"deadline": "0s"}), At: "health.deadline"},
			},
		},
		Fresh: fresh,
		Probe: func(ctx context.Context, release target.Release) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, release.Address+"/env?name=RUNNER_RELEASE", nil)
			if err != nil {
				return err
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if b, err := io.ReadAll(res.Body); err != nil || string(b) != release.ID {
				return fmt.Errorf("the release there is %q, %w", b, err)
			}
			return nil
		},
		Sequences: 2,
	})
}

func TestMetricsConformance(t *testing.T) {
	metricstest.Run(t, metricstest.Suite{
		New: func() metrics.Metrics { return NewMetrics() },
		Subject: sdktest.Subject{
			Valid:   []sdktest.Config{{"metric": "error_rate"}, {"metric": "latency"}},
			Invalid: []sdktest.Invalid{{Config: sdktest.Config{"metric": "requests"}, At: "metric"}},
		},
		Traffic: func(st sdktest.T) metricstest.Traffic {
			quiet := time.Now().Add(-time.Second)
			d := deploy(t, nil)
			v1 := d.first("v1")
			v2 := d.install("v2", "-fail-every", "3")
			d.setWeight("v2", 50)
			from := time.Now().Add(-time.Second)
			for range 60 {
				get(t, d.url())
			}
			// An answer is counted a moment after the client has it.
			to := time.Now()
			eventually(t, "the window is over and complete", func() bool {
				to = time.Now()
				n := int64(0)
				for _, r := range d.measure("error_rate", from, to, v1, v2).Releases {
					if r.Counter != nil {
						n += r.Counter.N
					}
				}
				return n == 60
			})
			return metricstest.Traffic{Config: sdktest.Config{"metric": "error_rate"}, Releases: []target.Release{v1, v2}, From: from, To: to, Quiet: quiet}
		},
	})
}

// page serves a page for the length of the test. In the plugin's process, which
// runs the same test up to the suite, nobody asks for it.
func page(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "welcome") }))
	t.Cleanup(s.Close)
	return s.URL
}
