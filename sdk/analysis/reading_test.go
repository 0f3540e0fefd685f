package analysis_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

func TestReadings(t *testing.T) {
	from := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	counter := func(n, events int64) metrics.Release {
		return metrics.Release{Counter: &metrics.Counter{N: n, Events: events}}
	}
	limit := 0.1
	for name, tt := range map[string]struct {
		metric            analysis.Metric
		candidate, stable metrics.Release
		share             float64
		want              [2]analysis.Reading
	}{
		"share of what is bad": {
			metric: analysis.Metric{Better: "lower", Compare: analysis.Standard()}, candidate: counter(100, 4), stable: counter(200, 2),
			want: [2]analysis.Reading{{Value: 0.04, Percent: true, N: 100}, {Value: 0.01, Percent: true, N: 200}},
		},
		"what is good is turned round where it is compared": {
			metric: analysis.Metric{Better: "higher", Compare: analysis.Standard()}, candidate: counter(100, 96), stable: counter(200, 198),
			want: [2]analysis.Reading{{Value: 0.04, Percent: true, N: 100}, {Value: 0.01, Percent: true, N: 200}},
		},
		"and stays where it has a limit": {
			metric: analysis.Metric{Better: "higher", Min: &limit}, candidate: counter(100, 96), stable: counter(200, 198),
			want: [2]analysis.Reading{{Value: 0.96, Percent: true, N: 100}, {Value: 0.99, Percent: true, N: 200}},
		},
		"a rate is that of all traffic": {
			metric: analysis.Metric{Better: "lower", Compare: &analysis.Compare{Rate: true}}, candidate: counter(0, 10), stable: counter(0, 30), share: 0.25,
			want: [2]analysis.Reading{{Value: 4, N: 10}, {Value: 4, N: 10}},
		},
		"a quantile": {
			metric:    analysis.Metric{Quantile: 0.5},
			candidate: metrics.Release{Histogram: &metrics.Histogram{Bounds: []float64{1, 2}, Counts: []int64{2, 2, 0}}},
			stable:    metrics.Release{Samples: []float64{5, 5, 5}},
			want:      [2]analysis.Reading{{Value: 1, N: 4}, {Value: 5, N: 3}},
		},
		"nothing there": {
			metric: analysis.Metric{}, candidate: counter(0, 0), stable: metrics.Release{NoData: "scraped too late"},
			want: [2]analysis.Reading{{Reason: "no traffic"}, {Reason: "scraped too late"}},
		},
		"nonsense": {
			metric: analysis.Metric{}, candidate: counter(1, 2), stable: metrics.Release{Histogram: &metrics.Histogram{}},
			want: [2]analysis.Reading{
				{Reason: "a count of 2 events among 1 observations makes no sense"},
				{Reason: "a histogram without ascending bounds and a count for each bucket makes no sense"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			candidate, stable := tt.metric.Readings(analysis.Look{From: from, To: from.Add(10 * time.Second), Candidate: tt.candidate, Stable: &tt.stable, Share: tt.share})
			if diff := cmp.Diff(tt.want, [2]analysis.Reading{candidate, stable}, cmpopts.EquateApprox(0.02, 0)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if _, stable := (analysis.Metric{}).Readings(analysis.Look{Candidate: counter(1, 0)}); stable.Reason == "" {
		t.Error("a stable release that was not measured has a value")
	}
}
