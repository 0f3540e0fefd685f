//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

// TestRandomHistories does random things to a service while killing its
// processes at random, and compares it after each with what the rules alone come to.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			d := deploy(t, nil)
			model := &service.State{Releases: []*service.Release{}}
			for step := range 25 {
				var did string
				switch random.IntN(8) {
				case 0, 1:
					id := fmt.Sprintf("v%d", random.IntN(3))
					did = "install " + id
					d.install(id)
					if model.Release(id) == nil {
						model.Releases = append(model.Releases, &service.Release{ID: id, Version: id, Installed: true})
					}
				case 2, 3:
					id, w := fmt.Sprintf("v%d", random.IntN(3)), []float64{0, 5, 50, 100}[random.IntN(4)]
					did = fmt.Sprintf("set weight of %s to %v", id, w)
					agree(t, did, d.trySetWeight(id, w, ""), model.SetWeight(id, target.Weight(w*1000), ""))
				case 4:
					id := fmt.Sprintf("v%d", random.IntN(3))
					did = "settle " + id
					agree(t, did, d.trySettle(id), model.Settle(id))
				case 5:
					id := fmt.Sprintf("v%d", random.IntN(3))
					did = "retire " + id
					err := model.Retire(id)
					agree(t, did, d.tryRetire(id), err)
					if err == nil {
						model.Drop(id)
					}
				default:
					did = killSomething(t, d, random)
				}
				want, got := model.Observation(), d.observe()
				if got.Stable != want.Stable || got.World != want.World || !cmp.Equal(want.Weights, got.Weights) {
					t.Fatalf("step %d, %s: the service is %+v, want %+v", step, did, got, want)
				}
				checkAnswers(t, d, did, got)
			}
		})
	}
}

func agree(t *testing.T, did string, got, want error) {
	t.Helper()
	if (got == nil) != (want == nil) {
		t.Fatalf("%s: %v, want %v", did, got, want)
	}
}

// killSomething kills the keeper, the front, both, or a replica.
func killSomething(t *testing.T, d *deployment, random *rand.Rand) string {
	t.Helper()
	s, err := d.dir.Load()
	if err != nil {
		return "kill nothing"
	}
	what := []string{"keeper", "front", "keeper and front", "a replica"}[random.IntN(4)]
	if what != "front" && s.Keeper.Alive() && what != "a replica" {
		kill(t, s.Keeper)
	}
	if what != "keeper" && s.Front.Alive() && what != "a replica" {
		kill(t, s.Front)
	}
	if what == "a replica" {
		for _, id := range replicas(s) {
			if id.Alive() {
				kill(t, id)
				break
			}
		}
	}
	return "kill " + what
}

// checkAnswers looks at who answers the public, as soon as somebody does.
func checkAnswers(t *testing.T, d *deployment, did string, o target.Observation) {
	t.Helper()
	if len(o.Weights) == 0 {
		return
	}
	// Should both be dead, nobody brings them back but an operation.
	id := o.Releases[slices.IndexFunc(o.Releases, func(r target.Release) bool { return o.Weights[r.ID] > 0 })].ID
	if err := d.trySetWeight(id, float64(o.Weights[id])/1000, ""); err != nil {
		t.Fatalf("after %s: the same weight again: %v", did, err)
	}
	var body string
	eventually(t, "after "+did+" the public is answered", func() bool {
		var code int
		code, body = get(t, d.url())
		return code == 200
	})
	if o.Weights[body] == 0 {
		t.Errorf("after %s: the public is answered by %q, weights %v", did, body, o.Weights)
	}
}
