package analysis_test

import (
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/sdk/analysis"
	"github.com/runner-pipelines/runner/sdk/metrics"
)

// A candidate that fails three times as often as stable, looked at every minute.
func Example() {
	errors := analysis.Metric{Name: "errors", Better: "lower", Compare: analysis.Standard()}
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	count := func(requests, failed int64) metrics.Release {
		return metrics.Release{Counter: &metrics.Counter{N: requests, Events: failed}}
	}

	// What the stable release did yesterday decides how much an error may count.
	var yesterday []analysis.Measured
	for i := range 24 * 60 {
		from := start.Add(time.Duration(i)*time.Minute - 24*time.Hour)
		yesterday = append(yesterday, analysis.Measured{From: from, To: from.Add(time.Minute), Release: count(2000, int64(8+i*7%5))})
	}
	errors.Compare.Past = analysis.Learn(errors, yesterday)
	fmt.Println("independent:", errors.Compare.Past.Independent)

	judge := analysis.New([]analysis.Metric{errors})
	judge.StepBegan(start)
	for i := range 30 {
		from := start.Add(time.Duration(i) * time.Minute)
		stable := count(1900, 9)
		judge.Observe(analysis.Look{Metric: "errors", Target: "main", From: from, To: from.Add(time.Minute), Candidate: count(200, 3), Stable: &stable})
		if v := judge.Harm(); judge.Failed() {
			fmt.Printf("after %d minutes: %s\n", i+1, v.Why)
			return
		}
	}
	// Output:
	// independent: true
	// after 4 minutes: errors: 12 of 800 (1.5%) in the candidate, 36 of 7600 (0.474%) in stable, 3.17 times as often (the true ratio is between 1.15 and 10.5); the evidence of harm is 26.1, and 20 is enough to abort.
}
