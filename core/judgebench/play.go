package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/internal/worlds"
)

// bench plays rows.
type bench struct {
	runs, seconds, workers int
	progress               io.Writer
	// missed are the rows that do not show what they must.
	missed []string
}

// result of a row.
type result struct {
	n      int
	aborts []float64
	passes []float64
}

// play runs the trials of a row.
func (b *bench) play(row string, n int, trial func(row string, i int) outcome) result {
	start := time.Now()
	outcomes := make([]outcome, n)
	worlds.Each(n, b.workers, func(i int) { outcomes[i] = trial(row, i) })
	r := result{n: n}
	for _, o := range outcomes {
		if o.abort > 0 {
			r.aborts = append(r.aborts, o.abort)
		}
		if o.pass > 0 {
			r.passes = append(r.passes, o.pass)
		}
	}
	slices.Sort(r.aborts)
	slices.Sort(r.passes)
	fmt.Fprintf(b.progress, "  %s: %d trials in %s, %d aborted, %d passed\n", row, n, time.Since(start).Round(time.Millisecond), len(r.aborts), len(r.passes))
	return r
}

// within counts times up to a limit.
func within(times []float64, limit float64) int {
	i, _ := slices.BinarySearch(times, limit+1e-9)
	return i
}

// medianOf n trials, of which only those that ended have times; +Inf when fewer
// than half ended.
func medianOf(times []float64, n int) float64 {
	if len(times)*2 <= n {
		return math.Inf(1)
	}
	if n%2 == 1 || n/2 >= len(times) {
		return times[n/2]
	}
	return (times[n/2-1] + times[n/2]) / 2
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// share writes a share with its interval, in percent.
func share(k, n int) string {
	low, high := worlds.Wilson(k, n)
	return fmt.Sprintf("%s [%s-%s]", percent(float64(k)/float64(n)), percent(low), percent(high))
}

func percent(v float64) string {
	switch v *= 100; {
	case v >= 99.95:
		return fmt.Sprintf("%.4g", v)
	case v >= 99:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

func minutes(v float64) string {
	switch {
	case math.IsInf(v, 1) || math.IsNaN(v):
		return "-"
	case v >= 120:
		return fmt.Sprintf("%.1f h", v/60)
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}

// must says whether a row shows what it must.
func (b *bench) must(row string, ok bool) string {
	if ok {
		return "yes"
	}
	b.missed = append(b.missed, row)
	return "**no**"
}

// table writes a table of a page.
func table(out io.Writer, head []string, rows [][]string) {
	line := func(cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	fmt.Fprintf(out, "|%s\n", strings.Repeat(" --- |", len(head)))
	for _, r := range rows {
		line(r)
	}
}
