package series

import (
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
)

// Most is how many points of a line are given at the most.
const Most = 500

// Point is a value at a moment. Where Gap is set there was none.
type Point struct {
	At    time.Time
	Value float64
	Gap   bool
}

// Line is values over time. It keeps no more than twice Most points; those that go
// are never the highest or the lowest of their time. The zero value is ready.
type Line struct {
	points []Point
}

// Add takes a value, at its place in time. Another one of the same moment is
// dropped: the judge has not counted it either. What is no finite number is a gap, and so is what
// is not there.
func (l *Line) Add(at time.Time, v float64, there bool) {
	p := Point{At: at, Value: v}
	if !there || math.IsNaN(v) || math.IsInf(v, 0) {
		p = Point{At: at, Gap: true}
	}
	i, known := slices.BinarySearchFunc(l.points, at, func(p Point, at time.Time) int { return p.At.Compare(at) })
	if known {
		return
	}
	l.points = slices.Insert(l.points, i, p)
	if len(l.points) > 2*Most {
		l.points = thin(l.points, Most)
	}
}

func (l *Line) reading(at time.Time, r analysis.Reading) { l.Add(at, r.Value, r.Reason == "") }

// Points are at most Most, in the order of time.
func (l *Line) Points() []Point { return thin(l.points, Most) }

// Empty reports whether there was no value at all.
func (l *Line) Empty() bool {
	return !slices.ContainsFunc(l.points, func(p Point) bool { return !p.Gap })
}

// thin keeps of each stretch its ends, its extremes and a gap.
func thin(points []Point, most int) []Point {
	if len(points) <= most {
		return slices.Clone(points)
	}
	const each = 5
	stretches := max(most/each, 1)
	out := make([]Point, 0, most)
	for i := range stretches {
		from, to := i*len(points)/stretches, (i+1)*len(points)/stretches
		low, high, gap := -1, -1, -1
		for j := from; j < to; j++ {
			switch p := points[j]; {
			case p.Gap:
				gap = j
			default:
				if low < 0 || p.Value < points[low].Value {
					low = j
				}
				if high < 0 || p.Value > points[high].Value {
					high = j
				}
			}
		}
		keep := []int{from, low, high, gap, to - 1}
		slices.Sort(keep)
		for _, j := range slices.Compact(keep) {
			if j >= 0 {
				out = append(out, points[j])
			}
		}
	}
	return out
}

// Cells are the means of lines in n stretches of their time, for the narrow drawing of
// a terminal. All groups of lines share their stretches; where there are fewer moments
// than n, each is one, and where there are none there is nothing. A stretch without
// a value is a NaN.
func Cells(n int, groups ...[]*Line) [][]float64 {
	var moments []int64
	for _, lines := range groups {
		for _, l := range lines {
			for _, p := range l.points {
				moments = append(moments, p.At.UnixNano())
			}
		}
	}
	slices.Sort(moments)
	moments = slices.Compact(moments)
	n = max(0, min(n, len(moments)))
	out := make([][]float64, len(groups))
	for g, lines := range groups {
		if n == 0 {
			break
		}
		sums, counts := make([]float64, n), make([]float64, n)
		for _, l := range lines {
			// Both are in the order of time.
			i := 0
			for _, p := range l.points {
				for at := p.At.UnixNano(); i < len(moments)-1 && moments[i] < at; {
					i++
				}
				if !p.Gap {
					cell := i * n / len(moments)
					sums[cell] += p.Value
					counts[cell]++
				}
			}
		}
		for i := range sums {
			sums[i] /= counts[i]
		}
		out[g] = sums
	}
	return out
}
