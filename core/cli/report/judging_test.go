package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/series"
	"github.com/runner-pipelines/runner/core/cli/series/seriestest"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/target"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

// healthy passes two steps.
func healthy(t testing.TB, node string) *seriestest.Rollout {
	r := seriestest.New(t, node, seriestest.Independent("errors"))
	for i := range 2 {
		r.Step(1200*i, []string{"5%", "50%"}[i])
		for j := 1; j <= 18; j++ {
			s := 1200*i + 60*j
			r.Look(s, seriestest.Counts(s, "errors", "main", 800, 7+int64(j%3), 9000, 88+int64(j*7%11)))
		}
	}
	return r
}

// harmful has a candidate that is worse from its tenth minute on.
func harmful(t testing.TB, node string) *seriestest.Rollout {
	r := seriestest.New(t, node, seriestest.Independent("errors"))
	r.Step(0, "5%"+hostile)
	for j := 1; j <= 20; j++ {
		bad := int64(5 + j%3)
		if j >= 10 {
			bad = 16 + int64(j%4)
		}
		r.Look(60*j, seriestest.Counts(60*j, "errors", "main", 500, bad, 9500, 95))
	}
	return r
}

// blind has no data for ten minutes, and a limit.
func blind(t testing.TB, node string) *seriestest.Rollout {
	most := 0.03
	limited := analysis.Metric{Name: "failed logins", Max: &most}
	r := seriestest.New(t, node, seriestest.Independent("errors"), limited)
	r.Step(0, "5%")
	for j := 1; j <= 24; j++ {
		if j > 8 && j < 18 {
			r.Look(60*j, seriestest.Nothing(60*j, "errors", "main", "the scrape failed"), seriestest.Nothing(60*j, "failed logins", "main", "the scrape failed"))
			continue
		}
		r.Look(60*j, seriestest.Counts(60*j, "errors", "main", 100, int64(j%3), 1900, 19), seriestest.Counts(60*j, "failed logins", "main", 100, int64(j%4/2), 1900, 19))
	}
	return r
}

// wide has two targets and three metrics, one of which is worse at one target.
func wide(t testing.TB, node string) *seriestest.Rollout {
	slow := *analysis.Standard()
	r := seriestest.New(t, node, seriestest.Independent("errors"), analysis.Metric{Name: "latency", Better: "lower", Quantile: 0.95, Compare: &slow},
		analysis.Metric{Name: "success of payments", Better: "higher", Compare: analysis.Standard()})
	for i := range 2 {
		r.Step(900*i, []string{"5%", "25%"}[i])
		for j := 1; j <= 14; j++ {
			s, n := 900*i+60*j, int64(j)
			var looks []analysis.Look
			for k, name := range []string{"eu", "us" + hostile} {
				late := int64(i * k * 30)
				looks = append(looks,
					seriestest.Counts(s, "errors", name, 1000, 9+n%3, 9000, 90+n*5%9),
					seriestest.Histograms(s, "latency", name, [5]int64{600 - late, 250, 100, 40 + late, 10 + n%4}, [5]int64{5400, 2250, 900, 360, 90}),
					seriestest.Counts(s, "success of payments", name, 300, 296-n%3, 2700, 2670))
			}
			r.Look(s, looks...)
		}
	}
	return r
}

// reported is a run of one stage that was judged so.
func reported(r *seriestest.Rollout, outcome kernel.Outcome) Input {
	last := r.Events[len(r.Events)-1].At
	end := last + 60_000
	planned := kernel.NodePlanned{Command: 1, Node: r.Node, Targets: []kernel.PlannedTarget{{Name: "main", Stable: "r-1", Candidate: "r-2"}}}
	events := []kernel.Event{seriestest.Event(0, kernel.RunOpened{Initiator: "ann"}), seriestest.Event(0, planned)}
	id := int64(2)
	for _, e := range r.Events {
		events = append(events, e)
		if d, ok := e.Fact.(kernel.Decided); ok {
			var percent float64
			_, _ = fmt.Sscanf(d.StepTitle, "%f%%", &percent)
			c := kernel.Command{ID: id, Kind: kernel.SetWeight, Node: r.Node, Target: "main", Release: "r-2", Weight: target.Weight(percent * 1000)}
			events = append(events, kernel.Event{At: e.At, Fact: kernel.CommandIssued{Command: c}}, kernel.Event{At: e.At, Fact: kernel.CommandSucceeded{Command: id}})
			id++
		}
	}
	events = append(events, kernel.Event{At: end, Fact: kernel.NodeSettled{Node: r.Node, Outcome: outcome}})
	p := &plan.Plan{Pipeline: "shop", Nodes: []plan.Node{{ID: r.Node, Kind: kernel.RolloutNode}}}
	p.Graph.Nodes = []kernel.Node{{ID: r.Node, Kind: kernel.RolloutNode, Rollout: &kernel.Rollout{Strategy: "canary"}}}
	return Input{
		Record: runs.Record{ID: "20261123-060000-aaaa", Pipeline: "shop", Initiator: "ann", Opened: seriestest.Began, Closed: end.Time(), Outcome: string(outcome)},
		Plan:   p, Events: events, Now: end.Time(),
		Nodes: []kernel.NodeView{{ID: r.Node, Kind: kernel.RolloutNode, Outcome: outcome, Started: kernel.TimeOf(seriestest.Began), Ended: end}},
	}
}

func drawnOf(t testing.TB, r *seriestest.Rollout) *Analysis {
	t.Helper()
	set := series.New()
	for _, e := range r.Events {
		set.Event(e)
	}
	a, err := analysed(set.Stage(r.Node), "plot", seriestest.Began, r.Events[len(r.Events)-1].At.Time())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// small is two minutes of a candidate that fails outright, with a minute without data.
func small(t testing.TB) *seriestest.Rollout {
	r := seriestest.New(t, "stage.web", seriestest.Independent("errors"))
	r.Step(0, "5%")
	r.Look(60, seriestest.Counts(60, "errors", "main", 100, 1, 1000, 10))
	r.Look(120, seriestest.Nothing(120, "errors", "main", "late"))
	r.Look(180, seriestest.Counts(180, "errors", "main", 100, 40, 1000, 10))
	return r
}

func TestPlotsAreDrawnSo(t *testing.T) {
	plots := drawnOf(t, small(t)).Metrics[0].Plots
	if len(plots) != 2 {
		t.Fatalf("%d plots", len(plots))
	}
	for i, name := range []string{"values.svg", "evidence.svg"} {
		got := strings.ReplaceAll(string(plots[i].SVG), "><", ">\n<") + "\n"
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// Whatever was measured, a plot is XML, has a title and a description of its own, and
// runs nothing.
func TestPlotsAreSafeXML(t *testing.T) {
	nothing := seriestest.New(t, "stage.web", seriestest.Independent("errors"))
	nothing.Look(60, seriestest.Nothing(60, "errors", "main", "late"))
	one := seriestest.New(t, "stage.web", seriestest.Independent(hostile+"\x00\x1b"))
	one.Look(60, seriestest.Counts(60, hostile+"\x00\x1b", hostile, 10, 0, 10, 0))
	extreme := seriestest.New(t, "stage.web", analysis.Metric{Name: "extreme", Better: "lower", Compare: analysis.Standard()})
	for i, v := range []float64{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0, -1} {
		extreme.Look(60*i+60, analysis.Look{
			Metric: "extreme", Target: "main", From: seriestest.At(60 * i), To: seriestest.At(60*i + 60),
			Candidate: metrics.Release{Samples: []float64{v}}, Stable: &metrics.Release{Samples: []float64{-v / 3}},
		})
	}
	least := seriestest.New(t, "stage.web", analysis.Metric{Name: "least"})
	least.Look(60, analysis.Look{Metric: "least", To: seriestest.At(60), Candidate: metrics.Release{Samples: []float64{math.SmallestNonzeroFloat64}}})
	for name, r := range map[string]*seriestest.Rollout{
		"extreme": extreme, "least": least, "healthy": healthy(t, "a"), "harmful": harmful(t, "a"), "blind": blind(t, "a"), "wide": wide(t, "a"), "nothing": nothing, "one": one,
	} {
		t.Run(name, func(t *testing.T) {
			a := drawnOf(t, r)
			seen := map[string]bool{}
			for _, m := range a.Metrics {
				for _, p := range m.Plots {
					texts, ids := elements(t, string(p.SVG))
					if texts["title"] == "" || texts["desc"] == "" {
						t.Errorf("%s has no title or no description", p.Caption)
					}
					for _, id := range ids {
						if seen[id] {
							t.Errorf("the id %q is there twice", id)
						}
						seen[id] = true
					}
				}
			}
			if len(seen) == 0 {
				t.Error("nothing was drawn")
			}
			page := written(t, reported(r, kernel.Succeeded))
			if found := requests.FindString(page); found != "" {
				t.Errorf("the page holds %q", found)
			}
		})
	}
}

// elements reads a drawing, and gives the texts by element and all ids.
func elements(t *testing.T, svg string) (map[string]string, []string) {
	t.Helper()
	texts := map[string]string{}
	var ids []string
	in := ""
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts, ids
		}
		if err != nil {
			t.Fatalf("the plot is no XML: %s\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if in = token.Name.Local; in == "script" {
				t.Error("the plot holds a script")
			}
			for _, a := range token.Attr {
				if a.Name.Local == "id" {
					ids = append(ids, a.Value)
				}
			}
		case xml.CharData:
			texts[in] += string(token)
		}
	}
}

func TestThePageTellsTheAnalysis(t *testing.T) {
	page := written(t, reported(harmful(t, "stage.web"), kernel.RolledBack))
	for _, want := range []string{
		"decided: harm", "times as often (the true ratio is", ">abort</text>", "20 decides", "share", "Step 5%&lt;script",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if page := written(t, reported(blind(t, "stage.web"), kernel.Succeeded)); strings.Count(page, ">no data</text>") != 2 {
		t.Error("the span without data is not marked in both metrics")
	}
	page = written(t, reported(wide(t, "stage.web"), kernel.Succeeded))
	for _, want := range []string{"all metrics together", "errors: share, eu", "latency: the 0.95 quantile", "share that failed"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
}

func TestManyMetricsAndTargetsAreCounted(t *testing.T) {
	var rules []analysis.Metric
	var looks []analysis.Look
	for i := range drawnMetrics + 3 {
		name := fmt.Sprint("m", i)
		rules = append(rules, seriestest.Independent(name))
		for j := range drawnTargets + 2 {
			// The last metric is the worst, and so is the last target.
			looks = append(looks, seriestest.Counts(60, name, fmt.Sprint("t", j), 1000, int64(10+i+20*j), 1000, 10))
		}
	}
	r := seriestest.New(t, "stage.web", rules...)
	r.Look(60, looks...)
	a := drawnOf(t, r)
	last := a.Metrics[len(a.Metrics)-1]
	if len(a.Metrics) != drawnMetrics || a.More != 3 || last.More != 2 || len(last.Plots) != drawnTargets+1 {
		t.Fatalf("%d metrics and %d more; %d targets more in %d plots", len(a.Metrics), a.More, last.More, len(last.Plots))
	}
	if want := fmt.Sprint("m", drawnMetrics+2); last.Name != want || !strings.HasSuffix(last.Plots[drawnTargets-1].Caption, fmt.Sprint("t", drawnTargets+1)) {
		t.Errorf("the last that is drawn is %s, %s", last.Name, last.Plots[drawnTargets-1].Caption)
	}
}

func BenchmarkPlots(b *testing.B) {
	r := wide(b, "stage.web")
	set := series.New()
	for _, e := range r.Events {
		set.Event(e)
	}
	for b.Loop() {
		a, err := analysed(set.Stage(r.Node), "plot", seriestest.Began, seriestest.At(3600))
		if err != nil || len(a.Metrics) != 3 {
			b.Fatal(err)
		}
	}
}
