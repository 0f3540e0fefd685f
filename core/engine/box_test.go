package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// box is a target in this process, "box", and a strategy, "steps": 5, 50, 100 %.
type box struct {
	mu     sync.Mutex
	state  boxState
	before func(ctx context.Context, operation string, c call.Call) error
	// ask is called before the strategy answers.
	ask func(ctx context.Context) error
	// effects counts the operations of each key that changed something.
	effects map[string]int
}

// boxed is an actor with a box.
type boxed struct {
	unasked
	*box
	actor *actor
}

func (b *boxed) Validate(context.Context, schema.Kind, string, value.Value) (diag.List, error) {
	return nil, nil
}

func (b *boxed) RunAction(ctx context.Context, c call.Call, name string, config value.Value, sealed []byte, sink host.Sink) (host.Outcome, error) {
	return b.actor.RunAction(ctx, c, name, config, sealed, sink)
}

func (b *boxed) Done() <-chan struct{} { return b.actor.done }
func (b *boxed) Stop(time.Duration)    {}

type boxState struct {
	Stable   string
	Releases []string
	Weights  map[string]target.Weight
	World    int
}

func newBox() *box { return &box{effects: map[string]int{}} }

func boxComponents() []host.Component {
	convergent := func(names ...string) (out []schema.Operation) {
		for _, n := range names {
			out = append(out, schema.Operation{Name: n, Class: schema.Convergent})
		}
		return out
	}
	config := schema.Schema{Attributes: []schema.Attribute{{Name: "text", Type: schema.Primitive(schema.String), Default: json.RawMessage(`""`)}}}
	caps := boxCapabilities()
	return []host.Component{
		{Name: "box", Kind: schema.KindTarget, Config: config, Target: &caps, Operations: convergent("install", "set_weight", "settle", "retire")},
		{Name: "steps", Kind: schema.KindStrategy, Config: config, Strategy: &strategy.Needs{SideBySide: true, Weights: target.PercentSteps}},
	}
}

func boxCapabilities() target.Capabilities {
	return target.Capabilities{SideBySide: true, Weights: target.PercentSteps, Step: target.OnePercent}
}

func (b *box) change(ctx context.Context, operation string, c call.Call, f func(s *boxState) error) (host.Outcome, error) {
	if b.before != nil {
		if err := b.before(ctx, operation, c); err != nil {
			return host.Outcome{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	was := fmt.Sprint(b.state)
	if err := f(&b.state); err != nil {
		return host.Outcome{}, err
	}
	if fmt.Sprint(b.state) != was {
		b.state.World++
		b.effects[operation+" "+c.Key]++
	}
	return host.Outcome{World: strconv.Itoa(b.state.World)}, nil
}

func (b *box) now() boxState {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Releases, s.Weights = slices.Clone(s.Releases), map[string]target.Weight{}
	for id, w := range b.state.Weights {
		s.Weights[id] = w
	}
	return s
}

func (b *box) Observe(context.Context, call.Call, string, value.Value) (target.Observation, error) {
	s := b.now()
	o := target.Observation{Stable: s.Stable, Weights: s.Weights, World: strconv.Itoa(s.World)}
	for _, id := range s.Releases {
		o.Releases = append(o.Releases, target.Release{ID: id})
	}
	return o, nil
}

func (b *box) PlanTarget(context.Context, call.Call, string, value.Value) (host.TargetPlan, error) {
	return host.TargetPlan{Capabilities: boxCapabilities()}, nil
}

func (b *box) Install(ctx context.Context, c call.Call, _ string, _ value.Value, r target.Release, _ host.Sink) (host.Outcome, error) {
	out, err := b.change(ctx, "install", c, func(s *boxState) error {
		if !slices.Contains(s.Releases, r.ID) {
			s.Releases = append(s.Releases, r.ID)
		}
		return nil
	})
	out.Release = &r
	return out, err
}

func (b *box) SetWeight(ctx context.Context, c call.Call, _ string, _ value.Value, release string, w target.Weight, _ string, _ host.Sink) (host.Outcome, error) {
	return b.change(ctx, "set_weight", c, func(s *boxState) error {
		if !slices.Contains(s.Releases, release) {
			return diag.New("Unknown release", "%s is not installed.", release)
		}
		weights := map[string]target.Weight{}
		if w > 0 {
			weights[release] = w
		}
		for _, other := range s.Releases {
			if other != release && w < target.Full && (release != s.Stable && other == s.Stable || release == s.Stable) {
				weights[other] = target.Full - w
			}
		}
		s.Weights = weights
		return nil
	})
}

func (b *box) Settle(ctx context.Context, c call.Call, _ string, _ value.Value, release string, _ host.Sink) (host.Outcome, error) {
	return b.change(ctx, "settle", c, func(s *boxState) error {
		if s.Weights[release] != target.Full {
			return diag.New("Not at full weight", "%s has %s.", release, s.Weights[release])
		}
		s.Stable = release
		return nil
	})
}

func (b *box) Retire(ctx context.Context, c call.Call, _ string, _ value.Value, release string, _ host.Sink) (host.Outcome, error) {
	return b.change(ctx, "retire", c, func(s *boxState) error {
		if s.Weights[release] > 0 {
			return diag.New("Release has traffic", "%s has %s.", release, s.Weights[release])
		}
		s.Releases = slices.DeleteFunc(s.Releases, func(id string) bool { return id == release })
		return nil
	})
}

func (b *box) Next(ctx context.Context, _ string, _ value.Value, in strategy.Snapshot) (strategy.Decision, error) {
	if b.ask != nil {
		if err := b.ask(ctx); err != nil {
			return strategy.Decision{}, err
		}
	}
	return (&fake.Strategy{Steps: []float64{5, 50, 100}}).Next(in)
}
