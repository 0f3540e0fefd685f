package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/memstore"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
)

var errAway = errors.New("the store is away")

// outage makes every operation of a store fail from the nth on, and so on until
// it ends.
type outage struct {
	from, until int64
	n           atomic.Int64
	// arrives: what fails reaches the store all the same.
	arrives bool
}

func (o *outage) hit() error {
	if n := o.n.Add(1); n >= o.from && (o.until == 0 || n < o.until) {
		return errAway
	}
	return nil
}

func (o *outage) on(s *memstore.Store) {
	s.Before, s.After = nil, nil
	if o.arrives {
		s.After = func(memstore.Op) error { return o.hit() }
	} else {
		s.Before = func(memstore.Op) error { return o.hit() }
	}
}

// standing puts a first release in place, by a run of its own, so that the next
// rollout has something to go back to.
func standing(t *testing.T) *box {
	t.Helper()
	b := newBox()
	b.state = boxState{Stable: "r-old", Releases: []string{"r-old"}, Weights: map[string]target.Weight{"r-old": target.Full}}
	return b
}

func rolling(t *testing.T) *bench {
	t.Helper()
	return newBenchOn(t, standing(t), chain(1)+inEnvironment)
}

func (b *bench) openSpool() *spool.Spool {
	b.t.Helper()
	s, err := spool.Open(b.dir+"/spool", b.rec.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// resumed drives the run as a later process does: it joins the spool first.
func (b *bench) resumed(change func(*Config)) (kernel.Idle, *kernel.State, error) {
	b.t.Helper()
	s := b.openSpool()
	if len(s.Items()) > 0 {
		if _, err := journal.Join(b.t.Context(), b.store, b.rec.ID, s.Items()); err != nil {
			b.t.Fatal(err)
		}
		if err := s.Remove(); err != nil {
			b.t.Fatal(err)
		}
	}
	return b.drive(func(c *Config) {
		c.Spool = b.openSpool()
		if change != nil {
			change(c)
		}
	})
}

// settledState is how a box must look when nobody works on it: all traffic with
// one release, which is the stable one, and no other.
func settledState(s boxState) bool {
	return len(s.Releases) == 1 && s.Releases[0] == s.Stable && cmp.Equal(s.Weights, map[string]target.Weight{s.Stable: target.Full})
}

// The store goes away at every one of its operations, for good or for a while,
// before or after what was asked has happened. The rollout never stays between 0
// and 100 %: it goes back or was through; what happened is in the record; once the
// store is there again, the run comes to its end, nothing done twice.
func TestTheStoreGoesAwayAnywhere(t *testing.T) {
	count := rolling(t)
	whole := &outage{from: 1 << 40}
	count.acts(echo)
	if idle, state, err := count.drive(func(*Config) { whole.on(count.store) }); err != nil || state.Outcome() != kernel.Succeeded {
		t.Fatalf("left %q, error %v", idle, err)
	}
	operations := whole.n.Load()
	if operations < 15 {
		t.Fatalf("a run has %d operations of the store", operations)
	}
	tried, back := 0, 0
	for at := range operations {
		for name, o := range map[string]*outage{
			"for good":                  {from: at + 1},
			"for good, writes arrive":   {from: at + 1, arrives: true},
			"for a moment":              {from: at + 1, until: at + 2},
			"for a moment, and arrives": {from: at + 1, until: at + 2, arrives: true},
		} {
			tried++
			t.Run(fmt.Sprintf("%d %s", at+1, name), func(t *testing.T) {
				b := rolling(t)
				acts := atomic.Int32{}
				b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) {
					acts.Add(1)
					return text, nil
				})
				idle, state, err := b.drive(func(c *Config) {
					c.Spool = b.openSpool()
					o.on(b.store)
				})
				b.store.Before, b.store.After = nil, nil
				var away *AwayError
				switch {
				case err == nil && idle == kernel.Closed:
				case errors.As(err, &away):
					if o.until == 0 && away.Joined {
						t.Error("it says that the store was there again")
					}
				case state.Run() == "" && errors.Is(err, errAway):
					// The inbox could not be read: nothing had begun.
				default:
					t.Fatalf("left %q, error %v", idle, err)
				}
				now := b.box.now()
				if w := now.Weights["r-old"]; w != target.Full && w != 0 {
					t.Errorf("the rollout was left between: %+v", now)
				}
				idle, state, err = b.resumed(nil)
				if err != nil || idle != kernel.Closed {
					t.Fatalf("resumed: left %q, error %v", idle, err)
				}
				now = b.box.now()
				switch state.Outcome() {
				case kernel.Succeeded:
					if now.Stable == "r-old" {
						t.Errorf("it succeeded, and the box is as before: %+v", now)
					}
				case kernel.RolledBack:
					back++
					if now.Stable != "r-old" {
						t.Errorf("it went back, and the box is %+v", now)
					}
				default:
					t.Errorf("it ended %q", state.Outcome())
				}
				if !settledState(now) {
					t.Errorf("the box is %+v", now)
				}
				if acts.Load() != 1 {
					t.Errorf("the once operation ran %d times", acts.Load())
				}
				for key, n := range b.box.effects {
					if n > 1 {
						t.Errorf("%s had its effect %d times", key, n)
					}
				}
				if s := b.openSpool(); len(s.Items()) > 0 {
					t.Errorf("the spool still has %d segments", len(s.Items()))
				}
			})
		}
	}
	if back == 0 {
		t.Error("no rollout went back: the outage never met one")
	}
	figures.Record(t, "The state away", "outages of the store, at each of its operations in a canary run", "%d", tried)
	figures.Record(t, "The state away", "rollouts left between two releases by them", "0, %d went back", back)
}

// A store that answers nothing at all holds the way back up no longer than it must.
func TestAHangingStoreDoesNotHoldTheWayBack(t *testing.T) {
	b := rolling(t)
	b.acts(echo)
	var hangs atomic.Bool
	began := make(chan time.Time, 1)
	b.box.before = func(_ context.Context, operation string, _ call.Call) error {
		if operation == "set_weight" && hangs.CompareAndSwap(false, true) {
			began <- time.Now()
			return diag.New("Refused", "The target was asked to fail.")
		}
		return nil
	}
	_, _, err := b.drive(func(c *Config) {
		c.Spool, c.StoreGrace = b.openSpool(), 300*time.Millisecond
		c.Store = &hanging{Store: b.store, hangs: &hangs}
		c.Journal = journal.At(c.Store, b.rec.ID, c.Journal.Head())
	})
	took := time.Since(<-began)
	var away *AwayError
	if !errors.As(err, &away) || away.Lost != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	if now := b.box.now(); !settledState(now) || now.Stable != "r-old" {
		t.Errorf("the box is %+v", now)
	}
	// Of a store that answers nothing, one append, one lock and the last look at
	// the store are waited for.
	if limit := 10 * time.Second; took > limit {
		t.Errorf("it took %s, want less than %s", took, limit)
	}
}

// hanging is a store that does not answer until its caller gives up.
type hanging struct {
	store.Store
	hangs *atomic.Bool
}

func (h *hanging) wait(ctx context.Context) error {
	if h.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (h *hanging) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	if err := h.wait(ctx); err != nil {
		return "", err
	}
	return h.Store.PutAbsent(ctx, key, value)
}

func (h *hanging) PutVersion(ctx context.Context, key string, value []byte, version string) (string, error) {
	if err := h.wait(ctx); err != nil {
		return "", err
	}
	return h.Store.PutVersion(ctx, key, value, version)
}

func (h *hanging) List(ctx context.Context, prefix, after string, limit int) ([]store.Item, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	return h.Store.List(ctx, prefix, after, limit)
}

// The power fails at every write of a run: what the store had not acknowledged is
// lost, or is there all the same. Whoever resumes ends as the uninterrupted run.
func TestThePowerFailsAtEveryWrite(t *testing.T) {
	const body = "stage \"s0\" {\n  use \"again\" {}\n}\n" + inEnvironment
	errDead := errors.New("the power is off")
	// failAt drives a run on a machine whose power fails at its nth write.
	failAt := func(t *testing.T, nth int64, arrives bool) (*bench, int64) {
		b := newBenchOn(t, standing(t), body)
		var writes atomic.Int64
		var dead atomic.Bool
		power := func(op memstore.Op, last bool) error {
			if dead.Load() {
				return errDead
			}
			if op.Name == "get" || op.Name == "list" || last != arrives {
				return nil
			}
			if writes.Add(1) == nth {
				dead.Store(true)
				return errDead
			}
			return nil
		}
		alive := func() error {
			if dead.Load() {
				return errDead
			}
			return nil
		}
		b.box.before = func(context.Context, string, call.Call) error { return alive() }
		b.acts(func(_ context.Context, _ call.Call, text string, _ host.Sink) (string, error) { return text, alive() })
		idle, _, err := b.drive(func(*Config) {
			b.store.Before = func(op memstore.Op) error { return power(op, false) }
			b.store.After = func(op memstore.Op) error { return power(op, true) }
		})
		if !dead.Load() && (err != nil || idle != kernel.Closed) {
			t.Fatalf("left %q, error %v", idle, err)
		}
		b.store.Before, b.store.After = nil, nil
		dead.Store(false)
		return b, writes.Load()
	}
	whole, writes := failAt(t, 0, false)
	want := whole.box.now()
	if !settledState(want) || want.Stable == "r-old" || writes < 12 {
		t.Fatalf("the uninterrupted run left %+v after %d writes", want, writes)
	}
	for nth := range writes {
		for _, arrives := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d arrives=%v", nth+1, arrives), func(t *testing.T) {
				b, _ := failAt(t, nth+1, arrives)
				b.acts(echo)
				b.wantClosed(kernel.Succeeded)
				got := b.box.now()
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("it ended otherwise (-uninterrupted +resumed):\n%s", diff)
				}
				for key, n := range b.box.effects {
					if n > 1 {
						t.Errorf("%s had its effect %d times", key, n)
					}
				}
			})
		}
	}
	figures.Record(t, "Power loss", "power cuts at a write of a canary run, lost and arrived; resumed to the same end", "%d", 2*writes)
}

// What cannot be recorded anywhere is said aloud; traffic goes back all the same,
// and memory serves when the store is there again before the process ends.
func TestTheWayBackGoesOnWithoutARecord(t *testing.T) {
	b := rolling(t)
	b.acts(echo)
	var away atomic.Bool
	b.store.Before = func(memstore.Op) error {
		if away.Load() {
			return errAway
		}
		return nil
	}
	b.box.before = func(_ context.Context, operation string, _ call.Call) error {
		if operation == "set_weight" {
			away.Store(true)
		}
		return nil
	}
	idle, _, err := b.drive(nil) // without a spool
	var lost *AwayError
	if !errors.As(err, &lost) || lost.Lost == nil || lost.Joined || idle != kernel.Stopped && idle != kernel.Closed {
		t.Fatalf("left %q, error %v", idle, err)
	}
	if now := b.box.now(); !settledState(now) || now.Stable != "r-old" {
		t.Errorf("the box is %+v", now)
	}
	said := 0
	for _, ev := range b.events {
		if n, ok := ev.Fact.(kernel.Noted); ok && strings.Contains(n.Text, "without a record") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("it was said %d times that there is no record, want once", said)
	}
}

// A process that begins while the store can be read and not written, as with a
// full disk, takes an interrupted rollout back from what the journal has.
func TestAnInterruptedRolloutGoesBackWhileNothingCanBeWritten(t *testing.T) {
	for name, withSpool := range map[string]bool{"spool": true, "memory": false} {
		t.Run(name, func(t *testing.T) {
			b := newBenchOn(t, standing(t), inEnvironment)
			stop := make(chan kernel.StopMode, 1)
			idle, _, err := b.drive(func(c *Config) {
				c.Stop = stop
				c.Observer = func(ev kernel.Event) {
					if d, ok := ev.Fact.(kernel.Decided); ok && d.StepID == "weight-50" {
						stop <- kernel.StopAfter
					}
				}
			})
			if now := b.box.now(); err != nil || idle != kernel.Stopped || now.Weights["r-old"] != 50*target.OnePercent {
				t.Fatalf("left %q at %+v, error %v", idle, now, err)
			}
			b.store.Before = func(op memstore.Op) error {
				if op.Name != "get" && op.Name != "list" {
					return errAway
				}
				return nil
			}
			idle, _, err = b.drive(func(c *Config) {
				if withSpool {
					c.Spool = b.openSpool()
				}
				c.Unwind = &kernel.RunUnwinding{By: "bob"}
			})
			var away *AwayError
			if !errors.As(err, &away) {
				t.Fatalf("left %q, error %v", idle, err)
			}
			if now := b.box.now(); !settledState(now) || now.Stable != "r-old" {
				t.Fatalf("the box is %+v", now)
			}
			b.store.Before = nil
			if !withSpool {
				return
			}
			idle, state, err := b.resumed(nil)
			if err != nil || idle != kernel.Closed || state.Outcome() != kernel.RolledBack {
				t.Errorf("resumed: left %q with %q, error %v", idle, state.Outcome(), err)
			}
		})
	}
}

const inEnvironment = `environment "prod" {}
stage "web" {
  environment = environment.prod
  use "box" {
    text = "new"
  }
  strategy "steps" {}
}
`

// The strategy hangs, and its process cannot even be asked to stop: the way back
// begins without it.
func TestTheWayBackDoesNotWaitForTheStrategy(t *testing.T) {
	b := rolling(t)
	b.acts(echo)
	var asked atomic.Int32
	hanging := make(chan struct{})
	b.box.ask = func(ctx context.Context) error {
		if b.box.now().Weights["r-old"] == 50*target.OnePercent && asked.Add(1) == 1 {
			close(hanging)
			<-ctx.Done()
			<-b.pool.plugin.done // it ignores the cancellation until it is ended
			return host.ErrLost
		}
		return nil
	}
	var began time.Time
	back := make(chan time.Duration, 1)
	b.box.before = func(_ context.Context, operation string, c call.Call) error {
		if asked.Load() > 0 && operation == "set_weight" {
			select {
			case back <- time.Since(began):
				close(b.pool.plugin.done)
			default:
			}
		}
		return nil
	}
	go func() {
		<-hanging
		began = time.Now()
		_ = Send(context.Background(), b.store, b.rec.ID, time.Now(), Post{Unwind: &kernel.RunUnwinding{By: "bob"}})
	}()
	idle, state, err := b.drive(nil)
	if err != nil || idle != kernel.Closed || state.Outcome() != kernel.RolledBack {
		t.Fatalf("left %q with %q, error %v", idle, state.Outcome(), err)
	}
	if took := <-back; took > askTimeout/2 {
		t.Errorf("the way back began after %s", took)
	}
	if now := b.box.now(); !settledState(now) || now.Stable != "r-old" {
		t.Errorf("the box is %+v", now)
	}
}
