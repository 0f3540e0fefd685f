package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// SLO is what a service promises: the share of its observations that are good,
// over a window that moves with time. The rest is its error budget.
type SLO struct {
	Name string `json:"name"`
	// Objective is the share of good observations, above 0 and below 1, such as 0.999.
	Objective float64       `json:"objective"`
	Window    time.Duration `json:"window"`
}

// allowed is the share of observations that may be bad.
func (o SLO) allowed() float64 { return 1 - o.Objective }

// Pair are two windows over which the budget must be burning too fast, one to be
// sure that it does, and one to be sure that it still does.
type Pair struct {
	// Factor is how many times too fast: 1 uses exactly the budget up over the SLO's window.
	Factor      float64
	Long, Short time.Duration
}

// month is the window for which the pairs are known.
const month = 30 * 24 * time.Hour

// Pairs are those of the multiwindow alerts of Google's SRE workbook that page
// somebody: of a budget of 30 days 2 % within an hour, or 5 % within six. For
// another window all durations are scaled by window / 30 days, so that they stand
// for the same parts of its budget, and the factors are as they are.
func (o SLO) Pairs() []Pair {
	scaled := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) * (float64(o.Window) / float64(month)))
	}
	return []Pair{
		{Factor: 14.4, Long: scaled(time.Hour), Short: scaled(5 * time.Minute)},
		{Factor: 6, Long: scaled(6 * time.Hour), Short: scaled(30 * time.Minute)},
	}
}

// Before is how much of the past the burn rates need before a rollout, and in
// windows of which length it is best asked for.
func (o SLO) Before() (history, window time.Duration) {
	pairs := o.Pairs()
	return pairs[1].Long, pairs[0].Short / 5
}

// Budget is what became of an error budget.
type Budget struct {
	SLO
	// N are the observations, Bad those that were bad.
	N   int64 `json:"n"`
	Bad int64 `json:"bad"`
	// Consumed is the part of the budget that is used: the share of bad observations
	// over the share that may be bad. From 1 on nothing is left.
	Consumed float64 `json:"consumed"`
	// Measured is how much of the window was measured, Back how long it takes until
	// something is left again if nothing more fails and traffic stays as it is; 0 where
	// something is left.
	Measured time.Duration `json:"measured"`
	Back     time.Duration `json:"back,omitempty"`
}

// Exhausted reports whether nothing is left, as exactly as the objective can be written.
func (b Budget) Exhausted() bool { return b.Consumed >= 1-1e-9 }

// Budget adds up what was measured of a service over the SLO's window before until,
// target by target. What is no count, or makes no sense, is left out; with N 0
// nothing is known.
func (o SLO) Budget(until time.Time, targets ...[]Measured) Budget {
	out := Budget{SLO: o}
	var all []counted
	perSecond := 0.0
	for _, past := range targets {
		n, covered := int64(0), time.Duration(0)
		for _, p := range past {
			one, _ := read(p.Release, 0)
			if one.Counter == nil || !p.To.After(p.From) || !p.To.After(until.Add(-o.Window)) || p.To.After(until) {
				continue
			}
			n, covered = plus(n, one.Counter.N), covered+p.To.Sub(p.From)
			out.Bad = plus(out.Bad, one.Counter.Events)
			all = append(all, counted{at: p.To, x: float64(one.Counter.Events), n: float64(one.Counter.N)})
		}
		out.N = plus(out.N, n)
		out.Measured = max(out.Measured, covered)
		if covered > 0 {
			perSecond += float64(n) / covered.Seconds()
		}
	}
	if out.N == 0 {
		return out
	}
	out.Consumed = float64(out.Bad) / float64(out.N) / o.allowed()
	if out.Exhausted() {
		out.Back = o.back(until, all, perSecond)
	}
	return out
}

// back is when the budget is within its limit again while the past leaves the
// window, oldest first, and good observations come in.
func (o SLO) back(until time.Time, past []counted, perSecond float64) time.Duration {
	slices.SortFunc(past, func(a, b counted) int { return a.at.Compare(b.at) })
	n, bad := 0.0, 0.0
	for _, c := range past {
		n, bad = n+c.n, bad+c.x
	}
	begin := time.Duration(0)
	for _, c := range past {
		end := c.at.Add(o.Window).Sub(until)
		if perSecond > 0 {
			// n + perSecond × t observations are enough for what is bad.
			t := (bad/o.allowed() - n) / perSecond
			if at := max(begin, time.Duration(math.Min(t, 1e9)*float64(time.Second))); at < end {
				return at
			}
		}
		n, bad, begin = n-c.n, bad-c.x, max(begin, end)
	}
	return begin
}

// String says in one sentence what became of the budget.
func (b Budget) String() string {
	if b.N == 0 {
		return fmt.Sprintf("%s: nothing is known of its error budget", b.Name)
	}
	seen := fmt.Sprintf("%s %% of %s in %s were bad, and %s %% may be", percent(float64(b.Bad)/float64(b.N)), observations(b.N), About(b.Window), percent(b.allowed()))
	if b.Measured < b.Window*9/10 {
		seen += fmt.Sprintf("; %s of them were measured", About(b.Measured))
	}
	if !b.Exhausted() {
		return fmt.Sprintf("%s: %s %% of its error budget is used (%s)", b.Name, percent(b.Consumed), seen)
	}
	return fmt.Sprintf("%s: its error budget is used up, %s %% of it (%s); if nothing more fails, it is back in %s", b.Name, percent(b.Consumed), seen, About(b.Back))
}

// percent is a share with three digits, as people write it.
func percent(share float64) string {
	if p := 100 * share; p >= 1000 {
		return fmt.Sprintf("%.0f", p)
	}
	return fmt.Sprintf("%.3g", 100*share)
}
