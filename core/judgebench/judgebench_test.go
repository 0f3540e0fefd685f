package main

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/worlds"
)

// TestSample plays some rows of the page, each a few times: enough to see that the
// judge keeps its word, not to see how well. Limits are those of the page, and
// three standard deviations of so few trials.
func TestSample(t *testing.T) {
	const trials = 150
	most := func(p float64) float64 { return p + 3*math.Sqrt(p*(1-p)/trials) }
	least := func(p float64) float64 { return p - 3*math.Sqrt(p*(1-p)/trials) }
	b := bench{workers: 2, progress: io.Discard}
	for name, s := range map[string]setup{
		"independent":          {Nature: worlds.Independent, Traffic: eq(1000, 0.005)},
		"a few in many":        {Nature: worlds.Independent, Traffic: fivePercent(10, 0.005)},
		"drift":                {Nature: worlds.Drift, Traffic: eq(100, 0.005)},
		"outage":               {Nature: worlds.Outage, Traffic: eq(100, 0.005)},
		"clustered":            {Nature: worlds.BetaMinutes, Traffic: eq(1000, 0.005)},
		"bursts, five metrics": {Nature: worlds.Unaligned, Traffic: eq(100, 0.005), Metrics: 5},
	} {
		s.Tolerance, s.Effect, s.Minutes = 0.1, 1, 60
		r := b.play("sample, "+name, trials, s.trial)
		if got := float64(len(r.aborts)) / trials; got > most(0.03) {
			t.Errorf("%s: %s %% of healthy candidates were aborted", name, percent(got))
		}
	}
	for name, x := range map[string]bad{
		"x10, equal":     {setup{Nature: worlds.Independent, Traffic: eq(100, 0.001), Effect: 10}, 0.99, 11},
		"x3, equal":      {setup{Nature: worlds.Independent, Traffic: eq(100, 0.005), Effect: 3}, 0.985, 17},
		"x10, 5/95":      {setup{Nature: worlds.Independent, Traffic: fivePercent(10, 0.005), Effect: 10}, 0.99, 9},
		"x10, clustered": {setup{Nature: worlds.BetaMinutes, Traffic: eq(100, 0.001), Effect: 10}, 0.98, 24},
	} {
		x.Tolerance, x.Minutes = 0.1, 60
		r := b.play("sample, "+name, trials, x.trial)
		if got, m := float64(len(r.aborts))/trials, medianOf(r.aborts, r.n); got < least(x.found) || m > x.median {
			t.Errorf("%s: %s %% were found, the median after %s minutes", name, percent(got), minutes(m))
		}
	}
	for name, s := range map[string]setup{
		"independent": {Nature: worlds.Independent, Traffic: eq(1000, 0.02), Effect: 1.5},
		"clustered":   {Nature: worlds.BetaMinutes, Traffic: eq(1000, 0.02), Effect: 1.5},
	} {
		s.Tolerance, s.Minutes, s.IgnoreHarm = 0.1, 60, true
		r := b.play("sample, at the margin, "+name, trials, s.trial)
		if got := float64(len(r.passes)) / trials; got > most(0.05) {
			t.Errorf("%s: %s %% passed at the margin", name, percent(got))
		}
		s.Effect = 1
		if r = b.play("sample, healthy, "+name, trials, s.trial); medianOf(r.passes, r.n) > 45 {
			t.Errorf("%s: a healthy candidate passes after %s minutes", name, minutes(medianOf(r.passes, r.n)))
		}
	}
	slow := latency{Tolerance: 0.1, Candidate: 500, Stable: 500, Slower: 1.3, Minutes: 10, past: newPasts()}
	if r := b.play("sample, latency", trials, slow.run); float64(len(r.aborts)) < least(0.99)*trials {
		t.Errorf("of %d candidates that are slower %d were found in 10 minutes", trials, len(r.aborts))
	}
}

// TestRulesOfOthers holds the ports against counting by hand, and Kayenta's rule
// against what its issues #426 and #780 report of it.
func TestRulesOfOthers(t *testing.T) {
	// Of the 252 ways to choose five of ten, one has U = 0 and one has U = 1.
	if p := mannWhitney([]float64{6, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 5}); math.Abs(p-2.0/252) > 1e-12 {
		t.Errorf("U = 0 has p %v, want 2/252", p)
	}
	if p := mannWhitney([]float64{5, 7, 8, 9, 10}, []float64{1, 2, 3, 4, 6}); math.Abs(p-4.0/252) > 1e-12 {
		t.Errorf("U = 1 has p %v, want 4/252", p)
	}
	for _, tt := range []struct {
		name string
		x, y []float64
		high bool
	}{
		{"#426", []float64{0, 1, 2, 1, 0, 0}, []float64{0, 0, 0, 0, 0, 0}, false},
		{"#780, seven of ten", []float64{100, 100, 100, 100, 100, 100, 100, 1, 1, 1}, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, false},
		{"#780, eight of ten", []float64{100, 100, 100, 100, 100, 100, 100, 100, 1, 1}, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, true},
	} {
		if got := kayentaHigh(tt.x, tt.y); got != tt.high {
			t.Errorf("%s: high is %v, want %v", tt.name, got, tt.high)
		}
	}
	// By hand: 11 of 16 pairs, so z is (11-8-1/2)/sqrt(16*9/12).
	if z := statistic([]float64{1.1, 2.2, 3.3, 4.4}, []float64{0.9, 1.8, 2.5, 2.6}, 0); math.Abs(z-2.5/math.Sqrt(12)) > 1e-12 {
		t.Errorf("z is %v", z)
	}
}

func TestPut(t *testing.T) {
	got, err := put([]byte("before\n"+beginMarker+"old\n"+endMarker+"after\n"), []byte("new\n"))
	if want := "before\n" + beginMarker + "new\n" + endMarker + "after\n"; err != nil || cmp.Diff(want, string(got)) != "" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := put([]byte("nothing"), nil); err == nil {
		t.Error("a page without markers was accepted")
	}
}

// Every section can be played and writes a table.
func TestSections(t *testing.T) {
	var out, progress bytes.Buffer
	if err := run([]string{"-runs", "1", "-only", "Side|Several|Speed"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### Several metrics", "### Side by side", "### Speed", "| Kayenta |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables do not have %q", want)
		}
	}
}
