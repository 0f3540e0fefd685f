package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

const hostile = `<script src="https://evil.invalid/x.js"></script>`

// harmed is a run whose rollout was taken back after harm; every text that
// people or plugins choose is hostile.
func harmed(targets int) Input {
	start := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	at := func(s int) kernel.Time { return kernel.TimeOf(start.Add(time.Duration(s) * time.Second)) }
	p := &plan.Plan{Pipeline: "shop" + hostile, Nodes: []plan.Node{{ID: "stage.web", Kind: kernel.RolloutNode}}}
	node := kernel.Node{ID: "stage.web", Kind: kernel.RolloutNode, Rollout: &kernel.Rollout{Strategy: "canary"}}
	planned := kernel.NodePlanned{Command: 1, Node: "stage.web"}
	var events []kernel.Event
	add := func(s int, f kernel.Fact) { events = append(events, kernel.Event{At: at(s), Fact: f}) }
	for i := range targets {
		planned.Targets = append(planned.Targets, kernel.PlannedTarget{Name: fmt.Sprintf("t%d%s", i, hostile), Stable: "r-1", Candidate: "r-2"})
	}
	add(0, kernel.RunOpened{Initiator: hostile})
	add(1, kernel.NodeStarted{Node: "stage.web"})
	add(1, planned)
	add(2, kernel.GateAnswered{Node: "stage.web", Gate: "go", Who: "ann", How: "local user", Yes: true, Comment: hostile})
	id := int64(2)
	weight := func(s int, name, release string, w target.Weight, back bool) {
		add(s, kernel.CommandIssued{Command: kernel.Command{ID: id, Kind: kernel.SetWeight, Node: "stage.web", Target: name, Release: release, Weight: w, Back: back}})
		add(s, kernel.CommandSucceeded{Command: id})
		id++
	}
	for _, t := range planned.Targets {
		weight(3, t.Name, "r-2", 5_000, false)
	}
	add(6, kernel.Judged{Node: "stage.web", Harm: kernel.Verdict{Value: strategy.Fail, N: 40, Why: "errors is 40%" + hostile}})
	add(6, kernel.RolloutAborting{Node: "stage.web", Why: "harm"})
	for _, t := range planned.Targets {
		weight(7, t.Name, "r-1", target.Full, true)
	}
	add(8, kernel.NodeSettled{Node: "stage.web", Outcome: kernel.RolledBack})
	p.Graph.Nodes = []kernel.Node{node}
	return Input{
		Record: runs.Record{ID: "20261123-060000-aaaa", Pipeline: p.Pipeline, Initiator: hostile, Opened: start, Closed: start.Add(9 * time.Second), Outcome: string(kernel.RolledBack)},
		Plan:   p, Events: events, Now: start.Add(time.Hour),
		Nodes: []kernel.NodeView{{ID: "stage.web", Kind: kernel.RolloutNode, Outcome: kernel.RolledBack, Started: at(1), Ended: at(8), Why: hostile}},
		Logs:  []Log{{Stage: "stage.web", Left: 3, Lines: []Line{{start, hostile}, {start, "\x1b[31mred"}}}},
	}
}

func written(t *testing.T, in Input) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, in); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// requests are all ways in which a page makes a browser ask somebody.
var requests = regexp.MustCompile(`(?i)<(script|link|iframe|object|embed|base|form)\b|\b(src|href|action|srcset|poster)\s*=\s*["']?(?:[^d"'&\\]|d[^a])|@import|url\(`)

func TestThePageAsksNobodyAndRunsNothing(t *testing.T) {
	for _, targets := range []int{1, drawn + 3} {
		page := written(t, harmed(targets))
		if found := requests.FindString(page); found != "" {
			t.Errorf("with %d targets the page holds %q", targets, found)
		}
		if n := strings.Count(page, "&lt;script"); n < 8 {
			t.Errorf("with %d targets only %d hostile texts are on the page, all escaped: some were not told", targets, n)
		}
	}
}

func TestThePageTellsTheRun(t *testing.T) {
	page := written(t, harmed(2))
	for _, want := range []string{
		`class="badge failed">rolled back<`, "the analysis found harm: errors is 40%", "so the rollout was given up",
		"0%", "5%", `class="failed">harm</td><td>40</td>`, "ann", "verified: local user", ">yes<", "3 earlier ones", "data:image/svg",
		`style="left:11.11%;width:77.78%"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
}

// The chart goes up to 5 % and back to 0.
func TestTheChartIsAStepLine(t *testing.T) {
	in := harmed(1)
	p := &Page{Input: in}
	p.Explained = nil
	r := p.opened(in.Events[2].Fact.(kernel.NodePlanned), in.Events[2].At.Time())
	r.moved(kernel.Command{Kind: kernel.SetWeight, Target: r.Targets[0].Name, Release: "r-2", Weight: 5_000}, r.Start.Add(time.Second))
	r.moved(kernel.Command{Kind: kernel.SetWeight, Target: r.Targets[0].Name, Release: "r-1", Weight: target.Full}, r.Start.Add(2*time.Second))
	var got []float64
	for _, point := range r.Targets[0].Points {
		got = append(got, point.Percent)
	}
	if fmt.Sprint(got) != "[0 5 0]" {
		t.Errorf("weights %v", got)
	}
	r.End = r.Start.Add(3 * time.Second)
	svg, err := weights(r)
	if err != nil {
		t.Fatal(err)
	}
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the chart is no XML: %s\n%s", err, svg)
		}
	}
}

func TestALongLogKeepsItsEnd(t *testing.T) {
	var l Log
	for i := range 10 * perStage {
		l.Lines = append(l.Lines, Line{Text: fmt.Sprint(i)})
		if len(l.Lines) >= 2*perStage {
			l.cut()
		}
	}
	l.cut()
	if len(l.Lines) != perStage || l.Left != 9*perStage || l.Lines[perStage-1].Text != fmt.Sprint(10*perStage-1) {
		t.Errorf("%d lines, %d left out, the last is %q", len(l.Lines), l.Left, l.Lines[len(l.Lines)-1].Text)
	}
}
