package evidence

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func minute(i int, xc, nc, xs, ns float64) Look {
	from := epoch.Add(time.Duration(i) * time.Minute)
	return Look{From: from, To: from.Add(time.Minute), Xc: xc, Nc: nc, Xs: xs, Ns: ns, Ec: nc, Es: ns}
}

// TestReferenceValues holds the evidence against values that were computed with
// 50 digits by mpmath 1.3.0, from the formulas of the papers and not from this
// code: the binomial likelihoods as sums of exact binomial probabilities, and the
// products of the bets term by term.
func TestReferenceValues(t *testing.T) {
	looks := [][4]float64{{4, 100, 0, 100}, {0, 90, 1, 110}, {3, 105, 1, 95}, {0, 100, 0, 100}, {7, 50, 2, 950}}
	for name, tt := range referenceValues {
		test := New(tt.config)
		for i, l := range looks {
			test.Observe(minute(i, l[0], l[1], l[2], l[3]))
		}
		test.Settle(epoch.Add(time.Hour))
		if got := test.Harm(); math.Abs(got-tt.harm) > 1e-12*math.Abs(tt.harm)+1e-13 {
			t.Errorf("%s: the evidence of harm is %.17g, want %.17g", name, got, tt.harm)
		}
		if got := test.Show(Whole); math.Abs(got-tt.show) > 1e-12*math.Abs(tt.show)+1e-13 {
			t.Errorf("%s: the evidence of being within the margin is %.17g, want %.17g", name, got, tt.show)
		}
	}
}

// TestMeanIsAtMostOne adds up the evidence of one look over all that can happen,
// at the border of the hypothesis and inside it: exactly, no sampling.
func TestMeanIsAtMostOne(t *testing.T) {
	binomial := func(n, k int, p float64) float64 {
		ln := func(v int) float64 { l, _ := math.Lgamma(float64(v) + 1); return l }
		return math.Exp(ln(n) - ln(k) - ln(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	for name, c := range map[string]Config{
		"independent":     {Tolerance: 0.1, Margin: 1.5, MarginAbs: 0.05, Independent: true, Dispersion: 1, Base: 0.1},
		"nothing assumed": {Tolerance: 0.1, Margin: 1.5},
		"absolute":        {Tolerance: 0.1, MarginAbs: 0.05, Dispersion: 1, Base: 0.1},
		"dispersed":       {Tolerance: 0.1, MarginAbs: 0.05, Dispersion: 3, Base: 0.1},
	} {
		for _, n := range [][2]int{{20, 20}, {5, 60}, {60, 5}} {
			for _, ps := range []float64{0.02, 0.1, 0.3} {
				for _, kind := range []string{"border of harm", "border of both margins"} {
					pc := ps * 1.1
					if kind != "border of harm" {
						pc = max(ps*1.5, ps+0.05)
					}
					harm, show := 0.0, 0.0
					for xc := range n[0] + 1 {
						for xs := range n[1] + 1 {
							test := New(c)
							test.Observe(minute(0, float64(xc), float64(n[0]), float64(xs), float64(n[1])))
							test.Settle(time.Time{})
							p := binomial(n[0], xc, pc) * binomial(n[1], xs, ps)
							harm += p * math.Exp(test.Harm())
							show += p * math.Exp(test.Show(Whole))
						}
					}
					// The share of a few events is not exactly that of the rates.
					slack := 1e-9
					if !c.Independent && c.Margin > 0 {
						slack = 0.003
					}
					if kind == "border of harm" && harm > 1+slack {
						t.Errorf("%s, %v, %v: the mean of harm is %v", name, n, ps, harm)
					}
					if kind != "border of harm" && show > 1+slack {
						t.Errorf("%s, %v, %v: the mean of show is %v", name, n, ps, show)
					}
				}
			}
		}
	}
}

// TestAdversarialStopping takes the worst moment of every run, with restarts when
// they hurt most: how often the evidence was ever enough although nothing is wrong.
func TestAdversarialStopping(t *testing.T) {
	const runs, alpha = 2000, 0.05
	for name, c := range map[string]Config{
		"independent":     {Independent: true, Dispersion: 1, Margin: 1.5, MarginAbs: 0.01, Base: 0.02},
		"nothing assumed": {Margin: 1.5},
	} {
		random := rand.New(rand.NewPCG(7, 11))
		harmed, shown := 0, 0
		for range runs {
			healthy, border := New(c), New(c)
			var harm, show bool
			for m := range 120 {
				n := 100.0
				if m > 60 {
					n = 300
				}
				xs := count(random, 100, 0.02)
				healthy.Observe(minute(m, count(random, n, 0.02), n, xs, 100))
				border.Observe(minute(m, count(random, n, 0.03), n, xs, 100))
				healthy.Settle(epoch.Add(time.Duration(m+1) * time.Minute))
				border.Settle(epoch.Add(time.Duration(m+1) * time.Minute))
				if healthy.Harm() < -1 && m%20 == 0 {
					healthy.Restart()
				}
				harm = harm || healthy.Harm() >= -math.Log(alpha)
				show = show || border.Show(Whole) >= -math.Log(alpha)
			}
			if harm {
				harmed++
			}
			if show {
				shown++
			}
		}
		// Three standard deviations of a share of alpha.
		most := int(runs*alpha + 3*math.Sqrt(runs*alpha*(1-alpha)))
		if harmed > most || shown > most {
			t.Errorf("%s: of %d runs %d were aborted and %d passed wrongly, at most %d may", name, runs, harmed, shown, most)
		}
		if harmed == 0 || shown == 0 {
			t.Errorf("%s: of %d runs %d were aborted and %d passed: nothing was tried", name, runs, harmed, shown)
		}
	}
}

// count is a binomial number: the runs between successes are drawn.
func count(r *rand.Rand, n, p float64) (k float64) {
	for at := 0.0; ; k++ {
		if at += math.Floor(math.Log(1-r.Float64())/math.Log1p(-p)) + 1; at > n {
			return k
		}
	}
}

func anyConfig(t *rapid.T) Config {
	return Config{
		Tolerance: rapid.Float64Range(0, 1).Draw(t, "tolerance"), Margin: rapid.SampledFrom([]float64{0, 1.2, 1.5, 3}).Draw(t, "margin"),
		MarginAbs: rapid.SampledFrom([]float64{0, 0.005, 0.1}).Draw(t, "absolute"), Independent: rapid.Bool().Draw(t, "independent"),
		Dispersion: rapid.SampledFrom([]float64{0, 1, 4}).Draw(t, "dispersion"),
	}
}

func anyLook(t *rapid.T, i int) Look {
	n := rapid.Float64Range(0, 2000)
	nc, ns := math.Floor(n.Draw(t, "nc")), math.Floor(n.Draw(t, "ns"))
	return minute(i, math.Floor(nc*rapid.Float64Range(0, 1).Draw(t, "pc")), nc, math.Floor(ns*rapid.Float64Range(0, 1).Draw(t, "ps")), ns)
}

// One more bad event in the candidate is never less evidence of harm, nor more of
// being within the margin.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		c.Dispersion = 0 // the absolute margin learns the rate, and is not monotone in the past
		a, b := New(c), New(c)
		n := rapid.IntRange(1, 8).Draw(t, "looks")
		worse := rapid.IntRange(0, n-1).Draw(t, "worse")
		for i := range n {
			l := anyLook(t, i)
			a.Observe(l)
			if i == worse && l.Xc < l.Nc {
				l.Xc++
			}
			b.Observe(l)
		}
		a.Settle(time.Time{})
		b.Settle(time.Time{})
		const slack = 1e-6
		if a.Harm() > b.Harm()+slack*(1+math.Abs(a.Harm())) {
			t.Fatalf("an event more in the candidate took the evidence of harm from %v to %v", a.Harm(), b.Harm())
		}
		if a.Show(Whole) < b.Show(Whole)-slack*(1+math.Abs(a.Show(Whole))) {
			t.Fatalf("an event more in the candidate took the evidence of being within from %v to %v", a.Show(Whole), b.Show(Whole))
		}
	})
}

// A candidate that is never worse than stable gathers no evidence of harm at all.
func TestImprovementIsNoHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		test := New(anyConfig(t))
		for i := range rapid.IntRange(1, 20).Draw(t, "looks") {
			l := anyLook(t, i)
			if l.Ns == 0 {
				continue
			}
			l.Xc = min(l.Xc, math.Floor(l.Xs/l.Ns*l.Nc))
			test.Observe(l)
			if rapid.IntRange(0, 9).Draw(t, "step") == 0 {
				test.Restart()
			}
			test.Settle(l.To)
			if test.Harm() > 1e-9 {
				t.Fatalf("evidence %v", test.Harm())
			}
		}
	})
}

// No minute multiplies the evidence of harm by more than four where nothing is assumed.
func TestOneBlockIsNoEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		c.Independent = false
		test := New(c)
		before := test.Harm()
		for i := range rapid.IntRange(1, 10).Draw(t, "looks") {
			l := anyLook(t, i)
			test.Observe(l)
			test.Settle(l.To)
			if now := test.Harm(); now > before+math.Log(mostGain)+1e-9 {
				t.Fatalf("a minute multiplied the evidence by %v", math.Exp(now-before))
			} else {
				before = now
			}
		}
	})
}

// Whatever is observed: numbers stay numbers, the interval is one, and a way
// through JSON changes nothing.
func FuzzObserve(f *testing.F) {
	f.Add(1.0, 100.0, 2.0, 100.0, uint8(3), true)
	f.Add(math.NaN(), math.Inf(1), -1.0, 1e300, uint8(200), false)
	f.Add(1e300, 1e300, 1e300, 1e-300, uint8(7), true)
	f.Fuzz(func(t *testing.T, xc, nc, xs, ns float64, n uint8, independent bool) {
		c := Config{Tolerance: 0.1, Margin: 1.5, MarginAbs: 0.005, Independent: independent, Dispersion: 1, Base: xs}
		test := New(c)
		for i := range int(n) {
			test.Observe(minute(i, xc, nc, xs, ns))
			if i%50 == 49 {
				test.Restart()
			}
			test.Observe(minute(i, xs, ns, xc, nc))
		}
		for _, v := range []float64{test.Harm(), test.Show(Whole), test.Show(Step)} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("evidence %v", v)
			}
		}
		low, high := test.Interval(Whole, 0.05)
		if !(low >= 0 && high >= low) {
			t.Fatalf("interval from %v to %v", low, high)
		}
		saved, err := test.Save()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load(c, saved)
		if err != nil {
			t.Fatalf("%v: %s", err, saved)
		}
		if again.Harm() != test.Harm() || again.Show(Step) != test.Show(Step) {
			t.Fatal("a way through JSON changed the evidence")
		}
	})
}

func TestDamagedStates(t *testing.T) {
	c := Config{Independent: true}
	saved, err := New(c).Save()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(c, saved); err != nil {
		t.Fatal(err)
	}
	for _, change := range []map[string]any{{"fresh": ""}, {"fresh": "AAA"}, {"whole": map[string]any{}}, {"restarts": -1}, {"whole": []int{}}} {
		var all map[string]any
		if err := json.Unmarshal(saved, &all); err != nil {
			t.Fatal(err)
		}
		for k, v := range change {
			all[k] = v
		}
		damaged, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(c, damaged); err == nil {
			t.Errorf("%v was accepted", change)
		}
	}
}

// TestIntervalHoldsTheRatio looks every minute, and counts the runs in which an
// end of the interval was ever on the wrong side of the true ratio.
func TestIntervalHoldsTheRatio(t *testing.T) {
	const runs, alpha = 1000, 0.05
	for name, c := range map[string]Config{"independent": {Independent: true}, "nothing assumed": {}} {
		random := rand.New(rand.NewPCG(3, 5))
		above, below := 0, 0
		for range runs {
			test, over, under := New(c), false, false
			for m := range 60 {
				test.Observe(minute(m, count(random, 100, 0.04), 100, count(random, 200, 0.02), 200))
				low, high := test.Interval(Whole, alpha)
				over, under = over || low > 2, under || high < 2
			}
			if over {
				above++
			}
			if under {
				below++
			}
		}
		if most := int(runs*alpha + 3*math.Sqrt(runs*alpha*(1-alpha))); above > most || below > most {
			t.Errorf("%s: in %d runs the interval was above the ratio in %d and below it in %d, at most %d may", name, runs, above, below, most)
		}
	}
}
