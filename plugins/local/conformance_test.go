package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
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

// page serves a page for the length of the test. In the plugin's process, which
// runs the same test up to the suite, nobody asks for it.
func page(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "welcome") }))
	t.Cleanup(s.Close)
	return s.URL
}
