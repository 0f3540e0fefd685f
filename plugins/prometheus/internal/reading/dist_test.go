package reading_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/plugins/prometheus/internal/reading"
)

var inf = math.Inf(1)

// distributions are one histogram's readings, 15 seconds apart.
func distributions(all ...*reading.Dist) reading.Series {
	s := series("h", "p", make([]float64, len(all))...)
	for i, d := range all {
		s.Samples[i].Dist = d
	}
	return s
}

func native(upper float64, counts ...float64) *reading.Dist {
	var b []reading.Bucket
	for _, n := range counts {
		if n > 0 {
			b = append(b, reading.Bucket{Lower: upper / 2, Upper: upper, Count: n})
		}
		upper *= 2
	}
	return reading.NewDist(b)
}

func TestDistribution(t *testing.T) {
	classic := func(counts ...float64) *reading.Dist { return reading.Cumulative([]float64{1, 2, inf}, counts) }
	for _, tt := range []struct {
		name   string
		series []reading.Series
		bounds []float64
		counts []int64
	}{
		{"classic", []reading.Series{distributions(classic(1, 2, 3), classic(1, 4, 9))}, []float64{1, 2}, []int64{0, 2, 4}},
		{"two processes", []reading.Series{distributions(classic(1, 2, 3), classic(2, 3, 4)), distributions(classic(0, 0, 0), classic(0, 0, 1))}, []float64{1, 2}, []int64{1, 0, 1}},
		{"a restart", []reading.Series{distributions(classic(5, 9, 9), classic(0, 0, 1))}, []float64{1, 2}, []int64{0, 0, 1}},
		{"a restart that only one bucket shows", []reading.Series{distributions(classic(5, 6, 6), classic(1, 9, 9))}, []float64{1, 2}, []int64{1, 8, 0}},
		{
			"other buckets: what both know", []reading.Series{
				distributions(classic(0, 0, 0), classic(1, 2, 3)),
				distributions(reading.Cumulative([]float64{2, 3, inf}, []float64{0, 0, 0}), reading.Cumulative([]float64{2, 3, inf}, []float64{4, 5, 6})),
			}, []float64{2}, []int64{6, 3},
		},
		{
			"an edge inside of an empty bucket is known", []reading.Series{
				distributions(classic(0, 0, 0), classic(1, 1, 3)),
				distributions(reading.Cumulative([]float64{1.5, inf}, []float64{0, 0}), reading.Cumulative([]float64{1.5, inf}, []float64{4, 5})),
			}, []float64{1.5}, []int64{5, 3},
		},
		{"native", []reading.Series{distributions(native(1, 1, 0, 2), native(1, 1, 0, 5))}, []float64{0.5, 1, 2, 4}, []int64{0, 0, 0, 3, 0}},
		{"native, a bucket more", []reading.Series{distributions(native(1, 1), native(1, 1, 0, 5))}, []float64{0.5, 1, 2, 4}, []int64{0, 0, 0, 5, 0}},
		{"native, a restart", []reading.Series{distributions(native(1, 9), native(1, 0, 2))}, []float64{1, 2}, []int64{0, 2, 0}},
		{
			"native, of a lower resolution than before",
			[]reading.Series{distributions(native(1, 1, 2, 3, 4), reading.NewDist([]reading.Bucket{{0.5, 2, 4}, {2, 8, 9}}))},
			[]float64{0.5, 2, 8}, []int64{0, 1, 2, 0},
		},
		{"native, negative and zero", []reading.Series{distributions(
			reading.NewDist([]reading.Bucket{{-2, -1, 1}, {-0.1, 0.1, 3}}), reading.NewDist([]reading.Bucket{{-2, -1, 2}, {-0.1, 0.1, 4}, {1, 2, 1}}),
		)}, []float64{-2, -1, -0.1, 0.1, 1, 2}, []int64{0, 1, 0, 1, 0, 1, 0}},
		{"native, born empty", []reading.Series{distributions(reading.NewDist(nil), native(1, 7))}, []float64{0.5, 1}, []int64{0, 7, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := reading.Range{From: at(1), To: at(100)}
			d, counted := r.Distribution(tt.series)
			bounds, counts := d.Histogram()
			if diff := cmp.Diff(tt.bounds, bounds); diff != "" {
				t.Errorf("bounds (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.counts, counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			var n int64
			for _, c := range counts {
				n += c
			}
			if counted.N != n {
				t.Errorf("%d observations are said, %d are there", counted.N, n)
			}
		})
	}
}

func TestDistsThatCannotBe(t *testing.T) {
	for name, d := range map[string]*reading.Dist{
		"not to infinity":   reading.Cumulative([]float64{1, 2}, []float64{1, 2}),
		"none":              reading.Cumulative(nil, nil),
		"twice":             reading.Cumulative([]float64{1, 1, inf}, []float64{1, 2, 3}),
		"NaN":               reading.Cumulative([]float64{1, inf}, []float64{math.NaN(), 2}),
		"less than nothing": reading.Cumulative([]float64{1, inf}, []float64{-1, 2}),
		"overlap":           reading.NewDist([]reading.Bucket{{0, 2, 1}, {1, 3, 1}}),
		"upside down":       reading.NewDist([]reading.Bucket{{2, 1, 1}}),
		"NaN bound":         reading.NewDist([]reading.Bucket{{math.NaN(), 1, 1}}),
		"infinitely many":   reading.NewDist([]reading.Bucket{{0, 1, inf}}),
	} {
		if d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if d := reading.NewDist([]reading.Bucket{{0, 0, 4}, {1, 2, 1}}); d == nil || d.Counts[0] != 4 {
		t.Errorf("a bucket of exact zeroes: %+v", d)
	}
}

// A histogram that only grows is told bucket by bucket, whatever its resolution
// does; what is left of the bounds is exact.
func TestDistributionsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		observed := rapid.SliceOfN(rapid.IntRange(0, 63), 1, 60).Draw(t, "observed")
		width := 1
		var before []int
		s := distributions()
		for i := 0; i <= len(observed); i += 1 + rapid.IntRange(0, 9).Draw(t, "scrape") {
			before = observed[:i]
			if width < 16 && rapid.IntRange(0, 5).Draw(t, "coarser") == 0 {
				width *= 2
			}
			counts := make([]float64, 64/width)
			for _, x := range before {
				counts[x/width]++
			}
			var b []reading.Bucket
			for j, n := range counts {
				if n > 0 {
					b = append(b, reading.Bucket{Lower: float64(j * width), Upper: float64((j + 1) * width), Count: n})
				}
			}
			s.Samples = append(s.Samples, reading.Sample{At: at(float64(len(s.Samples))).UnixMilli(), Dist: reading.NewDist(b)})
		}
		d, _ := reading.Range{From: at(0.5), To: at(1000)}.Distribution([]reading.Series{s})
		bounds, counts := d.Histogram()
		if len(before) == 0 {
			if len(counts) != 0 {
				t.Errorf("nothing was observed, and %v told", counts)
			}
			return
		}
		for i, n := range counts {
			low, high := math.Inf(-1), inf
			if i > 0 {
				low = bounds[i-1]
			}
			if i < len(bounds) {
				high = bounds[i]
			}
			var want int64
			for _, x := range before {
				if v := float64(x) + 0.5; v > low && v <= high {
					want++
				}
			}
			if n != want {
				t.Errorf("%d observations from %v to %v, there were %d", n, low, high, want)
			}
		}
	})
}
