package analysis_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// minute is the look at one minute since the epoch.
func minute(n int, metric, target string, r metrics.Release) analysis.Look {
	from := epoch.Add(time.Duration(n) * time.Minute)
	return analysis.Look{Metric: metric, Target: target, From: from, To: from.Add(time.Minute), Candidate: r}
}

func counter(n, events int64) metrics.Release {
	return metrics.Release{Counter: &metrics.Counter{N: n, Events: events}}
}

func limit(v float64) *float64 { return &v }

func errorsBelow(max float64, least int64) analysis.Metric {
	return analysis.Metric{Name: "errors", Better: "lower", Max: &max, MinCount: least}
}

func TestVerdicts(t *testing.T) {
	latency := analysis.Metric{Name: "latency", Max: limit(0.5), MinCount: 10, Quantile: 0.9}
	hist := func(counts ...int64) metrics.Release {
		return metrics.Release{Histogram: &metrics.Histogram{Bounds: []float64{0.1, 0.5, 1}, Counts: counts}}
	}
	for name, tt := range map[string]struct {
		metrics    []analysis.Metric
		looks      []any // analysis.Look, or a minute at which a step begins
		harm, step analysis.Verdict
	}{
		"nothing to analyse": {
			harm: analysis.Verdict{Value: strategy.NoAnalysis, Why: "There is nothing to analyse."},
			step: analysis.Verdict{Value: strategy.NoAnalysis, Why: "There is nothing to analyse."},
		},
		"no look yet": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data since the step began."},
		},
		"no data, with its reason": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", metrics.Release{NoData: "no request yet"})},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data: no request yet."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data since the step began: no request yet."},
		},
		"too few, though all are bad": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(49, 49))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 49, Why: "errors has 49 observations, 50 are needed."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 49, Why: "errors has 49 observations since the step began, 50 are needed."},
		},
		"enough and good": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(30, 0)), minute(1, "errors", "main", counter(170, 1))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 200, Why: "errors is 0.5% (1 of 200), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 200, Why: "errors is 0.5% (1 of 200), within its limit of 1%."},
		},
		"exactly at the limit is within": {
			metrics: []analysis.Metric{errorsBelow(0.01, 1)},
			looks:   []any{minute(0, "errors", "main", counter(100, 1))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 100, Why: "errors is 1% (1 of 100), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 100, Why: "errors is 1% (1 of 100), within its limit of 1%."},
		},
		"harm": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(1000, 42))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 1000, Why: "errors is 4.2% (42 of 1000), above its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Fail, N: 1000, Why: "errors is 4.2% (42 of 1000) since the step began, above its limit of 1%."},
		},
		"below a least value": {
			metrics: []analysis.Metric{{Name: "success", Min: limit(0.99)}},
			looks:   []any{minute(0, "success", "main", counter(100, 98))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "success is 98% (98 of 100), below its limit of 99%."},
			step:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "success is 98% (98 of 100) since the step began, below its limit of 99%."},
		},
		"a new step begins with nothing": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(200, 0)), 1, minute(1, "errors", "main", counter(10, 0))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 210, Why: "errors is 0% (0 of 210), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 10, Why: "errors has 10 observations since the step began, 50 are needed."},
		},
		"a step that is told twice goes on": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{0, minute(0, "errors", "main", counter(200, 0)), 0},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 200, Why: "errors is 0% (0 of 200), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 200, Why: "errors is 0% (0 of 200), within its limit of 1%."},
		},
		"a look that began before the step is not of the step": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{1, minute(0, "errors", "main", counter(200, 0))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 200, Why: "errors is 0% (0 of 200), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 0, NoData: true, Why: "errors has no data since the step began."},
		},
		"harm in the step, hidden in the whole": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(100_000, 0)), 1, minute(1, "errors", "main", counter(100, 9))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "errors is 9% (9 of 100) since the step began, above its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "errors is 9% (9 of 100) since the step began, above its limit of 1%."},
		},
		"harm is not taken back by a new step, nor by good data": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(100, 9)), 1, minute(1, "errors", "main", counter(100_000, 0))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "errors is 9% (9 of 100), above its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 100_000, Why: "errors is 0% (0 of 100000), within its limit of 1%."},
		},
		"harm at one target, hidden by the other": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "eu", counter(100_000, 0)), minute(0, "errors", "us", counter(100, 5))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: `errors is 5% (5 of 100) on target "us", above its limit of 1%.`},
			step:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: `errors is 5% (5 of 100) on target "us" since the step began, above its limit of 1%.`},
		},
		"targets that are too small count together": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "eu", counter(30, 2)), minute(0, "errors", "us", counter(30, 2))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 60, Why: "errors is 6.667% (4 of 60), above its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Fail, N: 60, Why: "errors is 6.667% (4 of 60) since the step began, above its limit of 1%."},
		},
		"every metric must have enough": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50), latency},
			looks:   []any{minute(0, "errors", "main", counter(100, 0)), minute(0, "latency", "main", hist(5, 0, 0, 0))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 5, Why: "latency has 5 observations, 10 are needed."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 5, Why: "latency has 5 observations since the step began, 10 are needed."},
		},
		"all metrics pass": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50), latency},
			looks:   []any{minute(0, "errors", "main", counter(100, 0)), minute(0, "latency", "main", hist(80, 20, 0, 0))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 100, Why: "errors is 0% (0 of 100), within its limit of 1%; latency is 0.3 (the 0.9 quantile of 100 observations), within its limit of 0.5."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 100, Why: "errors is 0% (0 of 100), within its limit of 1%; latency is 0.3 (the 0.9 quantile of 100 observations), within its limit of 0.5."},
		},
		"a quantile beyond the last bucket": {
			metrics: []analysis.Metric{latency},
			looks:   []any{minute(0, "latency", "main", hist(0, 0, 0, 100))},
			harm:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "latency is more than 1 (the 0.9 quantile of 100 observations), above its limit of 0.5."},
			step:    analysis.Verdict{Value: strategy.Fail, N: 100, Why: "latency is more than 1 (the 0.9 quantile of 100 observations) since the step began, above its limit of 0.5."},
		},
		"a limit beyond the last bucket": {
			metrics: []analysis.Metric{{Name: "latency", Max: limit(5)}},
			looks:   []any{minute(0, "latency", "main", hist(0, 0, 0, 100))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 100, Why: "latency is more than 1 (the 0.99 quantile of 100 observations), and whether that is within its limit of 5 cannot be told: the buckets end there."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 100, Why: "latency is more than 1 (the 0.99 quantile of 100 observations), and whether that is within its limit of 5 cannot be told: the buckets end there."},
		},
		"samples have a mean": {
			metrics: []analysis.Metric{{Name: "queue", Min: limit(1), Max: limit(4)}},
			looks:   []any{minute(0, "queue", "main", metrics.Release{Samples: []float64{1, 2, 3, math.NaN(), math.Inf(1)}})},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 3, Why: "queue is 2 (the mean of 3 observations), within its limits of 1 and 4."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 3, Why: "queue is 2 (the mean of 3 observations), within its limits of 1 and 4."},
		},
		"nothing but nonsense": {
			metrics: []analysis.Metric{{Name: "queue", Max: limit(4)}},
			looks:   []any{minute(0, "queue", "main", metrics.Release{Samples: []float64{math.NaN()}})},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "queue has no data: 1 of 1 samples were no finite numbers."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "queue has no data since the step began: 1 of 1 samples were no finite numbers."},
		},
		"negative counts": {
			metrics: []analysis.Metric{errorsBelow(0.01, 1)},
			looks:   []any{minute(0, "errors", "main", counter(-5, 0)), minute(1, "errors", "main", counter(5, 6))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data: a count of 6 events among 5 observations makes no sense."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "errors has no data since the step began: a count of 6 events among 5 observations makes no sense."},
		},
		"a histogram that makes no sense": {
			metrics: []analysis.Metric{latency},
			looks:   []any{minute(0, "latency", "main", metrics.Release{Histogram: &metrics.Histogram{Bounds: []float64{2, 1}, Counts: []int64{9, 9, 9}}})},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "latency has no data: a histogram without ascending bounds and a count for each bucket makes no sense."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, NoData: true, Why: "latency has no data since the step began: a histogram without ascending bounds and a count for each bucket makes no sense."},
		},
		"no limit": {
			metrics: []analysis.Metric{{Name: "errors"}},
			looks:   []any{minute(0, "errors", "main", counter(100, 100))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 100, Why: "errors has no limit, so nothing can be said of it."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 100, Why: "errors has no limit, so nothing can be said of it."},
		},
		"two kinds of data": {
			metrics: []analysis.Metric{errorsBelow(0.01, 1)},
			looks:   []any{minute(0, "errors", "main", counter(10, 0)), minute(1, "errors", "main", hist(1, 1, 1, 1))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 14, Why: "errors has data of kinds that cannot be added up."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 14, Why: "errors has data of kinds that cannot be added up since the step began."},
		},
		"the same look twice counts once": {
			metrics: []analysis.Metric{errorsBelow(0.01, 50)},
			looks:   []any{minute(0, "errors", "main", counter(30, 0)), minute(0, "errors", "main", counter(30, 0))},
			harm:    analysis.Verdict{Value: strategy.Inconclusive, N: 30, Why: "errors has 30 observations, 50 are needed."},
			step:    analysis.Verdict{Value: strategy.Inconclusive, N: 30, Why: "errors has 30 observations since the step began, 50 are needed."},
		},
		"a metric that nobody asked for": {
			metrics: []analysis.Metric{errorsBelow(0.01, 1)},
			looks:   []any{minute(0, "errors", "main", counter(5, 0)), minute(0, "others", "main", counter(100, 100))},
			harm:    analysis.Verdict{Value: strategy.Pass, N: 5, Why: "errors is 0% (0 of 5), within its limit of 1%."},
			step:    analysis.Verdict{Value: strategy.Pass, N: 5, Why: "errors is 0% (0 of 5), within its limit of 1%."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := analysis.New(tt.metrics)
			for _, l := range tt.looks {
				switch x := l.(type) {
				case analysis.Look:
					s.Observe(x)
				case int:
					s.StepBegan(epoch.Add(time.Duration(x) * time.Minute))
				}
				s = throughJSON(t, s)
			}
			if d := cmp.Diff(tt.harm, s.Harm()); d != "" {
				t.Errorf("harm (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.step, s.Step()); d != "" {
				t.Errorf("step (-want +got):\n%s", d)
			}
		})
	}
}

func throughJSON(t interface{ Fatal(...any) }, s *analysis.State) *analysis.State {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out := new(analysis.State)
	if err := json.Unmarshal(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAStateStaysSmall(t *testing.T) {
	s := analysis.New([]analysis.Metric{errorsBelow(0.01, 50), {Name: "latency", Max: limit(1)}, {Name: "queue", Max: limit(1e300)}})
	many := make([]float64, 1000)
	for i := range 2000 {
		for j := range many {
			many[j] = math.Pow(10, float64((i*7919+j*104729)%600-300)) * float64(1-2*(j%2))
		}
		s.Observe(minute(i, "errors", "main", counter(100, 0)))
		s.Observe(minute(i, "latency", "main", metrics.Release{Histogram: &metrics.Histogram{Bounds: []float64{0.1, 1}, Counts: []int64{math.MaxInt64 / 3, 1, 1}}}))
		s.Observe(minute(i, "queue", "main", metrics.Release{Samples: many}))
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 256<<10 {
		t.Errorf("%d bytes", len(b))
	}
	if v := throughJSON(t, s).Harm(); v.Value == strategy.Fail && !strings.HasPrefix(v.Why, "queue") {
		t.Errorf("an overflow was taken for harm: %+v", v)
	}
}

func TestADamagedStateIsRefused(t *testing.T) {
	for _, text := range []string{
		`{`, `[]`, `{"version":"static/0"}`, `{"version":"static/1","series":[null]}`,
		`{"version":"static/1","series":[{"metric":"m","whole":{"histogram":{"bounds":[1],"counts":[1]}}}]}`,
		`{"version":"static/1","series":[{"metric":"m","step":{"samples":{"n":1,"positive":{"99999999":1}}}}]}`,
		`{"version":"static/1","series":[{"metric":"m","whole":{"counter":{"n":-1}}}]}`,
	} {
		if err := json.Unmarshal([]byte(text), new(analysis.State)); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// Whatever comes in: no panic, numbers that make sense, harm that stays, and the
// same verdicts after a way through JSON.
func TestAnyLooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := analysis.New([]analysis.Metric{
			errorsBelow(0.1, 5), {Name: "latency", Min: limit(-1), Max: limit(3), Quantile: 0.5, MinCount: 3}, {Name: "queue", Max: limit(2), Quantile: rapid.Float64Range(0, 1).Draw(t, "q")},
		})
		harmed := false
		for i := range rapid.IntRange(0, 30).Draw(t, "looks") {
			if rapid.IntRange(0, 5).Draw(t, "step") == 0 {
				s.StepBegan(epoch.Add(time.Duration(i) * time.Minute))
			}
			var r metrics.Release
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				r = counter(rapid.Int64().Draw(t, "n"), rapid.Int64().Draw(t, "events"))
			case 1:
				r.Histogram = &metrics.Histogram{Bounds: rapid.SliceOfN(rapid.Float64(), 0, 3).Draw(t, "bounds"), Counts: rapid.SliceOfN(rapid.Int64(), 0, 4).Draw(t, "counts")}
			case 2:
				r.Samples = rapid.SliceOf(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0}))).Draw(t, "samples")
			}
			name := rapid.SampledFrom([]string{"errors", "latency", "queue", "other"}).Draw(t, "metric")
			s.Observe(minute(i, name, fmt.Sprint(i%2), r))
			harm, step := s.Harm(), s.Step()
			again := throughJSON(t, s)
			if h, st := again.Harm(), again.Step(); h != harm || st != step {
				t.Fatalf("after a way through JSON %+v became %+v, %+v became %+v", harm, h, step, st)
			}
			if harmed && harm.Value != strategy.Fail {
				t.Fatalf("harm was taken back: %+v", harm)
			}
			harmed = harm.Value == strategy.Fail
			if step.Value == strategy.Fail && !harmed {
				t.Fatalf("the step fails, and there is no harm: %+v, %+v", step, harm)
			}
			for _, v := range []analysis.Verdict{harm, step} {
				if v.N < 0 || v.Why == "" || !strings.HasSuffix(v.Why, ".") || strings.Contains(v.Why, "NaN") {
					t.Fatalf("%+v", v)
				}
			}
		}
	})
}

func TestQuantilesOfSamplesAreExactToOnePercent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Float64Range(1e-9, 1e12).Draw(t, "v")
		if rapid.Bool().Draw(t, "negative") {
			v = -v
		}
		// v is the median; a limit one and a half percent above it holds, one below does not.
		samples := []float64{v - math.Abs(v)*10, v, v + math.Abs(v)*10}
		verdict := func(max float64) strategy.VerdictValue {
			s := analysis.New([]analysis.Metric{{Name: "x", Max: &max, Quantile: 0.5}})
			s.Observe(minute(0, "x", "main", metrics.Release{Samples: samples}))
			return s.Harm().Value
		}
		if verdict(v+math.Abs(v)*0.015) != strategy.Pass || verdict(v-math.Abs(v)*0.015) != strategy.Fail {
			t.Fatalf("the median of %v is off", samples)
		}
	})
}
