package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const days = 24 * time.Hour

var threeNines = SLO{Name: "availability", Objective: 0.999, Window: 30 * days}

func having(n, bad int64) metrics.Release {
	return metrics.Release{ID: "r", Counter: &metrics.Counter{N: n, Events: bad}}
}

// every is a past up to until in windows, the oldest first.
func every(window time.Duration, until time.Time, of ...metrics.Release) []Measured {
	var out []Measured
	for i, r := range of {
		to := until.Add(-time.Duration(len(of)-1-i) * window)
		out = append(out, Measured{From: to.Add(-window), To: to, Release: r})
	}
	return out
}

// steady is n windows of the same.
func steady(n int, r metrics.Release) []metrics.Release {
	out := make([]metrics.Release, n)
	for i := range out {
		out[i] = r
	}
	return out
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// The numbers are worked out by hand, as the comments do.
func TestABudgetIsWhatMayFail(t *testing.T) {
	day := func(bad int64) metrics.Release { return having(100_000, bad) }
	for _, x := range []struct {
		why      string
		slo      SLO
		past     [][]Measured
		n, bad   int64
		consumed float64
		measured time.Duration
		back     time.Duration
	}{
		{
			// 3,000,000 observations, 3,000 may be bad, 600 were.
			"a fifth is used", threeNines, [][]Measured{every(days, noon, append(steady(29, day(0)), day(600))...)},
			3_000_000, 600, 0.2, 30 * days, 0,
		},
		{
			// 6,000 were bad on the first of 30 days, twice the budget. It leaves the window
			// when that day's end does, a day from now.
			"what is old leaves soon", threeNines, [][]Measured{every(days, noon, append([]metrics.Release{day(6000)}, steady(29, day(0))...)...)},
			3_000_000, 6000, 2, 30 * days, days,
		},
		{
			// All of it came today, so it stays for the whole window.
			"what is new stays", threeNines, [][]Measured{every(days, noon, append(steady(29, day(0)), day(6000))...)},
			3_000_000, 6000, 2, 30 * days, 30 * days,
		},
		{
			// A day is known, 150 of 100,000 were bad: 1.5 budgets. 150,000 observations make
			// 150 no more than allowed, and 50,000 more take half a day.
			"a young service grows out of it", threeNines, [][]Measured{every(days, noon, day(150))},
			100_000, 150, 1.5, days, days / 2,
		},
		{
			// Two targets are one service: 50 of 100,000 and 150 of 100,000.
			"targets are added up", threeNines, [][]Measured{every(days, noon, day(50)), every(days, noon, day(150))},
			200_000, 200, 1, days, 0,
		},
		{
			// Only the last of the two days lies within a day, and what comes later does not.
			"the window ends the past", SLO{"x", 0.99, days},
			[][]Measured{append(every(days, noon, having(1000, 1000), having(1000, 5)), every(days, noon.Add(days), having(1000, 1000))...)},
			1000, 5, 0.5, days, 0,
		},
		{
			"nonsense is left out", SLO{"x", 0.99, days},
			[][]Measured{every(time.Hour, noon, having(10, 11), having(-1, 0), metrics.Release{NoData: "none"}, metrics.Release{Samples: []float64{1}})},
			0, 0, 0, 0, 0,
		},
		{"nothing is known", threeNines, nil, 0, 0, 0, 0, 0},
	} {
		t.Run(x.why, func(t *testing.T) {
			b := x.slo.Budget(noon, x.past...)
			if b.N != x.n || b.Bad != x.bad || b.Measured != x.measured {
				t.Errorf("%d of %d in %s, want %d of %d in %s", b.Bad, b.N, b.Measured, x.bad, x.n, x.measured)
			}
			near(t, "the part that is used", b.Consumed, x.consumed)
			near(t, "the time until it is back", b.Back.Hours(), x.back.Hours())
			if exhausted := x.consumed >= 1; b.Exhausted() != exhausted {
				t.Errorf("exhausted is %v", b.Exhausted())
			}
		})
	}
}

func TestABudgetSaysWhatBecameOfIt(t *testing.T) {
	day := func(bad int64) metrics.Release { return having(100_000, bad) }
	for _, x := range []struct {
		budget Budget
		want   string
	}{
		{threeNines.Budget(noon, every(days, noon, append(steady(29, day(0)), day(600))...)), "availability: 20 % of its error budget is used (0.02 % of 3000000 observations in 30 days were bad, and 0.1 % may be)"},
		{threeNines.Budget(noon, every(days, noon, day(150))), "availability: its error budget is used up, 150 % of it (0.15 % of 100000 observations in 30 days were bad, and 0.1 % may be; 24 hours of them were measured); if nothing more fails, it is back in 12 hours"},
		{threeNines.Budget(noon), "availability: nothing is known of its error budget"},
	} {
		if diff := cmp.Diff(x.want, x.budget.String()); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}
	}
}

// Of a budget of 30 days, 14.4 times too fast for an hour is 2 %, and 6 times too
// fast for six hours 5 %; so they are of any other window.
func TestPairsStandForTheSamePartsOfAnyBudget(t *testing.T) {
	want := []Pair{{14.4, time.Hour, 5 * time.Minute}, {6, 6 * time.Hour, 30 * time.Minute}}
	if diff := cmp.Diff(want, threeNines.Pairs()); diff != "" {
		t.Errorf("pairs of 30 days (-want +got):\n%s", diff)
	}
	for _, window := range []time.Duration{days, 7 * days, 28 * days, 90 * days} {
		for i, part := range []float64{0.02, 0.05} {
			p := SLO{"x", 0.99, window}.Pairs()[i]
			near(t, "part of the budget of "+window.String(), p.Factor*float64(p.Long)/float64(window), part)
			near(t, "short window of "+window.String(), float64(p.Long)/float64(p.Short), 12)
		}
	}
}

// service is looked at once a minute: 1,000 observations, of which some are bad.
type service struct {
	b  *Burn
	at time.Time
}

// before begins with hours of a past in minutes.
func before(hours int, bad int64) *service {
	s := &service{NewBurn([]SLO{threeNines}), noon}
	s.b.Seed("availability", "main", every(time.Minute, noon, steady(60*hours, having(1000, bad))...), noon)
	s.b.StepBegan(noon)
	return s
}

func (s *service) minutes(n int, bad int64) (harm, step Verdict) {
	for range n {
		stable := having(900, bad/2)
		s.b.Observe(Look{Metric: "availability", Target: "main", From: s.at, To: s.at.Add(time.Minute), Candidate: having(100, bad-bad/2), Stable: &stable})
		s.at = s.at.Add(time.Minute)
		if harm, step = s.b.Judge(Verdict{}, Verdict{}, true); harm.Value == strategy.Fail {
			break
		}
	}
	return harm, step
}

func TestABurnIsHarmInBothWindowsOfAPair(t *testing.T) {
	for _, x := range []struct {
		why string
		// hours of a past with so many bad in a minute, then so many for so long.
		hours   int
		past    int64
		bad     int64
		minutes int
		// after is how many minutes pass until it is harm; 0 for never.
		after float64
	}{
		// 2 % of a minute is 20 times too fast. The hour has 14.4 times too many, 864, when
		// 43.2 minutes of 20 are in it.
		{"20 times for an hour", 6, 0, 20, 60, 44},
		// 100 times: 8.64 minutes; by then the five minutes are full of it.
		{"100 times", 6, 0, 100, 60, 9},
		// 7 times is too little for the hour. Six hours have 6 times too many, 2,160 bad,
		// after 308.6 minutes of 7.
		{"7 times for six hours", 6, 0, 7, 360, 309},
		{"5 times is no burn", 6, 0, 5, 400, 0},
		// Without a past the windows must fill first: the hour and six hours.
		{"20 times, nothing known before", 0, 0, 20, 70, 57},
		{"7 times, nothing known before", 0, 0, 7, 360, 342},
		{"nothing is bad", 6, 0, 0, 30, 0},
	} {
		t.Run(x.why, func(t *testing.T) {
			s := before(x.hours, x.past)
			harm, _ := s.minutes(x.minutes, x.bad)
			took := s.at.Sub(noon).Minutes()
			switch {
			case x.after == 0 && harm.Value == strategy.Fail:
				t.Errorf("harm after %v minutes: %s", took, harm.Why)
			case x.after == 0:
			case harm.Value != strategy.Fail:
				t.Errorf("no harm after %v minutes", took)
			// A window ends up to a twelfth early: that is how long after it may be seen, as it
			// has more in it that was good.
			case took < x.after || took > x.after*13/12+1:
				t.Errorf("harm after %v minutes, want %v: %s", took, x.after, harm.Why)
			}
		})
	}
}

func TestAHandfulIsNoBurn(t *testing.T) {
	s := &service{NewBurn([]SLO{threeNines}), noon}
	s.b.Seed("availability", "main", every(time.Minute, noon, steady(360, having(1, 0))...), noon)
	look := func(bad int64) Verdict {
		s.b.Observe(Look{Metric: "availability", Target: "main", From: s.at, To: s.at.Add(time.Minute), Candidate: having(1, bad)})
		s.at = s.at.Add(time.Minute)
		harm, _ := s.b.Judge(Verdict{}, Verdict{}, true)
		return harm
	}
	for i := range 9 {
		if harm := look(1); harm.Value == strategy.Fail {
			t.Fatalf("%d bad observations are a burn: %s", i+1, harm.Why)
		}
	}
	if harm := look(1); harm.Value != strategy.Fail {
		t.Errorf("ten of 60 are none: %+v", harm)
	}
}

// A burst that has ended is not harm: the short window says so.
func TestWhatHasEndedIsNoHarm(t *testing.T) {
	s := before(6, 0)
	if harm, _ := s.minutes(8, 100); harm.Value == strategy.Fail {
		t.Fatalf("harm within the burst: %s", harm.Why)
	}
	if harm, _ := s.minutes(60, 0); harm.Value == strategy.Fail {
		t.Errorf("harm after the burst: %s", harm.Why)
	}
}

// What burned before is not blamed on the candidate, holds the step, and is harm
// once it is twice as bad.
func TestWhatBurnedBeforeIsNotBlamed(t *testing.T) {
	s := before(6, 20)
	if text, burning := s.b.Burning("availability"); !burning || text != "availability burns its error budget 20 times too fast over 5 minutes and 20 times over 60 minutes; 14.4 times in both is too fast" {
		t.Errorf("before: %v, %q", burning, text)
	}
	harm, step := s.minutes(30, 20)
	if harm.Value == strategy.Fail || step.Value != strategy.Inconclusive || !strings.Contains(step.Why, "began before the candidate had traffic") {
		t.Errorf("harm %+v, step %+v", harm, step)
	}
	s.b.Accept("availability")
	if _, step = s.minutes(1, 10); step.Value != strategy.Pass {
		t.Errorf("accepted, and the step is %+v", step)
	}
	if harm, _ = s.minutes(120, 50); harm.Value != strategy.Fail || !strings.Contains(harm.Why, "before the candidate had traffic it was 20 and 20 times") {
		t.Errorf("more than twice as bad: %+v", harm)
	}
}

// Once it is well it may burn no more than any other.
func TestWhatGotWellIsHeldToTheFactorAgain(t *testing.T) {
	s := before(6, 20)
	if _, step := s.minutes(400, 0); step.Value != strategy.Pass {
		t.Fatalf("well again, and the step is %+v", step)
	}
	if harm, _ := s.minutes(60, 20); harm.Value != strategy.Fail {
		t.Errorf("it burns again: %+v", harm)
	}
}

// By SLOs alone a step is passed when it was watched for the shortest window.
func TestAStepIsPassedOnSLOsAlone(t *testing.T) {
	s := before(6, 0)
	if _, step := s.minutes(4, 0); step.Value != strategy.Inconclusive || step.Why != "availability was measured for 4 minutes since the step began, 5 minutes are needed." {
		t.Errorf("after 4 minutes: %+v", step)
	}
	if _, step := s.minutes(1, 0); step.Value != strategy.Pass || step.N != 5000 {
		t.Errorf("after 5 minutes: %+v", step)
	}
	s.b.StepBegan(s.at)
	_, step := s.b.Judge(Verdict{}, Verdict{}, true)
	if step.Value != strategy.Inconclusive || !step.NoData || step.Why != "availability has no data since the step began." {
		t.Errorf("a new step: %+v", step)
	}
	s.b.Observe(Look{Metric: "availability", Target: "main", From: s.at, To: s.at.Add(time.Minute), Candidate: metrics.Release{NoData: "nobody counts"}})
	if _, step = s.b.Judge(Verdict{}, Verdict{}, true); !step.NoData || step.Why != "availability has no data since the step began: nobody counts." {
		t.Errorf("without data: %+v", step)
	}
	// With metrics beside them they have nothing to say against it.
	if _, step = s.b.Judge(Verdict{}, Verdict{Value: strategy.Pass, N: 7}, false); step.Value != strategy.Pass || step.N != 7 {
		t.Errorf("beside metrics: %+v", step)
	}
}

// What was saved goes on as if it had not been, and stays small.
func TestABurnIsSaved(t *testing.T) {
	a, b := before(6, 3), before(6, 3)
	for i := range 500 {
		a.minutes(1, int64(i%7))
		b.minutes(1, int64(i%7))
		raw, err := json.Marshal(b.b)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 2500 {
			t.Fatalf("%d bytes: %s", len(raw), raw)
		}
		b.b = &Burn{}
		if err := json.Unmarshal(raw, b.b); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(a.b.state, b.b.state); diff != "" {
		t.Errorf("a saved one differs (-live +saved):\n%s", diff)
	}
	for _, raw := range []string{`[]`, `{"slos":[null]}`, `{"slos":[{"name":"x","objective":2,"window":1}]}`, `{"slos":[{"name":"x","objective":0.9,"window":1,"tracks":[null]}]}`, `{"slos":[{"name":"x","objective":0.9,"window":1,"tracks":[{"n":-1}]}]}`} {
		if err := json.Unmarshal([]byte(raw), &Burn{}); err == nil {
			t.Errorf("%s was read", raw)
		}
	}
}

// No numbers and no order of looks make it panic, or find harm in what is good.
func FuzzBurn(f *testing.F) {
	f.Add(int64(60), int64(1000), int64(0), int64(-5), uint8(3))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(1), uint8(200))
	f.Fuzz(func(t *testing.T, seconds, n, bad, back int64, looks uint8) {
		b := NewBurn([]SLO{threeNines, {"day", 0.5, days}})
		b.Seed("day", "main", []Measured{{noon.Add(-time.Hour), noon, having(n, bad)}, {noon, noon.Add(-time.Hour), having(n, bad)}}, noon)
		b.Seed("availability", "main", nil, noon)
		at := noon
		for range looks {
			to := at.Add(time.Duration(seconds) * time.Second)
			for _, slo := range []string{"availability", "day", "nobody"} {
				b.Observe(Look{Metric: slo, Target: "main", From: at, To: to, Candidate: having(n, bad)})
			}
			at = to.Add(time.Duration(back))
			harm, step := b.Judge(Verdict{}, Verdict{}, true)
			if bad <= 0 && harm.Value == strategy.Fail || step.N < 0 {
				t.Fatalf("harm %+v, step %+v of %d bad", harm, step, bad)
			}
		}
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &Burn{}); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
	})
}
