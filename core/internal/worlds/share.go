package worlds

import "math"

// Wilson is the 95 % interval of a share, of which k of n were seen.
func Wilson(k, n int) (low, high float64) {
	const z = 1.959963984540054
	p, m := float64(k)/float64(n), float64(n)
	centre, half := p+z*z/(2*m), z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max((centre-half)/(1+z*z/m), 0), min((centre+half)/(1+z*z/m), 1)
}
