package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

func TestRunGivesOutputsLogsAndHandle(t *testing.T) {
	var own logs
	p := start(t, func(c *host.Config) { c.Log = own.logger(); c.Env = append(c.Env, "FAKE_TOKEN=visible") })
	t.Setenv("HOST_ONLY", "secret")
	effects := filepath.Join(t.TempDir(), "effects")
	rec := &recorder{}
	out, err := p.RunAction(context.Background(), key(), "fake_once", object(t, map[string]any{
		"text": "hi", "secret": "s3cret", "effects": effects, "handle": "h1", "lines": 3, "stdout": "pollution", "stderr": "complaint",
	}), []byte("sealed"), rec)
	if err != nil {
		t.Fatal(err)
	}
	o := outputs(t, out)
	if o.Text != "hi" || o.Secret != "s3cret" || o.Count != 1 || o.Key != "k1" || o.Sealed != "sealed" || o.Stdin != 0 || len(o.Items) != 2 {
		t.Errorf("outputs %+v", o)
	}
	if d := cmp.Diff([]value.Path{value.Names("secret")}, out.Outputs.Sensitive); d != "" {
		t.Errorf("sensitive (-want +got):\n%s", d)
	}
	if len(out.Artifacts) != 1 || out.Artifacts[0].Digest != o.File.Digest || string(out.Undo) != "undo hi" || out.Release != nil {
		t.Errorf("outcome %+v", out)
	}
	if d := cmp.Diff([]string{"run k1 1"}, readLines(effects)); d != "" {
		t.Errorf("effects (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]call.Handle{{ID: "h1", Opaque: []byte("opaque h1")}}, rec.handles); d != "" {
		t.Errorf("handles (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"10 working", "100 done"}, rec.progress); d != "" {
		t.Errorf("progress (-want +got):\n%s", d)
	}
	if len(rec.lines) != 3 || rec.lines[2].Message != "line 2" || rec.lines[2].Attrs["i"] != "2" || rec.lines[2].Time.IsZero() {
		t.Errorf("log lines %+v", rec.lines)
	}
	// Only what was given, and nothing of the handshake, is in the environment.
	want := map[string]string{envRole: "plugin", "GORACE": "atexit_sleep_ms=0", "FAKE_TOKEN": "visible"}
	if d := cmp.Diff(want, o.Env); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
	eventually(t, 2*time.Second, "stdout and stderr are logged", func() bool {
		s := own.String()
		return strings.Contains(s, "msg=pollution stream=stdout") && strings.Contains(s, `msg="raw pollution" stream=stdout`) && strings.Contains(s, "msg=complaint stream=stderr")
	})
}

func TestFailuresSayWhatToDo(t *testing.T) {
	p := start(t)
	for name, tt := range map[string]struct {
		config map[string]any
		want   diag.Problem
	}{
		"error":                 {map[string]any{"fail": "error"}, diag.Problem{Retry: diag.Never, Effect: diag.Unknown}},
		"retryable":             {map[string]any{"fail": "retryable"}, diag.Problem{Retry: diag.Safe, Effect: diag.None}},
		"later":                 {map[string]any{"fail": "later", "after": "2s"}, diag.Problem{Retry: diag.Later, After: 2 * time.Second, Effect: diag.None}},
		"permanent":             {map[string]any{"fail": "permanent", "effect": "done"}, diag.Problem{Retry: diag.Never, Effect: diag.Done}},
		"panic":                 {map[string]any{"crash": "panic"}, diag.Problem{Retry: diag.Never, Effect: diag.Unknown}},
		"invalid":               {map[string]any{"invalid": "x"}, diag.Problem{Retry: diag.Never, Effect: diag.None}},
		"undecodable":           {map[string]any{"lines": "many"}, diag.Problem{Retry: diag.Never, Effect: diag.None}},
		"wrong type of outputs": {map[string]any{"lie": "type"}, diag.Problem{Retry: diag.Never, Effect: diag.Done}},
		"too large":             {map[string]any{"size": 20 << 20}, diag.Problem{Retry: diag.Never, Effect: diag.Done}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, tt.config), nil, rec)
			var got *diag.Problem
			if !errors.As(err, &got) {
				t.Fatalf("no problem: %v", err)
			}
			if d := cmp.Diff(tt.want, *got, cmpopts.IgnoreUnexported(diag.Problem{}), cmpopts.IgnoreFields(diag.Problem{}, "Diagnostics")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if !got.Diagnostics.HasErrors() {
				t.Errorf("diagnostics %+v", got.Diagnostics)
			}
			if name == "invalid" && got.Diagnostics[0].Path.String() != "invalid" {
				t.Errorf("blames %q", got.Diagnostics[0].Path)
			}
			if name == "panic" && (len(rec.lines) == 0 || !strings.Contains(rec.lines[len(rec.lines)-1].Attrs["stack"], "fake.(*Options).run")) {
				t.Errorf("the log has no stack: %+v", rec.lines)
			}
		})
	}
	select {
	case <-p.Done():
		t.Error("a failure ended the process")
	default:
	}
}

func TestACrashIsLost(t *testing.T) {
	for name, tt := range map[string]struct {
		crash   string
		want    string
		effects int
	}{
		"before the effect":    {"before", "exit status 13", 0},
		"after the effect":     {"after", "exit status 14", 1},
		"in another goroutine": {"goroutine", "panic: I was asked to crash", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			effects := filepath.Join(t.TempDir(), "effects")
			_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"crash": tt.crash, "effects": effects}), nil, &recorder{})
			if !errors.Is(err, host.ErrLost) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			<-p.Done()
			if n := len(readLines(effects)); n != tt.effects {
				t.Errorf("%d effects, want %d", n, tt.effects)
			}
			_, err = p.RunAction(context.Background(), key(), "fake_run", object(t, nil), nil, nil)
			if !errors.Is(err, host.ErrLost) || diag.Of(err).Effect != diag.None {
				t.Errorf("a call to a process that is gone: %v, effect %v", err, diag.Of(err).Effect)
			}
			if _, err := p.Observe(context.Background(), key(), "fake_target", object(t, map[string]any{"file": "x"})); !errors.Is(err, host.ErrLost) {
				t.Errorf("a question to a process that is gone: %v", err)
			}
		})
	}
}

func TestCancelStopsTheRunAndItsOutcomeArrives(t *testing.T) {
	p := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	rec := &recorder{onLine: func(host.Line) { cancel() }}
	began := time.Now()
	_, err := p.RunAction(ctx, key(), "fake_run", object(t, map[string]any{"lines": 1, "hang": true}), nil, rec)
	var problem *diag.Problem
	if !errors.Is(err, context.Canceled) || !errors.As(err, &problem) || errors.Is(err, host.ErrLost) {
		t.Fatalf("got %v", err)
	}
	if problem.Diagnostics[0].Summary != "Operation cancelled" || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if _, err := p.RunAction(ctx, key(), "fake_run", object(t, nil), nil, nil); !errors.Is(err, context.Canceled) || diag.Of(err).Effect != diag.None {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestASuccessAfterCancelIsASuccess(t *testing.T) {
	p := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	rec := &recorder{onLine: func(host.Line) { cancel() }}
	out, err := p.RunAction(ctx, key(), "fake_run", object(t, map[string]any{"lines": 1, "stubborn": "100ms", "deaf": true}), nil, rec)
	if err != nil || ctx.Err() == nil || outputs(t, out).Key != "k1" {
		t.Fatalf("got %+v, %v", out, err)
	}
}

func TestAPluginThatDoesNotStopIsLeftAfterTheGrace(t *testing.T) {
	p := start(t, func(c *host.Config) { c.CancelGrace = 300 * time.Millisecond })
	ctx, cancel := context.WithCancel(context.Background())
	rec := &recorder{onLine: func(host.Line) { cancel() }}
	began := time.Now()
	_, err := p.RunAction(ctx, key(), "fake_run", object(t, map[string]any{"lines": 1, "stubborn": "30s"}), nil, rec)
	if took := time.Since(began); !errors.Is(err, context.Canceled) || !errors.Is(err, host.ErrLost) || took > 3*time.Second || took < 300*time.Millisecond {
		t.Errorf("after %s: %v", took, err)
	}
	// Its neighbours are not harmed.
	if _, err := p.RunAction(context.Background(), call.Call{Key: "k2"}, "fake_run", object(t, nil), nil, nil); err != nil {
		t.Errorf("another call: %v", err)
	}
}

func TestTheDeadlineOfACallEndsIt(t *testing.T) {
	p := start(t)
	c := key()
	c.Deadline = time.Now().Add(100 * time.Millisecond)
	_, err := p.RunAction(context.Background(), c, "fake_run", object(t, map[string]any{"hang": true}), nil, nil)
	if problem := diag.Of(err); problem == nil || problem.Diagnostics[0].Summary != "Operation cancelled" {
		t.Errorf("got %v", err)
	}
}

func TestAHandleThatCannotBeKeptEndsTheCall(t *testing.T) {
	p := start(t)
	full := errors.New("disk full")
	_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"handle": "h", "hang": true}), nil, &recorder{handleErr: full})
	if !errors.Is(err, full) || !strings.Contains(err.Error(), "Operation cancelled") {
		t.Errorf("got %v", err)
	}
}

func TestAFloodOfLinesCostsNoMemory(t *testing.T) {
	var own logs
	p := start(t, func(c *host.Config) { c.Log = own.logger() })
	var count int
	rec := &recorder{onLine: func(host.Line) { count++ }}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const n = 50_000
	rec.lines = nil
	_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"lines": n}), nil, discardLines{&count})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || count != n {
		t.Errorf("%d lines arrived, %v", count, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	// A line that is too long is cut, not refused.
	_, err = p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"lines": 1, "line_size": 1 << 20}), nil, rec)
	if err != nil || len(rec.lines) != 1 || len(rec.lines[0].Message) > 70<<10 || !strings.Contains(rec.lines[0].Message, "bytes left out") {
		t.Errorf("%v, %d lines", err, len(rec.lines))
	}
	// The same on the standard output: what is beyond the rate is counted.
	_, err = p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"stdout": strings.Repeat("noise\n", 20_000)}), nil, rec)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "lines are dropped with a notice", func() bool {
		p.Stop(time.Second)
		return strings.Contains(own.String(), "lines of the plugin's own output were dropped")
	})
}

type discardLines struct{ count *int }

func (d discardLines) Log(host.Line)            { *d.count++ }
func (d discardLines) Progress(int, string)     {}
func (d discardLines) Handle(call.Handle) error { return nil }

func TestTheOtherCallsOfAnAction(t *testing.T) {
	p := start(t)
	ctx := context.Background()
	dir := t.TempDir()
	effects, world := filepath.Join(dir, "effects"), filepath.Join(dir, "world")
	if err := os.WriteFile(world, []byte("w7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := object(t, map[string]any{"text": "hi", "effects": effects, "world": world})

	plan, err := p.PlanAction(ctx, key(), "fake_once", cfg)
	if err != nil || len(plan.Changes) != 1 || plan.World != "w7" || plan.WayBack != call.BestEffort || plan.Estimate != time.Second || string(plan.Sealed) != "planned hi" || plan.Deferred != "" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	unknown := value.Value{JSON: []byte(`{"text":null}`), Unknown: []value.Path{value.Names("text")}}
	plan, err = p.PlanAction(ctx, key(), "fake_once", unknown)
	if err != nil || plan.Deferred == "" || !cmp.Equal(plan.Needs, unknown.Unknown) || len(plan.Outputs.Unknown) != 1 {
		t.Errorf("plan with unknown %+v, %v", plan, err)
	}
	if _, err := p.RunAction(ctx, key(), "fake_once", unknown, nil, nil); !errors.Is(err, host.ErrProtocol) {
		t.Errorf("a run with an unknown configuration: %v", err)
	}

	rec, err := p.Reconcile(ctx, key(), "action", "fake_once", "run", cfg, nil)
	if err != nil || rec.State != call.NotStarted {
		t.Errorf("before the run: %+v, %v", rec, err)
	}
	out, err := p.RunAction(ctx, key(), "fake_once", cfg, nil, nil)
	if err != nil || out.World != "w7" {
		t.Fatal(out, err)
	}
	rec, err = p.Reconcile(ctx, key(), "action", "fake_once", "run", cfg, nil)
	if err != nil || rec.State != call.Done || rec.Err != nil || outputs(t, rec.Outcome).Text != "hi" {
		t.Errorf("after the run: %+v, %v", rec, err)
	}
	for how, want := range map[string]call.State{"running": call.Running, "failed": call.Done, "unknown": call.Unknown, "not_started": call.NotStarted} {
		rec, err := p.Reconcile(ctx, key(), "action", "fake_once", "run", object(t, map[string]any{"reconciles": how, "fail": "retryable"}), &call.Handle{ID: "h", Opaque: []byte{1}})
		if err != nil || rec.State != want || (rec.Handle != nil) != (how == "running") || (rec.Err != nil) != (how == "failed") {
			t.Errorf("%s: %+v, %v", how, rec, err)
		}
	}
	if _, err := p.Reconcile(ctx, key(), "action", "fake_once", "run", object(t, map[string]any{"reconciles": "error"}), nil); diag.Of(err).Retry != diag.Safe {
		t.Errorf("a reconciler that cannot tell yet: %v", err)
	}
	read, err := p.ReadAction(ctx, key(), "fake_once", cfg)
	if err != nil || len(read.Drift) != 0 || read.World != "w7" {
		t.Errorf("read %+v, %v", read, err)
	}
	if _, err := p.UndoAction(ctx, call.Call{Key: "u1", Attempt: 1}, "fake_once", cfg, out.Undo, nil); err != nil {
		t.Errorf("undo: %v", err)
	}
	if d := cmp.Diff([]string{"run k1 1", "undo u1 1"}, readLines(effects)); d != "" {
		t.Errorf("effects (-want +got):\n%s", d)
	}
}

func TestWhatIsNotOfferedIsRefused(t *testing.T) {
	p := start(t)
	ctx, empty := context.Background(), value.Empty()
	_, plan := p.PlanAction(ctx, key(), "fake_plain", empty)
	_, undo := p.UndoAction(ctx, key(), "fake_plain", empty, nil, nil)
	_, nobody := p.RunAction(ctx, key(), "nobody", empty, nil, nil)
	_, reconcile := p.Reconcile(ctx, key(), "action", "fake_run", "run", empty, nil)
	_, kind := p.Reconcile(ctx, key(), "target", "fake_target", "install", empty, nil)
	_, validate := p.Validate(ctx, "action", "nobody", empty)
	again := p.Configure(ctx, key(), empty)
	for name, err := range map[string]error{"plan": plan, "undo": undo, "nobody": nobody, "reconcile": reconcile, "kind": kind, "validate": validate, "configure twice": again} {
		if !errors.Is(err, host.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateSpeaksOnlyOfWhatIsKnown(t *testing.T) {
	p := start(t)
	ctx := context.Background()
	for name, tt := range map[string]struct {
		config value.Value
		want   []string
	}{
		"fine":    {object(t, map[string]any{"fail": "error"}), nil},
		"wrong":   {object(t, map[string]any{"fail": "badly", "invalid": "x"}), []string{"invalid", "fail"}},
		"unknown": {value.Value{JSON: []byte(`{"fail":null,"invalid":"x"}`), Unknown: []value.Path{value.Names("fail")}}, []string{"invalid"}},
		"type":    {object(t, map[string]any{"hang": "yes", "nonsense": 1}), []string{"nonsense", "hang"}},
	} {
		diags, err := p.Validate(ctx, "action", "fake_run", tt.config)
		var got []string
		for _, d := range diags {
			got = append(got, d.Path.String())
		}
		if d := cmp.Diff(tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	if diags, err := p.Validate(ctx, "", "", object(t, map[string]any{"fail": "badly"})); err != nil || len(diags) != 1 || diags[0].Path.String() != "fail" {
		t.Errorf("plugin block: %v, %v", diags, err)
	}
}

func TestThePluginBlock(t *testing.T) {
	ctx := context.Background()
	p, err := host.Start(ctx, config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	if _, err := p.RunAction(ctx, key(), "fake_run", value.Empty(), nil, nil); err == nil || diag.Of(err).Diagnostics[0].Summary != "Plugin not configured" {
		t.Errorf("before Configure: %v", err)
	}
	if err := p.Configure(ctx, key(), object(t, map[string]any{"identity": 5})); err == nil || diag.Of(err).Diagnostics[0].Path.String() != "identity" {
		t.Errorf("a wrong block: %v", err)
	}
	if err := p.Configure(ctx, key(), object(t, map[string]any{"fail": "configure"})); err == nil || diag.Of(err).Retry != diag.Safe {
		t.Errorf("not ready: %v", err)
	}
	if err := p.Configure(ctx, key(), object(t, map[string]any{"identity": "me", "fail": "check"})); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	identity, diags, err := p.Check(ctx, key())
	if identity != "me" || len(diags) != 1 || err != nil {
		t.Errorf("check: %q, %v, %v", identity, diags, err)
	}
}

func TestManyCallsAtTheSameTime(t *testing.T) {
	p := start(t)
	const n = 50
	errs := make(chan error, n)
	for i := range n {
		go func() {
			out, err := p.RunAction(context.Background(), call.Call{Key: fmt.Sprint(i)}, "fake_run", value.Value{JSON: fmt.Appendf(nil, `{"text":"%d","lines":5,"sleep":"1ms"}`, i)}, nil, &recorder{})
			var o struct{ Text, Key string }
			if err == nil {
				err = json.Unmarshal(out.Outputs.JSON, &o)
			}
			if err == nil && (o.Text != fmt.Sprint(i) || o.Key != o.Text) {
				err = fmt.Errorf("call %d got %+v", i, o)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
