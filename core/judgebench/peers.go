package main

import (
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/runner-pipelines/runner/core/internal/worlds"
)

// The rules of other programs, written anew from what their documentation and
// sources say they decide, and played on the same worlds.

// peer gives the minute at which a rule aborts, 0 for never.
type peer struct {
	Name string
	rule func(minutes []worlds.Window) float64
}

var peers = []peer{
	{"Kayenta", kayenta},
	{"PipeCD", pipecd},
	{"Flagger", flagger},
	{"Argo Rollouts", argo},
}

// failing is the share of failed requests in percent.
func failing(x, n float64) float64 { return 100 * x / n }

// kayenta is the default classifier of Kayenta's judge (MannWhitneyClassifier and
// MannWhitney in spinnaker/kayenta), once over all points: the 98 % confidence
// interval of the difference lies above a quarter of its Hodges-Lehmann estimate.
// It is given the share of failed requests of each minute in percent.
func kayenta(minutes []worlds.Window) float64 {
	var x, y []float64
	for _, w := range minutes {
		if w.Nc > 0 {
			x = append(x, failing(w.Xc, w.Nc))
		}
		if w.Ns > 0 {
			y = append(y, failing(w.Xs, w.Ns))
		}
	}
	if kayentaHigh(x, y) {
		return float64(len(minutes))
	}
	return 0
}

func kayentaHigh(x, y []float64) bool {
	all := slices.Concat(x, y)
	if len(x) == 0 || len(y) == 0 || slices.Min(all) == slices.Max(all) {
		return false
	}
	low, estimate := wilcoxon(x, y)
	return low > 0.25*math.Abs(estimate)
}

// normal98 is the quantile of the normal distribution at 0.99.
const normal98 = 2.3263478740408408

// wilcoxon gives the lower end of the asymptotic 98 % confidence interval of the
// shift of x against y, and the estimate of the shift. Kayenta finds both with
// Brent's method to 1e-4, and on data with ties that is what decides.
func wilcoxon(x, y []float64) (low, estimate float64) {
	least, largest := slices.Min(x)-slices.Max(y), slices.Max(x)-slices.Min(y)
	root := func(quantile float64) float64 {
		f := func(mu float64) float64 { return statistic(x, y, mu) - quantile }
		if f(least) <= 0 {
			return least
		}
		if f(largest) >= 0 {
			return largest
		}
		if middle := (least + largest) / 2; f(middle) <= 0 {
			return brent(f, least, middle)
		} else {
			return brent(f, middle, largest)
		}
	}
	return root(normal98), root(0)
}

// brent finds a root between a and b, at which f has different signs (Brent,
// Algorithms for Minimization without Derivatives, 1973, chapter 4), to 1e-4.
func brent(f func(float64) float64, a, b float64) float64 {
	const relative, absolute = 1e-14, 1e-4
	fa, fb := f(a), f(b)
	c, fc := a, fa
	d := b - a
	e := d
	for {
		if math.Abs(fc) < math.Abs(fb) {
			a, b, c = b, c, b
			fa, fb, fc = fb, fc, fb
		}
		tolerance, half := 2*relative*math.Abs(b)+absolute, (c-b)/2
		if math.Abs(half) <= tolerance || fb == 0 {
			return b
		}
		if math.Abs(e) < tolerance || math.Abs(fa) <= math.Abs(fb) {
			d, e = half, half
		} else {
			s := fb / fa
			p, q := 2*half*s, 1-s
			if a != c {
				t, r := fa/fc, fb/fc
				p, q = s*(2*half*t*(t-r)-(b-a)*(r-1)), (t-1)*(r-1)*(s-1)
			}
			if p > 0 {
				q = -q
			}
			p = math.Abs(p)
			if p >= 1.5*half*q-math.Abs(tolerance*q) || p >= math.Abs(e*q)/2 {
				d, e = half, half
			} else {
				d, e = p/q, d
			}
		}
		a, fa = b, fb
		if math.Abs(d) > tolerance {
			b += d
		} else {
			b += math.Copysign(tolerance, half)
		}
		fb = f(b)
		if (fb > 0) == (fc > 0) {
			c, fc = a, fa
			d = b - a
			e = d
		}
	}
}

// statistic is the standardised rank sum of x shifted down by mu, with the
// corrections for ties and continuity.
func statistic(x, y []float64, mu float64) float64 {
	type value struct {
		v     float64
		first bool
	}
	var all []value
	for _, v := range x {
		all = append(all, value{v - mu, true})
	}
	for _, v := range y {
		all = append(all, value{v, false})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].v < all[j].v })
	n1, n2 := float64(len(x)), float64(len(y))
	sum, ties := 0.0, 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		rank, t := float64(i+j+1)/2, float64(j-i)
		ties += t*t*t - t
		for ; i < j; i++ {
			if all[i].first {
				sum += rank
			}
		}
	}
	z := sum - n1*(n1+1)/2 - n1*n2/2
	sigma := math.Sqrt(n1 * n2 / 12 * (n1 + n2 + 1 - ties/((n1+n2)*(n1+n2-1))))
	if sigma == 0 {
		return 0
	}
	correction := 0.0
	if z != 0 {
		correction = math.Copysign(0.5, z)
	}
	return (z - correction) / sigma
}

// pipecd is PipeCD's comparison of canary and baseline (metrics_analyzer.go in
// pipe-cd/pipecd): every five minutes the exact Mann-Whitney test of five points
// against five, and the first p at or under 0.05 ends it (failureLimit 0). Points
// that are all the same, which the test cannot handle, count as no difference.
func pipecd(minutes []worlds.Window) float64 {
	const interval = 5
	for m := interval; m <= len(minutes); m += interval {
		var x, y []float64
		for _, w := range minutes[m-interval : m] {
			if w.Nc > 0 && w.Ns > 0 {
				x, y = append(x, failing(w.Xc, w.Nc)), append(y, failing(w.Xs, w.Ns))
			}
		}
		if len(x) > 0 && mannWhitney(x, y) <= 0.05 {
			return float64(m)
		}
	}
	return 0
}

// mannWhitney is the exact two-sided p of two small samples, ties and all: the
// statistic of every way to choose the first sample.
func mannWhitney(x, y []float64) float64 {
	all := slices.Concat(x, y)
	u := func(chosen uint) float64 {
		sum := 0.0
		for i, a := range all {
			for j, b := range all {
				if chosen>>i&1 == 1 && chosen>>j&1 == 0 {
					switch {
					case a > b:
						sum++
					case a == b:
						sum += 0.5
					}
				}
			}
		}
		return sum
	}
	seen := u(1<<len(x) - 1)
	seen = min(seen, float64(len(x)*len(y))-seen)
	below, total := 0.0, 0.0
	for chosen := uint(0); chosen < 1<<len(all); chosen++ {
		if bits.OnesCount(chosen) == len(x) {
			total++
			if u(chosen) <= seen {
				below++
			}
		}
	}
	return min(2*below/total, 1)
}

// flagger is the example of Flagger's documentation: at least 99 % of the
// candidate's requests succeed in each minute, ten failed checks roll back, ten
// good ones promote.
func flagger(minutes []worlds.Window) float64 {
	good, bad := 0, 0
	for i, w := range minutes {
		if w.Nc > 0 && failing(w.Xc, w.Nc) <= 1 {
			good++
		} else {
			bad++
		}
		if bad == 10 {
			return float64(i + 1)
		}
		if good == 10 {
			return 0
		}
	}
	return 0
}

// argo is the example of the documentation of Argo Rollouts: at least 95 % succeed
// over five minutes, more than three failures abort.
func argo(minutes []worlds.Window) float64 {
	const interval = 5
	bad := 0
	for m := interval; m <= len(minutes); m += interval {
		n, x := 0.0, 0.0
		for _, w := range minutes[m-interval : m] {
			n, x = n+w.Nc, x+w.Xc
		}
		if n > 0 && failing(x, n) > 5 {
			bad++
		}
		if bad > 3 {
			return float64(m)
		}
	}
	return 0
}

// sprt is the best that can be done: it knows the ratio of the rates, and has the
// same threshold and tolerance.
func sprt(minutes func(m int) worlds.Window, ratio, tolerance float64, horizon int) float64 {
	null, sum := 1+tolerance, 0.0
	for m := range horizon {
		w := minutes(m)
		if x := w.Xc + w.Xs; x > 0 {
			share := w.Nc / (w.Nc + w.Ns)
			sum += w.Xc*math.Log(ratio/null) - x*math.Log((1+share*(ratio-1))/(1+share*(null-1)))
		}
		if sum >= math.Log(20) {
			return float64(m + 1)
		}
	}
	return 0
}
