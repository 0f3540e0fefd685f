package worlds_test

import (
	"math"
	"testing"

	"github.com/runner-pipelines/runner/core/internal/worlds"
)

// The worlds are as they say: means, and an index of three.
func TestWorlds(t *testing.T) {
	const n = 20_000
	service := worlds.Traffic{Candidate: 1000, Stable: 1000, Base: 0.01}
	for _, nature := range []worlds.Nature{worlds.Independent, worlds.Drift, worlds.Outage, worlds.BetaMinutes, worlds.Bursts, worlds.Unaligned, worlds.LongBursts} {
		for _, parts := range []int{1, 60} {
			if parts == 60 && nature != worlds.Bursts && nature != worlds.Unaligned {
				continue
			}
			w := worlds.New(nature, service, 1, worlds.NewDice("worlds "+string(nature), parts))
			sum, squares, requests := 0.0, 0.0, 0.0
			count := n / parts
			if parts == 60 {
				count = 4000
			}
			for m := range count {
				x := 0.0
				for _, k := range w.Minute(m, parts) {
					x += k.Xc
					requests += k.Nc
				}
				sum, squares = sum+x, squares+x*x
			}
			mean := sum / float64(count)
			variance := squares/float64(count) - mean*mean
			if r := requests / float64(count); nature != worlds.Drift && math.Abs(r-1000) > 5 {
				t.Errorf("%s: %v requests a minute", nature, r)
			}
			if nature == worlds.Outage || nature == worlds.Drift {
				continue
			}
			if math.Abs(mean-10) > 0.7 {
				t.Errorf("%s in %d parts: %v errors a minute, want 10", nature, parts, mean)
			}
			want := map[string]float64{string(worlds.Independent): 1, string(worlds.Unaligned): 2.33}[string(nature)]
			if want == 0 {
				want = worlds.Index
			}
			if got := variance / mean; math.Abs(got-want) > 0.45 {
				t.Errorf("%s in %d parts: the index is %v, want %v", nature, parts, got, want)
			}
		}
	}
}

// Wilson's interval of 8 in 400, as computed by mpmath 1.3.0 from his formula.
func TestWilson(t *testing.T) {
	low, high := worlds.Wilson(8, 400)
	if math.Abs(low-0.0101683867916646466) > 1e-12 || math.Abs(high-0.0389634157692600044) > 1e-12 {
		t.Errorf("%v to %v", low, high)
	}
}
