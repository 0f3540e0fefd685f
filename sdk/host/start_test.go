package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

func TestStartSaysWhyAPluginDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "not-a-program")
	if err := os.WriteFile(script, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		how     string
		command []string
		timeout time.Duration
		code    string
		want    []string
	}{
		"missing file":        {command: []string{filepath.Join(dir, "nowhere")}, code: host.CodeNotStarted, want: []string{"does not exist", "nowhere"}},
		"not executable":      {command: []string{script}, code: host.CodeNotStarted, want: []string{"not executable"}},
		"a directory":         {command: []string{dir}, code: host.CodeNotStarted, want: []string{"not executable"}},
		"another program":     {command: []string{"/bin/true"}, code: host.CodeEnded, want: []string{"/bin/true", "exit status 0"}},
		"exits":               {how: "exit", code: host.CodeEnded, want: []string{"exit status 7", "I was asked to exit"}},
		"panics":              {how: "panic", code: host.CodeEnded, want: []string{"exit status 2", "panic: I was asked to panic"}},
		"prints a page":       {how: "noise", code: host.CodeNotAPlugin, want: []string{`"<!doctype html>"`}},
		"prints before":       {how: "early", code: host.CodeNotAPlugin, want: []string{`"loading"`, "before it called Serve"}},
		"prints without end":  {how: "endless", code: host.CodeNotAPlugin, want: []string{`"noise noise`}},
		"says nothing":        {how: "silent", timeout: 300 * time.Millisecond, code: host.CodeSilent, want: []string{"300ms"}},
		"has no certificate":  {how: "plain", code: host.CodeUnreachable, want: []string{"no call reaches it"}},
		"sends garbage":       {how: "garbage", code: host.CodeUnreachable, want: []string{"no call reaches it"}},
		"speaks protocol 99":  {how: "future", code: host.CodeNoProtocol, want: []string{`"fake" 9.0.0 speaks protocol 99`, "speaks protocol 1", `fake = { version = "< 9.0.0" }`}},
		"a script that fails": {command: []string{"/bin/sh", "-c", "echo no such luck >&2; exit 3"}, code: host.CodeEnded, want: []string{"exit status 3", "no such luck"}},
		"killed":              {command: []string{"/bin/sh", "-c", "kill -9 $$"}, code: host.CodeEnded, want: []string{"signal: killed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			if tt.how != "" {
				cfg.Env = append(cfg.Env, fake.EnvStart+"="+tt.how)
			}
			if tt.command != nil {
				cfg.Command = tt.command
			}
			cfg.StartTimeout = tt.timeout
			began := time.Now()
			p, err := host.Start(context.Background(), cfg)
			if err == nil {
				p.Stop(0)
				t.Fatal("the plugin started")
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			var problem *diag.Problem
			if !errors.As(err, &problem) || len(problem.Diagnostics) != 1 || problem.Effect != diag.None {
				t.Fatalf("the error is no problem: %#v", err)
			}
			d := problem.Diagnostics[0]
			if d.Code != tt.code {
				t.Errorf("code %q, want %q: %v", d.Code, tt.code, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(d.Detail, want) {
					t.Errorf("%q is missing in:\n%s", want, d.Detail)
				}
			}
		})
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := host.Start(ctx, config(t, fake.EnvStart+"=silent"))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestASlowPluginIsWaitedFor(t *testing.T) {
	p, err := host.Start(context.Background(), config(t, fake.EnvStart+"=300ms"))
	if err != nil {
		t.Fatal(err)
	}
	p.Stop(time.Second)
}
