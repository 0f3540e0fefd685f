package reading

import (
	"math"
	"slices"
)

// Dist is how many observations lie between bounds, without gaps: Counts[i] of
// them are above Edges[i] and not above Edges[i+1]. There is one edge more than
// counts; the zero value holds nothing. Edges ascend, and the outer ones may be
// infinite.
type Dist struct {
	Edges  []float64
	Counts []int64
}

// Bucket is a part of a distribution.
type Bucket struct {
	Lower, Upper float64
	Count        float64
}

// NewDist joins buckets; between those that do not touch is nothing. It is nil
// when buckets overlap or count what cannot be.
func NewDist(buckets []Bucket) *Dist {
	slices.SortFunc(buckets, func(a, b Bucket) int {
		switch {
		case a.Upper < b.Upper:
			return -1
		case a.Upper > b.Upper:
			return 1
		}
		return 0
	})
	d := &Dist{}
	for _, b := range buckets {
		if b.Lower == b.Upper { // that of exact zeroes
			b.Lower = math.Nextafter(b.Lower, math.Inf(-1))
		}
		if !Usable(b.Count) || !(b.Lower < b.Upper) {
			return nil
		}
		switch n := len(d.Edges); {
		case n == 0:
			d.Edges = append(d.Edges, b.Lower)
		case b.Lower < d.Edges[n-1]:
			return nil
		case b.Lower > d.Edges[n-1]:
			d.Edges, d.Counts = append(d.Edges, b.Lower), append(d.Counts, 0)
		}
		d.Edges, d.Counts = append(d.Edges, b.Upper), append(d.Counts, int64(math.Round(b.Count)))
	}
	return d
}

// Cumulative makes one of how many observations are not above each bound, as a
// classic histogram has it. Bounds ascend, and the last one is +Inf.
func Cumulative(bounds []float64, counts []float64) *Dist {
	n := len(bounds)
	if n == 0 || n != len(counts) || !math.IsInf(bounds[n-1], 1) {
		return nil
	}
	d := &Dist{Edges: []float64{math.Inf(-1)}}
	before := int64(0)
	for i, b := range bounds {
		if !Usable(counts[i]) || !(b > d.Edges[i]) {
			return nil
		}
		c := int64(math.Round(counts[i]))
		// Some clients count while they are read.
		c = max(c, before)
		d.Edges, d.Counts = append(d.Edges, b), append(d.Counts, c-before)
		before = c
	}
	return d
}

// Histogram is the same with finite bounds, as metrics.Histogram has it. It has
// no bounds when nothing is known but the sum.
func (d *Dist) Histogram() (bounds []float64, counts []int64) {
	if len(d.Edges) == 0 {
		return nil, nil
	}
	edges, inner := d.Edges, slices.Clone(d.Counts)
	if math.IsInf(edges[0], -1) {
		edges = edges[1:]
	} else {
		inner = append([]int64{0}, inner...)
	}
	if n := len(edges); n > 0 && math.IsInf(edges[n-1], 1) {
		edges = edges[:n-1]
	} else {
		inner = append(inner, 0)
	}
	return slices.Clone(edges), inner
}

func (d *Dist) total() (n int64) {
	for _, c := range d.Counts {
		n += c
	}
	return n
}

// plus adds up. Where only one of them knows how many lie below an edge, the edge
// goes: what is left is exact.
func (d *Dist) plus(e *Dist) *Dist {
	switch {
	case len(d.Counts) == 0:
		return e
	case len(e.Counts) == 0:
		return d
	}
	out, _ := combine(d, e, 1)
	return out
}

// minus is what was added since before. fell says that something became less, so
// that the counters began again in between.
func (d *Dist) minus(before *Dist) (grown *Dist, fell bool) {
	if len(before.Counts) == 0 {
		return d, false
	}
	if d.total() < before.total() {
		return nil, true
	}
	return combine(d, before, -1)
}

func combine(a, b *Dist, sign int64) (out *Dist, negative bool) {
	if sign > 0 && slices.Equal(a.Edges, b.Edges) {
		out = &Dist{Edges: a.Edges, Counts: slices.Clone(a.Counts)}
		for i, n := range b.Counts {
			out.Counts[i] += n
		}
		return out, false
	}
	out = &Dist{}
	x, y := walker{d: a}, walker{d: b}
	last := int64(0)
	for x.more() || y.more() {
		at := min(x.next(), y.next())
		below, certain := x.upTo(at)
		other, certainToo := y.upTo(at)
		if !certain || !certainToo {
			continue
		}
		sum := below + sign*other
		if len(out.Edges) > 0 {
			out.Counts = append(out.Counts, sum-last)
			negative = negative || sum < last
		}
		out.Edges, last = append(out.Edges, at), sum
	}
	return out, negative
}

// walker goes through the edges of a distribution.
type walker struct {
	d     *Dist
	i     int
	below int64
}

func (w *walker) more() bool { return w.i < len(w.d.Edges) }

func (w *walker) next() float64 {
	if !w.more() {
		return math.Inf(1)
	}
	return w.d.Edges[w.i]
}

// upTo is how many are not above x, and whether that is certain. x is not above
// the next edge and does not fall.
func (w *walker) upTo(x float64) (n int64, certain bool) {
	if w.more() && w.d.Edges[w.i] == x {
		if w.i > 0 {
			w.below += w.d.Counts[w.i-1]
		}
		w.i++
		return w.below, true
	}
	inside := w.i > 0 && w.more()
	return w.below, !inside || w.d.Counts[w.i-1] == 0
}

const (
	// gridEdges limits the bounds of a native histogram.
	gridEdges = 400
	// gridSpan is to how many doublings the range of a grid is rounded.
	gridSpan = 4
)

// OnGrid gives what native histograms told the bounds that others of them have
// too: their own change with what was observed. Each bound is one at which the
// distribution is known.
func (d *Dist) OnGrid() *Dist {
	step, low, high := math.Inf(1), math.Inf(1), math.Inf(-1)
	for i, n := range d.Counts {
		if from, to := math.Log2(d.Edges[i]), math.Log2(d.Edges[i+1]); n > 0 && d.Edges[i] > 0 && !math.IsInf(to, 1) {
			step, low, high = min(step, to-from), min(low, from), max(high, to)
		}
	}
	if math.IsInf(step, 1) {
		return d
	}
	if step < 1 {
		step = 1 / math.Round(1/step)
	} else {
		step = math.Round(step)
	}
	span := max(gridSpan, step)
	low, high = span*math.Floor(low/span-1), span*math.Ceil(high/span+1)
	own := &Dist{Edges: slices.Clone(d.Edges), Counts: d.Counts}
	for i, e := range own.Edges {
		// Servers compute bounds in their own ways.
		if on := math.Exp2(math.Round(math.Log2(e)/step) * step); math.Abs(on-e) <= 1e-9*e {
			own.Edges[i] = on
		} else if e > 0 && (i > 0 && d.Edges[i-1] > 0 && d.Counts[i-1] > 0 || i < len(d.Counts) && d.Counts[i] > 0) {
			return d // its bounds are its own
		}
	}
	for (high-low)/step > gridEdges {
		step *= 2
	}
	var grid []float64
	for _, e := range own.Edges {
		if e < math.Exp2(low) {
			grid = append(grid, e) // zero and below
		}
	}
	for k := low / step; k*step <= high; k++ {
		grid = append(grid, math.Exp2(k*step))
	}
	if n := len(own.Edges); own.Edges[n-1] > grid[len(grid)-1] {
		grid = append(grid, own.Edges[n-1])
	}
	return own.at(grid)
}

// at leaves those of the edges at which d is known; they ascend.
func (d *Dist) at(edges []float64) *Dist {
	out := &Dist{}
	w := walker{d: d}
	last := int64(0)
	for _, e := range edges {
		for w.more() && w.next() < e {
			w.upTo(w.next())
		}
		sum, certain := w.upTo(e)
		if !certain {
			continue
		}
		if len(out.Edges) > 0 {
			out.Counts = append(out.Counts, sum-last)
		}
		out.Edges, last = append(out.Edges, e), sum
	}
	return out
}
