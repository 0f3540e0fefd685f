package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/output"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

const (
	// maxStdout is how much of the standard output is kept as an output.
	maxStdout = 64 << 10
	// failureLines of a failed command stand in its diagnostic.
	failureLines = 10
	// stragglers is how long the output of a command that has ended is still read.
	stragglers = time.Second
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
	cmd := &exec.Cmd{Path: p.path, Args: p.args, Dir: p.dir, Env: p.env, WaitDelay: stragglers}
	if e.Stdin != nil {
		cmd.Stdin = strings.NewReader(*e.Stdin)
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
	out, err := newPump(io.MultiWriter(stdout, outLines))
	if err != nil {
		return action.Result{}, diag.Retryable(diag.New("Command not started", "%w", err))
	}
	errs, err := newPump(errLines)
	if err != nil {
		out.abandon()
		return action.Result{}, diag.Retryable(diag.New("Command not started", "%w", err))
	}
	cmd.Stdout, cmd.Stderr = out.in, errs.in

	release, err := proc.Start(cmd)
	if err != nil {
		out.abandon()
		errs.abandon()
		return action.Result{}, atNone("command", "Program cannot be started", err)
	}
	out.start()
	errs.start()
	err = waitGroup(ctx, cmd, e.Grace, out, errs)
	release()
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

// waitGroup waits for the command and for the end of its output, and leaves
// nothing of its group behind.
func waitGroup(ctx context.Context, cmd *exec.Cmd, grace time.Duration, pumps ...*pump) error {
	id, idErr := proc.Identify(cmd.Process.Pid)
	if idErr != nil {
		id = proc.ID{PID: cmd.Process.Pid}
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			proc.Stop(id, grace)
		case <-ended:
		}
	}()
	err := cmd.Wait()
	// What is still on its way, such as from a process substitution, may arrive.
	late := time.Now().Add(stragglers)
	for _, p := range pumps {
		p.wait(late)
	}
	close(ended)
	<-stopped
	proc.Stop(id, 0)
	late = time.Now().Add(stragglers)
	for _, p := range pumps {
		if !p.wait(late) {
			p.cutOff()
		}
	}
	return err
}

func exitCode(err error) (int64, error) {
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
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

// pump copies what a child writes into a pipe.
type pump struct {
	in, out *os.File
	to      io.Writer
	done    chan struct{}
}

func newPump(to io.Writer) (*pump, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &pump{in: in, out: out, to: to, done: make(chan struct{})}, nil
}

// start is called when the child has its end.
func (p *pump) start() {
	p.in.Close()
	go func() {
		defer close(p.done)
		_, _ = io.Copy(p.to, p.out)
		p.out.Close()
	}()
}

// abandon is called instead of start when there is no child.
func (p *pump) abandon() {
	p.in.Close()
	p.out.Close()
}

// wait reports whether everything was copied before the time.
func (p *pump) wait(late time.Time) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(time.Until(late)):
		return false
	}
}

// cutOff stops reading from a child that left the group and holds its end open.
func (p *pump) cutOff() {
	if p.out.SetReadDeadline(time.Now()) != nil {
		p.out.Close()
	}
	<-p.done
}
