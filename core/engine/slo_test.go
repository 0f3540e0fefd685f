package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/target"
)

// objective is an analysis of an SLO alone.
const objective = `analysis {
    interval        = "1m"
    deadline        = "90m"
    on_inconclusive = "abort"
    slo "availability" {
      objective    = 99.9
      on_exhausted = "%s"
      use "served" {}
    }
  }`

// percentOf of a hundred hits a minute are bad.
func percentOf(per float64) func(from, to time.Time) int64 {
	return func(from, to time.Time) int64 { return int64(to.Sub(from).Minutes() * per) }
}

// What an error budget means for a rollout from its beginning to its end: 30 days,
// 99.9 %, 200 hits a minute, each half of the traffic watched for an hour.
func TestABudgetIsAskedForAndWatched(t *testing.T) {
	tried := 0
	promoted := []move{{0, half}, {time.Hour, target.Full}, {2 * time.Hour, target.Full}}
	for _, x := range []struct {
		name, onExhausted string
		before, candidate func(from, to time.Time) int64
		idle              kernel.Idle
		outcome           kernel.Outcome
		moves             []move
		// why is in the reason of the stage, or of its gate, note in a note.
		why, note string
	}{
		{
			"all is well", "abort", percentOf(0.1), percentOf(0), kernel.Closed, kernel.Succeeded, promoted,
			"", "availability: 45.5 % of its error budget is used",
		},
		{
			"nothing is known", "abort", nil, percentOf(0), kernel.Closed, kernel.Succeeded, promoted,
			"", "availability: nothing is known of its error budget: nothing was counted",
		},
		{
			// A tenth of half of the traffic is 50 times too fast. The hour has 14.4 times too
			// many, 172.8 of 12,000, after 17.3 minutes, and a few more as an hour is up to 65 minutes.
			"the candidate burns it", "abort", percentOf(0), percentOf(10), kernel.Closed, kernel.RolledBack,
			[]move{{0, half}, {19 * time.Minute, 0}},
			"harm: availability burns its error budget 50 times too fast over 5 minutes", "availability: 0 % of its error budget is used",
		},
		{
			"nothing is left, and people are asked", "hold", percentOf(0.3), percentOf(0), kernel.WaitingForPeople, "", nil,
			"availability: its error budget is used up, 148 % of it", "",
		},
		{
			"nothing is left, and the stage ends", "abort", percentOf(0.3), percentOf(0), kernel.Closed, kernel.Failed, nil,
			"availability: its error budget is used up, 148 % of it", "",
		},
		{
			"nothing is left, and it goes on", "continue", percentOf(0.3), percentOf(0), kernel.Closed, kernel.Succeeded, promoted,
			"", "it is back in",
		},
		{
			"it burns, and people are asked", "hold", percentOf(4), percentOf(0), kernel.WaitingForPeople, "", nil,
			"availability burns its error budget 20 times too fast over 5 minutes and 20 times over 60 minutes", "",
		},
		{
			// Half of the traffic gets well and the other half is as bad as all was: 10 times.
			"it burned, and is not blamed", "continue", percentOf(4), percentOf(2), kernel.Closed, kernel.Succeeded, promoted,
			"", "20 times too fast over 5 minutes",
		},
		{
			// 250 times is more than twice 20 times, at once in five minutes, and in the hour
			// after 10 minutes: 40 times of it.
			"it burned, and gets much worse", "continue", percentOf(4), percentOf(50), kernel.Closed, kernel.RolledBack,
			[]move{{0, half}, {6 * time.Minute, 0}}, "before the candidate had traffic it was 20 and 20 times", "20 times too fast over 5 minutes",
		},
	} {
		tried++
		t.Run(x.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *wall) {
				b := rollout(t, fmt.Sprintf(watched, fmt.Sprintf(objective, x.onExhausted)))
				b.pool.plugin.before, b.pool.plugin.errors = x.before, x.candidate
				idle, state, err := b.drive(func(c *Config) { c.Now = w.now })
				if err != nil || idle != x.idle || state.Outcome() != x.outcome {
					t.Fatalf("left %q with %q, error %v", idle, state.Outcome(), err)
				}
				if d := cmp.Diff(x.moves, b.pool.plugin.weights()); d != "" {
					t.Errorf("weights (-want +got):\n%s", d)
				}
				view, _ := state.Node("stage.web")
				why := view.Why
				for _, g := range view.Gates {
					why += g.Why
				}
				if !strings.Contains(why, x.why) {
					t.Errorf("because %q, want %q", why, x.why)
				}
				var notes []string
				for _, e := range b.events {
					if f, ok := e.Fact.(kernel.Noted); ok {
						notes = append(notes, f.Text)
					}
				}
				if said := strings.Join(notes, "\n"); !strings.Contains(said, x.note) || x.note == "" && said != "" {
					t.Errorf("noted %q, want %q", said, x.note)
				}
			})
		})
	}
	figures.Record(t, "Error budgets", "rollouts in virtual time, each with the budget as it should be", "%d", tried)
}
