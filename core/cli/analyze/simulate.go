package analyze

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/analyze/recorded"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

const (
	mostRuns    = 1_000_000
	mostMinutes = 30 * 24 * 60
	// mostTraffic is in requests a minute.
	mostTraffic = 1e9
)

func (o *Options) checkSimulation(c *command.Command) error {
	for _, name := range []string{"weight", "critical"} {
		if o.given[name] {
			return c.Usage("-%s compares metrics, and runner analyze simulate plays one.", name)
		}
	}
	switch {
	case len(o.Files) > 0:
		return c.Usage("runner analyze simulate takes no arguments.")
	case o.Requests == "" || o.Errors == "":
		return c.Usage("runner analyze simulate needs the traffic, such as -requests=100/min -errors=0.5%%.")
	case o.Runs < 1 || o.Runs > mostRuns:
		return c.Usage("-runs must be between 1 and %d.", mostRuns)
	case o.Times < 0 || math.IsNaN(o.Times) || math.IsInf(o.Times, 0):
		return c.Usage("-times must be a number, 0 or more.")
	case o.For < time.Minute || o.For > mostMinutes*time.Minute || o.For%time.Minute != 0:
		return c.Usage("-for must be whole minutes, at most 30 days.")
	case o.Past < 0 || o.Past > mostMinutes*time.Minute || o.Past%time.Minute != 0:
		return c.Usage("-past must be whole minutes, at most 30 days; 0s is none.")
	}
	if o.Interval == 0 {
		o.Interval = time.Minute
	}
	if !fits(o.Interval) {
		return c.Usage("-interval must be whole minutes, or fit into one, such as 10s.")
	}
	if _, _, ok := o.Policy.unknown(nil); ok {
		return c.Usage("runner analyze simulate plays one metric; options hold for it without a name.")
	}
	if len(o.Metrics) > 0 && o.Stage == "" || len(o.Metrics) > 1 {
		return c.Usage("runner analyze simulate plays one metric; with -stage, -metric says which.")
	}
	perMinute, err := rate(o.Requests)
	if err != nil {
		return c.Usage("-requests=%s: %s.", o.Requests, err)
	}
	base, err := within(0, 1)(o.Errors)
	if err != nil {
		return c.Usage("-errors=%s: %s.", o.Errors, err)
	}
	if base*o.Times > 1 {
		return c.Usage("%g times %s is more than all requests.", o.Times, o.Errors)
	}
	t := o.traffic()
	least := min(t.Candidate, t.Stable)
	if o.Dispersion < 1 || o.Dispersion > 1 && !(o.Dispersion < least) {
		return c.Usage("-dispersion must be at least 1, and less than the requests a minute of each release, here %.3g.", min(perMinute, least))
	}
	return nil
}

// fits says that minutes can be divided into such intervals, or these into minutes.
func fits(interval time.Duration) bool {
	return interval >= time.Second && (interval%time.Minute == 0 || time.Minute%interval == 0)
}

// rate reads how many there are in a time, and gives them a minute.
func rate(s string) (float64, error) {
	number, unit, _ := strings.Cut(s, "/")
	v, err := strconv.ParseFloat(number, 64)
	factor, known := map[string]float64{"s": 60, "sec": 60, "m": 1, "min": 1, "": 1, "h": 1. / 60, "d": 1. / 1440}[unit]
	if err != nil || !known || !(v > 0 && v*factor <= mostTraffic) {
		return 0, fmt.Errorf("give a number of requests, at most %g a minute, and the time: 100/min, 20/s or 5000/h", mostTraffic)
	}
	return v * factor, nil
}

// traffic is what was asked for; checkSimulation has seen that it can be read.
func (o *Options) traffic() worlds.Traffic {
	perMinute, _ := rate(o.Requests)
	base, _ := finite(o.Errors)
	return worlds.Traffic{Candidate: perMinute * o.Policy.share, Stable: perMinute * (1 - o.Policy.share), Base: base}
}

// ended is how one rollout ended, and after how many minutes; the zero value is a
// rollout without a decision.
type ended struct {
	verdict strategy.VerdictValue
	after   float64
}

// play plays the n-th rollout.
func (o *Options) play(metric string, n int) (out ended) {
	nature, t := worlds.Independent, o.traffic()
	if o.Dispersion > 1 {
		nature = worlds.BetaMinutes
	}
	d := worlds.NewDice(fmt.Sprintf("simulate, seed %d", o.Seed), n)
	m := o.Policy.metric(metric, recorded.Counts)
	if o.Past > 0 && m.Compare != nil {
		m.Compare.Past = worlds.Learn(m, worlds.BeforeWithIndex(nature, t, o.Dispersion, d), int(o.Past/time.Minute))
	}
	judge := analysis.Policy{Alpha: o.Policy.alpha}.New([]analysis.Metric{m})
	judge.StepBegan(worlds.Start())
	w := worlds.WithIndex(nature, t, o.Times, o.Dispersion, d)
	parts, every := max(int(time.Minute/o.Interval), 1), max(int(o.Interval/time.Minute), 1)
	looks := 0
	worlds.Play(judge, []string{m.Name}, []*worlds.World{w}, int(o.For/time.Minute), parts, func(now float64) bool {
		if looks++; looks%every != 0 {
			return false
		}
		switch {
		case judge.Failed():
			out = ended{strategy.Fail, now}
		case now >= o.Bake.Minutes() && judge.Step().Value == strategy.Pass:
			out = ended{strategy.Pass, now}
		default:
			return false
		}
		return true
	})
	return out
}

// share of the rollouts that ended in one way.
type share struct {
	Rollouts int     `json:"rollouts"`
	Share    float64 `json:"share"`
	// Low and High are Wilson's 95 % interval.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// After are quantiles of the time until it was decided, in minutes.
	After *quantiles `json:"after_minutes,omitempty"`
}

type quantiles struct {
	P05 float64 `json:"p05"`
	P25 float64 `json:"p25"`
	P50 float64 `json:"p50"`
	P75 float64 `json:"p75"`
	P95 float64 `json:"p95"`
}

// simulated is what came of all rollouts.
type simulated struct {
	Runs      int    `json:"runs"`
	Seed      int64  `json:"seed"`
	Aborted   share  `json:"aborted"`
	Passed    share  `json:"passed"`
	Undecided share  `json:"undecided"`
	Judge     string `json:"judge"`
}

func simulate(ctx context.Context, o *Options) error {
	metric, err := o.played()
	if err != nil {
		return err
	}
	if !fits(o.Interval) {
		return failed("Invalid value", "The stage looks every %s. To simulate, minutes are divided; choose another time for it:\n  -interval=%s", o.Interval, time.Minute)
	}
	all := make([]ended, o.Runs)
	worlds.Each(o.Runs, runtime.GOMAXPROCS(0), func(i int) {
		if ctx.Err() == nil {
			all[i] = o.play(metric, i)
		}
	})
	if ctx.Err() != nil {
		return interrupted()
	}
	of := func(v strategy.VerdictValue) share {
		var after []float64
		for _, e := range all {
			if e.verdict == v {
				after = append(after, e.after)
			}
		}
		s := share{Rollouts: len(after), Share: float64(len(after)) / float64(o.Runs)}
		s.Low, s.High = worlds.Wilson(len(after), o.Runs)
		if len(after) > 0 && v != strategy.NoAnalysis {
			slices.Sort(after)
			at := func(q float64) float64 { return after[min(int(q*float64(len(after))), len(after)-1)] }
			s.After = &quantiles{at(0.05), at(0.25), at(0.5), at(0.75), at(0.95)}
		}
		return s
	}
	out := simulated{Runs: o.Runs, Seed: o.Seed, Aborted: of(strategy.Fail), Passed: of(strategy.Pass), Undecided: of(strategy.NoAnalysis), Judge: analysis.Version}
	if o.JSON {
		return json.NewEncoder(o.Env.Stdout).Encode(out)
	}
	_, err = fmt.Fprint(o.Env.Stdout, o.words(out))
	return err
}

// words are what people read of a simulation.
func (o *Options) words(s simulated) string {
	var b strings.Builder
	t := o.traffic()
	fmt.Fprintf(&b, "%s of %s: %s requests a minute to the candidate and %s to stable,\n%s of stable's fail",
		rollouts(s.Runs), clock(o.For), short(t.Candidate), short(t.Stable), percent(t.Base))
	switch {
	case o.Times == 1:
		b.WriteString(", and as many of the candidate's")
	default:
		fmt.Fprintf(&b, ", and %s times as many of the candidate's", short(o.Times))
	}
	if o.Dispersion > 1 {
		fmt.Fprintf(&b, "; they vary %s times as much as independent ones", short(o.Dispersion))
	}
	b.WriteString(".\n\n")
	fmt.Fprintf(&b, "%-10s %8s  %-16s  %s\n", "", "share", "95 % interval", "after: 5 %, 25 %, half, 75 %, 95 % of them")
	for _, row := range []struct {
		name string
		s    share
	}{{"aborted", s.Aborted}, {"passed", s.Passed}, {"undecided", s.Undecided}} {
		line := fmt.Sprintf("%-10s %8s  %-16s", row.name, percent(row.s.Share), percent(row.s.Low)+" - "+percent(row.s.High))
		if q := row.s.After; q != nil {
			line += fmt.Sprintf("  %s, %s, %s, %s, %s", minutes(q.P05), minutes(q.P25), minutes(q.P50), minutes(q.P75), minutes(q.P95))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func rollouts(n int) string {
	if n == 1 {
		return "1 rollout"
	}
	return fmt.Sprintf("%d rollouts", n)
}

func minutes(v float64) string { return clock(time.Duration(math.Round(v*60)) * time.Second) }

func short(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

func percent(v float64) string { return strconv.FormatFloat(100*v, 'g', 3, 64) + " %" }
