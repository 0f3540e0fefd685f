package series_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/core/cli/series"
	"github.com/runner-pipelines/runner/core/cli/series/seriestest"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

var at = seriestest.At

func begin(t *testing.T, rules ...analysis.Metric) *seriestest.Rollout {
	return seriestest.New(t, "stage.web", rules...)
}

// folded is the stage of a rollout.
func folded(r *seriestest.Rollout) *series.Stage {
	set := series.New()
	for _, e := range r.Events {
		set.Event(e)
	}
	return set.Stage(r.Node)
}

func TestAHarmfulRollout(t *testing.T) {
	r := begin(t, seriestest.Independent("errors"), seriestest.Independent("errors 5xx"))
	r.Step(0, "5%")
	for i := 1; i <= 20; i++ {
		s := 60 * i
		r.Look(s, seriestest.Counts(s, "errors", "main", 1000, 10, 1000, 10), seriestest.Counts(s, "errors 5xx", "main", 1000, 60, 1000, 10))
	}
	st := folded(r)
	if len(st.Metrics) != 2 || st.Metrics[1].Rule.Better != "lower" || !st.Metrics[1].Percent || !st.Compared() {
		t.Fatalf("metrics: %+v", st.Metrics)
	}
	last := st.Last()
	if last.Word != series.Harm || last.Metric != "errors 5xx" || last.Seen == nil || last.Seen.Low < 1.1 || last.Seen.Effect < 4 {
		t.Errorf("decided by %+v, seen %+v", last, last.Seen)
	}
	m := st.Metrics[1]
	points := m.Targets[0].Candidate.Points()
	if len(points) != 20 || points[0] != (series.Point{At: at(60), Value: 0.06}) {
		t.Errorf("%d points, the first %v", len(points), points[0])
	}
	// Both have half a say, so each needs twice the evidence that both need together.
	if m.Last.HarmNeeded != 2*st.Needed {
		t.Errorf("%v needed of one, %v together", m.Last.HarmNeeded, st.Needed)
	}
	var crossed time.Time
	for _, p := range st.Together.Points() {
		if p.Value >= st.Needed {
			crossed = p.At
			break
		}
	}
	if !crossed.Equal(last.At) {
		t.Errorf("the evidence crossed at %v, the decision was at %v", crossed, last.At)
	}
}

func TestEveryStepHasItsPass(t *testing.T) {
	r := begin(t, seriestest.Independent("errors"))
	for i := 1; i <= 3; i++ {
		r.Step(600*i, fmt.Sprint(i))
		r.Look(600*i+60, seriestest.Counts(600*i+60, "errors", "main", 100_000, 1000, 100_000, 1000))
		r.Look(600*i+120, seriestest.Counts(600*i+120, "errors", "main", 100_000, 1000, 100_000, 1000))
	}
	st := folded(r)
	var got []string
	for _, d := range st.Decisions {
		got = append(got, string(d.Word)+" "+d.Metric+" "+d.At.Format("15:04"))
	}
	if diff := cmp.Diff([]string{"pass errors 06:11", "pass errors 06:21", "pass errors 06:31"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(st.Steps) != 3 {
		t.Errorf("%d steps", len(st.Steps))
	}
}

func TestNoDataIsAGap(t *testing.T) {
	r := begin(t, seriestest.Independent("errors"))
	r.Step(0, "5%")
	r.Look(60, seriestest.Counts(60, "errors", "main", 10, 1, 10, 1))
	r.Look(120, seriestest.Nothing(120, "errors", "main", "scrape failed"))
	r.Look(180, seriestest.Counts(180, "errors", "main", 10, 2, 0, 0))
	st := folded(r)
	got := st.Metrics[0].Targets[0]
	want := []series.Point{{At: at(60), Value: 0.1}, {At: at(120), Gap: true}, {At: at(180), Value: 0.2}}
	if diff := cmp.Diff(want, got.Candidate.Points()); diff != "" {
		t.Errorf("candidate (-want +got)\n%s", diff)
	}
	if points := got.Stable.Points(); !points[1].Gap || !points[2].Gap || points[0].Gap {
		t.Errorf("stable %v", points)
	}
	if last := st.Last(); last.Word != series.Unsure || last.Metric != "errors" || !last.At.Equal(at(60)) {
		t.Errorf("%+v", last)
	}
}

// A limit decides without a comparison.
func TestALimit(t *testing.T) {
	limit := 0.05
	r := begin(t, analysis.Metric{Name: "errors", Max: &limit})
	r.Look(60, seriestest.Counts(60, "errors", "main", 100, 50, 100, 1))
	st := folded(r)
	if last := st.Last(); last.Word != series.Harm || last.Metric != "errors" || last.Seen != nil || st.Compared() || !st.Metrics[0].Harm.Empty() {
		t.Errorf("%+v", last)
	}
}

func TestNothingAndNonsense(t *testing.T) {
	set := series.New()
	for _, f := range kernel.Facts() {
		set.Event(seriestest.Event(0, f))
	}
	set.Event(seriestest.Event(1, kernel.Judged{Node: "a", Looks: json.RawMessage(`{"no":"list"}`), Shown: json.RawMessage(`[`), State: json.RawMessage(`7`), Step: kernel.Verdict{Value: strategy.Inconclusive}}))
	set.Event(seriestest.Event(1, kernel.Decided{Node: "steps only", StepID: "1"}))
	if set.Stage("a") == nil || set.Stage("steps only") != nil || set.Stage("unknown") != nil {
		t.Error("a stage is known that was not judged, or one that was is not")
	}
	timeless, err := json.Marshal([]analysis.Look{{Metric: "m", Target: "t"}})
	if err != nil {
		t.Fatal(err)
	}
	set.Event(seriestest.Event(1, kernel.Judged{Node: "timeless", Looks: timeless}))
	if m := set.Stage("timeless").Metric("m"); len(m.Targets) != 0 {
		t.Error("a look without a time is a point")
	}
	if got := series.New().Stages(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for range 2 * series.MostMetrics {
		set.Event(seriestest.Event(1, kernel.Judged{Node: "many", Looks: looks(t, series.MostMetrics+3)}))
	}
	if st := set.Stage("many"); len(st.Metrics) != series.MostMetrics || st.More != 3 {
		t.Errorf("%d metrics and %d more", len(st.Metrics), st.More)
	}
}

func looks(t *testing.T, n int) json.RawMessage {
	t.Helper()
	var all []analysis.Look
	for i := range n {
		all = append(all, seriestest.Counts(60, fmt.Sprint("m", i), "main", 1, 0, 1, 0))
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLines(t *testing.T) {
	for name, tt := range map[string]struct {
		add  []series.Point
		want []series.Point
	}{
		"empty": {},
		"one":   {add: []series.Point{{At: at(1), Value: 2}}, want: []series.Point{{At: at(1), Value: 2}}},
		"unordered and twice": {
			add:  []series.Point{{At: at(3), Value: 3}, {At: at(1), Value: 1}, {At: at(2), Value: 2}, {At: at(1), Value: 9}},
			want: []series.Point{{At: at(1), Value: 1}, {At: at(2), Value: 2}, {At: at(3), Value: 3}},
		},
		"no numbers": {
			add:  []series.Point{{At: at(1), Value: math.NaN()}, {At: at(2), Value: math.Inf(1)}},
			want: []series.Point{{At: at(1), Gap: true}, {At: at(2), Gap: true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l series.Line
			for _, p := range tt.add {
				l.Add(p.At, p.Value, !p.Gap)
			}
			if diff := cmp.Diff(tt.want, l.Points(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// However long the run, the peak, the trough and the gap are still there.
func TestALongLineKeepsItsExtremes(t *testing.T) {
	var l series.Line
	for i := range 100_000 {
		v := math.Sin(float64(i) / 50)
		switch i {
		case 41_003:
			v = 40
		case 70_001:
			v = -40
		}
		l.Add(at(i), v, i != 55_555)
	}
	points := l.Points()
	if len(points) > series.Most {
		t.Fatalf("%d points", len(points))
	}
	high, low, gap := false, false, false
	for i, p := range points {
		high = high || p == series.Point{At: at(41_003), Value: 40}
		low = low || p == series.Point{At: at(70_001), Value: -40}
		gap = gap || p == series.Point{At: at(55_555), Gap: true}
		if i > 0 && !p.At.After(points[i-1].At) {
			t.Fatalf("point %d is not after the one before", i)
		}
	}
	if !high || !low || !gap || !points[0].At.Equal(at(0)) || !points[len(points)-1].At.Equal(at(99_999)) {
		t.Errorf("high %v, low %v, gap %v, from %v to %v", high, low, gap, points[0].At, points[len(points)-1].At)
	}
}

func TestCells(t *testing.T) {
	var a, b, none series.Line
	for i := range 4 {
		a.Add(at(i), float64(i), i != 1)
		b.Add(at(i), 10, i < 2)
	}
	nan := math.NaN()
	for _, tt := range []struct {
		n    int
		want [][]float64
	}{
		{8, [][]float64{{0, nan, 2, 3}, {10, 10, nan, nan}}},
		{2, [][]float64{{0, 2.5}, {10, nan}}},
		{0, [][]float64{nil, nil}},
	} {
		got := series.Cells(tt.n, []*series.Line{&a, &none}, []*series.Line{&b})
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%d cells (-want +got)\n%s", tt.n, diff)
		}
	}
}

func BenchmarkEvent(b *testing.B) {
	set := series.New()
	l, err := json.Marshal([]analysis.Look{seriestest.Counts(60, "errors", "main", 10, 1, 10, 1)})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		set.Event(seriestest.Event(i, kernel.Judged{Node: "stage.web", Looks: l}))
	}
}
