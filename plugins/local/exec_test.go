//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// transcript keeps what an operation sends while it runs.
type transcript struct {
	mu    sync.Mutex
	lines []string
	// first is closed with the first line.
	first chan struct{}
	once  sync.Once
}

func newTranscript() *transcript { return &transcript{first: make(chan struct{})} }

func (tr *transcript) Progress(int, string) {}

func (tr *transcript) Handle(call.Handle) error { return nil }

func (tr *transcript) Output(stream, line string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, stream+": "+line)
	tr.once.Do(func() { close(tr.first) })
}

func (tr *transcript) request() *action.Request {
	return &action.Request{Request: call.Request{
		Call: call.Call{Key: "k", Node: "stage.x", Attempt: 1}, Log: slog.New(slog.DiscardHandler), Events: tr,
	}}
}

// sh is an action that runs a shell script.
func sh(script string, change ...func(*Exec)) *Exec {
	e := NewExec()
	e.Command = []string{"/bin/sh", "-c", script}
	for _, f := range change {
		f(e)
	}
	return e
}

func runExec(t *testing.T, e *Exec) (ExecOutputs, *transcript, error) {
	t.Helper()
	if err := e.Validate(); err != nil {
		t.Fatalf("validate: %v", err)
	}
	tr := newTranscript()
	res, err := e.Run(t.Context(), tr.request())
	out, _ := res.Outputs.(ExecOutputs)
	return out, tr, err
}

func TestExecOutputs(t *testing.T) {
	dir := t.TempDir()
	text := "from the pipeline\n"
	t.Setenv("RUNNER_TEST_SEEN", "seen")
	tests := []struct {
		name  string
		exec  *Exec
		want  ExecOutputs
		lines []string
	}{
		{
			name: "text", exec: sh("echo one; echo; printf two"),
			want: ExecOutputs{Stdout: "one\n\ntwo"}, lines: []string{"stdout: one", "stdout: ", "stdout: two"},
		},
		{name: "silence", exec: sh(":"), want: ExecOutputs{}},
		{
			name: "standard error is no output", exec: sh("echo hint >&2"),
			want: ExecOutputs{}, lines: []string{"stderr: hint"},
		},
		{
			name: "a JSON document", exec: sh(`echo ' {"a": [1, 2.5, "x"]} '`),
			want:  ExecOutputs{Stdout: ` {"a": [1, 2.5, "x"]} `, JSON: json.RawMessage(`{"a": [1, 2.5, "x"]}`)},
			lines: []string{`stdout:  {"a": [1, 2.5, "x"]} `},
		},
		{name: "two documents are none", exec: sh("echo 1; echo 2"), want: ExecOutputs{Stdout: "1\n2"}, lines: []string{"stdout: 1", "stdout: 2"}},
		{
			name: "a number that not everybody reads exactly", exec: sh("echo 9007199254740993"),
			want: ExecOutputs{Stdout: "9007199254740993"}, lines: []string{"stdout: 9007199254740993"},
		},
		{name: "an allowed exit code", exec: sh("exit 2", func(e *Exec) { e.OKExitCodes = []int64{0, 2} }), want: ExecOutputs{ExitCode: 2}},
		{name: "a directory", exec: sh("pwd -P", func(e *Exec) { e.Dir = dir }), want: ExecOutputs{Stdout: resolved(t, dir)}, lines: []string{"stdout: " + resolved(t, dir)}},
		{
			name: "the environment", exec: sh(`echo "$RUNNER_TEST_SEEN $X"`, func(e *Exec) { e.Env = map[string]string{"X": "y z"} }),
			want: ExecOutputs{Stdout: "seen y z"}, lines: []string{"stdout: seen y z"},
		},
		{
			name: "standard input", exec: sh("cat", func(e *Exec) { e.Stdin = &text }),
			want: ExecOutputs{Stdout: "from the pipeline"}, lines: []string{"stdout: from the pipeline"},
		},
		{name: "no standard input", exec: sh("cat"), want: ExecOutputs{}},
		{
			name: "standard input that nobody reads", exec: sh("exit 0", func(e *Exec) { long := strings.Repeat("x", 1<<20); e.Stdin = &long }),
			want: ExecOutputs{},
		},
		{
			name: "bytes that are no text", exec: sh(`printf '\377\376\n'`),
			want: ExecOutputs{Stdout: "\uFFFD"}, lines: []string{"stdout: \uFFFD"},
		},
		{
			name: "a program found in the command's own PATH",
			exec: &Exec{Command: []string{"hello"}, Dir: script(t, "bin/hello", "echo hello $1"), Env: map[string]string{"PATH": "bin:/bin:/usr/bin"}, OKExitCodes: []int64{0}},
			want: ExecOutputs{Stdout: "hello"}, lines: []string{"stdout: hello"},
		},
		{
			name: "a program given by its path from the directory",
			exec: &Exec{Command: []string{"./bin/hello", "you"}, Dir: script(t, "bin/hello", "echo hello $1"), OKExitCodes: []int64{0}},
			want: ExecOutputs{Stdout: "hello you"}, lines: []string{"stdout: hello you"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, tr, err := runExec(t, tt.exec)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Stdout = strings.TrimRight(tt.want.Stdout, "\n")
			if diff := cmp.Diff(tt.want, out); diff != "" {
				// The text keeps blanks at its end; only line ends go.
				t.Errorf("outputs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.lines, tr.lines); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func resolved(t *testing.T, dir string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// script makes a folder with an executable file in it.
func script(t *testing.T, name, body string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestExecLongOutput(t *testing.T) {
	out, tr, err := runExec(t, sh(`i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done`))
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.lines) != 20000 || tr.lines[19999] != "stdout: line 19999" {
		t.Errorf("%d lines came, the last one %q", len(tr.lines), tr.lines[len(tr.lines)-1])
	}
	if len(out.Stdout) > maxStdout || len(out.Stdout) < maxStdout-100 || !strings.HasSuffix(out.Stdout, "line 19998\nline 19999") {
		t.Errorf("the output has %d bytes and ends with %q", len(out.Stdout), out.Stdout[len(out.Stdout)-30:])
	}
	if out.JSON != nil {
		t.Errorf("part of the output passes for a document: %s", out.JSON)
	}
}

func TestExecFailures(t *testing.T) {
	noexec := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(noexec, []byte("not a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("\x7fELFnot really"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		exec    *Exec
		summary string
		path    string
		effect  diag.Effect
		details []string
	}{
		{
			name: "an exit code", exec: sh("echo working; echo broken pipe wrench >&2; exit 3"),
			summary: "Command failed", effect: diag.Unknown, details: []string{`"sh" ended with exit code 3`, "    working", "    broken pipe wrench"},
		},
		{name: "silence", exec: sh("exit 1"), summary: "Command failed", effect: diag.Unknown, details: []string{"It printed nothing."}},
		{name: "a signal", exec: sh("kill -KILL $$"), summary: "Command failed", effect: diag.Unknown, details: []string{"was ended from outside", "killed"}},
		{name: "zero is not among the codes", exec: sh("exit 0", func(e *Exec) { e.OKExitCodes = []int64{1} }), summary: "Command failed", effect: diag.Unknown, details: []string{"exit code 0"}},
		{name: "no such program", exec: &Exec{Command: []string{"no-such-program-here"}}, summary: "Program not found", path: "command", effect: diag.None, details: []string{"PATH"}},
		{name: "no such path", exec: &Exec{Command: []string{"/no/such/program"}}, summary: "Program not found", path: "command", effect: diag.None},
		{name: "not executable", exec: &Exec{Command: []string{noexec}}, summary: "Program not found", path: "command", effect: diag.None, details: []string{"permission denied"}},
		{name: "not a program", exec: &Exec{Command: []string{bad}}, summary: "Program cannot be started", path: "command", effect: diag.None},
		{name: "no such directory", exec: sh(":", func(e *Exec) { e.Dir = "no/such/dir" }), summary: "Directory not found", path: "dir", effect: diag.None},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := runExec(t, tt.exec)
			wantProblem(t, err, tt.summary, tt.path, tt.effect, tt.details...)
		})
	}
}

func TestExecLastLinesAreFew(t *testing.T) {
	_, _, err := runExec(t, sh(`i=0; while [ $i -lt 100 ]; do echo "line $i"; i=$((i+1)); done; exit 1`))
	detail := diag.Of(err).Diagnostics[0].Detail
	if n := strings.Count(detail, "line "); n != failureLines || !strings.Contains(detail, "line 99") {
		t.Errorf("the detail has %d lines:\n%s", n, detail)
	}
}

// children are the processes that a script names on lines like "pid 123".
func (tr *transcript) children(t *testing.T) []proc.ID {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var ids []proc.ID
	for _, line := range tr.lines {
		var pid int
		if _, err := fmt.Sscanf(line, "stdout: pid %d", &pid); err == nil {
			if id, err := proc.Identify(pid); err == nil {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func TestExecCancelEndsTheGroup(t *testing.T) {
	for name, script := range map[string]string{
		"polite": `sleep 300 & echo pid $! pid; wait`,
		"deaf":   `trap '' TERM; sleep 300 & echo pid $!; while :; do wait; done`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			e := sh(script, func(e *Exec) { e.Grace = 200 * time.Millisecond })
			tr := newTranscript()
			done := make(chan error)
			go func() {
				_, err := e.Run(ctx, tr.request())
				done <- err
			}()
			<-tr.first
			ids := tr.children(t)
			if len(ids) != 1 {
				t.Fatalf("the script printed %q", tr.lines)
			}
			cancel()
			began := time.Now()
			err := <-done
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v to end", took)
			}
			wantProblem(t, err, "Command cancelled", "", diag.Unknown)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the error does not say that it was cancelled: %v", err)
			}
			eventually(t, "the command's child is gone", func() bool { return !ids[0].Alive() })
		})
	}
}

func TestExecCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sh("echo never").Run(ctx, newTranscript().request())
	wantProblem(t, err, "Command cancelled", "", diag.None)
}

// TestExecDoesNotWaitForBackground: what a command leaves behind neither holds
// the stage up nor lives on.
func TestExecDoesNotWaitForBackground(t *testing.T) {
	began := time.Now()
	out, tr, err := runExec(t, sh(`sleep 300 & echo pid $!; exit 0`, func(e *Exec) { e.Grace = 300 * time.Millisecond }))
	if err != nil || !strings.HasPrefix(out.Stdout, "pid ") {
		t.Fatalf("%q, %v", out.Stdout, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	eventually(t, "what the command left behind is gone", func() bool { return len(tr.children(t)) == 0 })
}

// TestExecKeepsLateOutput: what a process substitution is about to write is not lost.
func TestExecKeepsLateOutput(t *testing.T) {
	out, _, err := runExec(t, sh(`(sleep 0.2; echo late) & echo early`))
	if err != nil || out.Stdout != "early\nlate" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}

// TestExecEscapedDaemon: one that left the group and holds the output open does
// not hold the stage up; it is its own master.
func TestExecEscapedDaemon(t *testing.T) {
	if _, err := lookPath("setsid", "/", []string{"PATH=/bin:/usr/bin"}); err != nil {
		t.Skip("setsid(1) is not installed:", err)
	}
	began := time.Now()
	_, tr, err := runExec(t, sh(`setsid sh -c 'echo pid $$; exec sleep 300' & sleep 0.2`, func(e *Exec) { e.Grace = 300 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	ids := tr.children(t)
	if len(ids) != 1 || !ids[0].Alive() {
		t.Fatalf("the daemon did not survive: %q", tr.lines)
	}
	proc.Stop(ids[0], 0)
}

func TestExecValidate(t *testing.T) {
	tests := []struct {
		name string
		exec *Exec
		want []string
	}{
		{"no command", &Exec{}, []string{"command"}},
		{"an empty program", &Exec{Command: []string{""}}, []string{"command"}},
		{"a zero byte", &Exec{Command: []string{"a", "b\x00"}}, []string{"command[1]"}},
		{"bad variables", &Exec{Command: []string{"a"}, Env: map[string]string{"A=B": "", "C": "\x00", "": "x", "OK": ""}}, []string{`env[""]`, `env["A=B"]`, "env.C"}},
		{"a negative code", &Exec{Command: []string{"a"}, OKExitCodes: []int64{0, -1}, Grace: -1}, []string{"ok_exit_codes[1]", "grace"}},
		{"nothing wrong", &Exec{Command: []string{"a"}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, blamed(tt.exec.Validate())); diff != "" {
				t.Errorf("blamed places (-want +got):\n%s", diff)
			}
		})
	}
}

// blamed are the places that a validation error names.
func blamed(err error) []string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, e := range joined.Unwrap() {
			all = append(all, blamed(e)...)
		}
		return all
	}
	if err == nil {
		return nil
	}
	var all []string
	for _, d := range diag.Of(err).Diagnostics {
		all = append(all, d.Path.String())
	}
	return all
}

func TestNoop(t *testing.T) {
	n := NewNoop()
	n.Value = map[string]any{"a": 1.0}
	res, err := n.Run(t.Context(), newTranscript().request())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(NoopOutputs{Value: n.Value}, res.Outputs); diff != "" {
		t.Error(diff)
	}
}
