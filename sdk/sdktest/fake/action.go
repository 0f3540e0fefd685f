package fake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/child"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// Options are what every action of this plugin can be asked for. They take
// effect in the order of the fields.
type Options struct {
	Text   string `hcl:"text,optional" doc:"given back as an output"`
	Secret string `hcl:"secret,optional" sensitive:"true" doc:"given back as a sensitive output"`

	Invalid string `hcl:"invalid,optional" doc:"anything but empty is refused by Validate"`

	Effects string `hcl:"effects,optional" doc:"file that gets a line for each effect: operation, key, attempt"`
	World   string `hcl:"world,optional" doc:"file whose text is the version of the world"`
	Handle  string `hcl:"handle,optional" doc:"early handle to send"`

	Lines    int           `hcl:"lines,optional" doc:"log lines to write"`
	LineSize int           `hcl:"line_size,optional" doc:"bytes of each"`
	Stdout   string        `hcl:"stdout,optional" doc:"text to pollute the standard output with"`
	Stderr   string        `hcl:"stderr,optional" doc:"text for the standard error"`
	Sleep    time.Duration `hcl:"sleep,optional" doc:"how long to work; ends early when cancelled"`
	Stubborn time.Duration `hcl:"stubborn,optional" doc:"how long to work without listening"`
	Deaf     bool          `hcl:"deaf,optional" doc:"succeed also when cancelled"`
	Hang     bool          `hcl:"hang,optional" doc:"work until cancelled"`
	Children []string      `hcl:"children,optional" doc:"command to run as a child, waited for"`
	Orphan   []string      `hcl:"orphan,optional" doc:"command to leave behind"`
	PIDs     string        `hcl:"pids,optional" doc:"file that gets the process ids of both"`

	Crash string `hcl:"crash,optional" doc:"before or after the effect: the process ends; panic: the operation panics; goroutine: another one does"`

	Fail      string        `hcl:"fail,optional" doc:"error, retryable, later, permanent"`
	FailTimes int           `hcl:"fail_times,optional" doc:"how many attempts fail; 0 is all of them"`
	Effect    string        `hcl:"effect,optional" doc:"what a failure says: none, done, unknown; done also has the effect"`
	After     time.Duration `hcl:"after,optional" doc:"wait of later"`

	Size int    `hcl:"size,optional" doc:"bytes of the output named blob"`
	Lie  string `hcl:"lie,optional" doc:"type: outputs of another type than declared"`
}

func defaults() Options { return Options{After: time.Second} }

// Outputs of every action but fake_plain.
type Outputs struct {
	Text    string            `hcl:"text"`
	Secret  string            `hcl:"secret" sensitive:"true"`
	Count   int               `hcl:"count" doc:"the attempt"`
	Key     string            `hcl:"key"`
	Took    time.Duration     `hcl:"took"`
	Items   []string          `hcl:"items"`
	Env     map[string]string `hcl:"env" doc:"the environment of the process"`
	Stdin   int               `hcl:"stdin" doc:"bytes that could be read from the standard input"`
	Sealed  string            `hcl:"sealed" doc:"what Plan handed over"`
	Blob    string            `hcl:"blob"`
	File    call.Artifact     `hcl:"file"`
	Dir     string            `hcl:"dir" doc:"working directory"`
	Anybody any               `hcl:"anybody,optional"`
}

// Validate refuses on request.
func (o *Options) Validate() error {
	var invalid error
	if o.Invalid != "" {
		invalid = diag.AtAttr("invalid", "Invalid on request", fmt.Errorf("it must be empty, not %q", o.Invalid))
	}
	return errors.Join(
		invalid, oneOf("crash", o.Crash, "before", "after", "panic", "goroutine"),
		oneOf("fail", o.Fail, "error", "retryable", "later", "permanent"), oneOf("effect", o.Effect, "none", "done", "unknown"), oneOf("lie", o.Lie, "type"),
	)
}

// Doc describes every action.
func (o *Options) Doc() string { return "Succeeds, fails, hangs or crashes, as it is asked to." }

// Outputs tells their shape.
func (o *Options) Outputs() any { return Outputs{} }

// run does what was asked, and writes the effect once.
func (o *Options) run(ctx context.Context, req *call.Request, operation string) error {
	reached(Began, operation)
	if o.Handle != "" {
		if err := req.Handle(o.Handle, []byte("opaque "+o.Handle)); err != nil {
			return err
		}
	}
	req.Progress(10, "working")
	o.chat(req)
	if o.Crash == "before" {
		os.Exit(13)
	}
	if err := o.work(ctx); err != nil {
		return err
	}
	failing := o.failing(req.Attempt)
	if !failing || o.Effect == "done" {
		if err := o.effect(operation, req.Call); err != nil {
			return err
		}
	}
	switch o.Crash {
	case "after":
		os.Exit(14)
	case "panic":
		panic("I was asked to panic")
	case "goroutine":
		go panic("I was asked to crash")
		select {}
	}
	if failing {
		return o.failure()
	}
	req.Progress(100, "done")
	return nil
}

func (o *Options) failing(attempt int) bool {
	return o.Fail != "" && (o.FailTimes == 0 || attempt <= o.FailTimes)
}

func (o *Options) chat(req *call.Request) {
	pad := strings.Repeat("x", o.LineSize)
	for i := range o.Lines {
		req.Log.Info(fmt.Sprintf("line %d%s", i, pad), "i", i)
	}
	if o.Stdout != "" {
		fmt.Println(o.Stdout)
		_, _ = os.NewFile(1, "stdout").WriteString("raw " + o.Stdout + "\n")
	}
	if o.Stderr != "" {
		fmt.Fprintln(os.Stderr, o.Stderr)
	}
}

func (o *Options) work(ctx context.Context) error {
	time.Sleep(o.Stubborn)
	if len(o.Orphan) > 0 {
		cmd := exec.Command(o.Orphan[0], o.Orphan[1:]...)
		if err := cmd.Start(); err != nil {
			return diag.WithEffect(diag.None, err)
		}
		if err := appendLine(o.PIDs, fmt.Sprint(cmd.Process.Pid)); err != nil {
			return err
		}
	}
	if len(o.Children) > 0 {
		c, err := child.Start(exec.CommandContext(ctx, o.Children[0], o.Children[1:]...))
		if err != nil {
			return diag.WithEffect(diag.None, err)
		}
		if err := appendLine(o.PIDs, fmt.Sprint(c.PID())); err != nil {
			return err
		}
		if err := c.Wait(); err != nil {
			return err
		}
	}
	if o.Hang {
		<-ctx.Done()
	} else if o.Sleep > 0 {
		select {
		case <-time.After(o.Sleep):
		case <-ctx.Done():
		}
	}
	if o.Deaf {
		return nil
	}
	return ctx.Err()
}

func (o *Options) effect(operation string, c call.Call) error {
	reached(Ready, operation)
	err := appendLine(o.Effects, fmt.Sprintf("%s %s %d", operation, c.Key, c.Attempt))
	reached(Happened, operation)
	return err
}

func (o *Options) failure() error {
	err := diag.New("Failed on request", "The fake was asked to fail with %q.", o.Fail)
	switch o.Fail {
	case "retryable":
		err = diag.Retryable(err)
	case "later":
		err = diag.RetryAfter(o.After, err)
	case "permanent":
		err = fmt.Errorf("%w: %w", err, diag.ErrPermanent)
	}
	switch o.Effect {
	case "none":
		err = diag.WithEffect(diag.None, err)
	case "done":
		err = diag.WithEffect(diag.Done, err)
	case "unknown":
		err = diag.WithEffect(diag.Unknown, err)
	}
	return err
}

func (o *Options) result(req *call.Request, sealed []byte, began time.Time) action.Result {
	if o.Lie == "type" {
		return action.Result{Outputs: struct {
			Other int `hcl:"other"`
		}{1}}
	}
	in, _ := io.ReadAll(io.LimitReader(os.Stdin, 1<<10))
	dir, _ := os.Getwd()
	file := call.Artifact{Digest: "sha256:" + strings.Repeat("0", 64), MediaType: "text/plain", Size: 4}
	out := Outputs{
		Text: o.Text, Secret: o.Secret, Count: req.Attempt, Key: req.Key, Took: time.Since(began).Round(time.Millisecond), Items: []string{"a", "b"},
		Env: map[string]string{}, Stdin: len(in), Sealed: string(sealed), Blob: strings.Repeat("b", o.Size), File: file, Dir: dir,
	}
	for _, kv := range os.Environ() {
		k, v, _ := strings.Cut(kv, "=")
		out.Env[k] = v
	}
	return action.Result{Outputs: &out, Artifacts: []call.Artifact{file}, Undo: []byte("undo " + o.Text), World: o.world()}
}

func (o *Options) world() string {
	b, _ := os.ReadFile(o.World)
	return strings.TrimSpace(string(b))
}

// Worker is an action of class once that nobody can reconcile.
type Worker struct{ Options }

func (w *Worker) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	began := time.Now()
	if err := w.run(ctx, &req.Request, "run"); err != nil {
		return action.Result{}, err
	}
	return w.result(&req.Request, req.Sealed, began), nil
}

// Plan always has one more effect to show.
func (w *Worker) Plan(_ context.Context, req *action.Request) (action.Plan, error) {
	p := action.Plan{World: w.world(), WayBack: call.BestEffort, Estimate: time.Second, Sealed: []byte("planned " + w.Text)}
	if req.IsUnknown("text") {
		p.Deferred, p.Needs = "the text is not known yet", req.Unknown
	}
	p.Changes = []call.Change{{Action: call.Create, Subject: "effect", Summary: "one line in " + w.Effects}}
	return p, nil
}

func (w *Worker) Undo(ctx context.Context, req *action.UndoRequest) error {
	if want := "undo " + w.Text; string(req.Undo) != want {
		return diag.WithEffect(diag.None, diag.New("Cannot be undone", "The undo bytes are %q, not %q.", req.Undo, want))
	}
	return w.run(ctx, &req.Request, "undo")
}

func (w *Worker) Read(_ context.Context, req *action.Request) (action.ReadResult, error) {
	res := action.ReadResult{Outputs: w.result(&req.Request, nil, time.Now()).Outputs, World: w.world()}
	if w.Effects != "" && !recorded(w.Effects, "run ") {
		res.Drift = []call.Change{{Action: call.Create, Subject: "effect", Summary: "it is gone"}}
	}
	return res, nil
}

// Once is a Worker with a reconciler.
type Once struct {
	Worker
	Reconciles string `hcl:"reconciles,optional" doc:"what Reconcile says: not_started, running, done, failed, unknown, error; empty: what the effects say"`
}

func (o *Once) Reconcile(_ context.Context, req *action.ReconcileRequest) (action.Reconciliation, error) {
	reached(Began, "reconcile")
	how := o.Reconciles
	if how == "" {
		how = "not_started"
		if recorded(o.Effects, req.Operation+" "+req.Key+" ") {
			how = "done"
			if o.failing(req.Attempt) {
				how = "failed"
			}
		}
	}
	switch how {
	case "running":
		h := req.Handle
		if h == nil {
			h = &call.Handle{ID: "found"}
		}
		return action.Reconciliation{State: call.Running, Handle: h, Retry: 50 * time.Millisecond}, nil
	case "done":
		return action.Reconciliation{State: call.Done, Result: o.result(&req.Request, nil, time.Now())}, nil
	case "failed":
		return action.Reconciliation{State: call.Done, Err: o.failure()}, nil
	case "not_started":
		return action.Reconciliation{State: call.NotStarted}, nil
	case "error":
		return action.Reconciliation{}, diag.Retryable(errors.New("nobody answers"))
	}
	return action.Reconciliation{State: call.Unknown}, nil
}

// Convergent is a Worker that may run any number of times.
type Convergent struct{ Worker }

func (c *Convergent) Convergent() {}

// Plan has nothing to do when the effect is there already.
func (c *Convergent) Plan(ctx context.Context, req *action.Request) (action.Plan, error) {
	p, err := c.Worker.Plan(ctx, req)
	if recorded(c.Effects, "run ") {
		p.Changes = nil
	}
	return p, err
}

// Run has its effect once, however often it is called.
func (c *Convergent) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	if c.Effects != "" && recorded(c.Effects, "run ") {
		without := *c
		without.Effects = ""
		return without.Worker.Run(ctx, req)
	}
	return c.Worker.Run(ctx, req)
}

// Plain is the least that an action can be.
type Plain struct {
	Text string `hcl:"text,optional"`
}

func (p *Plain) Run(_ context.Context, req *action.Request) (action.Result, error) {
	req.Log.Info(p.Text)
	return action.Result{}, nil
}

func appendLine(path, line string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return diag.WithEffect(diag.None, err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// recorded reports whether a line of the file begins so.
func recorded(path, prefix string) bool {
	b, _ := os.ReadFile(path)
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return true
		}
	}
	return false
}
