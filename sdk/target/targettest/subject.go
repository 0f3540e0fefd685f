package targettest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// model is what should be so, by the contract.
type model struct {
	stable   string
	releases []string
	weights  map[string]target.Weight
}

func (m *model) setWeight(release string, w target.Weight) {
	m.weights = map[string]target.Weight{}
	if w > 0 {
		m.weights[release] = w
	}
	other := m.other(release)
	if rest := target.Full - w; rest > 0 && other != "" {
		m.weights[other] = rest
	}
}

// other is who has the rest: the stable release, or the one beside it.
func (m *model) other(release string) string {
	if release != m.stable {
		return m.stable
	}
	for _, r := range m.releases {
		if r != release {
			return r
		}
	}
	return ""
}

// subject is a target under test.
type subject struct {
	t     sdktest.T
	s     *Suite
	p     *sdktest.Started
	cfg   value.Value
	caps  target.Capabilities
	model model
	// trace is what a random sequence did.
	trace []string
}

func newCall() call.Call {
	return call.Call{
		Key: sdktest.NewKey(), Run: "conformance", Pipeline: "conformance", Node: "stage.conformance", Target: "main", Attempt: 1,
	}
}

func release(id string) target.Release {
	return target.Release{ID: id, Version: "version of " + id, Labels: map[string]string{"conformance": "yes"}}
}

func (x *subject) install(id string) error {
	out, err := x.p.Install(x.t.Context(), newCall(), x.p.Component.Name, x.cfg, release(id), nil)
	if err == nil && out.Release.ID != id {
		err = fmt.Errorf("the outcome holds release %q", out.Release.ID)
	}
	if err == nil && !slices.Contains(x.model.releases, id) {
		x.model.releases = append(x.model.releases, id)
	}
	return err
}

func (x *subject) setWeight(id string, w target.Weight) error {
	_, err := x.p.SetWeight(x.t.Context(), newCall(), x.p.Component.Name, x.cfg, id, w, "", nil)
	if err == nil {
		x.model.setWeight(id, w)
	}
	return err
}

func (x *subject) settle(id string) error {
	_, err := x.p.Settle(x.t.Context(), newCall(), x.p.Component.Name, x.cfg, id, nil)
	if err == nil {
		x.model.stable = id
	}
	return err
}

func (x *subject) retire(id string) error {
	_, err := x.p.Retire(x.t.Context(), newCall(), x.p.Component.Name, x.cfg, id, nil)
	if err == nil {
		x.model.releases = slices.DeleteFunc(x.model.releases, func(r string) bool { return r == id })
		delete(x.model.weights, id)
		if x.model.stable == id {
			x.model.stable = ""
		}
	}
	return err
}

// try does what should be refused; should it succeed, the model stays as it was.
func (x *subject) try(f func() error) error {
	before := x.model
	before.releases, before.weights = slices.Clone(before.releases), maps.Clone(before.weights)
	err := f()
	x.model = before
	return err
}

func (x *subject) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatalf("%v%s", err, x.history())
	}
}

func (x *subject) history() string {
	if len(x.trace) == 0 {
		return ""
	}
	return "\n  sequence: " + strings.Join(x.trace, ", ")
}

func (x *subject) observe() target.Observation {
	x.t.Helper()
	o, err := x.p.Observe(x.t.Context(), newCall(), x.p.Component.Name, x.cfg)
	if err != nil {
		x.t.Fatalf("observe: %v%s", err, x.history())
	}
	return o
}

// same compares what is observed with what should be so, twice: nothing
// happens in between.
func (x *subject) same(when string) {
	x.t.Helper()
	o, again := x.observe(), x.observe()
	var got []string
	for _, r := range o.Releases {
		got = append(got, r.ID)
		if r.Version != "version of "+r.ID {
			x.t.Errorf("%s: release %q has version %q", when, r.ID, r.Version)
		}
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(x.model.releases))
	if !slices.Equal(got, want) {
		x.t.Fatalf("%s: the releases %q are observed, not %q%s", when, got, want, x.history())
	}
	if o.Stable != x.model.stable {
		x.t.Fatalf("%s: %q is observed as stable, not %q%s", when, o.Stable, x.model.stable, x.history())
	}
	weights, sum := map[string]target.Weight{}, target.Weight(0)
	for id, w := range o.Weights {
		if w != 0 {
			weights[id] = w
			sum += w
		}
	}
	if !maps.Equal(weights, x.model.weights) {
		x.t.Fatalf("%s: the weights %v are observed, not %v%s", when, weights, x.model.weights, x.history())
	}
	if sum != 0 && sum != target.Full {
		x.t.Fatalf("%s: the weights add up to %s%s", when, sum, x.history())
	}
	if again.World != o.World {
		x.t.Errorf("%s: the version of the world went from %q to %q, and nothing happened", when, o.World, again.World)
	}
}

// restart goes on with another process: a target keeps nothing in its own.
func (x *subject) restart() {
	x.t.Helper()
	x.p = x.s.Start(x.t, schema.KindTarget)
}

// possible lists weights that the target can have, ascending, from none to full.
func (x *subject) possible() []target.Weight {
	all := []target.Weight{0, 5 * target.OnePercent, 10 * target.OnePercent, target.Full / 3, target.Full / 2, target.Full - target.OnePercent, target.Full}
	if x.caps.Weights == target.PercentSteps {
		all = append(all, x.caps.Step, target.Full-target.Full%x.caps.Step)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(w target.Weight) bool { return !x.caps.Allows(w) })
}

// draw picks a legal operation.
func (x *subject) draw(rng *rand.Rand) (string, func() error) {
	type operation struct {
		name string
		do   func() error
	}
	var legal []operation
	add := func(f func() error, format string, args ...any) {
		legal = append(legal, operation{fmt.Sprintf(format, args...), f})
	}
	m := &x.model
	most := 1
	if x.caps.SideBySide {
		most = 2
	}
	if len(m.releases) < most {
		for _, id := range []string{"r1", "r2", "r3"} {
			if !slices.Contains(m.releases, id) {
				add(func() error { return x.install(id) }, "install %s", id)
			}
		}
	}
	for _, id := range m.releases {
		if m.stable == "" {
			add(func() error { return x.setWeight(id, target.Full) }, "%s to all", id)
		} else if m.other(id) != "" {
			w := x.possible()[rng.IntN(len(x.possible()))]
			add(func() error { return x.setWeight(id, w) }, "%s to %s", id, w)
		}
		if m.weights[id] == target.Full {
			add(func() error { return x.settle(id) }, "settle %s", id)
		}
		if m.weights[id] == 0 && id != m.stable {
			add(func() error { return x.retire(id) }, "retire %s", id)
		}
	}
	o := legal[rng.IntN(len(legal))]
	return o.name, o.do
}
