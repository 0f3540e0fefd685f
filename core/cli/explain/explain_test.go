package explain

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

var began = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

// story is a run of one stage after another, each fact a second after the one before.
func story(outcome kernel.Outcome, views []kernel.NodeView, facts ...kernel.Fact) Input {
	in := Input{Record: runs.Record{ID: "20261123-060000-aaaa", Outcome: string(outcome)}, Graph: &kernel.Graph{}, Nodes: views}
	if outcome != "" {
		in.Record.Closed = began.Add(time.Hour)
	}
	for i, v := range views {
		n := kernel.Node{ID: v.ID, Kind: kernel.ActionNode}
		if i > 0 {
			n.After = []int{i - 1}
		}
		in.Graph.Nodes = append(in.Graph.Nodes, n)
	}
	for i, f := range append([]kernel.Fact{kernel.RunOpened{Initiator: "ann"}}, facts...) {
		in.Events = append(in.Events, kernel.Event{At: kernel.TimeOf(began.Add(time.Duration(i) * time.Second)), Fact: f})
	}
	return in
}

func issued(id int64, kind kernel.CommandKind, attempt int) kernel.CommandIssued {
	return kernel.CommandIssued{Command: kernel.Command{ID: id, Kind: kind, Node: "stage.a", Attempt: attempt}}
}

func live(in Input) Input {
	in.Live = true
	return in
}

func of(in Input, stage string) Input {
	in.Stage = stage
	return in
}

func TestExplanations(t *testing.T) {
	at := kernel.TimeOf(began)
	working := kernel.NodeView{ID: "stage.a", Kind: kernel.ActionNode, Status: "running", Started: at}
	ended := func(id string, o kernel.Outcome) kernel.NodeView {
		return kernel.NodeView{ID: id, Kind: kernel.ActionNode, Started: at, Ended: at + 9000, Outcome: o, Status: "settled"}
	}
	started := kernel.NodeStarted{Node: "stage.a"}
	var many []kernel.NodeView
	var fails []kernel.Fact
	for i := range 9 {
		id := fmt.Sprintf(`stage.m["%d"]`, i)
		one := ended(id, kernel.Failed)
		one.Why = "broken"
		many = append(many, one)
		fails = append(fails, kernel.NodeSettled{Node: id, Outcome: kernel.Failed, Why: "broken"})
	}
	for name, in := range map[string]Input{
		"lost lock": story("", []kernel.NodeView{working}, started,
			kernel.Noted{By: "runner", Text: "Environment is no longer this run's: bob took it away"}, kernel.RunStopping{Mode: kernel.StopNow, By: "runner"}),
		"crashed process": story("", []kernel.NodeView{working}, started, issued(1, kernel.RunAction, 1)),
		"lost plugin, asked again": story(kernel.Succeeded, []kernel.NodeView{ended("stage.a", kernel.Succeeded)}, started, issued(1, kernel.RunAction, 1),
			kernel.RunResumed{Initiator: "bob", Host: "desk", Unwatched: 61_000}, kernel.CommandLost{Command: 1, Why: "its process was killed"}, issued(2, kernel.Reconcile, 1),
			kernel.CommandReconciled{Command: 2, Of: 1, State: "not_started"}, issued(3, kernel.RunAction, 2), kernel.CommandSucceeded{Command: 3},
			kernel.NodeSettled{Node: "stage.a", Outcome: kernel.Succeeded}),
		"nobody watched": story(kernel.Succeeded, []kernel.NodeView{ended("stage.a", kernel.Succeeded)}, started, kernel.RunUnwatched{Span: 8 * 3600_000},
			kernel.NodeSettled{Node: "stage.a", Outcome: kernel.Succeeded}),
		"under way": live(story("", []kernel.NodeView{working}, started, issued(1, kernel.RunAction, 1))),
		"cancelled": story(kernel.Cancelled, []kernel.NodeView{ended("stage.a", kernel.Cancelled)}, started, issued(1, kernel.RunAction, 1),
			kernel.RunUnwinding{By: "bob", Why: "wrong branch"}, kernel.CommandFailed{Command: 1, Failure: kernel.Failure{Cancelled: true}},
			kernel.NodeSettled{Node: "stage.a", Outcome: kernel.Cancelled, Why: "the run was taken back"}),
		"interrupted":      story("", []kernel.NodeView{working}, started, kernel.RunStopping{Mode: kernel.StopAfter, By: "signal"}),
		"undo failed":      story(kernel.RollbackFailed, []kernel.NodeView{ended("stage.a", kernel.RollbackFailed)}, started, kernel.NodeUndoing{Node: "stage.a", Why: "exit code 1"}, kernel.NodeUndone{Node: "stage.a", Why: "no permission"}, kernel.NodeSettled{Node: "stage.a", Outcome: kernel.RollbackFailed, Why: "no permission"}),
		"many failed":      story(kernel.Failed, many, fails...),
		"not yet its turn": of(live(story("", []kernel.NodeView{working, {ID: "stage.b", Kind: kernel.ActionNode, Status: "waiting"}}, started)), "stage.b"),
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, strings.NewReplacer(" ", "-", ",", "").Replace(name), in)
		})
	}
}

// golden compares what is told of a run with what was kept.
func golden(t *testing.T, name string, in Input) {
	t.Helper()
	var out bytes.Buffer
	Write(&out, Of(in), paint.Style{}, time.UTC)
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// Every fact there is can be told, also one without anything in it.
func TestNoFactIsTooMuch(t *testing.T) {
	in := story("", []kernel.NodeView{{ID: "stage.a", Kind: kernel.ActionNode}}, kernel.Facts()...)
	if x := Of(in); len(x.Next) == 0 {
		t.Error("nothing is offered to be done next")
	}
}
