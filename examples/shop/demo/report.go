package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what the demo came to.
type Report struct {
	// Answers by release.
	Answers map[string]*Answers
	// Shares that the candidate of the good release had, in order.
	Shares []string
	// RolledBack: the broken release was taken back without a hand.
	RolledBack bool
	// Back is the time from the verdict on the broken release to its weight of 0.
	Back time.Duration
	// Took is all of it.
	Took time.Duration
	// Next is what to try next, one line each.
	Next []string
}

// What the demo promises.
const (
	maxBack = time.Second
	maxTook = 2 * time.Minute
)

// Lost are the requests that failed because of a switch.
func (r *Report) Lost() (n int, why string) {
	for _, release := range slices.Sorted(maps.Keys(r.Answers)) {
		a := r.Answers[release]
		n += a.Lost
		if why == "" {
			why = a.Why
		}
	}
	return n, why
}

// Broken lists the promises that were not kept; none when all were.
func (r *Report) Broken() (broken []string) {
	for _, release := range []string{good1, good2, bad} {
		if r.Answers[release] == nil {
			broken = append(broken, fmt.Sprintf("no request was answered by %s", release))
		}
	}
	if n, why := r.Lost(); n > 0 {
		broken = append(broken, fmt.Sprintf("%d requests failed because of a switch; the first: %s", n, why))
	}
	if want := []string{"5%", "25%", "50%", "100%"}; !slices.Equal(r.Shares, want) {
		broken = append(broken, fmt.Sprintf("%s went by %v, not by %v", good2, r.Shares, want))
	}
	switch {
	case !r.RolledBack:
		broken = append(broken, fmt.Sprintf("%s was not rolled back", bad))
	case r.Back <= 0:
		broken = append(broken, "the time from the verdict to 0% was not seen")
	case r.Back > maxBack:
		broken = append(broken, fmt.Sprintf("from the verdict to 0%% it took %s, more than %s", r.Back, maxBack))
	}
	if r.Took > maxTook {
		broken = append(broken, fmt.Sprintf("the demo took %s, more than %s", r.Took.Round(time.Second), maxTook))
	}
	return broken
}

// PrintAnswers writes who answered how many requests.
func PrintAnswers(out io.Writer, all map[string]*Answers) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out)
	fmt.Fprintln(w, "release \trequests\tfailed by itself\tfailed by a switch\tp50\tp99\t")
	for _, release := range slices.Sorted(maps.Keys(all)) {
		a, name := all[release], release
		if release == Nobody {
			name = "(nobody)"
		}
		fmt.Fprintf(w, "%-8s\t%d\t%d\t%d\t%s\t%s\t\n", name, a.Requests, a.Injected, a.Lost,
			a.Latencies.P50.Round(10*time.Microsecond), a.Latencies.P99.Round(10*time.Microsecond))
	}
	w.Flush()
}

// Print writes the tables.
func (r *Report) Print(out io.Writer) {
	PrintAnswers(out, r.Answers)
	lost, _ := r.Lost()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nrequests failed because of a switch\t%d\n", lost)
	fmt.Fprintf(w, "time from the verdict on %s to 0%%\t%s\n", bad, r.Back.Round(time.Millisecond))
	fmt.Fprintf(w, "the whole demo\t%s\n", r.Took.Round(time.Second))
	w.Flush()

	for _, b := range r.Broken() {
		fmt.Fprintln(out, "\nBroken promise:", b)
	}
	fmt.Fprintln(out, "\nTry next:")
	for _, n := range r.Next {
		fmt.Fprintln(out, "  "+n)
	}
}
