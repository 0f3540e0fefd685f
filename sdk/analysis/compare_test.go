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


func TestScratch(t *testing.T) {
	s := analysis.New([]analysis.Metric{compared(steadily)})
	for i := range 12 {
		s.Observe(both(i, "errors", counter(100, int64(i%2)), counter(100, int64(i/7))))
		fmt.Printf("%+v\n%+v\n", s.Harm(), s.Step())
	}
	s = analysis.New([]analysis.Metric{compared(nil)})
	for i := range 6 {
		s.Observe(both(i, "errors", counter(100, 1), counter(100, 0)))
		fmt.Printf("%+v\n", s.Harm())
	}
	b, _ := json.Marshal(s)
	fmt.Println(len(b), string(b))
	fmt.Printf("%+v\n", s.Evidence())
	fmt.Printf("%+v\n", compared(steadily).Ahead(analysis.Expected{Candidate: 100, Stable: 100, Interval: time.Minute, Bake: 30 * time.Minute}))
	fmt.Printf("%+v\n", compared(nil).Ahead(analysis.Expected{Candidate: 100, Stable: 100, Rate: .005, Interval: time.Minute, Bake: 30 * time.Minute}))
	_, _, _, _, _, _ = math.Pi, slices.Max([]int{1}), strings.Contains, cmp.Diff, rapid.Check, strategy.Fail
}
