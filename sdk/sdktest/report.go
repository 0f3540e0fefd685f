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

// Outside is the name of the result that a suite gets when it fails outside its
// checks: what it needs to begin is not there.
const Outside = "TheSuiteCanBegin"

// Collect runs checks without the go tool and gives the results in order. A
// check that holds others fails when one of them does, and has a result itself.
func Collect(ctx context.Context, checks func(T)) []Result {
	r := &report{ctx: ctx, each: func(Result) {}}
	r.root(checks)
	return r.results
}

// Each is Collect for those who do not want to wait: each is called whenever a
// check has ended, so one that holds others comes after them.
func Each(ctx context.Context, each func(Result), checks func(T)) {
	(&report{ctx: ctx, each: each}).root(checks)
}

// report is a T.
type report struct {
	ctx  context.Context
	name string
	each func(Result)

	mu   sync.Mutex
	text strings.Builder
	// failed is the check's own word, broken that of one inside it.
	failed   bool
	broken   bool
	skipped  bool
	cleanups []func()
	results  []Result
}

// root runs what holds all checks, and is none itself.
func (r *report) root(f func(T)) {
	r.run(f)
	if r.failed {
		result := Result{Name: Outside, Status: Failed, Text: strings.TrimSpace(r.text.String())}
		r.results = append(r.results, result)
		r.each(result)
	}
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
	inner := &report{ctx: r.ctx, name: name, each: r.each}
	if r.name != "" {
		inner.name = r.name + "/" + name
	}
	inner.run(check)
	result := Result{Name: inner.name, Status: Passed, Text: strings.TrimSpace(inner.text.String())}
	switch {
	case inner.failed, inner.broken:
		result.Status = Failed
	case inner.skipped:
		result.Status = Skipped
	}
	r.each(result)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(append(r.results, result), inner.results...)
	r.broken = r.broken || result.Status == Failed
	return result.Status != Failed
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
