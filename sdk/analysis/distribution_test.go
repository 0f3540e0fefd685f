package analysis_test

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

func TestDistributions(t *testing.T) {
	// Times double in the candidate; the buckets are those of Prometheus.
	bounds := []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	samples := func(factor float64, i int) (out []float64) {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		for range 200 {
			out = append(out, factor*math.Exp(random.NormFloat64())/10)
		}
		return out
	}
	histogram := func(values []float64) metrics.Release {
		h := &metrics.Histogram{Bounds: bounds, Counts: make([]int64, len(bounds)+1)}
		for _, v := range values {
			j, _ := slices.BinarySearch(bounds, v)
			h.Counts[j]++
		}
		return metrics.Release{Histogram: h}
	}
	// Native buckets grow by a constant factor, and only those with something in
	// them are sent, with their lower bounds.
	native := func(values []float64) metrics.Release {
		counts := map[int]int64{}
		for _, v := range values {
			counts[int(math.Ceil(math.Log2(v)*8))]++
		}
		h := &metrics.Histogram{Counts: []int64{0}}
		for _, b := range slices.Sorted(maps.Keys(counts)) {
			if low := math.Exp2(float64(b-1) / 8); len(h.Bounds) == 0 || h.Bounds[len(h.Bounds)-1] < low*0.999 {
				h.Bounds, h.Counts = append(h.Bounds, low), append(h.Counts, 0)
			}
			h.Counts[len(h.Counts)-1] = counts[b]
			h.Bounds, h.Counts = append(h.Bounds, math.Exp2(float64(b)/8)), append(h.Counts, 0)
		}
		return metrics.Release{Histogram: h}
	}
	raw := func(values []float64) metrics.Release { return metrics.Release{Samples: values} }
	for name, form := range map[string]func([]float64) metrics.Release{"histogram": histogram, "native histogram": native, "samples": raw} {
		for _, known := range []bool{true, false} {
			var past *analysis.Past
			if known {
				var day []analysis.Measured
				for i := range 300 {
					from := epoch.Add(time.Duration(i-300) * time.Minute)
					day = append(day, analysis.Measured{From: from, To: from.Add(time.Minute), Release: form(samples(1, i))})
				}
				past = analysis.Learn(comparedLatency(nil), day)
				if !past.Independent || len(past.Bounds) < 3 {
					t.Fatalf("%s: %+v", name, past)
				}
			}
			for factor, want := range map[float64]strategy.VerdictValue{0.9: strategy.Pass, 2: strategy.Fail, 0.5: strategy.Pass} {
				s := analysis.New([]analysis.Metric{comparedLatency(past)})
				for i := range 60 {
					s.Observe(both(i, "latency", form(samples(factor, 2*i)), form(samples(1, 2*i+1))))
					s.Harm()
					s = throughJSON(t, s)
				}
				harm := s.Harm()
				if !known && want == strategy.Pass && harm.Value == strategy.Inconclusive {
					continue // without a past it takes longer
				}
				if harm.Value != want {
					t.Errorf("%s, past known %v, factor %v: %+v", name, known, factor, harm)
				}
				if want == strategy.Fail && !strings.Contains(harm.Why, "latency above ") {
					t.Errorf("%q does not name the bound", harm.Why)
				}
			}
		}
	}
}

// The state of ten histograms that are compared at as many bounds as there can be
// fits into a fact, as base64 of JSON.
func TestAComparedStateStaysSmall(t *testing.T) {
	past := &analysis.Past{Dispersion: 3}
	h := &metrics.Histogram{Counts: []int64{1}}
	for i := range 8 {
		past.Bounds, past.Rates = append(past.Bounds, float64(i)+0.123456789), append(past.Rates, 0.123456789)
		h.Bounds, h.Counts = append(h.Bounds, float64(i)+0.123456789), append(h.Counts, int64(1234567+i*i))
	}
	s := tenMetrics(func(i int) analysis.Metric {
		m := comparedLatency(past)
		m.Name = names[i]
		return m
	})
	for i := range 100 {
		if i%30 == 0 {
			s.StepBegan(epoch.Add(time.Duration(i) * time.Minute))
		}
		for _, name := range names {
			s.Observe(both(i, name, metrics.Release{Histogram: h}, metrics.Release{Histogram: h}))
		}
		s.Harm()
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if size := len(b) * 4 / 3; size > 256<<10 {
		t.Errorf("%d bytes", size)
	} else {
		t.Logf("%d bytes", size)
	}
}

func tenMetrics(form func(i int) analysis.Metric) *analysis.State {
	var all []analysis.Metric
	for i := range 10 {
		all = append(all, form(i))
	}
	return analysis.New(all)
}

// BenchmarkReplay judges an hour of ten metrics, with both verdicts every minute.
func BenchmarkReplay(b *testing.B) {
	bounds := []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	histogram := metrics.Release{Histogram: &metrics.Histogram{Bounds: bounds, Counts: []int64{1, 9, 40, 100, 200, 100, 30, 12, 5, 2, 1, 0}}}
	for name, tt := range map[string]struct {
		past    *analysis.Past
		release metrics.Release
	}{"counts": {steadily, counter(1000, 5)}, "counts without a past": {nil, counter(1000, 5)}, "histograms": {nil, histogram}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := tenMetrics(func(i int) analysis.Metric {
					m := compared(tt.past)
					m.Name = names[i]
					return m
				})
				for i := range 60 {
					for _, n := range names {
						s.Observe(both(i, n, tt.release, tt.release))
					}
					s.Harm()
					s.Step()
				}
			}
		})
	}
}

var names = []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"}
