package actiontest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/action/actiontest"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/mistake"
	"github.com/runner-pipelines/runner/sdk/sdktest"
)

// The test binary is also a plugin with a mistake, named by the environment.
const envMistake = "ACTIONTEST_MISTAKE"

var made = os.Getenv(envMistake)

func TestMain(m *testing.M) {
	if made == "" {
		os.Exit(m.Run())
	}
	if made == "outlives its host" {
		if err := os.Unsetenv("RUNNER_LIFELINE_FD"); err != nil {
			panic(err)
		}
	}
	sdk.Serve(sdk.Plugin{Name: "mistaken", Version: "0.0.0", Actions: map[string]func() action.Action{
		"note": newNote, "entry": newEntry,
	}})
}

// note writes a text to a file: convergent, with everything an action can have.
type note struct {
	File string        `hcl:"file"`
	Text string        `hcl:"text,optional"`
	Slow time.Duration `hcl:"slow,optional"`
	Fail bool          `hcl:"fail,optional"`
}

func newNote() action.Action {
	n := &note{Text: "hello"}
	if made == "describes itself differently" {
		n.Text = fmt.Sprint(os.Getpid())
	}
	return n
}

type noteOutputs struct {
	Size   int    `hcl:"size"`
	Secret string `hcl:"secret" sensitive:"true"`
}

func (n *note) Convergent()  {}
func (n *note) Outputs() any { return noteOutputs{} }

func (n *note) Validate() error {
	switch {
	case made == "accepts everything":
		return nil
	case made == "blames another" && n.Text == "":
		return diag.AtAttr("file", "Empty text", errors.New("write something"))
	case made == "cannot bear the unknown" && n.File == "":
		panic("no file")
	case n.Text == "":
		return diag.AtAttr("text", "Empty text", errors.New("write something"))
	}
	return nil
}

func (n *note) read() string {
	b, _ := os.ReadFile(n.File)
	return string(b)
}

func (n *note) write(text string) error {
	if text == "" {
		return os.RemoveAll(n.File)
	}
	return os.WriteFile(n.File, []byte(text), 0o600)
}

func (n *note) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	before := n.read()
	text := n.Text
	if made == "adds every time" {
		text = before + n.Text
	}
	if n.Slow > 0 {
		req.Log.Info("slowly")
	}
	if made == "does not listen" {
		time.Sleep(n.Slow)
	}
	select {
	case <-time.After(n.Slow):
	case <-ctx.Done():
		if made == "dies when cancelled" {
			os.Exit(3)
		}
		return action.Result{}, ctx.Err()
	}
	if n.Fail {
		if made == "panics" {
			panic("on request")
		}
		return action.Result{}, diag.WithEffect(diag.None, errors.New("failed on request"))
	}
	if err := n.write(text); err != nil {
		return action.Result{}, err
	}
	res := action.Result{Outputs: noteOutputs{Size: len(text)}, Undo: []byte(before)}
	if made == "gives other outputs" {
		res.Outputs = nil
	}
	return res, nil
}

func (n *note) Plan(_ context.Context, req *action.Request) (action.Plan, error) {
	p := action.Plan{WayBack: call.Exact}
	switch {
	case made == "plans nothing unknown" && len(req.Unknown) > 0:
		return p, errors.New("something is unknown")
	case req.IsUnknown("file"):
		p.Deferred, p.Needs = "the file is not known", req.Unknown
		return p, nil
	case made == "plans by doing":
		return p, n.write("planned")
	}
	if n.read() != n.Text || made == "always has a plan" {
		p.Changes = []call.Change{{Action: call.Update, Subject: n.File, Summary: "write"}}
	}
	return p, nil
}

func (n *note) Undo(_ context.Context, req *action.UndoRequest) error {
	if made == "undoes once" && n.read() == string(req.Undo) {
		return errors.New("nothing to undo")
	}
	if made == "undoes too much" {
		return n.write("")
	}
	return n.write(string(req.Undo))
}

func (n *note) Read(context.Context, *action.Request) (action.ReadResult, error) {
	if made == "reads by writing" {
		return action.ReadResult{Outputs: noteOutputs{}}, n.write("read")
	}
	res := action.ReadResult{Outputs: noteOutputs{Size: len(n.read())}}
	if made == "sees a drift" {
		res.Drift = []call.Change{{Action: call.Update, Subject: n.File, Summary: "differs"}}
	}
	return res, nil
}

// entry adds a line to a file: once, and it can tell whether it did.
type entry struct {
	File string `hcl:"file"`
	Fail bool   `hcl:"fail,optional"`
}

func newEntry() action.Action { return &entry{} }

func (e *entry) Run(_ context.Context, req *action.Request) (action.Result, error) {
	if e.Fail {
		err := error(&diag.Problem{Diagnostics: diag.List{{Severity: diag.Error, Summary: "Failed"}}})
		if made == "tries again blindly" {
			err = diag.WithEffect(diag.Unknown, diag.Retryable(err))
		}
		return action.Result{}, err
	}
	f, err := os.OpenFile(e.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return action.Result{}, err
	}
	_, err = fmt.Fprintln(f, req.Key)
	return action.Result{}, errors.Join(err, f.Close())
}

func (e *entry) Reconcile(_ context.Context, req *action.ReconcileRequest) (action.Reconciliation, error) {
	b, _ := os.ReadFile(e.File)
	done := slices.Contains(strings.Fields(string(b)), req.Key)
	switch {
	case made == "forgets what it did", !done && made != "remembers too much":
		return action.Reconciliation{State: call.NotStarted}, nil
	}
	return action.Reconciliation{State: call.Done}, nil
}

func noteSuite(t *testing.T) actiontest.Suite {
	file := filepath.Join(t.TempDir(), "note")
	if err := os.WriteFile(file, []byte("original"), 0o600); err != nil {
		t.Fatal(err)
	}
	return actiontest.Suite{
		Subject: sdktest.Subject{
			Component: "note",
			Valid:     []sdktest.Config{{"file": file}, {"file": file, "text": "other"}},
			Invalid:   []sdktest.Invalid{{Config: sdktest.Config{"file": file, "text": ""}, At: "text"}, {Config: sdktest.Config{"text": "x"}, At: "file"}},
		},
		Fails: []sdktest.Config{{"file": file, "fail": true}},
		Slow:  sdktest.Config{"file": file, "slow": "20s"},
		World: func() (string, error) { b, err := os.ReadFile(file); return string(b), err },
	}
}

func entrySuite(t *testing.T) actiontest.Suite {
	file := filepath.Join(t.TempDir(), "entries")
	return actiontest.Suite{
		Subject: sdktest.Subject{Component: "entry", Valid: []sdktest.Config{{"file": file}}},
		Fails:   []sdktest.Config{{"file": file, "fail": true}},
		World: func() (string, error) {
			b, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				err = nil
			}
			return string(b), err
		},
	}
}

func TestAGoodActionPasses(t *testing.T) {
	s := noteSuite(t)
	s.New, s.Component = newNote, ""
	actiontest.Run(t, s)
}

func TestAGoodOnceActionPasses(t *testing.T) {
	s := entrySuite(t)
	s.New, s.Component = newEntry, ""
	actiontest.Run(t, s)
}

// Every mistake is found, by the check that is there for it and by no other.
func TestMistakesAreFound(t *testing.T) {
	for name, want := range map[string][]string{
		"none":                         nil,
		"describes itself differently": {"DescribeIsTheSameInEveryProcess"},
		"accepts everything":           {"AnInvalidConfigurationIsBlamedOnItsAttribute"},
		"blames another":               {"AnInvalidConfigurationIsBlamedOnItsAttribute"},
		"cannot bear the unknown":      {"WhatIsUnknownIsNotBlamed"},
		"outlives its host":            {"ThePluginEndsWhenItsHostIsGone"},
		"gives other outputs":          {"ARunGivesWhatWasDeclared"},
		"adds every time":              {"ARunTwiceLeavesWhatOnceWould", "AfterTheRunThereIsNothingToPlan"},
		"panics":                       {"AFailureSaysWhatHappened"},
		"does not listen":              {"CancelStopsTheRun"},
		"dies when cancelled":          {"CancelStopsTheRun"},
		"plans by doing":               {"APlanChangesNothing"},
		"plans nothing unknown":        {"APlanIsMadeOrDeferredWhenPartsAreUnknown"},
		"always has a plan":            {"AfterTheRunThereIsNothingToPlan"},
		"undoes once":                  {"UndoMayBeRepeated"},
		"undoes too much":              {"UndoMayBeRepeated"},
		"reads by writing":             {"ReadChangesNothing"},
		"sees a drift":                 {"ReadChangesNothing"},
		"tries again blindly":          {"AFailureSaysWhatHappened"},
		"remembers too much":           {"WhatNeverStartedIsNotDone"},
		"forgets what it did":          {"WhatWasDoneIsKnownToBe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := noteSuite(t)
			if slices.Contains([]string{"tries again blindly", "remembers too much", "forgets what it did"}, name) {
				s = entrySuite(t)
			}
			s.Command = []string{os.Args[0]}
			s.Env = []string{envMistake + "=" + name, "GORACE=atexit_sleep_ms=0"}
			mistake.Find(t, want, func(t sdktest.T) { actiontest.Check(t, s) })
		})
	}
}

func TestWhatIsNotDeclaredIsSkippedWithItsReason(t *testing.T) {
	s := entrySuite(t)
	s.Command, s.Env = []string{os.Args[0]}, []string{envMistake + "=none", "GORACE=atexit_sleep_ms=0"}
	got := map[string]string{}
	for _, r := range sdktest.Collect(context.Background(), func(t sdktest.T) { actiontest.Check(t, s) }) {
		if r.Status == sdktest.Skipped {
			got[r.Name] = r.Text
		}
	}
	want := map[string]string{
		"AnInvalidConfigurationIsBlamedOnItsAttribute": "no invalid configuration is given",
		"ARunTwiceLeavesWhatOnceWould":                 "the action is declared once",
		"CancelStopsTheRun":                            "no configuration is given whose run is slow",
		"APlanChangesNothing":                          "the action offers no plan",
		"APlanIsMadeOrDeferredWhenPartsAreUnknown":     "the action offers no plan",
		"AfterTheRunThereIsNothingToPlan":              "the action offers no plan",
		"UndoMayBeRepeated":                            "the action offers no undo",
		"ReadChangesNothing":                           "the action offers no read",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
