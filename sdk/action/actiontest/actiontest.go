// Package actiontest asks an action for what package action promises, over
// real gRPC, in another process.
//
//	func TestConformance(t *testing.T) {
//		actiontest.Run(t, actiontest.Suite{
//			New:     func() action.Action { return &Exec{} },
//			Subject: sdktest.Subject{Valid: []sdktest.Config{{"command": []string{"true"}}}},
//		})
//	}
//
// What the action does not declare, or the suite was not given, is skipped with
// the reason.
package actiontest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Suite is an action and what the checks need of it.
type Suite struct {
	// New makes the action, when the subject names no plugin and no command.
	New func() action.Action
	sdktest.Subject

	// Fails are configurations whose run fails.
	Fails []sdktest.Config
	// Slow is a configuration whose run takes at least ten seconds. Without it
	// cancellation is not checked.
	Slow sdktest.Config
	// World describes what the action changes outside, such as a file's text; it
	// is compared before and after. Without it only the plugin's word is.
	World func() (string, error)
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	if s.New != nil {
		s.Plugin = sdk.Plugin{Name: "conformance", Version: "0.0.0", Actions: map[string]func() action.Action{"component": s.New}}
	}
	s.Subject = s.InTest(t)
	Check(sdktest.Wrap(t), s)
}

// stopTime is how long a cancelled run may take to end.
const stopTime = 5 * time.Second

// Check is Run for any program: Subject.Command must be given.
func Check(t sdktest.T, s Suite) {
	s.Subject = s.Share(t)
	sdktest.CheckCommon(t, s.Subject, schema.KindAction)
	t.Run("ARunGivesWhatWasDeclared", s.runs)
	t.Run("ARunTwiceLeavesWhatOnceWould", s.runsTwice)
	t.Run("AFailureSaysWhatHappened", s.fails)
	t.Run("CancelStopsTheRun", s.cancels)
	t.Run("APlanChangesNothing", s.plans)
	t.Run("APlanIsMadeOrDeferredWhenPartsAreUnknown", s.plansUnknown)
	t.Run("AfterTheRunThereIsNothingToPlan", s.plansNothing)
	t.Run("UndoMayBeRepeated", s.undoes)
	t.Run("ReadChangesNothing", s.reads)
	t.Run("WhatNeverStartedIsNotDone", s.reconcilesUnstarted)
	t.Run("WhatWasDoneIsKnownToBe", s.reconcilesDone)
}

// under is one plugin under test.
type under struct {
	*sdktest.Started
	t sdktest.T
	s *Suite
}

func (s *Suite) start(t sdktest.T) *under {
	t.Helper()
	return &under{Started: s.Use(t, schema.KindAction), t: t, s: s}
}

// need skips the check when the action does not offer the operation.
func (u *under) need(operation string) schema.Operation {
	op, ok := u.Component.Operation(operation)
	if !ok {
		u.t.Skipf("the action offers no %s", operation)
	}
	return op
}

func newCall() call.Call {
	return call.Call{Key: sdktest.NewKey(), Run: "conformance", Pipeline: "conformance", Node: "stage.conformance", Attempt: 1}
}

// run must succeed; the plan, where one is made, is handed over.
func (u *under) run(c call.Call, cfg value.Value) host.Outcome {
	u.t.Helper()
	var sealed []byte
	if _, plans := u.Component.Operation("plan"); plans {
		plan, err := u.PlanAction(u.t.Context(), newCall(), u.Component.Name, cfg)
		if err != nil {
			u.t.Fatalf("plan: %v", err)
		}
		sealed = plan.Sealed
	}
	out, err := u.RunAction(u.t.Context(), c, u.Component.Name, cfg, sealed, nil)
	if err != nil {
		u.t.Fatalf("run: %v", err)
	}
	return out
}

func (u *under) world() string {
	u.t.Helper()
	if u.s.World == nil {
		return ""
	}
	w, err := u.s.World()
	if err != nil {
		u.t.Fatalf("world: %v", err)
	}
	return w
}

func (u *under) same(before string, what string) {
	u.t.Helper()
	if after := u.world(); after != before {
		u.t.Errorf("%s changed the world from %q to %q", what, before, after)
	}
}

func (s *Suite) runs(t sdktest.T) {
	u := s.start(t)
	for i, c := range s.All() {
		out := u.run(newCall(), u.Value(t, c))
		u.checkOutputs(i, out.Outputs)
	}
}

// checkOutputs compares outputs with what was declared.
func (u *under) checkOutputs(i int, got value.Value) {
	u.t.Helper()
	declared := u.Component.Outputs
	if declared == nil {
		declared = &schema.Schema{}
	}
	if diags := declared.Check(got); diags.HasErrors() {
		u.t.Errorf("the outputs with valid configuration %d are not as declared: %v", i+1, diags.Err())
	}
	if len(got.Unknown) > 0 {
		u.t.Errorf("outputs are unknown after the run: %v", got.Unknown)
	}
	whole, _ := declared.Complete(got)
	for _, p := range whole.Sensitive {
		if !slices.ContainsFunc(got.Sensitive, func(q value.Path) bool { return p.HasPrefix(q) }) {
			u.t.Errorf("the output %s is declared sensitive and not marked so", p)
		}
	}
}

func (s *Suite) runsTwice(t sdktest.T) {
	u := s.start(t)
	if u.need("run").Class != schema.Convergent {
		t.Skipf("the action is declared once")
	}
	cfg := u.Value(t, s.First())
	u.run(newCall(), cfg)
	once := u.world()
	c := newCall()
	u.run(c, cfg)
	u.same(once, "a second run")
	u.run(c, cfg)
	u.same(once, "a run with the same key")
}

func (s *Suite) fails(t sdktest.T) {
	if len(s.Fails) == 0 {
		t.Skipf("no configuration is given whose run fails")
	}
	u := s.start(t)
	for i, c := range s.Fails {
		_, err := u.RunAction(t.Context(), newCall(), u.Component.Name, u.Value(t, c), nil, nil)
		var p *diag.Problem
		switch {
		case err == nil:
			t.Errorf("failing configuration %d succeeds", i+1)
		case !errors.As(err, &p):
			t.Errorf("failing configuration %d gives no problem but: %v", i+1, err)
		case p.Diagnostics[0].Summary == "" || p.Diagnostics[0].Code == "plugin_panic":
			t.Errorf("failing configuration %d says nothing a person can use: %v", i+1, err)
		case p.Retry != diag.Never && p.Effect == diag.Unknown && u.once():
			t.Errorf("failing configuration %d may be tried again, though nobody knows what happened: %v", i+1, err)
		}
	}
}

func (u *under) once() bool {
	op, _ := u.Component.Operation("run")
	return op.Class == schema.Once
}

func (s *Suite) cancels(t sdktest.T) {
	if s.Slow == nil {
		t.Skipf("no configuration is given whose run is slow")
	}
	u := s.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// It is cancelled when it has begun: at its first sign of life, or soon.
	sign := &firstSign{f: cancel}
	timer := time.AfterFunc(500*time.Millisecond, cancel)
	defer timer.Stop()
	type answer struct {
		err  error
		took time.Duration
	}
	done := make(chan answer, 1)
	began := time.Now()
	go func() {
		_, err := u.RunAction(ctx, newCall(), u.Component.Name, u.Value(t, s.Slow), nil, sign)
		done <- answer{err, time.Since(began)}
	}()
	<-ctx.Done()
	select {
	case a := <-done:
		switch {
		case a.err == nil:
			t.Errorf("the slow run succeeded after %s, before it could be cancelled or in spite of it", a.took)
		case errors.Is(a.err, host.ErrLost):
			t.Errorf("the outcome of a cancelled run is lost: %v", a.err)
		}
	case <-time.After(stopTime):
		t.Fatalf("the run goes on %s after it was cancelled", stopTime)
	}
	if _, err := u.Validate(t.Context(), schema.KindAction, u.Component.Name, u.Value(t, s.First())); err != nil {
		t.Errorf("after a cancel the plugin does not answer: %v", err)
	}
}

// firstSign calls f when anything comes.
type firstSign struct{ f func() }

func (s *firstSign) Log(host.Line)            { s.f() }
func (s *firstSign) Progress(int, string)     { s.f() }
func (s *firstSign) Handle(call.Handle) error { s.f(); return nil }

func (s *Suite) plans(t sdktest.T) {
	u := s.start(t)
	u.need("plan")
	before := u.world()
	for i, c := range s.All() {
		plan, err := u.PlanAction(t.Context(), newCall(), u.Component.Name, u.Value(t, c))
		if err != nil {
			t.Errorf("valid configuration %d cannot be planned: %v", i+1, err)
			continue
		}
		for _, change := range plan.Changes {
			if change.Summary == "" || change.Subject == "" {
				t.Errorf("the plan of valid configuration %d has a change without words: %+v", i+1, change)
			}
		}
		if _, undoes := u.Component.Operation("undo"); plan.WayBack != call.NoWayBack && !undoes {
			t.Errorf("the plan promises a way back, and the action offers no undo")
		}
	}
	u.same(before, "a plan")
}

func (s *Suite) plansUnknown(t sdktest.T) {
	u := s.start(t)
	u.need("plan")
	before := u.world()
	cfg := u.Hide(t, s.First())
	plan, err := u.PlanAction(t.Context(), newCall(), u.Component.Name, cfg)
	if err != nil {
		t.Fatalf("a configuration with unknown parts cannot be planned: %v", err)
	}
	for _, need := range plan.Needs {
		if !slices.ContainsFunc(cfg.Unknown, func(p value.Path) bool { return p.HasPrefix(need) || need.HasPrefix(p) }) {
			t.Errorf("the plan waits for %s, which is known", need)
		}
	}
	if len(plan.Needs) > 0 && plan.Deferred == "" {
		t.Errorf("the plan is deferred without a reason")
	}
	u.same(before, "a plan")
}

func (s *Suite) plansNothing(t sdktest.T) {
	u := s.start(t)
	u.need("plan")
	if u.once() {
		t.Skipf("the action is declared once")
	}
	cfg := u.Value(t, s.First())
	u.run(newCall(), cfg)
	plan, err := u.PlanAction(t.Context(), newCall(), u.Component.Name, cfg)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	if len(plan.Changes) > 0 {
		t.Errorf("after the run the plan still has changes: %+v", plan.Changes)
	}
}

func (s *Suite) undoes(t sdktest.T) {
	u := s.start(t)
	u.need("undo")
	cfg := u.Value(t, s.First())
	before, exact := u.world(), false
	if _, ok := u.Component.Operation("plan"); ok {
		plan, err := u.PlanAction(t.Context(), newCall(), u.Component.Name, cfg)
		if err != nil {
			t.Fatalf("plan: %v", err)
		}
		exact = plan.WayBack == call.Exact
	}
	out := u.run(newCall(), cfg)
	c := newCall()
	if _, err := u.UndoAction(t.Context(), c, u.Component.Name, cfg, out.Undo, nil); err != nil {
		t.Fatalf("undo: %v", err)
	}
	undone := u.world()
	if exact && undone != before {
		t.Errorf("the way back is declared exact, and the world went from %q to %q", before, undone)
	}
	c.Attempt++
	if _, err := u.UndoAction(t.Context(), c, u.Component.Name, cfg, out.Undo, nil); err != nil {
		t.Errorf("a second undo: %v", err)
	}
	u.same(undone, "a second undo")
}

func (s *Suite) reads(t sdktest.T) {
	u := s.start(t)
	u.need("read")
	cfg := u.Value(t, s.First())
	u.run(newCall(), cfg)
	before := u.world()
	first, err := u.ReadAction(t.Context(), newCall(), u.Component.Name, cfg)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	u.checkOutputs(0, first.Outputs)
	if len(first.Drift) > 0 {
		t.Errorf("right after the run it reads a drift: %+v", first.Drift)
	}
	second, err := u.ReadAction(t.Context(), newCall(), u.Component.Name, cfg)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if first.World != second.World {
		t.Errorf("the version of the world went from %q to %q, and nothing happened", first.World, second.World)
	}
	u.same(before, "a read")
}

func (s *Suite) reconcilesUnstarted(t sdktest.T) {
	u := s.start(t)
	if !u.need("run").Reconcile {
		t.Skipf("the action does not reconcile")
	}
	r, err := u.Reconcile(t.Context(), newCall(), schema.KindAction, u.Component.Name, "run", u.Value(t, s.First()), nil)
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	if r.State != call.NotStarted && r.State != call.Unknown {
		t.Errorf("a run that never started is said to be %s", r.State)
	}
}

func (s *Suite) reconcilesDone(t sdktest.T) {
	u := s.start(t)
	if !u.need("run").Reconcile {
		t.Skipf("the action does not reconcile")
	}
	cfg, c := u.Value(t, s.First()), newCall()
	handles := &lastHandle{}
	out, err := u.RunAction(t.Context(), c, u.Component.Name, cfg, nil, handles)
	if err != nil {
		t.Fatalf("run: %v", err)
	}
	// Another process is asked, as it is after a crash.
	again := &under{Started: s.Start(t, schema.KindAction), t: t, s: s}
	before := u.world()
	r, err := again.Reconcile(t.Context(), c, schema.KindAction, u.Component.Name, "run", cfg, handles.last)
	if err != nil {
		t.Fatalf("reconcile: %v", err)
	}
	switch {
	case r.State == call.NotStarted, r.State == call.Running:
		t.Errorf("a run that is done is said to be %s", r.State)
	case r.State == call.Done && r.Err != nil:
		t.Errorf("a run that succeeded is said to have failed: %v", r.Err)
	case r.State == call.Done:
		again.checkOutputs(0, r.Outcome.Outputs)
		if (len(out.Undo) > 0) != (len(r.Outcome.Undo) > 0) {
			t.Errorf("what Undo needs is lost")
		}
	}
	u.same(before, "a question")
}

type lastHandle struct{ last *call.Handle }

func (l *lastHandle) Log(host.Line)              {}
func (l *lastHandle) Progress(int, string)       {}
func (l *lastHandle) Handle(h call.Handle) error { l.last = &h; return nil }
