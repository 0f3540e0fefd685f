package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
)

// wall is a clock on the wall that jumps. Virtual time is synctest's.
type wall struct {
	mu  sync.Mutex
	off time.Duration
}

func (w *wall) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.off)
}

func (w *wall) jump(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off += by
}

// virtual runs a test in virtual time, which begins at began, with a wall.
func virtual(t *testing.T, f func(t *testing.T, w *wall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, &wall{}) })
}

// watched is a rollout of half and then all of the traffic, each watched for an
// hour, on a target that has a release already.
const watched = `environment "prod" {}
stage "web" {
  environment = environment.prod
  use "site" {
    version = "v2"
  }
  strategy "bake" {
    minutes = 60
  }
  %s
  on_failure = "rollback"
}
`

const measured = `analysis {
    interval        = "1m"
    deadline        = "90m"
    on_inconclusive = "abort"
    metric "errors" {
      use "hits" {}
      max       = 0.01
      min_count = 50
    }
  }`

// rollout is a bench with a rollout that may take long.
func rollout(t *testing.T, body string) *bench {
	b := newBench(t, body)
	b.pool.plugin.stable = "r-old"
	b.limit = 1000 * time.Hour
	return b
}

func (b *bench) checkTimes() {
	b.t.Helper()
	for i := 1; i < len(b.events); i++ {
		if b.events[i].At < b.events[i-1].At {
			b.t.Fatalf("event %d is at %d, the one before it at %d", i, b.events[i].At, b.events[i-1].At)
		}
	}
}

const half = 50 * target.OnePercent

// Whatever the wall does, a bake takes its hour, a deadline does not fire, and
// nothing hangs.
func TestJumpsOfTheWallNeitherHurryNorDelay(t *testing.T) {
	type jump struct{ after, by time.Duration }
	rollouts, jumped := 0, 0
	want := []move{{0, half}, {time.Hour, target.Full}, {2 * time.Hour, target.Full}}
	for name, jumps := range map[string][]jump{
		"none":                         nil,
		"an hour forward":              {{10 * time.Minute, time.Hour}},
		"forward, just before the end": {{59*time.Minute + 50*time.Second, time.Hour}},
		"an hour back":                 {{10 * time.Minute, -time.Hour}},
		"back by a year":               {{10 * time.Minute, -365 * 24 * time.Hour}},
		"a night asleep":               {{30 * time.Minute, 8 * time.Hour}},
		"two nights asleep":            {{30 * time.Minute, 8 * time.Hour}, {80 * time.Minute, 8 * time.Hour}},
		"there and back":               {{10 * time.Minute, time.Hour}, {20 * time.Minute, -time.Hour}},
		"back and there":               {{10 * time.Minute, -time.Hour}, {20 * time.Minute, time.Hour}},
		"a wall gone mad":              {{7 * time.Minute, time.Hour}, {14 * time.Minute, -3 * time.Hour}, {21 * time.Minute, 9 * time.Hour}, {90 * time.Minute, -time.Minute}},
	} {
		for _, analysis := range []string{"", measured} {
			rollouts, jumped = rollouts+1, jumped+len(jumps)
			t.Run(fmt.Sprintf("%s, measured=%v", name, analysis != ""), func(t *testing.T) {
				virtual(t, func(t *testing.T, w *wall) {
					b := rollout(t, fmt.Sprintf(watched, analysis))
					go func() {
						for i, j := range jumps {
							// At no moment at which something else happens.
							time.Sleep(j.after + time.Duration(i+1)*7*time.Second - time.Since(began))
							w.jump(j.by)
						}
					}()
					ahead := map[window]bool{}
					b.pool.plugin.errors = func(from, to time.Time) int64 {
						if to.After(w.now().Add(time.Second)) {
							ahead[window{from, to}] = true
						}
						return 0
					}
					idle, state, err := b.drive(func(c *Config) { c.Now = w.now })
					if err != nil || idle != kernel.Closed || state.Outcome() != kernel.Succeeded {
						t.Fatalf("left %q with %q, error %v", idle, state.Outcome(), err)
					}
					if d := cmp.Diff(want, b.pool.plugin.weights()); d != "" {
						t.Errorf("weights by the time that has passed (-want +got):\n%s", d)
					}
					for win := range ahead {
						t.Errorf("what was between %v and %v was asked for before the wall had come that far", win.From, win.To)
					}
					b.checkTimes()
				})
			})
		}
	}
	figures.Record(t, "Clocks", "rollouts of two hours, jumps of the wall among them", "%d, %d", rollouts, jumped)
	figures.Record(t, "Clocks", "bakes that took another time than they should", "0")
}

// After waking up the metrics of the night are looked at before anything else;
// what they say of the night counts.
func TestHarmDoneWhileAsleepIsSeenFirst(t *testing.T) {
	virtual(t, func(t *testing.T, w *wall) {
		b := rollout(t, fmt.Sprintf(watched, measured))
		go func() {
			// Just before the bake is over.
			time.Sleep(59*time.Minute + 59*time.Second)
			w.jump(8 * time.Hour)
		}()
		b.pool.plugin.errors = func(from, to time.Time) int64 {
			if to.Sub(from) > time.Hour {
				return 10_000
			}
			return 0
		}
		_, state, err := b.drive(func(c *Config) { c.Now = w.now })
		if err != nil || state.Outcome() != kernel.RolledBack {
			t.Fatalf("outcome %q, error %v", state.Outcome(), err)
		}
		if d := cmp.Diff([]move{{0, half}, {time.Hour, 0}}, b.pool.plugin.weights()); d != "" {
			t.Errorf("weights (-want +got):\n%s", d)
		}
	})
}

// Where nobody counted while the machine slept, the bake goes on for the time
// that is left, and what was seen before and after is the evidence.
func TestANightWithoutDataIsNoEvidence(t *testing.T) {
	virtual(t, func(t *testing.T, w *wall) {
		b := rollout(t, fmt.Sprintf(watched, measured))
		go func() {
			time.Sleep(30 * time.Minute)
			w.jump(8 * time.Hour)
		}()
		b.pool.plugin.unlit = func(from, to time.Time) bool { return to.Sub(from) > time.Hour }
		state := b.driveClosed(w)
		if d := cmp.Diff([]move{{0, half}, {time.Hour, target.Full}, {2 * time.Hour, target.Full}}, b.pool.plugin.weights()); d != "" {
			t.Errorf("weights (-want +got):\n%s", d)
		}
		night := 0
		for _, win := range b.pool.plugin.windows {
			if win.To.Sub(win.From) > time.Hour {
				night++
			}
		}
		if night != 1 || state.Outcome() != kernel.Succeeded {
			t.Errorf("the night was asked for %d times, outcome %q", night, state.Outcome())
		}
	})
}

// driveClosed drives a run to its end by a wall.
func (b *bench) driveClosed(w *wall) *kernel.State {
	b.t.Helper()
	idle, state, err := b.drive(func(c *Config) { c.Now = w.now })
	if err != nil || idle != kernel.Closed {
		b.t.Fatalf("left %q, error %v", idle, err)
	}
	return state
}

// While nothing can be measured after a gap no weight rises, though the bake is
// over; the deadline still decides.
func TestNoWeightRisesUnseenAfterAGap(t *testing.T) {
	for name, tc := range map[string]struct {
		dark time.Duration
		want []move
	}{
		"the metrics come back": {dark: 20 * time.Minute, want: []move{{0, half}, {70 * time.Minute, target.Full}, {130 * time.Minute, target.Full}}},
		"they do not":           {dark: 200 * time.Hour, want: []move{{0, half}, {90 * time.Minute, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *wall) {
				b := rollout(t, fmt.Sprintf(watched, measured))
				var dark time.Time
				go func() {
					time.Sleep(50*time.Minute - time.Second)
					b.pool.plugin.mu.Lock()
					dark = time.Now().Add(tc.dark)
					b.pool.plugin.failing = func() bool { return time.Now().Before(dark) }
					b.pool.plugin.mu.Unlock()
					w.jump(8 * time.Hour)
				}()
				b.driveClosed(w)
				got := b.pool.plugin.weights()
				for i := range got {
					got[i].At = got[i].At.Round(2 * time.Minute)
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("weights (-want +got):\n%s", d)
				}
			})
		})
	}
}

// A run that is taken up again days later goes on watching where it left off.
func TestResumeAfterDays(t *testing.T) {
	for _, analysis := range []string{"", measured} {
		virtual(t, func(t *testing.T, w *wall) {
			b := rollout(t, fmt.Sprintf(watched, analysis))
			stop := make(chan kernel.StopMode, 1)
			go func() {
				time.Sleep(30 * time.Minute)
				stop <- kernel.StopAfter
			}()
			idle, _, err := b.drive(func(c *Config) { c.Now, c.Stop = w.now, stop })
			if err != nil || idle != kernel.Stopped {
				t.Fatalf("left %q, error %v", idle, err)
			}
			const away = 72 * time.Hour
			time.Sleep(away)
			if state := b.driveClosed(w); state.Outcome() != kernel.Succeeded {
				t.Errorf("outcome %q", state.Outcome())
			}
			want := []move{{0, half}, {away + time.Hour, target.Full}, {away + 2*time.Hour, target.Full}}
			if d := cmp.Diff(want, b.pool.plugin.weights()); d != "" {
				t.Errorf("measured=%v: weights (-want +got):\n%s", analysis != "", d)
			}
			b.checkTimes()
		})
	}
}

func TestTimeoutsAndDelaysGoByTimeThatPasses(t *testing.T) {
	const body = `stage "slow" {
  use "act" {}
  timeout = "10m"
  retry {
    attempts  = 2
    delay     = "30m"
    max_delay = "30m"
  }
}
`
	type ended struct {
		Outcome kernel.Outcome
		Calls   int
	}
	for name, tc := range map[string]struct {
		takes, after, jump time.Duration
		want               ended
		from, to           time.Duration
	}{
		"in time, the wall going forward":   {takes: 9 * time.Minute, after: time.Minute, jump: time.Hour, want: ended{kernel.Succeeded, 2}, from: 33 * time.Minute, to: 45 * time.Minute},
		"in time, the wall going back":      {takes: 9 * time.Minute, after: time.Minute, jump: -time.Hour, want: ended{kernel.Succeeded, 2}, from: 33 * time.Minute, to: 45 * time.Minute},
		"too late, the wall going back":     {takes: 12 * time.Minute, after: time.Minute, jump: -time.Hour, want: ended{kernel.Failed, 1}, from: 10 * time.Minute, to: 11 * time.Minute},
		"a jump while the next try waits":   {takes: time.Minute, after: 5 * time.Minute, jump: time.Hour, want: ended{kernel.Succeeded, 2}, from: 25 * time.Minute, to: 37 * time.Minute},
		"set back while the next try waits": {takes: time.Minute, after: 5 * time.Minute, jump: -time.Hour, want: ended{kernel.Succeeded, 2}, from: 25 * time.Minute, to: 37 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *wall) {
				b := rollout(t, body)
				calls := 0
				b.acts(func(ctx context.Context, _ call.Call, _ string, _ host.Sink) (string, error) {
					if calls++; calls > 1 {
						return "", nil
					}
					select {
					case <-time.After(tc.takes):
						return "", diag.New("Not yet", "It failed.")
					case <-ctx.Done():
						return "", ctx.Err()
					}
				})
				go func() {
					time.Sleep(tc.after)
					w.jump(tc.jump)
				}()
				state := b.driveClosed(w)
				if d := cmp.Diff(tc.want, ended{state.Outcome(), calls}); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if took := time.Since(began); took < tc.from || took > tc.to {
					t.Errorf("it took %v, want %v to %v", took, tc.from, tc.to)
				}
			})
		})
	}
}

// The time of a gate is people's: it goes by the calendar, also while no process
// drives the run. What they said in time counts, however late it is heard.
func TestGatesExpireByTheCalendar(t *testing.T) {
	const body = `stage "s" {
  use "act" {}
  approval "sre" {
    expires = "24h"
  }
}
`
	for name, tc := range map[string]struct {
		answer time.Duration // 0 for none
		resume time.Duration
		want   kernel.Outcome
	}{
		"answered in time, heard days later": {answer: 23 * time.Hour, resume: 72 * time.Hour, want: kernel.Succeeded},
		"answered too late":                  {answer: 25 * time.Hour, resume: 72 * time.Hour, want: kernel.Rejected},
		"not answered":                       {resume: 72 * time.Hour, want: kernel.Rejected},
		"not answered yet":                   {resume: 12 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T, w *wall) {
				b := rollout(t, body)
				b.acts(echo)
				idle, state, err := b.drive(func(c *Config) { c.Now = w.now })
				if err != nil || idle != kernel.WaitingForPeople {
					t.Fatalf("left %q, error %v", idle, err)
				}
				if tc.answer > 0 {
					time.Sleep(tc.answer)
					view, _ := state.Node("stage.s")
					if err := Send(t.Context(), b.store, b.rec.ID, w.now(), Post{Answer: &kernel.GateAnswered{
						Node: view.ID, Gate: "sre", Subject: view.Gates[0].Subject, Who: "bob", How: "test", Yes: true,
					}}); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tc.resume - tc.answer)
				idle, state, err = b.drive(func(c *Config) { c.Now = w.now })
				if err != nil || state.Outcome() != tc.want || (idle == kernel.Closed) != (tc.want != "") {
					t.Fatalf("left %q with %q, error %v, want %q", idle, state.Outcome(), err, tc.want)
				}
			})
		})
	}
}

// While the inbox cannot be read, a gate stays open: somebody may have answered.
func TestAGateDoesNotExpireUnheard(t *testing.T) {
	virtual(t, func(t *testing.T, w *wall) {
		b := rollout(t, `stage "s" {
  use "act" {}
  approval "sre" {
    expires = "1h"
  }
}
stage "other" {
  use "act" {
    text = "wait"
  }
}
`)
		var mu sync.Mutex
		away := false
		b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
			if text != "wait" {
				return "", nil
			}
			time.Sleep(59 * time.Minute)
			mu.Lock()
			away = true
			mu.Unlock()
			view := b.gate("stage.s")
			if err := Send(context.Background(), b.store, b.rec.ID, w.now(), Post{Answer: &view}); err != nil {
				return "", err
			}
			time.Sleep(10 * time.Minute)
			mu.Lock()
			away = false
			mu.Unlock()
			time.Sleep(time.Minute)
			return "", nil
		})
		b.store.Before = func(op memstore.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if away && op.Name == "list" && strings.Contains(op.Key, "/inbox/") {
				return errors.New("the store is away")
			}
			return nil
		}
		if state := b.driveClosed(w); state.Outcome() != kernel.Succeeded {
			t.Errorf("outcome %q", state.Outcome())
		}
	})
}

// gate is the yes of a person to the first gate that was opened for a node.
func (b *bench) gate(node string) kernel.GateAnswered {
	for _, ev := range b.events {
		if g, ok := ev.Fact.(kernel.GateOpened); ok && g.Node == node {
			return kernel.GateAnswered{Node: node, Gate: g.Gate, Subject: g.Subject, Who: "bob", How: "test", Yes: true}
		}
	}
	b.t.Errorf("no gate of %s is open", node)
	return kernel.GateAnswered{}
}
