package reading_test

import (
	"fmt"
	"math"
	"slices"
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

func TestNativeDistribution(t *testing.T) {
	for _, tt := range []struct {
		name   string
		series reading.Series
		want   []string
	}{
		{"what was added", distributions(native(1, 1, 0, 2), native(1, 1, 0, 5)), []string{"(2 4]: 3"}},
		{"a bucket more", distributions(native(1, 1), native(1, 1, 0, 5)), []string{"(2 4]: 5"}},
		{"a restart", distributions(native(1, 9), native(1, 0, 2)), []string{"(1 2]: 2"}},
		{
			"of a lower resolution than before",
			distributions(native(0.5, 1, 2, 3, 4), reading.NewDist([]reading.Bucket{{0.25, 1, 4}, {1, 4, 9}})),
			[]string{"(0.25 1]: 1", "(1 4]: 2"},
		},
		{
			"negative and zero",
			distributions(
				reading.NewDist([]reading.Bucket{{-2, -1, 1}, {-0.01, 0.01, 3}}),
				reading.NewDist([]reading.Bucket{{-2, -1, 2}, {-0.01, 0.01, 4}, {1, 2, 1}}),
			), []string{"(-2 -1]: 1", "(-0.01 0.01]: 1", "(1 2]: 1"},
		},
		{"born empty", distributions(reading.NewDist(nil), native(1, 7)), []string{"(0.5 1]: 7"}},
		{"with bounds of its own", distributions(reading.NewDist(nil), reading.NewDist([]reading.Bucket{{0.1, 0.3, 1}, {0.3, 0.7, 2}})), []string{"(0.1 0.3]: 1", "(0.3 0.7]: 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := reading.Range{From: at(1), To: at(100)}.Distribution([]reading.Series{tt.series})
			var got []string
			for i, n := range d.Counts {
				if n != 0 {
					got = append(got, fmt.Sprintf("(%g %g]: %d", d.Edges[i], d.Edges[i+1], n))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("buckets (-want +got):\n%s", diff)
			}
		})
	}
}

// Two native histograms have the same bounds where both have some, or one has each
// second, fourth, … of the other's, whatever was observed; and each bound is exact.
func TestGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := math.Exp2(-float64(rapid.IntRange(-2, 8).Draw(t, "schema")))
		var all [2]*reading.Dist
		for i := range all {
			indices := rapid.SliceOfNDistinct(rapid.IntRange(-20, 20), 1, 30, rapid.ID[int]).Draw(t, "observed")
			var b []reading.Bucket
			for _, k := range indices {
				// As servers do it: a table and an exponent.
				bound := func(k int) float64 {
					whole := math.Floor(float64(k) * step)
					return math.Ldexp(math.Pow(2, float64(k)*step-whole), int(whole))
				}
				b = append(b, reading.Bucket{Lower: bound(k), Upper: bound(k + 1), Count: 1})
			}
			fine := reading.NewDist(b)
			all[i] = fine.OnGrid()
			if len(all[i].Edges) > 420 {
				t.Fatalf("%d bounds", len(all[i].Edges))
			}
			for e, edge := range all[i].Edges {
				var want, got int64
				for _, x := range b {
					if x.Upper <= edge*(1+1e-9) {
						want++
					}
				}
				for _, n := range all[i].Counts[:e] {
					got += n
				}
				if got != want {
					t.Fatalf("%d observations up to %v, there were %d", got, edge, want)
				}
			}
		}
		a, b := all[0].Edges, all[1].Edges
		low, high := max(a[0], b[0]), min(a[len(a)-1], b[len(b)-1])
		inside := func(edges []float64) (out []float64) {
			for _, e := range edges {
				if e >= low && e <= high {
					out = append(out, e)
				}
			}
			return out
		}
		fine, coarse := inside(a), inside(b)
		if len(fine) < len(coarse) {
			fine, coarse = coarse, fine
		}
		for _, e := range coarse {
			if _, there := slices.BinarySearch(fine, e); !there {
				t.Errorf("of two histograms of step %v only one has the bound %v", step, e)
			}
		}
	})
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
