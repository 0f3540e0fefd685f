package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/child"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

const (
	// maxStdout is how much of the standard output is kept as an output.
	maxStdout = 64 << 10
	// failureLines of a failed command stand in its diagnostic.
	failureLines = 10
)

// Exec is the body of a stage that uses "local_exec".
type Exec struct {
	Command     []string          `hcl:"command" doc:"program and arguments; no shell is involved"`
	Dir         string            `hcl:"dir,optional" doc:"working directory, relative to the pipeline's own; empty for that itself"`
	Env         map[string]string `hcl:"env,optional" doc:"environment variables, on top of those the plugin may see"`
	Stdin       *string           `hcl:"stdin,optional" doc:"text that the command reads; without it the command reads nothing"`
	OKExitCodes []int64           `hcl:"ok_exit_codes,optional" unique:"true" doc:"exit codes that count as success"`
	Grace       time.Duration     `hcl:"grace,optional" doc:"on cancellation, time between asking the command to end and killing it"`
}

// NewExec has the defaults set.
func NewExec() *Exec {
	return &Exec{OKExitCodes: []int64{0}, Grace: 3 * time.Second}
}

// ExecOutputs of a command that succeeded.
type ExecOutputs struct {
	ExitCode int64           `hcl:"exit_code" doc:"exit code"`
	Stdout   string          `hcl:"stdout" doc:"the last 64 KiB of the standard output, without line ends at its end"`
	JSON     json.RawMessage `hcl:"json,optional" doc:"the standard output as a value when it is one JSON document of at most 64 KiB, else null"`
}

// Doc is the reference documentation.
func (e *Exec) Doc() string {
	return "Runs a command on this machine and streams what it prints. The command leads a process group of its own: when the stage is cancelled, when the runner or this plugin dies, and when the command itself has ended, nothing of the group is left running."
}

// Outputs is the shape of the outputs.
func (e *Exec) Outputs() any { return ExecOutputs{} }

// Validate checks what can be known before the command runs.
func (e *Exec) Validate() error {
	errs := []error{checkCommand(e.Command), checkEnv(e.Env)}
	for i, code := range e.OKExitCodes {
		if code < 0 {
			errs = append(errs, diag.AtPath(value.Path{value.Name("ok_exit_codes"), value.Index(i)}, "Invalid exit code",
				errors.New("an exit code is never negative")))
		}
	}
	if e.Grace < 0 {
		errs = append(errs, diag.AtAttr("grace", "Invalid duration", errors.New("the grace period cannot be negative")))
	}
	return errors.Join(errs...)
}

// Run starts the command once and waits for it.
func (e *Exec) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	p, err := findProgram(e.Command, e.Dir, e.Env)
	if err != nil {
		return action.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return action.Result{}, diag.WithEffect(diag.None, diag.New("Command cancelled", "the command was not started: %w", err))
	}
	stdout := &output.Tail{Limit: maxStdout}
	recent := &output.Tail{Limit: 16 << 10}
	var mu sync.Mutex
	lines := func(stream string) *output.Lines {
		return &output.Lines{Emit: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			req.Output(stream, line)
			fmt.Fprintln(recent, line)
		}}
	}
	outLines, errLines := lines("stdout"), lines("stderr")
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Args, cmd.Dir, cmd.Env = p.args, p.dir, p.env
	cmd.Stdout, cmd.Stderr = io.MultiWriter(stdout, outLines), errLines
	// Also how long the output of a command that has ended is still read.
	cmd.WaitDelay = max(e.Grace, time.Millisecond)
	if e.Stdin != nil {
		cmd.Stdin = strings.NewReader(*e.Stdin)
	}
	// Nothing of the command is heard before it is certain that it cannot
	// outlive this plugin.
	mu.Lock()
	running, err := child.Start(cmd)
	mu.Unlock()
	if err != nil {
		return action.Result{}, atNone("command", "Program cannot be started", err)
	}
	err = running.Wait()
	outLines.Close()
	errLines.Close()

	if ctx.Err() != nil {
		return action.Result{}, diag.New("Command cancelled",
			"%q was ended before it was done, so what it changed until then stands: %w", filepath.Base(p.path), context.Cause(ctx))
	}
	code, err := exitCode(err)
	if err != nil {
		return action.Result{}, diag.New("Command lost", "the end of %q could not be seen: %w", filepath.Base(p.path), err)
	}
	if !slices.Contains(e.OKExitCodes, code) {
		return action.Result{}, e.failure(filepath.Base(p.path), code, cmd.ProcessState.String(), recent)
	}
	text, whole := stdout.Bytes()
	outputs := ExecOutputs{ExitCode: code, Stdout: strings.TrimRight(stdout.String(), "\r\n")}
	if whole {
		outputs.JSON = document(text, req)
	}
	return action.Result{Outputs: outputs}, nil
}

func exitCode(err error) (int64, error) {
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return int64(exit.ExitCode()), nil
	}
	return 0, err
}

func (e *Exec) failure(name string, code int64, state string, recent *output.Tail) error {
	what := fmt.Sprintf("%q ended with exit code %d.", name, code)
	if code < 0 {
		what = fmt.Sprintf("%q was ended from outside: %s.", name, state)
	}
	if last := output.LastLines(recent.String(), failureLines); len(last) > 0 {
		what += " It printed last:\n    " + strings.Join(last, "\n    ")
	} else {
		what += " It printed nothing."
	}
	return diag.New("Command failed", "%s", what)
}

// document is the text when it is one JSON document whose numbers every
// reader gets exactly.
func document(text []byte, req *action.Request) json.RawMessage {
	text = bytes.TrimSpace(text)
	if !json.Valid(text) {
		return nil
	}
	if _, err := schema.Encode(ExecOutputs{JSON: text}); err != nil {
		req.Log.Warn("the standard output is JSON that cannot be an output; json is null", "why", err.Error())
		return nil
	}
	return text
}
