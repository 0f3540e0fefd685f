package analysis_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// both is the look at one minute of both releases.
func both(n int, metric string, candidate, stable metrics.Release) analysis.Look {
	l := minute(n, metric, "main", candidate)
	l.Stable = &stable
	return l
}

// steadily is what is known of a stable release whose errors are independent.
var steadily = &analysis.Past{Independent: true, Dispersion: 1, Rates: []float64{0.005}, PerMinute: 200, Minutes: 1440}

func compared(past *analysis.Past) analysis.Metric {
	how := analysis.Standard()
	how.Past = past
	return analysis.Metric{Name: "errors", Better: "lower", Compare: how}
}

func comparedLatency(past *analysis.Past) analysis.Metric {
	m := compared(past)
	m.Name = "latency"
	return m
}

// TestComparedVerdicts plays some minutes and says what the last verdicts are.
// A candidate with all of the traffic has no stable release beside it.
func TestACandidateThatIsAlonePassesOnItsOwn(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	s := analysis.New([]analysis.Metric{{Name: "errors", MinCount: 100, Compare: analysis.Standard()}})
	s.StepBegan(at)
	look := func(n int64) strategy.VerdictValue {
		s.Observe(analysis.Look{
			Metric: "errors", Target: "main", From: at, To: at.Add(time.Minute),
			Candidate: metrics.Release{ID: "new", Counter: &metrics.Counter{N: n}},
			Stable:    &metrics.Release{ID: "old", NoData: "no traffic"},
		})
		at = at.Add(time.Minute)
		return s.Step().Value
	}
	if got := look(99); got != strategy.Inconclusive {
		t.Errorf("with nothing to compare the step is %q", got)
	}
	s.Alone(true)
	if got := s.Step().Value; got != strategy.Inconclusive {
		t.Errorf("alone, with too few observations, the step is %q", got)
	}
	if got := look(1); got != strategy.Pass {
		t.Errorf("alone, with enough observations, the step is %q: %s", got, s.Step().Why)
	}
	s.Alone(false)
	if got := s.Step().Value; got != strategy.Inconclusive {
		t.Errorf("beside stable again the step is %q", got)
	}
}

func TestComparedVerdicts(t *testing.T) {
	none := metrics.Release{NoData: "nothing was scraped"}
	repeat := func(n int, candidate, stable metrics.Release) (out []analysis.Look) {
		for i := range n {
			out = append(out, both(i, "errors", candidate, stable))
		}
		return out
	}
	rate := compared(steadily)
	rate.Compare = &analysis.Compare{Rate: true, Margin: 3, Past: steadily}
	higher := compared(steadily)
	higher.Better = "higher"
	same := compared(steadily)
	same.Better = "same"
	same.Compare.MarginAbs = 0
	for name, tt := range map[string]struct {
		metric     analysis.Metric
		looks      []analysis.Look
		harm, step strategy.VerdictValue
		noData     bool
		// words that the verdict of the step has.
		words []string
	}{
		"nothing yet": {
			metric: compared(steadily), harm: strategy.Inconclusive, step: strategy.Inconclusive, noData: true,
			words: []string{"errors has nothing to compare since the step began."},
		},
		"four errors against none are not enough evidence": {
			metric: compared(steadily),
			looks:  []analysis.Look{both(0, "errors", counter(100, 0), counter(100, 0)), both(1, "errors", counter(100, 1), counter(100, 0)), both(2, "errors", counter(100, 2), counter(100, 0)), both(3, "errors", counter(100, 1), counter(100, 0)), both(4, "errors", counter(100, 0), counter(100, 0)), both(5, "errors", counter(100, 0), counter(100, 0))},
			harm:   strategy.Inconclusive, step: strategy.Inconclusive,
			words: []string{"4 of 600 (0.667%) in the candidate, 0 of 600 (0%) in stable", "not enough evidence", "more observations of the candidate like these would show harm"},
		},
		"errors in six minutes one after the other are harm, though nothing is assumed": {
			metric: compared(nil), looks: repeat(6, counter(100, 1), counter(100, 0)), harm: strategy.Fail, step: strategy.Inconclusive,
		},
		"in five they are not": {
			metric: compared(nil), looks: repeat(5, counter(100, 1), counter(100, 0)), harm: strategy.Inconclusive, step: strategy.Inconclusive,
		},
		"one terrible minute is no evidence where nothing is assumed": {
			metric: compared(nil), looks: repeat(1, counter(1000, 900), counter(1000, 0)), harm: strategy.Inconclusive, step: strategy.Inconclusive,
		},
		"it is where errors are independent": {
			metric: compared(steadily), looks: repeat(1, counter(1000, 900), counter(1000, 0)), harm: strategy.Fail, step: strategy.Inconclusive,
		},
		"as good as stable": {
			metric: compared(steadily), looks: repeat(5, counter(1000, 5), counter(1000, 5)), harm: strategy.Pass, step: strategy.Pass,
			words: []string{"25 of 5000 (0.5%) in the candidate, 25 of 5000 (0.5%) in stable, 1 times as often", "shown to be within its margin"},
		},
		"without an error on either side, by the absolute margin": {
			metric: compared(steadily), looks: repeat(10, counter(200, 0), counter(200, 0)), harm: strategy.Pass, step: strategy.Pass,
		},
		"the absolute margin needs a past": {
			metric: compared(nil), looks: repeat(60, counter(200, 0), counter(200, 0)), harm: strategy.Inconclusive, step: strategy.Inconclusive,
			words: []string{"it takes more traffic to tell"},
		},
		"an outage of both is no harm": {
			metric: compared(steadily), looks: repeat(3, counter(1000, 400), counter(1000, 400)), harm: strategy.Pass, step: strategy.Pass,
		},
		"stable was not measured": {
			metric: compared(steadily), looks: []analysis.Look{minute(0, "errors", "main", counter(100, 50))}, harm: strategy.Inconclusive, step: strategy.Inconclusive, noData: true,
			words: []string{"the stable release was not measured"},
		},
		"stable has no data": {
			metric: compared(steadily), looks: repeat(3, counter(100, 50), none), harm: strategy.Inconclusive, step: strategy.Inconclusive,
			words: []string{"stable: nothing was scraped"},
		},
		"the candidate has no data": {
			metric: compared(steadily), looks: repeat(3, none, counter(100, 50)), harm: strategy.Inconclusive, step: strategy.Inconclusive,
			words: []string{"candidate: nothing was scraped"},
		},
		"no traffic on the side of stable": {
			metric: compared(steadily), looks: repeat(3, counter(100, 50), counter(0, 0)), harm: strategy.Inconclusive, step: strategy.Inconclusive,
			words: []string{"no traffic to compare with"},
		},
		"successes are better when there are more": {
			metric: higher, looks: repeat(3, counter(1000, 900), counter(1000, 990)), harm: strategy.Fail, step: strategy.Inconclusive,
			words: []string{"failing 300 of 3000"},
		},
		"crashes by time": {
			metric: rate, looks: repeat(10, counter(0, 3), counter(0, 0)), harm: strategy.Fail, step: strategy.Inconclusive,
			words: []string{"30 in 600 s in the candidate, 0 in 600 s in stable"},
		},
		"less is as bad where it should be the same": {
			metric: same, looks: repeat(5, counter(1000, 50), counter(1000, 200)), harm: strategy.Fail, step: strategy.Inconclusive,
			words: []string{"0.25 times as often"},
		},
		"more is, too": {
			metric: same, looks: repeat(5, counter(1000, 200), counter(1000, 50)), harm: strategy.Fail, step: strategy.Inconclusive,
		},
		"the same is the same": {
			metric: same, looks: repeat(5, counter(1000, 200), counter(1000, 200)), harm: strategy.Pass, step: strategy.Pass,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := analysis.New([]analysis.Metric{tt.metric})
			for _, l := range tt.looks {
				s.Observe(l)
				s.Harm()
				s = throughJSON(t, s)
			}
			step, harm := s.Step(), s.Harm()
			if harm.Value != tt.harm {
				t.Errorf("harm is %q, want %q: %s", harm.Value, tt.harm, harm.Why)
			}
			if step.Value != tt.step || tt.noData && !step.NoData {
				t.Errorf("the step is %q, want %q: %+v", step.Value, tt.step, step)
			}
			for _, w := range tt.words {
				if !strings.Contains(step.Why, w) {
					t.Errorf("%q does not say %q", step.Why, w)
				}
			}
		})
	}
}

// The published case of spinnaker/kayenta#426 (errors 0, 1, 2, 1, 0, 0 against
// none), and the same six minutes six times.
func TestSparseErrors(t *testing.T) {
	for name, past := range map[string]*analysis.Past{"with a past": steadily, "without": nil} {
		s := analysis.New([]analysis.Metric{compared(past)})
		for i := range 36 {
			s.Observe(both(i, "errors", counter(100, []int64{0, 1, 2, 1, 0, 0}[i%6]), counter(100, 0)))
			if v := s.Harm(); i == 5 && v.Value != strategy.Inconclusive {
				t.Errorf("%s, as published: %+v", name, v)
			}
		}
		if v := s.Harm(); v.Value != strategy.Fail {
			t.Errorf("%s, six times: %+v", name, v)
		}
	}
}

// TestPublishedCases judges the numbers of spinnaker/kayenta#780 and #799 as their
// reporters expect.
func TestPublishedCases(t *testing.T) {
	// #780: seven of ten minutes of 100 against 1, as events among 1000 requests.
	s := analysis.New([]analysis.Metric{compared(nil)})
	for i, x := range []int64{100, 100, 100, 100, 100, 100, 100, 1, 1, 1} {
		s.Observe(both(i, "errors", counter(1000, x), counter(1000, 1)))
		s.Harm()
	}
	if v := s.Harm(); v.Value != strategy.Fail {
		t.Errorf("#780: %+v", v)
	}
	// #799: 1, 4, 2, 3, 1 errors against none; eleven against none have p < 0.001.
	s = analysis.New([]analysis.Metric{compared(steadily)})
	for i, x := range []int64{1, 4, 2, 3, 1} {
		s.Observe(both(i, "errors", counter(100, x), counter(100, 0)))
		s.Harm()
	}
	if v := s.Harm(); v.Value != strategy.Fail {
		t.Errorf("#799: %+v", v)
	}
}

func TestCriticalMetricsAreDecidedSooner(t *testing.T) {
	five := func(critical bool) *analysis.State {
		var all []analysis.Metric
		for i := range 5 {
			m := compared(steadily)
			m.Name = fmt.Sprint("m", i)
			m.Compare.Critical = critical && i == 0
			all = append(all, m)
		}
		return analysis.New(all)
	}
	when := func(s *analysis.State, bad string) int {
		for i := range 100 {
			for m := range 5 {
				name, x := fmt.Sprint("m", m), int64(1)
				if name == bad {
					x = 4
				}
				s.Observe(both(i, name, counter(100, x), counter(100, 1)))
			}
			if v := s.Harm(); v.Value == strategy.Fail {
				if v.Metric != bad {
					t.Errorf("%s is blamed for %s", v.Metric, bad)
				}
				return i
			}
		}
		return 100
	}
	equal, critical, other := when(five(false), "m0"), when(five(true), "m0"), when(five(true), "m1")
	if !(critical < equal && equal <= other && other < 100) {
		t.Errorf("critical after %d minutes, equal after %d, other after %d", critical, equal, other)
	}
}

// A candidate that was well for an hour at 5 % of the traffic and is ill at 50 %.
func TestHarmOfALaterStep(t *testing.T) {
	for name, past := range map[string]*analysis.Past{"with a past": steadily, "without": nil} {
		s := analysis.New([]analysis.Metric{compared(past)})
		s.StepBegan(epoch)
		for i := range 60 {
			s.Observe(both(i, "errors", counter(50, int64(i%4/3)), counter(950, 5)))
			s.Harm()
		}
		s.StepBegan(epoch.Add(time.Hour))
		minutes := 0
		for s.Harm().Value != strategy.Fail && minutes < 60 {
			s.Observe(both(60+minutes, "errors", counter(500, 10), counter(500, 3)))
			minutes++
		}
		if limit := map[bool]int{true: 6, false: 30}[past != nil]; minutes > limit {
			t.Errorf("%s: harm was seen after %d minutes", name, minutes)
		}
	}
}

// Looks of seconds come to about the same as looks of minutes.
func TestLooksOfSeconds(t *testing.T) {
	for name, past := range map[string]*analysis.Past{"with a past": steadily, "without": nil} {
		minutes, seconds := analysis.New([]analysis.Metric{compared(past)}), analysis.New([]analysis.Metric{compared(past)})
		for i := range 6 {
			minutes.Observe(both(i, "errors", counter(600, 6), counter(600, 2)))
			minutes.Harm()
			for k := range 60 {
				from := epoch.Add(time.Duration(i)*time.Minute + time.Duration(k)*time.Second)
				candidate, stable := counter(10, int64(k%10/9)), counter(10, int64(k%30/29))
				seconds.Observe(analysis.Look{Metric: "errors", From: from, To: from.Add(time.Second), Candidate: candidate, Stable: &stable})
				if k%7 == 6 {
					seconds.Harm()
				}
			}
			seconds.Harm()
			seconds = throughJSON(t, seconds)
		}
		a, b := minutes.Evidence()[0], seconds.Evidence()[0]
		if math.Abs(math.Log(a.Harm/b.Harm)) > 0.15 || math.Abs(math.Log(a.Show/b.Show)) > 0.15 {
			t.Errorf("%s: harm %v and %v, show %v and %v", name, a.Harm, b.Harm, a.Show, b.Show)
		}
	}
}

func TestLearn(t *testing.T) {
	m := compared(nil)
	day := func(events func(i int) int64) (out []analysis.Measured) {
		for i := range 1440 {
			from := epoch.Add(time.Duration(i) * time.Minute)
			out = append(out, analysis.Measured{From: from, To: from.Add(time.Minute), Release: counter(1000, events(i))})
		}
		return out
	}
	// As even as can be is less dispersed than independent.
	if p := analysis.Learn(m, day(func(int) int64 { return 5 })); !p.Independent || p.Dispersion != 1 || cmp.Diff(p.Rates, []float64{0.005}) != "" || p.PerMinute != 1000 {
		t.Errorf("even errors: %+v", p)
	}
	// All errors of ten minutes in one.
	burst := func(i int) int64 {
		if i%10 == 3 {
			return 50
		}
		return 0
	}
	if p := analysis.Learn(m, day(burst)); p.Independent || p.Dispersion < 45 {
		t.Errorf("bursts: %+v", p)
	}
	// A slow drift that both releases share is not dispersion of its own.
	if p := analysis.Learn(m, day(func(i int) int64 { return 5 + int64(4*math.Sin(float64(i)/230)) })); !p.Independent {
		t.Errorf("drift: %+v", p)
	}
	// Too few errors to tell, and nothing at all.
	if p := analysis.Learn(m, day(func(i int) int64 { return int64(i % 700 / 699) })); p.Independent || p.Dispersion != 0 {
		t.Errorf("rare errors: %+v", p)
	}
	if p := analysis.Learn(m, nil); p == nil || p.Independent {
		t.Errorf("no past: %+v", p)
	}
}

func TestDelta(t *testing.T) {
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	var d analysis.Delta
	for _, tt := range []struct {
		name   string
		at     int
		values []float64
		counts []int64
		reset  bool
		why    string
	}{
		{"the first", 0, []float64{100, 2}, nil, false, "one reading of a counter tells nothing yet"},
		{"more", 10, []float64{160, 5}, []int64{60, 3}, false, ""},
		{"the same again", 10, []float64{160, 5}, nil, false, "a reading is not newer than the last"},
		{"late", 5, []float64{130, 4}, nil, false, "a reading is not newer than the last"},
		{"no number", 20, []float64{math.NaN(), 5}, nil, false, "a counter cannot be NaN"},
		{"infinite", 20, []float64{math.Inf(1), 5}, nil, false, "a counter cannot be +Inf"},
		{"negative", 20, []float64{170, -1}, nil, false, "a counter cannot be -1"},
		{"one fell: all began again", 30, []float64{200, 1}, []int64{200, 1}, true, ""},
		{"and went on", 40, []float64{230, 1}, []int64{30, 0}, false, ""},
		{"others than before", 50, []float64{230}, nil, false, "there are other counters than before"},
	} {
		added, why := d.Add(at(tt.at), tt.values...)
		if diff := cmp.Diff(tt.counts, added.Counts); diff != "" || added.Reset != tt.reset || why != tt.why {
			t.Errorf("%s: %+v, %q", tt.name, added, why)
		}
	}
}

// The forecasts of a service with the figures of the reference rows. How well they
// hold is measured by the benchmark.
func TestAhead(t *testing.T) {
	a := compared(steadily).Ahead(analysis.Expected{Candidate: 100, Stable: 100, Interval: time.Minute, Bake: 30 * time.Minute})
	if len(a.See) != 3 || !(a.See[0].After > a.See[1].After && a.See[1].After > a.See[2].After && a.See[2].After > 0) || a.Pass == 0 || a.Margin < 2 || a.Blind {
		t.Errorf("%+v", a)
	}
	a = compared(nil).Ahead(analysis.Expected{Candidate: 1, Stable: 99, Rate: 0.0001, Interval: time.Minute, Bake: 30 * time.Minute})
	if !a.Blind || a.Margin != 0 || !strings.Contains(a.Why, "blind") {
		t.Errorf("%+v", a)
	}
	for _, x := range []analysis.Expected{{}, {Candidate: math.Inf(1), Stable: 1, Rate: 2}, {Candidate: 1, Stable: 1, Rate: math.NaN()}, {Candidate: 1e12, Stable: 1e12, Rate: 0.5}} {
		if a := compared(nil).Ahead(x); a.Why == "" || strings.Contains(a.Why, "NaN") {
			t.Errorf("%+v: %+v", x, a)
		}
	}
}

// Whatever comes in: no panic, no number that is none, harm that stays, and the
// same verdicts after a way through JSON.
func TestAnyComparedLooks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		past := rapid.SampledFrom([]*analysis.Past{nil, steadily, {Bounds: []float64{1, 2}, Rates: []float64{0.5, 0.1}, Dispersion: 3}}).Draw(t, "past")
		var all []analysis.Metric
		for _, name := range []string{"errors", "latency", "queue", "crashes"} {
			m := comparedLatency(past)
			m.Name = name
			m.Better = rapid.SampledFrom([]string{"", "lower", "higher", "same"}).Draw(t, "better")
			m.Compare.Rate = name == "crashes"
			m.Compare.Critical = rapid.Bool().Draw(t, "critical")
			m.Compare.Weight = rapid.SampledFrom([]float64{0, 2, -1, math.MaxFloat64}).Draw(t, "weight")
			all = append(all, m)
		}
		s := analysis.New(all)
		harmed := false
		draw := func(t *rapid.T) (r metrics.Release) {
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				r = counter(rapid.Int64().Draw(t, "n"), rapid.Int64().Draw(t, "events"))
			case 1:
				r = counter(rapid.Int64Range(0, 1000).Draw(t, "n"), rapid.Int64Range(0, 100).Draw(t, "events"))
			case 2:
				r.Histogram = &metrics.Histogram{Bounds: rapid.SliceOfN(rapid.Float64Range(0, 3), 0, 3).Draw(t, "bounds"), Counts: rapid.SliceOfN(rapid.Int64Range(-1, 1<<40), 0, 4).Draw(t, "counts")}
				slices.Sort(r.Histogram.Bounds)
			case 3:
				r.Samples = rapid.SliceOf(rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1, 2}))).Draw(t, "samples")
			}
			return r
		}
		for i := range rapid.IntRange(0, 20).Draw(t, "looks") {
			if rapid.IntRange(0, 5).Draw(t, "step") == 0 {
				s.StepBegan(epoch.Add(time.Duration(i) * time.Minute))
			}
			l := both(i, rapid.SampledFrom([]string{"errors", "latency", "queue", "crashes"}).Draw(t, "metric"), draw(t), draw(t))
			l.Target = fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "target"))
			l.Share = rapid.SampledFrom([]float64{0, 0.3, 1, -1, math.NaN()}).Draw(t, "share")
			if rapid.Bool().Draw(t, "short") {
				l.To = l.From.Add(time.Duration(rapid.IntRange(-5, 50).Draw(t, "length")) * time.Second)
			}
			s.Observe(l)
			harm, step := s.Harm(), s.Step()
			again := throughJSON(t, s)
			if h, st := again.Harm(), again.Step(); h != harm || st != step {
				t.Fatalf("after a way through JSON %+v became %+v, %+v became %+v", harm, h, step, st)
			}
			if harmed && harm.Value != strategy.Fail {
				t.Fatalf("harm was taken back: %+v", harm)
			}
			harmed = harm.Value == strategy.Fail
			for _, v := range []analysis.Verdict{harm, step} {
				if v.Why == "" || !strings.HasSuffix(v.Why, ".") || strings.Contains(v.Why, "NaN") || strings.Contains(v.Why, "Inf") || v.Effect < 0 || v.E < 0 {
					t.Fatalf("%+v", v)
				}
			}
			if _, err := json.Marshal(s.Evidence()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Where nothing may be assumed a block counts once, so shorter ones are seen sooner.
func TestAheadGoesByTheBlock(t *testing.T) {
	see := func(block time.Duration) time.Duration {
		how := analysis.Standard()
		how.Block = block
		m := analysis.Metric{Name: "errors", Compare: how}
		return m.Ahead(analysis.Expected{Candidate: 1e5, Stable: 1e5, Rate: 0.01, Interval: time.Second, Bake: time.Hour}).See[2].After
	}
	if minute, short := see(0), see(5*time.Second); short == 0 || minute < 10*short {
		t.Errorf("ten times the harm is seen after %s with blocks of a minute, after %s with blocks of 5 s", minute, short)
	}
}
