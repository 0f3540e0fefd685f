package metricstest_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/metrics/metricstest"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
)

const envMistake = "METRICSTEST_MISTAKE"

var mistake = os.Getenv(envMistake)

func TestMain(m *testing.M) {
	if mistake != "" {
		sdk.Serve(sdk.Plugin{Name: "mistaken", Version: "0.0.0", Metrics: map[string]func() metrics.Metrics{"events": newEvents}})
	}
	os.Exit(m.Run())
}

// event is one observation in the file that events reads.
type event struct {
	Release string
	At      time.Time
	Bad     bool
	Value   float64
}

// events counts what a file says.
type events struct {
	File string `hcl:"file"`
	As   string `hcl:"as,optional"`
}

func newEvents() metrics.Metrics { return &events{As: "counter"} }

func (e *events) Measure(_ context.Context, req *metrics.Request) (metrics.Measurement, error) {
	out := metrics.Measurement{CompleteUntil: req.To}
	if now := time.Now(); out.CompleteUntil.After(now) && mistake != "knows the future" {
		out.CompleteUntil = now
	}
	if mistake == "is never complete" {
		out.CompleteUntil = req.From
	}
	b, err := os.ReadFile(e.File)
	if err != nil {
		return out, err
	}
	var all []event
	if err := json.Unmarshal(b, &all); err != nil {
		return out, err
	}
	for _, r := range req.Releases {
		out.Releases = append(out.Releases, e.one(r.ID, all, req))
	}
	switch mistake {
	case "answers in its own order":
		slices.SortFunc(out.Releases, func(a, b metrics.Release) int { return len(a.ID) - len(b.ID) })
	case "leaves out who has no data":
		out.Releases = slices.DeleteFunc(out.Releases, func(r metrics.Release) bool { return r.NoData != "" })
	}
	return out, nil
}

func (e *events) one(id string, all []event, req *metrics.Request) metrics.Release {
	out := metrics.Release{ID: id}
	c := metrics.Counter{}
	h := metrics.Histogram{Bounds: []float64{1, 2}, Counts: make([]int64, 3)}
	var samples []float64
	for _, ev := range all {
		in := !ev.At.Before(req.From) && ev.At.Before(req.To)
		if mistake == "counts both ends" {
			in = !ev.At.Before(req.From) && !ev.At.After(req.To)
		}
		if ev.Release != id || !in {
			continue
		}
		c.N++
		if ev.Bad {
			c.Events++
		}
		i, _ := slices.BinarySearch(h.Bounds, ev.Value)
		h.Counts[i]++
		samples = append(samples, ev.Value)
	}
	switch {
	case c.N == 0 && mistake == "gives zeroes":
		out.Counter = &c
	case c.N == 0:
		out.NoData = "nothing happened"
	case e.As == "histogram":
		out.Histogram = &h
		if mistake == "has bounds in disorder" {
			h.Bounds = []float64{2, 1}
		}
	case e.As == "samples":
		out.Samples = samples
	default:
		out.Counter = &c
		switch mistake {
		case "has more events than observations":
			c.Events = c.N + 1
		case "adds what it likes":
			c.N += time.Now().UnixNano() % 1000
		}
	}
	return out
}

func suite(t *testing.T, as string) metricstest.Suite {
	end := time.Now().Truncate(time.Second)
	begin := end.Add(-12 * time.Second)
	var all []event
	for i := range 120 {
		all = append(all, event{Release: []string{"stable", "new"}[i%2], At: begin.Add(time.Duration(i) * 100 * time.Millisecond), Bad: i%10 == 0, Value: float64(i % 4)})
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := sdktest.Config{"file": file, "as": as}
	return metricstest.Suite{
		Subject: sdktest.Subject{Valid: []sdktest.Config{cfg}},
		Traffic: func(sdktest.T) metricstest.Traffic {
			return metricstest.Traffic{Config: cfg, Releases: []target.Release{{ID: "stable"}, {ID: "new"}}, From: begin, To: end, Quiet: begin}
		},
	}
}

func TestGoodMetricsPass(t *testing.T) {
	for _, as := range []string{"counter", "histogram", "samples"} {
		t.Run(as, func(t *testing.T) {
			s := suite(t, as)
			s.New = newEvents
			metricstest.Run(t, s)
		})
	}
}

func TestMistakesAreFound(t *testing.T) {
	const (
		each, sense, unknown, quiet = "EveryReleaseIsAnswered", "NumbersMakeSense", "AnUnknownReleaseHasNoDataAndAReason", "NoTrafficIsNoDataAndNotZero"
		complete, repeats, adjacent = "NothingIsCompleteBeforeItIsOver", "TheSameQuestionGetsTheSameAnswer", "WindowsSideBySideCountNothingTwice"
	)
	for mistake, want := range map[string][]string{
		"none":                              nil,
		"answers in its own order":          {each, sense, unknown, quiet, complete, repeats, adjacent},
		"leaves out who has no data":        {unknown, quiet},
		"gives zeroes":                      {unknown, quiet},
		"knows the future":                  {complete},
		"is never complete":                 {complete},
		"counts both ends":                  {quiet, adjacent},
		"has more events than observations": {sense, adjacent},
		"has bounds in disorder":            {sense},
		"adds what it likes":                {repeats, adjacent},
	} {
		t.Run(mistake, func(t *testing.T) {
			t.Parallel()
			as := "counter"
			if mistake == "has bounds in disorder" {
				as = "histogram"
			}
			s := suite(t, as)
			s.Command, s.Env = []string{os.Args[0]}, []string{envMistake + "=" + mistake, "GORACE=atexit_sleep_ms=0"}
			got := map[string]string{}
			for _, r := range sdktest.Collect(context.Background(), func(t sdktest.T) { metricstest.Check(t, s) }) {
				if r.Status == sdktest.Failed {
					got[r.Name] = r.Text
				}
			}
			for _, w := range want {
				if got[w] == "" {
					t.Errorf("%s does not fail", w)
				}
				delete(got, w)
			}
			for name, text := range got {
				t.Errorf("%s fails: %.400s", name, text)
			}
		})
	}
}
