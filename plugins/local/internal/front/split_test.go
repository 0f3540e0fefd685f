package front

import (
	"testing"

	"github.com/runner-pipelines/runner/sdk/target"
)

// TestSequenceKeepsShares looks at every run of requests, not only at long
// ones from the start: a canary's share must be right in whatever moment a
// bake happens to cover.
func TestSequenceKeepsShares(t *testing.T) {
	const most = 5.0
	for _, weight := range []target.Weight{10, 100, 1_000, 5_000, 25_000, 33_333, 50_000, 99_000} {
		var seq sequence
		const n = 200_000
		share := float64(weight) / float64(target.Full)
		// The error over any run is the difference of two of these sums.
		var sum, low, high float64
		for range n {
			if seq.next(uint64(target.Full)) < uint64(weight) {
				sum++
			}
			sum -= share
			low, high = min(low, sum), max(high, sum)
		}
		if high-low > most {
			t.Errorf("weight %v: some run of requests is off by %.2f requests, at most %v allowed", weight, high-low, most)
		}
	}
}

// TestSequenceIsRightForFew is what the comment on sequence promises.
func TestSequenceIsRightForFew(t *testing.T) {
	var seq sequence
	hits := make([]int, 10_000)
	for i := range hits {
		if seq.next(100) < 5 {
			hits[i] = 1
		}
	}
	for first := range len(hits) - 100 {
		n := 0
		for _, hit := range hits[first : first+100] {
			n += hit
		}
		if n < 4 || n > 6 {
			t.Fatalf("of the 100 requests from number %d, %d went to a release with 5 %%", first, n)
		}
	}
}

// TestSequenceHasNoRhythm takes every k-th request, as a page does that always
// makes k of them: their share must be right too.
func TestSequenceHasNoRhythm(t *testing.T) {
	const weight, n = 5_000, 4_000
	for stride := 2; stride <= 100; stride++ {
		var seq sequence
		hits := 0
		for i := range n * stride {
			if seq.next(uint64(target.Full)) < weight && i%stride == 0 {
				hits++
			}
		}
		if got := float64(hits) / n; got < 0.04 || got > 0.06 {
			t.Errorf("of every %d-th request %.2f %% are dealt to a release with 5 %%", stride, 100*got)
		}
	}
}
