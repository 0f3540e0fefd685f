package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// traffic are the components of street: target "site", strategy "bake", which
// watches half and then all of the traffic, and metric "hits".
func traffic() []host.Component {
	can := target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: target.OnePercent, ReleaseMetrics: true}
	op := func(names ...string) (ops []schema.Operation) {
		for _, n := range names {
			ops = append(ops, schema.Operation{Name: n, Class: schema.Convergent})
		}
		return ops
	}
	return []host.Component{
		{
			Name: "site", Kind: schema.KindTarget, Target: &can, Operations: op("observe", "install", "set_weight", "settle", "retire"),
			Config: schema.Schema{Attributes: []schema.Attribute{{Name: "version", Type: schema.Primitive(schema.String), Required: true}}},
		},
		{
			Name: "bake", Kind: schema.KindStrategy, Strategy: &strategy.Needs{SideBySide: true, Weights: target.PercentSteps},
			Config: schema.Schema{Attributes: []schema.Attribute{{Name: "minutes", Type: schema.Primitive(schema.Integer), Required: true, Known: true}}},
		},
		{Name: "hits", Kind: schema.KindMetrics, Operations: op("measure")},
		{Name: "served", Kind: schema.KindMetrics, Operations: op("measure", "past")},
	}
}

// street is a target with traffic, and who counts it, by the clock on the wall.
type street struct {
	mu        sync.Mutex
	stable    string
	candidate string
	installed bool
	weight    target.Weight
	moved     int

	// moves are what the weights became and when, as the test's time goes.
	moves []move
	// windows are what was asked for.
	windows []window
	// errors of a hundred hits a minute in a window; nobody counts in unlit ones.
	errors func(from, to time.Time) int64
	unlit  func(from, to time.Time) bool
	// before are the errors of two hundred hits a minute in a window of the past; nil
	// where nobody counted.
	before func(from, to time.Time) int64
	// failing: it cannot be asked now; may be nil.
	failing func() bool
}

type move struct {
	At     time.Duration
	Weight target.Weight
}

type window struct{ From, To time.Time }

// began is when every bubble of testing/synctest begins.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *street) PlanTarget(context.Context, call.Call, string, value.Value) (host.TargetPlan, error) {
	return host.TargetPlan{Capabilities: *traffic()[0].Target}, nil
}

func (s *street) Observe(context.Context, call.Call, string, value.Value) (target.Observation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := target.Observation{Stable: s.stable, Weights: map[string]target.Weight{}, World: fmt.Sprint("w", s.moved)}
	if s.stable != "" {
		o.Releases = append(o.Releases, target.Release{ID: s.stable})
		o.Weights[s.stable] = target.Full - s.weight
	}
	if s.installed {
		o.Releases = append(o.Releases, target.Release{ID: s.candidate})
		o.Weights[s.candidate] = s.weight
	}
	return o, nil
}

func (s *street) Install(_ context.Context, _ call.Call, _ string, _ value.Value, r target.Release, _ host.Sink) (host.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.candidate, s.installed = r.ID, true
	return host.Outcome{World: fmt.Sprint("w", s.moved), Release: &r}, nil
}

func (s *street) SetWeight(_ context.Context, _ call.Call, _ string, _ value.Value, release string, w target.Weight, _ string, _ host.Sink) (host.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if release != s.candidate {
		w = target.Full - w
	}
	s.weight = w
	s.moved++
	s.moves = append(s.moves, move{time.Since(began), w})
	return host.Outcome{World: fmt.Sprint("w", s.moved)}, nil
}

func (s *street) Settle(_ context.Context, _ call.Call, _ string, _ value.Value, release string, _ host.Sink) (host.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves = append(s.moves, move{time.Since(began), target.Full})
	return host.Outcome{World: fmt.Sprint("w", s.moved)}, nil
}

func (s *street) Retire(context.Context, call.Call, string, value.Value, string, host.Sink) (host.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return host.Outcome{World: fmt.Sprint("w", s.moved)}, nil
}

func (s *street) Measure(_ context.Context, _ call.Call, _ string, _ value.Value, releases []target.Release, from, to time.Time) (metrics.Measurement, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil && s.failing() {
		return metrics.Measurement{}, diag.New("No metrics", "Nobody answers.")
	}
	s.windows = append(s.windows[max(0, len(s.windows)-1000):], window{from, to})
	m := metrics.Measurement{CompleteUntil: to}
	for _, r := range releases {
		c := metrics.Counter{N: int64(to.Sub(from).Minutes() * 100)}
		if s.errors != nil && r.ID == s.candidate {
			c.Events = s.errors(from, to)
		}
		one := metrics.Release{ID: r.ID, Counter: &c}
		if s.unlit != nil && s.unlit(from, to) {
			one.Counter, one.NoData = nil, "nobody counted"
		}
		m.Releases = append(m.Releases, one)
	}
	return m, nil
}

// Next gives the candidate half, then all, and watches each for some minutes.
func (s *street) Next(_ context.Context, _ string, config value.Value, snap strategy.Snapshot) (strategy.Decision, error) {
	var cfg struct{ Minutes int64 }
	if err := json.Unmarshal(config.JSON, &cfg); err != nil {
		return strategy.Decision{}, err
	}
	var d strategy.Decision
	if snap.Harm.Value == strategy.Fail {
		return strategy.Decision{Abort: "harm"}, nil
	}
	for _, t := range snap.Targets {
		if !t.Installed {
			d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.Install})
			d.Wait.Ready = true
		}
	}
	if d.Wait.Ready {
		return d, nil
	}
	for i, w := range []target.Weight{50 * target.OnePercent, target.Full} {
		id := w.String()
		at, entered := snap.Entered(id)
		if !entered {
			d.StepID, d.StepTitle = id, id
		}
		for _, t := range snap.Targets {
			if t.Observed < w {
				d.Changes = append(d.Changes, strategy.Change{Target: t.Name, Kind: strategy.SetWeight, Weight: w})
				d.Wait.Ready = true
			}
		}
		if d.Wait.Ready {
			return d, nil
		}
		if until := at.At.Add(time.Duration(cfg.Minutes) * time.Minute); snap.Now.Before(until) {
			d.Wait.Until = until
			return d, nil
		}
		if i == len(snap.Steps)-1 && snap.Step.Value == strategy.Inconclusive {
			d.Wait.Verdict = true
			return d, nil
		}
	}
	return strategy.Decision{Finish: true}, nil
}

// weights are the moves, to the second.
func (s *street) weights() []move {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.moves)
	for i := range out {
		out[i].At = out[i].At.Round(time.Second)
	}
	return out
}

func (s *street) Past(_ context.Context, _ call.Call, _ string, _ value.Value, r target.Release, from, to time.Time, window time.Duration) (metrics.Past, error) {
	if s.before == nil {
		return metrics.Past{Reason: "the street has none"}, nil
	}
	var out metrics.Past
	for ; !from.Add(window).After(to); from = from.Add(window) {
		end := from.Add(window)
		c := metrics.Counter{N: int64(end.Sub(from).Minutes() * 200), Events: s.before(from, end)}
		out.Windows = append(out.Windows, metrics.Window{From: from, To: end, Release: metrics.Release{ID: r.ID, Counter: &c}})
	}
	if n := len(out.Windows); n > 1000 {
		return out, fmt.Errorf("%d windows were asked for", n)
	}
	return out, nil
}
