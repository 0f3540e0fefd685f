package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/core/internal/worlds"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

// section is a table with what it says.
type section struct {
	heading, text string
	play          func(b *bench, out io.Writer)
}

var sections = []section{
	{"False aborts", "A healthy candidate for 60 minutes: the share of trials that were aborted, in percent, with its 95 % interval. Each cell is the worst of seven services (below). " +
		"At most 3 % at a tolerance of 0.1 and 5 % at 0; 5 % with bursts of 180 s.", falseAborts},
	{"Detection", "Errors are independent, one look a minute. Found within 60 minutes, in percent; the median of all trials and the mean of those found within 600 minutes, in minutes. " +
		"SPRT is the best that can be: it knows the ratio beforehand, and has the same threshold and tolerance.", detection},
	{"Detection under index 3", "As above at a tolerance of 0, with errors that come in clusters: a beta-distributed rate for each minute and release.", clustered},
	{"Several metrics", "Five metrics of 100 + 100 requests a minute or as said, one look a minute; all healthy, or the first one bad.", several},
	{"Latency", "Lognormal times with sigma 1, 500 + 500 requests a minute, tolerance 0.1, one look a minute. Found within 10 and 60 minutes.", latencies},
	{"Passing", "How often a candidate passes within 4 hours, and when. At the margin it fails 1.5 times as often as stable or half a percentage point more, whichever is more, and must pass in at most 5 %.", passing},
	{"Side by side", "One hour, equal traffic, one look a minute; aborted within the hour, in percent. Ours has a tolerance of 0.1.", sideBySide},
	{"Forecast", "What `Ahead` says beforehand and what came of it: the mean time in minutes until the harm is seen, tolerance 0.1, one look a minute. Said from each of five days of the past: their mean, the least and the most.", forecast},
	{"Speed", "One processor. A look is one minute of 10 metrics with both verdicts; an hour is 60 of them.", speed},
}

func eq(perMinute, base float64) worlds.Traffic {
	return worlds.Traffic{Name: fmt.Sprintf("equal, %g/min, %g %%", perMinute, base*100), Candidate: perMinute, Stable: perMinute, Base: base}
}

func fivePercent(perMinute, base float64) worlds.Traffic {
	return worlds.Traffic{Name: fmt.Sprintf("5/95, %g/min, %g %%", perMinute, base*100), Candidate: perMinute, Stable: 19 * perMinute, Base: base}
}

// services are those of the rows about false aborts. The requests are the
// candidate's.
var services = []worlds.Traffic{
	eq(100, 0.001), eq(100, 0.005), eq(1000, 0.005), eq(1000, 0.02),
	fivePercent(10, 0.005), fivePercent(100, 0.005), fivePercent(1000, 0.005),
}

var natures = []worlds.Nature{worlds.Independent, worlds.Drift, worlds.Outage, worlds.BetaMinutes, worlds.Bursts, worlds.Unaligned, worlds.LongBursts}

func (s setup) trial(row string, i int) outcome { return s.run(worlds.NewDice(row, i)) }

func falseAborts(b *bench, out io.Writer) {
	var rows [][]string
	for _, n := range natures {
		row := []string{string(n)}
		ok := true
		for _, tolerance := range []float64{0.1, 0} {
			for _, second := range []bool{false, true} {
				trials, worst, of := b.runs, -1, 0
				if second {
					trials = b.seconds
				}
				name := ""
				for _, t := range services {
					s := setup{Tolerance: tolerance, Nature: n, Traffic: t, Effect: 1, Minutes: 60, Second: second}
					r := b.play(fmt.Sprintf("healthy, %s, %s, tolerance %g, seconds %v", n, t.Name, tolerance, second), trials, s.trial)
					if len(r.aborts) > worst {
						worst, of, name = len(r.aborts), r.n, t.Name
					}
				}
				limit := 0.05
				if tolerance > 0 && n != worlds.LongBursts {
					limit = 0.03
				}
				ok = ok && float64(worst)/float64(of) <= limit
				row = append(row, share(worst, of)+" ("+name+")")
			}
		}
		rows = append(rows, append(row, b.must(string(n), ok)))
	}
	table(out, []string{"errors", "tolerance 0.1, a look a minute", "a look a second", "tolerance 0, a look a minute", "a look a second", "as must be"}, rows)
	fmt.Fprintf(out, "\nServices, by share of the traffic, the candidate's requests and the share of them that fails: ")
	for i, t := range services {
		if i > 0 {
			fmt.Fprint(out, "; ")
		}
		fmt.Fprint(out, t.Name)
	}
	fmt.Fprintln(out, ".")
}

// bad is a row about a bad candidate and what it must show.
type bad struct {
	setup
	found, median float64
}

// meanHorizon is how long trials last whose mean is wanted.
const meanHorizon = 600

func (b *bench) detect(x bad, row string) (cells []string, ratio float64, ok bool) {
	x.Minutes = meanHorizon
	if x.Effect >= 10 {
		x.Minutes = 200
	}
	r := b.play(row, b.runs, x.trial)
	found := within(r.aborts, 60)
	best := b.play(row+", SPRT", b.runs, func(row string, i int) outcome {
		w := worlds.New(x.Nature, x.Traffic, x.Effect, worlds.NewDice(row, i))
		return outcome{abort: sprt(func(m int) worlds.Window { return w.Minute(m, 1)[0] }, x.Effect, x.Tolerance, x.Minutes)}
	})
	ratio = mean(r.aborts) / mean(best.aborts)
	m := medianOf(r.aborts, r.n)
	ok = float64(found)/float64(r.n) >= x.found && (x.median == 0 || m <= x.median)
	cells = []string{share(found, r.n), minutes(m), fmt.Sprintf("%.1f", mean(r.aborts)),
		fmt.Sprintf("%s / %s / %.1f", percent(float64(within(best.aborts, 60))/float64(best.n)), minutes(medianOf(best.aborts, best.n)), mean(best.aborts)), fmt.Sprintf("%.2f", ratio)}
	return cells, ratio, ok
}

func detection(b *bench, out io.Writer) {
	row := func(tolerance, effect float64, t worlds.Traffic, found, median float64) bad {
		return bad{setup{Tolerance: tolerance, Nature: worlds.Independent, Traffic: t, Effect: effect}, found, median}
	}
	var rows [][]string
	for _, x := range []bad{
		row(0, 10, eq(100, 0.001), 0.995, 8.5), row(0, 3, eq(100, 0.005), 0.99, 12.5), row(0, 10, fivePercent(10, 0.005), 0.995, 7),
		row(0.1, 10, eq(100, 0.001), 0, 9.5), row(0.1, 3, eq(100, 0.005), 0.985, 14.5), row(0.1, 10, fivePercent(10, 0.005), 0, 7.5),
		row(0, 20, eq(100, 0.001), 0, 0), row(0, 5, eq(100, 0.005), 0, 0), row(0, 2, eq(100, 0.005), 0, 0), row(0, 2, eq(1000, 0.005), 0, 0),
		row(0, 3, eq(1000, 0.005), 0, 0), row(0, 1.5, eq(1000, 0.02), 0, 0),
	} {
		name := fmt.Sprintf("x%g, %s, tolerance %g", x.Effect, x.Traffic.Name, x.Tolerance)
		cells, ratio, ok := b.detect(x, name)
		if x.Tolerance == 0 {
			limit := 1.3
			if x.Effect < 2 {
				limit = 1.6
			}
			ok = ok && ratio <= limit
		}
		want := fmt.Sprintf("mean at most %g times SPRT", map[bool]float64{true: 1.6, false: 1.3}[x.Effect < 2])
		if x.median > 0 {
			want = fmt.Sprintf("median %g", x.median)
			if x.found > 0 {
				want = fmt.Sprintf("%g %%, ", x.found*100) + want
			}
		}
		rows = append(rows, append(append([]string{name}, cells...), want, b.must(name, ok)))
	}
	table(out, []string{"bad candidate", "found", "median", "mean", "SPRT found / median / mean", "mean / SPRT's", "must be", ""}, rows)
}

func clustered(b *bench, out io.Writer) {
	var rows [][]string
	for _, x := range []bad{
		{setup{Nature: worlds.BetaMinutes, Traffic: eq(100, 0.001), Effect: 10}, 0.99, 20},
		{setup{Nature: worlds.BetaMinutes, Traffic: eq(100, 0.005), Effect: 3}, 0.88, 27},
		{setup{Nature: worlds.BetaMinutes, Traffic: fivePercent(10, 0.005), Effect: 10}, 0.99, 18},
	} {
		name := fmt.Sprintf("x%g, %s", x.Effect, x.Traffic.Name)
		x.Minutes = 60
		r := b.play(name+", index 3", b.runs, x.trial)
		m := medianOf(r.aborts, r.n)
		rows = append(rows, []string{name, share(len(r.aborts), r.n), minutes(m), fmt.Sprintf("%g %%, median %g", x.found*100, x.median),
			b.must(name+", index 3", float64(len(r.aborts))/float64(r.n) >= x.found && m <= x.median)})
	}
	table(out, []string{"bad candidate", "found", "median", "must be", ""}, rows)
}

func several(b *bench, out io.Writer) {
	var rows [][]string
	for _, n := range []worlds.Nature{worlds.Independent, worlds.BetaMinutes} {
		for _, t := range []worlds.Traffic{eq(100, 0.005), fivePercent(100, 0.005)} {
			name := fmt.Sprintf("all healthy, %s, %s", t.Name, n)
			s := setup{Tolerance: 0.1, Nature: n, Traffic: t, Effect: 1, Metrics: 5, Minutes: 60}
			r := b.play(name, b.runs, s.trial)
			rows = append(rows, []string{name, share(len(r.aborts), r.n), "", "at most 3 %", b.must(name, float64(len(r.aborts))/float64(r.n) <= 0.03)})
		}
	}
	for _, x := range []bad{
		{setup{Nature: worlds.Independent, Traffic: eq(100, 0.001), Effect: 10}, 0, 13},
		{setup{Nature: worlds.Independent, Traffic: eq(100, 0.005), Effect: 3}, 0, 20},
		{setup{Nature: worlds.Independent, Traffic: fivePercent(10, 0.005), Effect: 10}, 0, 10},
	} {
		name := fmt.Sprintf("one x%g, %s, tolerance 0", x.Effect, x.Traffic.Name)
		x.Metrics, x.Minutes = 5, 60
		r := b.play(name, b.runs, x.trial)
		m := medianOf(r.aborts, r.n)
		rows = append(rows, []string{name, share(len(r.aborts), r.n), minutes(m), fmt.Sprintf("median %g", x.median), b.must(name, m <= x.median)})
	}
	table(out, []string{"five metrics", "aborted", "median", "must be", ""}, rows)
}

func latencies(b *bench, out io.Writer) {
	var rows [][]string
	for _, x := range []struct {
		name         string
		own          float64
		slower       float64
		limit, found float64 // the minutes within which so many must be found
	}{
		{"30 % slower", 0, 1.3, 10, 0.99},
		{"30 % slower, own shift sd 0.15", 0.15, 1.3, 60, 0.99},
		{"healthy", 0, 1, 0, 0.03},
		{"healthy, own shift sd 0.15", 0.15, 1, 0, 0.03},
		{"healthy, shared drift of 50 %", 0, 1, 0, 0.03},
	} {
		for _, raw := range []bool{false, true} {
			s := latency{Tolerance: 0.1, Candidate: 500, Stable: 500, Slower: x.slower, Own: x.own, Raw: raw, Minutes: 60, past: newPasts()}
			if x.name == "healthy, shared drift of 50 %" {
				s.Drift = 0.5
			}
			form := "default buckets"
			if raw {
				form = "samples"
			}
			name := x.name + ", " + form
			r := b.play(name, b.runs, s.run)
			ten, hour := within(r.aborts, 10), within(r.aborts, 60)
			want := fmt.Sprintf("%g %% within %g minutes", x.found*100, x.limit)
			ok := float64(within(r.aborts, x.limit))/float64(r.n) >= x.found
			if x.slower == 1 {
				want, ok = fmt.Sprintf("at most %g %%", x.found*100), float64(hour)/float64(r.n) <= x.found
			}
			rows = append(rows, []string{name, share(ten, r.n), share(hour, r.n), minutes(medianOf(r.aborts, r.n)), want, b.must(name, ok)})
		}
	}
	table(out, []string{"candidate", "within 10 minutes", "within 60 minutes", "median", "must be", ""}, rows)
}

func passing(b *bench, out io.Writer) {
	var rows [][]string
	play := func(name string, s setup, limit float64) {
		s.Tolerance, s.IgnoreHarm = 0.1, true
		if s.Minutes == 0 {
			s.Minutes = 240
		}
		r := b.play(name, b.runs, s.trial)
		m := medianOf(r.passes, r.n)
		want, ok := "", "-"
		switch {
		case s.Effect == 1 && limit > 0:
			want, ok = fmt.Sprintf("median %g", limit), b.must(name, m <= limit)
		case s.Effect > 1:
			want, ok = fmt.Sprintf("at most %g %%", limit*100), b.must(name, float64(len(r.passes))/float64(r.n) <= limit)
		}
		rows = append(rows, []string{name, share(len(r.passes), r.n), minutes(m), want, ok})
	}
	for _, n := range []worlds.Nature{worlds.Independent, worlds.BetaMinutes, worlds.Bursts, worlds.LongBursts} {
		for _, t := range []worlds.Traffic{eq(100, 0.01), eq(1000, 0.005), eq(1000, 0.02), fivePercent(100, 0.01)} {
			effect := max(1.5, 1+0.005/t.Base)
			play(fmt.Sprintf("at the margin, %s, %s", t.Name, n), setup{Nature: n, Traffic: t, Effect: effect}, 0.05)
		}
	}
	for _, x := range []struct {
		t      worlds.Traffic
		n      worlds.Nature
		median float64
	}{
		{eq(1000, 0.005), worlds.Independent, 45}, {eq(1000, 0.02), worlds.Independent, 20}, {eq(100, 0.001), worlds.Independent, 0}, {eq(100, 0.005), worlds.Independent, 0},
		{fivePercent(100, 0.005), worlds.Independent, 0}, {eq(1000, 0.005), worlds.BetaMinutes, 0}, {eq(1000, 0.02), worlds.BetaMinutes, 0}, {eq(100, 0.005), worlds.BetaMinutes, 0},
	} {
		play(fmt.Sprintf("healthy, %s, %s", x.t.Name, x.n), setup{Nature: x.n, Traffic: x.t, Effect: 1}, x.median)
	}
	table(out, []string{"candidate", "passed", "median", "must be", ""}, rows)
}

func sideBySide(b *bench, out io.Writer) {
	var rows [][]string
	for _, x := range []struct {
		t      worlds.Traffic
		effect float64
	}{
		{eq(100, 0.005), 1}, {eq(1000, 0.001), 1}, {eq(1000, 0.005), 1}, {eq(100, 0.02), 1},
		{eq(10, 0.005), 10}, {eq(10, 0.02), 3}, {eq(100, 0.001), 3}, {eq(100, 0.001), 10}, {eq(100, 0.005), 3}, {eq(1000, 0.001), 3}, {eq(1000, 0.005), 3},
		{fivePercent(10, 0.005), 10}, {fivePercent(100, 0.001), 3},
	} {
		name := fmt.Sprintf("%s, x%g", x.t.Name, x.effect)
		if x.effect == 1 {
			name = x.t.Name + ", healthy"
		}
		row := []string{name}
		for _, p := range peers {
			r := b.play(name+", "+p.Name, b.runs, func(_ string, i int) outcome {
				w := worlds.New(worlds.Independent, x.t, x.effect, worlds.NewDice(name, i)) // the same for all
				hour := make([]worlds.Window, 60)
				for m := range hour {
					hour[m] = w.Minute(m, 1)[0]
				}
				return outcome{abort: p.rule(hour)}
			})
			row = append(row, cell(r))
		}
		s := setup{Tolerance: 0.1, Nature: worlds.Independent, Traffic: x.t, Effect: x.effect, Minutes: 60}
		rows = append(rows, append(row, "**"+cell(b.play(name+", ours", b.runs, s.trial))+"**"))
	}
	head := []string{"service"}
	for _, p := range peers {
		head = append(head, p.Name)
	}
	table(out, append(head, "ours"), rows)
	fmt.Fprintln(out, "\nIn brackets the 95 % interval, and the median in minutes where more than half are aborted. Kayenta looks once, at the end.")
}

func cell(r result) string {
	text := share(len(r.aborts), r.n)
	if m := medianOf(r.aborts, r.n); !math.IsInf(m, 1) {
		text += fmt.Sprintf(" (%s min)", minutes(m))
	}
	return text
}

func forecast(b *bench, out io.Writer) {
	var rows [][]string
	for _, n := range []worlds.Nature{worlds.Independent, worlds.BetaMinutes} {
		for _, t := range []worlds.Traffic{eq(100, 0.001), eq(100, 0.005), eq(1000, 0.005), fivePercent(10, 0.005), fivePercent(100, 0.005)} {
			const days, horizon = 5, 3000
			var said [3][]float64
			for day := range days {
				how := analysis.Standard()
				m := analysis.Metric{Name: "m0", Better: "lower", Compare: how}
				how.Past = worlds.Learn(m, worlds.Before(n, t, worlds.NewDice("forecast "+t.Name, day)), history)
				for i, see := range m.Ahead(analysis.Expected{Candidate: t.Candidate, Stable: t.Stable, Interval: time.Minute, Bake: time.Hour}).See {
					said[i] = append(said[i], see.After.Minutes())
				}
			}
			for i, ratio := range []float64{2, 3, 10} {
				if slices.Max(said[i]) > horizon/5 || slices.Min(said[i]) == 0 {
					continue // too long to play
				}
				name := fmt.Sprintf("x%g, %s, %s", ratio, t.Name, n)
				s := setup{Tolerance: 0.1, Nature: n, Traffic: t, Effect: ratio, Minutes: horizon}
				r := b.play(name+", forecast", max(b.runs/4, 1), s.trial)
				off := mean(said[i])/mean(r.aborts) - 1
				rows = append(rows, []string{
					name, fmt.Sprintf("%.1f (%.1f to %.1f)", mean(said[i]), slices.Min(said[i]), slices.Max(said[i])), fmt.Sprintf("%.1f", mean(r.aborts)),
					fmt.Sprintf("%+.0f %%", 100*off), b.must(name+", forecast", math.Abs(off) <= 0.2),
				})
			}
		}
	}
	table(out, []string{"bad candidate", "said", "came", "off by", "within 20 %"}, rows)
}

func speed(b *bench, out io.Writer) {
	var rows [][]string
	for _, x := range []struct {
		name  string
		form  func(d worlds.Dice, m int) analysis.Look
		known bool
		limit time.Duration
	}{
		{"10 counts, an hour", countLook, true, time.Millisecond},
		{"10 counts without a past, an hour", countLook, false, time.Millisecond},
		{"10 histograms of 11 buckets, an hour", histogramLook, true, 100 * time.Millisecond},
	} {
		took := replay(x.known, x.form)
		rows = append(rows, []string{x.name, fmt.Sprintf("%.0f µs", took.Seconds()*1e6), fmt.Sprintf("%.1f µs", took.Seconds()*1e6/60), "at most " + x.limit.String(), b.must(x.name, took <= x.limit)})
	}
	table(out, []string{"what", "takes", "a look", "must be", ""}, rows)
}
