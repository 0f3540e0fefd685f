package view

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func story(p *plan.Plan, style paint.Style) string {
	var out bytes.Buffer
	WritePlan(&out, p, style)
	return out.String()
}

// adds one node to a plan.
func adds(p *plan.Plan, n plan.Node, k kernel.Node) int {
	k.ID, k.Kind, k.Environment = n.ID, n.Kind, n.Environment
	p.Nodes, p.Graph.Nodes = append(p.Nodes, n), append(p.Graph.Nodes, k)
	return len(p.Nodes) - 1
}

func runs(subject string) []call.Change {
	return []call.Change{{Action: call.Run, Subject: subject, Summary: "runs"}}
}

// shop is a plan with all that a plan can say.
func shop() *plan.Plan {
	p := &plan.Plan{Pipeline: "shop"}
	build := adds(p, plan.Node{ID: "stage.build", Kind: kernel.ActionNode, Component: "local_exec", Changes: runs("make dist"), WayBack: call.BestEffort, Back: "undo local_exec", EstimateMS: 41_000}, kernel.Node{})
	adds(p, plan.Node{ID: "stage.lint", Kind: kernel.ActionNode, Component: "local_exec", Unchanged: true}, kernel.Node{})
	release := func(env string, stable string, after ...int) int {
		sim := &plan.Simulation{DurationMS: 246_000, BackMS: 900, Steps: []plan.Step{
			{Title: "5", Targets: []string{"eu"}, Weight: 5_000, BakeMS: 120_000, Evidence: true},
			{Title: "100", Targets: []string{"eu"}, Weight: target.Full, AtMS: 120_000, Approvals: []string{"all"}},
			{Wave: 1, Title: "100", Targets: []string{"us"}, Weight: target.Full, AtMS: 246_000},
		}}
		back, how := call.Exact, "all traffic to the stable release"
		if stable == "" {
			sim.First, back, how = true, call.BestEffort, "remove the candidate: there is no earlier release"
		}
		return adds(p, plan.Node{
			ID: fmt.Sprintf("stage.release[%q]", env), Kind: kernel.RolloutNode, Environment: env, Component: "local_service", WayBack: back, Back: how,
			Targets: []plan.Target{
				{Name: "eu", Stable: stable, StableVersion: "v1", Candidate: "6f2c", Changes: []call.Change{{Action: call.Create, Subject: "2 processes", Summary: "shop -version v2"}}},
				{Name: "us", Stable: "6f2c", Candidate: "6f2c"},
			},
			Deferred: []string{"command[0]"}, Simulation: sim,
		}, kernel.Node{After: after, Rollout: &kernel.Rollout{
			Strategy: "canary", Verifies: []string{"healthz"}, Waves: [][]int{{0}, {1}}, WhileWaiting: "stable",
			Analysis: &kernel.Analysis{Interval: 10_000, Deadline: 600_000, OnInconclusive: "abort"},
		}})
	}
	staging := release("staging", "", build)
	barrier := adds(p, plan.Node{ID: "environment.staging", Kind: kernel.BarrierNode}, kernel.Node{After: []int{staging}})
	ask := adds(p, plan.Node{ID: "stage.migrate", Kind: kernel.ActionNode, Environment: "prod", Component: "fake_run", Maybe: true, Changes: []call.Change{
		{Action: call.Update, Subject: "table orders", Summary: "adds a column"}, {Action: call.Delete, Subject: "table carts"},
	}}, kernel.Node{After: []int{barrier}, Gates: []kernel.Gate{{Name: "dba", Required: 2, From: []string{"group:sre"}, NotInitiator: true, Expires: 3_600_000}, {}}})
	prod := release("prod", "11aa", ask)
	adds(p, plan.Node{ID: "stage.tell", Kind: kernel.ActionNode, Component: "local_exec", Changes: runs("tell"), WayBack: call.NoWayBack}, kernel.Node{After: []int{prod}, RunIf: kernel.Always})
	adds(p, plan.Node{ID: "stage.page", Kind: kernel.ActionNode, Component: "local_exec", Changes: runs("page"), WayBack: call.Exact, Back: "undo local_exec"}, kernel.Node{After: []int{prod}, RunIf: kernel.OnFailure})
	adds(p, plan.Node{ID: "stage.never", Kind: kernel.ActionNode, Skip: "when is false"}, kernel.Node{})
	return p
}

func TestAPlanReadsLikeAStory(t *testing.T) {
	golden(t, "plan", story(shop(), paint.Style{}))
	golden(t, "plan-colours", story(shop(), paint.Colours()))
}

// Of a thousand instances that differ only by their key, one is told; of those
// that differ, a few.
func TestManyAlikeAreToldOnce(t *testing.T) {
	p := &plan.Plan{Pipeline: "many"}
	for i := range 1000 {
		adds(p, plan.Node{
			ID: fmt.Sprintf(`stage.copy["part-%d"]`, i), Kind: kernel.ActionNode, Component: "local_exec", EstimateMS: 2000,
			Changes: runs(fmt.Sprintf("cp part-%d /srv/part-%d/", i, i)), WayBack: call.BestEffort, Back: "undo local_exec",
		}, kernel.Node{})
	}
	for i := range 7 {
		adds(p, plan.Node{
			ID: fmt.Sprintf(`stage.each["%d"]`, i), Kind: kernel.ActionNode, Component: "local_exec", Changes: runs(strings.Repeat("x", i+1)), WayBack: call.Exact, Back: "undo local_exec",
		}, kernel.Node{})
	}
	for i := range 3 {
		adds(p, plan.Node{
			ID: fmt.Sprintf(`stage.numbered["%d"]`, i), Kind: kernel.ActionNode, Component: "local_exec", Changes: runs(fmt.Sprintf("part %d", i)), WayBack: call.Exact, Back: "undo local_exec",
		}, kernel.Node{})
	}
	golden(t, "plan-many", story(p, paint.Style{}))
}
