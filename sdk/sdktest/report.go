package sdktest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Status is how a check ended.
type Status string

const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is one check of a suite.
type Result struct {
	// Name is a sentence; a check inside another one has the outer name and a
	// slash before it.
	Name   string
	Status Status
	// Text is what was said: errors, the reason of a skip, notes.
	Text string
}

// Collect runs checks without the go tool and gives the results in order. A
// check that holds others fails when one of them does, and has a result itself.
func Collect(ctx context.Context, checks func(T)) []Result {
	r := &report{ctx: ctx}
	r.run(checks)
	return r.results
}

// report is a T.
type report struct {
	ctx  context.Context
	name string

	mu       sync.Mutex
	text     strings.Builder
	failed   bool
	skipped  bool
	cleanups []func()
	results  []Result
}

// run runs f in a goroutine, so that Fatalf can leave it.
func (r *report) run(f func(T)) {
	ctx, cancel := context.WithCancel(r.ctx)
	r.ctx = ctx
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.finish(cancel)
		f(r)
	}()
	<-done
}

func (r *report) finish(cancel context.CancelFunc) {
	if p := recover(); p != nil {
		r.Errorf("panic: %v", p)
	}
	cancel()
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

func (r *report) Run(name string, check func(T)) bool {
	inner := &report{ctx: r.ctx, name: name}
	if r.name != "" {
		inner.name = r.name + "/" + name
	}
	inner.run(check)
	result := Result{Name: inner.name, Status: Passed, Text: strings.TrimSpace(inner.text.String())}
	switch {
	case inner.failed:
		result.Status = Failed
	case inner.skipped:
		result.Status = Skipped
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(append(r.results, result), inner.results...)
	r.failed = r.failed || inner.failed
	return !inner.failed
}

func (r *report) Helper() {}

// Context ends when the check does, before its cleanups.
func (r *report) Context() context.Context { return r.ctx }

func (r *report) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *report) TempDir() string {
	dir, err := os.MkdirTemp("", "runner-suite-")
	if err != nil {
		r.Fatalf("%v", err)
	}
	r.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (r *report) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, format+"\n", args...)
}

func (r *report) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *report) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *report) Skipf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}
