//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

// testPluginArg makes the test binary this plugin as it is.
const testPluginArg = "test-plugin"

// startPlugin runs this plugin as the runner does: as another process, with an
// environment of its own.
func startPlugin(t *testing.T, env ...string) *host.Process {
	t.Helper()
	cert, err := host.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	p, err := host.Start(t.Context(), host.Config{
		Name: "local", Command: []string{os.Args[0], testPluginArg}, Certificate: cert, Log: slog.New(slog.DiscardHandler),
		Env: append(env, "PATH="+os.Getenv("PATH"), "GORACE="+os.Getenv("GORACE"), "RUNNER_LOCAL_DIR="+os.Getenv("RUNNER_LOCAL_DIR")),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	return p
}

// listener is what the host hears of an operation.
type listener struct {
	mu    sync.Mutex
	lines []string
	first chan struct{}
	once  sync.Once
}

func (l *listener) Log(line host.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line.Stream+": "+line.Message)
	l.once.Do(func() { close(l.first) })
}

func (l *listener) Progress(int, string) {}

func (l *listener) Handle(call.Handle) error { return nil }

func config(t *testing.T, v any) value.Value {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return value.Value{JSON: b}
}

// TestCommandsDieWithThePlugin kills the plugin while a command runs: the command
// and its children are gone, and the host is told that the outcome is not known.
func TestCommandsDieWithThePlugin(t *testing.T) {
	p := startPlugin(t)
	l := &listener{first: make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := p.RunAction(context.Background(), call.Call{Key: "k", Node: "stage.x", Attempt: 1}, "local_exec",
			config(t, map[string]any{"command": []string{"/bin/sh", "-c", "sleep 300 & echo $$ $!; wait"}}), nil, l)
		ended <- err
	}()
	<-l.first
	parent, child, _ := strings.Cut(strings.TrimPrefix(l.lines[0], "stdout: "), " ")
	var ids []proc.ID
	for _, text := range []string{parent, child} {
		var pid int
		if err := json.Unmarshal([]byte(text), &pid); err != nil {
			t.Fatalf("%q: %v", l.lines, err)
		}
		id, err := proc.Identify(pid)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	if err := <-ended; !errors.Is(err, host.ErrLost) {
		t.Errorf("the host is told %v", err)
	}
	eventually(t, "the command and its child are gone", func() bool { return !ids[0].Alive() && !ids[1].Alive() })
	t.Logf("gone %v after the plugin", time.Since(killed).Round(time.Millisecond))
}

// TestCommandsSeeWhatTheyMay: the environment of a command is the one the host
// consented to, without what host and plugin need for themselves.
func TestCommandsSeeWhatTheyMay(t *testing.T) {
	p := startPlugin(t, "CONSENTED=yes")
	out, err := p.RunAction(t.Context(), call.Call{Key: "k", Node: "stage.x", Attempt: 1}, "local_exec",
		config(t, map[string]any{"command": []string{"env"}, "env": map[string]string{"OWN": "too"}}), nil, &listener{first: make(chan struct{})})
	if err != nil {
		t.Fatal(err)
	}
	var outputs struct{ Stdout string }
	if err := json.Unmarshal(out.Outputs.JSON, &outputs); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(outputs.Stdout) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "CONSENTED", "OWN", "PATH", "GORACE", "RUNNER_LOCAL_DIR":
		default:
			t.Errorf("a command sees %s", line)
		}
	}
	for _, want := range []string{"CONSENTED=yes\n", "OWN=too\n"} {
		if !strings.Contains(outputs.Stdout+"\n", want) {
			t.Errorf("a command does not see %s", want)
		}
	}
}
