package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
)

const inProd = `environment "prod" {}
stage "s0" {
  environment = environment.prod
  use "again" {
    text = "a"
  }
}
stage "s1" {
  environment = environment.prod
  use "again" {
    text = "${stage.s0.said}b"
  }
}
`

// rival is another run that takes the environment.
func (b *bench) rival() *lock.Keeper {
	b.t.Helper()
	k := lock.NewKeeper(lock.KeeperConfig{Store: b.store, Holder: lock.Holder{Run: "rival", Host: "elsewhere", PID: 7, Initiator: "eve"}})
	b.t.Cleanup(k.Close)
	return k
}

// takeAway breaks the lock of prod.
func (b *bench) takeAway() {
	b.t.Helper()
	held, err := lock.Find(context.Background(), b.store, "prod")
	if err == nil {
		err = lock.Break(context.Background(), b.store, held, lock.Broken{By: "bob", Host: "desk", At: time.Now()})
	}
	if err != nil {
		b.t.Error(err)
	}
}

// wantLeft drives the run until it leaves by itself, and returns why.
func (b *bench) wantLeft(summary string, change func(*Config)) *Left {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	e, _ := b.engine(change)
	idle, err := e.Run(ctx)
	why := e.Left()
	if err != nil || idle != kernel.Stopped || why == nil || why.Summary != summary {
		b.t.Fatalf("left %q because of %+v, error %v; want it stopped because of %q", idle, why, err, summary)
	}
	return why
}

// Between two operations the environment went to another: the second never begins.
func TestNothingBeginsOnceTheLockIsLost(t *testing.T) {
	b := newBench(t, inProd)
	rival := b.rival()
	var acts atomic.Int32
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		if acts.Add(1) == 1 {
			b.takeAway()
			if _, err := rival.Take(context.Background(), "prod", lock.Patience{}); err != nil {
				t.Error(err)
			}
		}
		return text, nil
	})
	why := b.wantLeft("Lock was lost", nil)
	if acts.Load() != 1 || !strings.Contains(why.Detail, `environment "prod": lock lost: it is with run rival (eve on elsewhere, process 7)`) {
		t.Errorf("after %d acts the run left because of %q", acts.Load(), why.Detail)
	}
	// It stays open while the other has the environment, however often one tries.
	for range 2 {
		why = b.wantLeft("Environment is locked", nil)
	}
	if !strings.HasPrefix(why.Detail, `Run rival, started by eve on elsewhere, has environment "prod" since `) || !strings.Contains(why.Detail, "\n  runner unlock prod") {
		t.Errorf("resumed, it left because of %q", why.Detail)
	}
	if err := rival.Free(t.Context(), "prod"); err != nil {
		t.Fatal(err)
	}
	b.wantClosed(kernel.Succeeded)
	if acts.Load() != 2 {
		t.Errorf("%d acts in all, want 2", acts.Load())
	}
}

// A renewal finds the lock gone while an operation is under way: it is cancelled.
func TestWhatIsUnderWayIsCancelledWhenTheLockIsLost(t *testing.T) {
	b := newBench(t, inProd)
	b.acts(func(ctx context.Context, _ call.Call, _ string, _ host.Sink) (string, error) {
		b.takeAway()
		<-ctx.Done()
		return "", ctx.Err()
	})
	keeper := lock.NewKeeper(lock.KeeperConfig{Store: b.store, Lease: 40 * time.Millisecond, Holder: lock.Holder{Run: b.rec.ID}})
	defer keeper.Close()
	why := b.wantLeft("Lock was lost", func(c *Config) { c.Locks = keeper })
	if !strings.Contains(why.Detail, "bob on desk took it away") {
		t.Errorf("the run left because of %q", why.Detail)
	}
	b.acts(echo)
	b.pool.plugin.done = make(chan struct{})
	b.events = nil
	b.wantClosed(kernel.Succeeded)
	over := ""
	for _, ev := range b.events {
		if taken, ok := ev.Fact.(kernel.LockTaken); ok {
			over = taken.Over
		}
	}
	if !strings.HasPrefix(over, "bob on desk took it away from run "+b.rec.ID) {
		t.Errorf("the journal says of the lock: %q", over)
	}
}

// Another process has resumed the run: what this one was about to do is refused,
// also in a stage of no environment.
func TestNothingBeginsOnceAnotherProcessDrivesTheRun(t *testing.T) {
	b := newBench(t, chain(2))
	locks := func() *lock.Keeper {
		k := lock.NewKeeper(lock.KeeperConfig{Store: b.store, Lease: 50 * time.Millisecond, Holder: lock.Holder{Run: b.rec.ID, Initiator: "eve"}})
		t.Cleanup(k.Close)
		return k
	}
	first, second := locks(), locks()
	if _, err := first.TakeRun(t.Context(), lock.Patience{}); err != nil {
		t.Fatal(err)
	}
	first.Close() // it stands still, and renews nothing
	var acts atomic.Int32
	b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
		if acts.Add(1) == 1 {
			if _, err := second.TakeRun(context.Background(), lock.Patience{Timeout: time.Minute}); err != nil {
				t.Error(err)
			}
		}
		return text, nil
	})
	b.wantLeft("Lock was lost", func(c *Config) { c.Locks = first })
	if acts.Load() != 1 {
		t.Errorf("%d acts, want 1", acts.Load())
	}
}

func TestAStopEndsTheWaitForALock(t *testing.T) {
	b := newBench(t, inProd)
	b.acts(echo)
	rival := b.rival()
	if _, err := rival.Take(t.Context(), "prod", lock.Patience{}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan kernel.StopMode, 1)
	idle, _, err := b.drive(func(c *Config) {
		c.Stop, c.LockTimeout = stop, time.Hour
		c.Waiting = func(held *lock.HeldError, waited, limit time.Duration) {
			if held.Holder.Run != "rival" || limit != time.Hour {
				t.Errorf("waits for %v, %v of %v", held, waited, limit)
			}
			stop <- kernel.StopAfter
		}
	})
	if err != nil || idle != kernel.Stopped {
		t.Fatalf("left %q, error %v, want it stopped", idle, err)
	}
	if err := rival.Free(t.Context(), "prod"); err != nil {
		t.Fatal(err)
	}
	b.wantClosed(kernel.Succeeded)
}

func TestANewRunIsRefusedAnEnvironmentThatAnotherHas(t *testing.T) {
	b := newBench(t, inProd)
	if _, err := b.rival().Take(t.Context(), "prod", lock.Patience{}); err != nil {
		t.Fatal(err)
	}
	state := b.wantClosed(kernel.Failed)
	if view, _ := state.Node("stage.s0"); !strings.HasPrefix(view.Why, "Environment is locked: Run rival, started by eve on elsewhere") {
		t.Errorf("the stage failed with %q", view.Why)
	}
}

// A way back goes on while the store is away, but not once the lock is known to be lost.
func TestOnlyAWayBackGoesOnWithoutTheStore(t *testing.T) {
	away := errors.New("away")
	for name, tc := range map[string]struct {
		back, away, lost bool
		want             string
	}{
		"forward":                   {want: ""},
		"forward, store away":       {away: true, want: "Lock could not be checked"},
		"forward, lock lost":        {lost: true, want: "Cancelled"},
		"back":                      {back: true, want: ""},
		"back, store away":          {back: true, away: true, want: ""},
		"back, lock lost":           {back: true, lost: true, want: "Cancelled"},
		"back, lost and store away": {back: true, lost: true, away: true, want: ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, inProd)
			e, _ := b.engine(func(c *Config) {
				c.Locks = lock.NewKeeper(lock.KeeperConfig{Store: b.store, Holder: lock.Holder{Run: b.rec.ID}})
			})
			defer e.Locks.Close()
			if _, err := e.Locks.Take(t.Context(), "prod", lock.Patience{}); err != nil {
				t.Fatal(err)
			}
			if tc.lost {
				b.takeAway()
			}
			if tc.away {
				b.store.Before = func(memstore.Op) error { return away }
			}
			node := nodeOf(t, e.Program, "stage.s0")
			got := ""
			if failed, ok := e.notOurs(t.Context(), job{Command: kernel.Command{ID: 1, Back: tc.back}, node: node}).(kernel.CommandFailed); ok {
				if got = failed.Failure.Summary; failed.Failure.Effect != "none" {
					t.Errorf("effect %q of what was not begun", failed.Failure.Effect)
				}
			}
			if got != tc.want {
				t.Errorf("it ends with %q, want %q", got, tc.want)
			}
		})
	}
}

func nodeOf(t *testing.T, p *program.Program, id string) *program.Node {
	t.Helper()
	n, ok := p.Node(id)
	if !ok {
		t.Fatalf("no node %s", id)
	}
	return n
}
