package reading_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/plugins/prometheus/internal/reading"
)

func at(seconds float64) time.Time { return time.UnixMilli(int64(1_700_000_000_000 + seconds*1000)) }

// series has one sample each 15 seconds; NaN is a scrape that is missing.
func series(name, process string, values ...float64) reading.Series {
	s := reading.Series{Name: name, Process: process}
	for i, v := range values {
		if !math.IsNaN(v) {
			s.Samples = append(s.Samples, reading.Sample{At: at(float64(15 * i)).UnixMilli(), Value: v})
		}
	}
	return s
}

func TestCount(t *testing.T) {
	missing := math.NaN()
	long := make([]float64, 22) // more than a lookback of 15 s scrapes
	for i := range long {
		long[i] = missing
	}
	window := func(from, to float64) reading.Range { return reading.Range{From: at(from), To: at(to)} }
	for _, tt := range []struct {
		name   string
		r      reading.Range
		series []reading.Series
		others []reading.Series
		want   reading.Counted
	}{
		{"what came between two scrapes counts for the later one", window(15, 30), []reading.Series{series("a", "", 1, 5, 100)}, nil, reading.Counted{N: 4, Scrapes: 1, Compared: 1}},
		{"the end is not part of the window", window(0, 15), []reading.Series{series("a", "", 1, 5)}, nil, reading.Counted{Scrapes: 1}},
		{"a millisecond later it is", window(14.999, 15.001), []reading.Series{series("a", "", 1, 5)}, nil, reading.Counted{N: 4, Scrapes: 1, Compared: 1}},
		{"several are added", window(1, 100), []reading.Series{series("a", "", 1, 5), series("b", "", 10, 20, 30)}, nil, reading.Counted{N: 24, Scrapes: 3, Compared: 3}},
		{"a reset counts what came since", window(1, 100), []reading.Series{series("a", "", 100, 110, 3, 4)}, nil, reading.Counted{N: 14, Scrapes: 3, Compared: 3}},
		{"a missing scrape loses nothing", window(1, 100), []reading.Series{series("a", "", 100, missing, 103)}, nil, reading.Counted{N: 3, Scrapes: 1, Compared: 1}},
		{"after a long gap nobody knows", window(1, 1000), []reading.Series{series("a", "", slices.Concat([]float64{1}, long, []float64{50, 51})...)}, nil, reading.Counted{N: 1, Scrapes: 2, Compared: 1}},
		{"the first of an old release tells nothing", window(0, 100), []reading.Series{series("a", "p", 40, 41)}, nil, reading.Counted{N: 1, Scrapes: 2, Compared: 1}},
		{
			"the first of a young release counts from zero",
			reading.Range{From: at(0), To: at(100), Created: at(-20)},
			[]reading.Series{series("a", "p", 40, 41)}, nil, reading.Counted{N: 41, Scrapes: 2, Compared: 2},
		},
		{
			"a release is young for a lookback only",
			reading.Range{From: at(0), To: at(100), Created: at(-301)},
			[]reading.Series{series("a", "p", 40)}, nil, reading.Counted{Scrapes: 1},
		},
		{
			"the first error of a process that was scraped before counts",
			window(1, 100), []reading.Series{series("500", "p", missing, 1, 2)}, []reading.Series{series("200", "p", 70, 80)},
			reading.Counted{N: 2, Scrapes: 2, Compared: 2},
		},
		{
			"another process says nothing of this one",
			window(1, 100), []reading.Series{series("500", "p", missing, 1, 2)}, []reading.Series{series("200", "q", 70, 80)},
			reading.Counted{N: 1, Scrapes: 2, Compared: 1},
		},
		{
			"a process that came with its counters was not scraped before",
			window(1, 100), []reading.Series{series("500", "p", missing, 5)}, []reading.Series{series("200", "p", missing, 80)},
			reading.Counted{Scrapes: 1},
		},
		{"nothing is there", window(1, 100), nil, nil, reading.Counted{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.r.Count(tt.series, slices.Concat(tt.series, tt.others))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("counted (-want +got):\n%s", d)
			}
		})
	}
}

// Whatever was scraped, and however a time is cut into windows, the sums are the same.
func TestWindowsSideBySide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []reading.Series
		for i := range rapid.IntRange(1, 4).Draw(t, "series") {
			s := reading.Series{Name: string(rune('a' + i)), Process: rapid.SampledFrom([]string{"", "p", "q"}).Draw(t, "process")}
			now := at(0).UnixMilli()
			v := 0.0
			for range rapid.IntRange(0, 30).Draw(t, "samples") {
				now += int64(rapid.IntRange(1, 400_000).Draw(t, "pause"))
				v += rapid.Float64Range(0, 100).Draw(t, "grown")
				if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
					v = rapid.Float64Range(0, 10).Draw(t, "since")
				}
				bounds := []float64{1, 2, math.Inf(1)}
				s.Samples = append(s.Samples, reading.Sample{At: now, Value: v, Dist: reading.Cumulative(bounds, []float64{math.Floor(v / 3), math.Floor(v / 2), v})})
			}
			all = append(all, s)
		}
		created := time.Time{}
		if rapid.Bool().Draw(t, "known") {
			created = at(float64(rapid.IntRange(0, 5000).Draw(t, "created")))
		}
		cuts := rapid.SliceOfN(rapid.Float64Range(0, 12_000), 2, 8).Draw(t, "cuts")
		slices.Sort(cuts)
		r := func(from, to float64) reading.Range {
			return reading.Range{From: at(from), To: at(to), Created: created}
		}
		var sum reading.Counted
		var dist int64
		values := 0
		for i := 1; i < len(cuts); i++ {
			part := r(cuts[i-1], cuts[i])
			c := part.Count(all, all)
			sum.N, sum.Scrapes, sum.Compared = sum.N+c.N, sum.Scrapes+c.Scrapes, sum.Compared+c.Compared
			_, d := part.Distribution(all)
			dist += d.N
			values += len(part.Values(all))
		}
		whole := r(cuts[0], cuts[len(cuts)-1])
		if got := whole.Count(all, all); got != sum {
			t.Errorf("the whole is %+v, its parts %+v", got, sum)
		}
		if _, got := whole.Distribution(all); got.N != dist {
			t.Errorf("the whole has %d observations, its parts %d", got.N, dist)
		}
		if got := len(whole.Values(all)); got != values {
			t.Errorf("the whole has %d values, its parts %d", got, values)
		}
	})
}

// A counter that is read while it runs comes to what happened, restarts and all:
// each life ends with a scrape.
func TestCountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := reading.Series{Name: "a", Process: "p", Samples: []reading.Sample{{At: at(0).UnixMilli()}}}
		truth := int64(0)
		v := 0.0
		for i := range rapid.IntRange(1, 50).Draw(t, "samples") {
			grown := rapid.IntRange(1, 1000).Draw(t, "grown")
			if rapid.IntRange(0, 5).Draw(t, "restart") == 0 && float64(grown) < v {
				v = 0
			}
			v += float64(grown)
			truth += int64(grown)
			s.Samples = append(s.Samples, reading.Sample{At: at(float64(i+1) * 15).UnixMilli(), Value: v})
		}
		if got := (reading.Range{From: at(1), To: at(10_000)}).Count([]reading.Series{s}, nil); got.N != truth {
			t.Errorf("counted %d, there were %d", got.N, truth)
		}
	})
}

func TestValues(t *testing.T) {
	r := reading.Range{From: at(0), To: at(30)}
	got := r.Values([]reading.Series{series("b", "", 3, math.NaN(), 99), series("a", "", -1, math.Inf(1)), series("c", "", math.NaN(), 2)})
	if d := cmp.Diff([]float64{-1, 3, 2}, got); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
	if got := (reading.Range{From: at(30), To: at(0)}).Values([]reading.Series{series("b", "", 3, 4, 5)}); len(got) != 0 {
		t.Errorf("a window that ends before it begins has the values %v", got)
	}
}

func TestInterval(t *testing.T) {
	odd := series("b", "", 1, 2, 3, 4)
	odd.Samples[3].At += 100_000
	for name, tt := range map[string]struct {
		series []reading.Series
		want   time.Duration
	}{
		"nothing":           {nil, 0},
		"one scrape":        {[]reading.Series{series("a", "", 1)}, 0},
		"usual":             {[]reading.Series{series("a", "", 1, 2, 3)}, 15 * time.Second},
		"one gap is not":    {[]reading.Series{odd}, 15 * time.Second},
		"the longest of it": {[]reading.Series{series("a", "", 1, 2, 3), series("b", "", 1, math.NaN(), 3, math.NaN(), 5)}, 30 * time.Second},
	} {
		if got := reading.Interval(tt.series); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
