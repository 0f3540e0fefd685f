package analysis

import (
	"maps"
	"math"
	"slices"
)

// sketch keeps samples in buckets whose bounds grow by a constant factor, so
// that quantiles are exact to one percent and the size is bounded.
type sketch struct {
	N   int64   `json:"n"`
	Sum float64 `json:"sum"`
	// Zero counts what is too small to tell from zero.
	Zero     int64         `json:"zero,omitempty"`
	Positive map[int]int64 `json:"positive,omitempty"`
	Negative map[int]int64 `json:"negative,omitempty"`
}

const (
	sketchError = 0.01
	// smallest and largest absolute value that are told apart; what is larger
	// counts as the largest.
	smallest, largest = 1e-12, 1e15
)

var logGamma = math.Log((1 + sketchError) / (1 - sketchError))

func bucketOf(v float64) int { return int(math.Ceil(math.Log(min(v, largest)) / logGamma)) }

// valueOf is the middle of a bucket, in the sense of relative error.
func valueOf(bucket int) float64 {
	return math.Exp(float64(bucket)*logGamma) * (1 - sketchError)
}

// add is false for what is no finite number.
func (s *sketch) add(v float64) bool {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return false
	}
	s.N = plus(s.N, 1)
	if t := s.Sum + v; !math.IsInf(t, 0) {
		s.Sum = t
	}
	switch {
	case math.Abs(v) < smallest:
		s.Zero++
	case v > 0:
		count(&s.Positive, bucketOf(v), 1)
	default:
		count(&s.Negative, bucketOf(-v), 1)
	}
	return true
}

func count(m *map[int]int64, bucket int, n int64) {
	if *m == nil {
		*m = map[int]int64{}
	}
	(*m)[bucket] = plus((*m)[bucket], n)
}

func (s *sketch) merge(o *sketch) {
	s.N, s.Zero = plus(s.N, o.N), plus(s.Zero, o.Zero)
	if t := s.Sum + o.Sum; !math.IsInf(t, 0) {
		s.Sum = t
	}
	for b, n := range o.Positive {
		count(&s.Positive, b, n)
	}
	for b, n := range o.Negative {
		count(&s.Negative, b, n)
	}
}

func (s *sketch) valid() bool {
	low, high := bucketOf(smallest)-1, bucketOf(largest)+1
	ok := func(m map[int]int64) bool {
		for b, n := range m {
			if b < low || b > high || n < 0 {
				return false
			}
		}
		return true
	}
	return s.N >= 0 && s.Zero >= 0 && !math.IsNaN(s.Sum) && ok(s.Positive) && ok(s.Negative)
}

// above counts what is in buckets above that of v.
func (s *sketch) above(v float64) float64 {
	var n int64
	at := math.MinInt
	switch {
	case math.Abs(v) < smallest:
	case v > 0:
		at = bucketOf(v)
	default:
		for b, c := range s.Negative {
			if b < bucketOf(-v) {
				n = plus(n, c)
			}
		}
		n = plus(n, s.Zero)
	}
	for b, c := range s.Positive {
		if b > at {
			n = plus(n, c)
		}
	}
	return float64(n)
}

func (s *sketch) mean() float64 { return s.Sum / float64(s.N) }

func (s *sketch) quantile(q float64) float64 {
	want, below := rank(s.N, q), int64(0)
	negative := slices.Sorted(maps.Keys(s.Negative))
	for _, b := range slices.Backward(negative) {
		if below = plus(below, s.Negative[b]); below >= want {
			return -valueOf(b)
		}
	}
	if below = plus(below, s.Zero); below >= want {
		return 0
	}
	last := 0.0
	for _, b := range slices.Sorted(maps.Keys(s.Positive)) {
		last = valueOf(b)
		if below = plus(below, s.Positive[b]); below >= want {
			break
		}
	}
	return last
}
