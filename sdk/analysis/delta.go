package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Delta turns the readings of cumulative counters, such as those of Prometheus,
// into what was added between them. It keeps the last reading only, and marshals
// to JSON. The zero value is ready.
type Delta struct {
	At     time.Time `json:"at,omitzero"`
	Values []float64 `json:"values,omitempty"`
}

// Added is what counters have grown by in a window.
type Added struct {
	From, To time.Time
	// Counts are in the order of the readings.
	Counts []int64
	// Reset says that the counters began again within the window; then Counts are
	// what they came to since, which is the least that was added.
	Reset bool
}

// Add takes the reading of some counters of one process at a moment, and is false
// with the reason when it adds nothing: the first one, one that is not newer than
// the last, and one that makes no sense, such as a negative number. One
// counter that fell has begun again, and all others with it.
func (d *Delta) Add(at time.Time, values ...float64) (Added, string) {
	for _, v := range values {
		if !(v >= 0 && v <= 1<<53) {
			return Added{}, fmt.Sprintf("a counter cannot be %v", v)
		}
	}
	switch {
	case d.Values == nil:
		d.At, d.Values = at, slices.Clone(values)
		return Added{}, "one reading of a counter tells nothing yet"
	case len(values) != len(d.Values):
		d.At, d.Values = at, slices.Clone(values)
		return Added{}, "there are other counters than before"
	case !at.After(d.At):
		return Added{}, "a reading is not newer than the last"
	}
	out := Added{From: d.At, To: at}
	for i, v := range values {
		out.Reset = out.Reset || v < d.Values[i]
	}
	for i, v := range values {
		if !out.Reset {
			v -= d.Values[i]
		}
		out.Counts = append(out.Counts, int64(math.Round(v)))
	}
	d.At, d.Values = at, slices.Clone(values)
	return out, ""
}
