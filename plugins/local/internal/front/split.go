package front

import (
	"math/bits"
	"sync/atomic"
)

// golden is 2^64 divided by the golden ratio, made odd.
const golden = 0x9E3779B97F4A7C15

// sequence deals requests out by weight. Each request takes the next multiple of
// the golden ratio, modulo one, as its place between 0 and 1, and goes to the
// release whose share covers that place. Of any n requests in a row, a release
// with share p gets p·n and at most a few more or less, for small n too (5 % of 100
// is 4 to 6); and since the ratio is not a fraction, no client that asks in a
// regular pattern always meets the same release, as it would with a round robin.
type sequence struct{ at atomic.Uint64 }

// next is a place from 0 up to total, which is excluded.
func (s *sequence) next(total uint64) uint64 {
	place, _ := bits.Mul64(s.at.Add(golden), total)
	return place
}
