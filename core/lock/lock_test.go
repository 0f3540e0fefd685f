package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

var since = time.Date(2026, 11, 23, 1, 34, 5, 0, time.UTC)

func keeper(t *testing.T, s *memstore.Store, run string, change func(*lock.KeeperConfig)) *lock.Keeper {
	t.Helper()
	cfg := lock.KeeperConfig{
		Store: s, Holder: lock.Holder{Run: run, Host: "ci-7", PID: 42, Initiator: "ada"}, Now: func() time.Time { return since },
	}
	if change != nil {
		change(&cfg)
	}
	k := lock.NewKeeper(cfg)
	t.Cleanup(k.Close)
	return k
}

func take(t *testing.T, k *lock.Keeper, env string) lock.Taken {
	t.Helper()
	taken, err := k.Take(t.Context(), env, lock.Patience{})
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func wantHeld(t *testing.T, k *lock.Keeper, env string) *lock.HeldError {
	t.Helper()
	taken, err := k.Take(t.Context(), env, lock.Patience{})
	var held *lock.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("Take of a lock that another has: %+v, %v", taken, err)
	}
	return held
}

func TestOneRunHoldsAnEnvironment(t *testing.T) {
	s := memstore.New()
	one, two := keeper(t, s, "r1", nil), keeper(t, s, "r2", nil)
	first := take(t, one, "prod")
	held := wantHeld(t, two, "prod")
	want := &lock.HeldError{
		Environment: "prod", Fence: first.Fence,
		Holder: lock.Holder{Run: "r1", Host: "ci-7", PID: 42, Initiator: "ada", Since: since, Lease: lock.DefaultLease},
	}
	if diff := cmp.Diff(want, held, cmpopts.IgnoreFields(lock.Holder{}, "Process")); diff != "" {
		t.Errorf("error differs (-want +got):\n%s", diff)
	}
	const says = `environment "prod" is locked by run r1 (ada on ci-7, process 42) since 2026-11-23T01:34:05Z`
	if held.Error() != says {
		t.Errorf("error says %q, want %q", held, says)
	}
	take(t, two, "staging")
	take(t, two, "a/b %")
	if err := one.Free(t.Context(), "prod"); err != nil {
		t.Fatal(err)
	}
	if second := take(t, two, "prod"); second.Fence <= first.Fence || second.Over != "" {
		t.Errorf("fence went from %d to %+v", first.Fence, second)
	}
}

func TestFencesOfEarlierTakesAreLost(t *testing.T) {
	s := memstore.New()
	paused, resumed, other := keeper(t, s, "r1", nil), keeper(t, s, "r1", nil), keeper(t, s, "r2", nil)
	check := func(what string, k *lock.Keeper, want error) {
		t.Helper()
		if err := k.Check(t.Context(), "prod"); !errors.Is(err, want) {
			t.Errorf("%s: Check gives %v, want %v", what, err, want)
		}
	}
	check("never taken", paused, lock.ErrLost)
	first := take(t, paused, "prod")
	check("taken", paused, nil)
	second := take(t, resumed, "prod")
	if second.Fence <= first.Fence {
		t.Fatalf("fence went from %d to %d", first.Fence, second.Fence)
	}
	check("the earlier process of the run", paused, lock.ErrLost)
	if err := paused.Renew(t.Context(), "prod"); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Renew by the earlier process: %v", err)
	}
	if err := paused.Free(t.Context(), "prod"); err != nil {
		t.Errorf("Free by the earlier process: %v", err)
	}
	check("after the earlier process's Free", resumed, nil)
	for range 2 {
		if err := resumed.Free(t.Context(), "prod"); err != nil {
			t.Fatal(err)
		}
	}
	check("freed", resumed, lock.ErrLost)
	if third := take(t, other, "prod"); third.Fence <= second.Fence {
		t.Errorf("fence went from %d to %d", second.Fence, third.Fence)
	}
	for fence, want := range map[int64]error{first.Fence: lock.ErrLost, second.Fence: lock.ErrLost, second.Fence + 1: nil} {
		if err := lock.Check(t.Context(), s, "prod", fence); !errors.Is(err, want) {
			t.Errorf("Check of fence %d gives %v, want %v", fence, err, want)
		}
	}
}

// A process of the run is not let in by the run's name: the earlier one must be gone.
func TestOneProcessDrivesARun(t *testing.T) {
	s := memstore.New()
	one, two := keeper(t, s, "r1", nil), keeper(t, s, "r1", nil)
	if _, err := one.TakeRun(t.Context(), lock.Patience{}); err != nil {
		t.Fatal(err)
	}
	_, err := two.TakeRun(t.Context(), lock.Patience{})
	const says = "run r1 is driven by process 42 on ci-7 (ada) since 2026-11-23T01:34:05Z"
	if !errors.As(err, new(*lock.HeldError)) || err.Error() != says {
		t.Fatalf("TakeRun by a second process: %v, want %s", err, says)
	}
	if held, err := lock.Held(t.Context(), s); err != nil || len(held) != 0 {
		t.Errorf("Held lists %v, %v: a run is no environment", held, err)
	}
	if err := one.FreeRun(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.TakeRun(t.Context(), lock.Patience{}); err != nil {
		t.Fatal(err)
	}
	if held, err := lock.FindRun(t.Context(), s, "r1"); err != nil || held == nil {
		t.Errorf("FindRun gives %v, %v", held, err)
	}
	// What the first does from now on is refused, in any environment and in none.
	take(t, two, "prod")
	for _, env := range []string{"", "prod"} {
		if err := two.Check(t.Context(), env); err != nil {
			t.Errorf("Check(%q) by who drives the run: %v", env, err)
		}
	}
}

// Time is that of a bubble: leases pass at once, and no clock is compared with another.
func TestALeaseThatIsNotRenewedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		one, two := keeper(t, s, "r1", nil), keeper(t, s, "r2", nil)
		first := take(t, one, "prod")
		// While it is renewed nobody gets it, however long that takes.
		var said []time.Duration
		_, err := two.Take(t.Context(), "prod", lock.Patience{Timeout: 5 * time.Minute, Waiting: func(held *lock.HeldError, waited time.Duration) {
			if held.Holder.Run != "r1" {
				t.Errorf("waits for %v", held)
			}
			said = append(said, waited)
		}})
		if !errors.As(err, new(*lock.HeldError)) {
			t.Fatalf("Take while the holder lives: %v", err)
		}
		if len(said) < 5 || len(said) > 8 || said[0] > time.Second {
			t.Errorf("it was said %d times that one waits: %v", len(said), said)
		}
		one.Close() // the process is gone
		begun := time.Now()
		taken, err := two.Take(t.Context(), "prod", lock.Patience{Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < lock.DefaultLease || took > lock.DefaultLease+2*time.Second {
			t.Errorf("taken over after %v, want %v", took, lock.DefaultLease)
		}
		if want := "process 42 on ci-7 of run r1, which had it, has not renewed it for 1m0s"; taken.Over != want || taken.Fence <= first.Fence {
			t.Errorf("taken as %+v after fence %d, want over %q", taken, first.Fence, want)
		}
		// The first was only paused: it learns that it has lost, and can do nothing.
		if err := one.Check(t.Context(), "prod"); !errors.Is(err, lock.ErrLost) || !strings.Contains(err.Error(), "it is with run r2") {
			t.Errorf("Check by the late holder: %v", err)
		}
	})
}

func TestAKeeperTellsThatALockWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		k := keeper(t, s, "r1", nil)
		take(t, k, "prod")
		take(t, k, "staging")
		held, err := lock.Find(t.Context(), s, "prod")
		if err != nil {
			t.Fatal(err)
		}
		if err := lock.Break(t.Context(), s, held, lock.Broken{By: "bob", Host: "desk", At: since}); err != nil {
			t.Fatal(err)
		}
		loss := <-k.Lost()
		const says = `environment "prod": lock lost: bob on desk took it away at 2026-11-23T01:34:05Z`
		if loss.Environment != "prod" || !errors.Is(loss.Err, lock.ErrLost) || loss.Err.Error() != says {
			t.Errorf("lost %+v, want %s", loss, says)
		}
		time.Sleep(time.Hour)
		select {
		case again := <-k.Lost():
			t.Errorf("lost again: %+v", again)
		default:
		}
		if err := k.Check(t.Context(), "staging"); err != nil {
			t.Errorf("the other lock: %v", err)
		}
		if err := lock.Break(t.Context(), s, held, lock.Broken{By: "bob"}); !errors.Is(err, lock.ErrLost) {
			t.Errorf("the second Break: %v", err)
		}
		taken := take(t, keeper(t, s, "r2", nil), "prod")
		if want := "bob on desk took it away from run r1 (ada on ci-7, process 42) since 2026-11-23T01:34:05Z"; taken.Over != want {
			t.Errorf("taken over %q, want %q", taken.Over, want)
		}
	})
}

// A store that is away says nothing of the lock: it is neither lost nor known.
func TestAnOutageLosesNoLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		away := errors.New("away")
		var failing atomic.Bool
		s.Before = func(memstore.Op) error {
			if failing.Load() {
				return away
			}
			return nil
		}
		k := keeper(t, s, "r1", nil)
		take(t, k, "prod")
		failing.Store(true)
		time.Sleep(10 * lock.DefaultLease)
		if err := k.Check(t.Context(), "prod"); !errors.Is(err, away) || errors.Is(err, lock.ErrLost) {
			t.Errorf("Check while the store is away: %v", err)
		}
		failing.Store(false)
		time.Sleep(lock.DefaultLease)
		if err := k.Check(t.Context(), "prod"); err != nil {
			t.Errorf("Check when it is back: %v", err)
		}
		select {
		case loss := <-k.Lost():
			t.Errorf("lost %+v", loss)
		default:
		}
	})
}

func TestWhoIsGoneIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	alive := func(name string) *lock.Alive {
		a, err := lock.AcquireAlive(t.Context(), dir, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	liveness := func(local bool, dir string) *lock.Liveness {
		l, err := lock.NewLiveness(dir, local)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	living := alive("living")
	defer func() { _ = living.Release() }()
	here, elsewhere := liveness(true, dir), liveness(false, t.TempDir())
	shared := liveness(false, dir)
	for name, tc := range map[string]struct {
		holder, asker *lock.Liveness
		alive         string
		ended         bool
		keeps         string
		over          string
		life          lock.Life
	}{
		"its process has ended":          {holder: here, asker: here, alive: "gone", over: "process 42 on ci-7 of run r1, which had it, has ended without freeing it"},
		"its process lives":              {holder: here, asker: here, alive: "living", life: lock.Living},
		"its run has ended":              {holder: here, asker: here, alive: "living", ended: true, over: "run r1, which had it, has ended"},
		"it keeps the lock":              {holder: here, asker: here, alive: "gone", keeps: "a rollout stands", life: lock.Gone},
		"it is in another folder":        {holder: elsewhere, asker: shared, alive: "gone", life: lock.Unknown},
		"it has no liveness lock":        {holder: here, asker: here, life: lock.Unknown},
		"shared, and its process lives":  {holder: shared, asker: shared, alive: "living", life: placed(shared, lock.Living)},
		"nothing is known of who has it": {holder: here, alive: "gone", life: lock.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			take(t, keeper(t, s, "r1", func(c *lock.KeeperConfig) { c.Liveness, c.Holder.Alive = tc.holder, tc.alive }), "prod")
			k := keeper(t, s, "r2", func(c *lock.KeeperConfig) {
				c.Liveness, c.Holder.Alive = tc.asker, "asker"
				c.Ended = func(_ context.Context, run string) (bool, error) { return tc.ended && run == "r1", nil }
				c.Keeps = func(context.Context, string, string) (string, error) { return tc.keeps, nil }
			})
			if tc.over != "" {
				if taken := take(t, k, "prod"); taken.Over != tc.over {
					t.Errorf("taken over %q, want %q", taken.Over, tc.over)
				}
				return
			}
			if held := wantHeld(t, k, "prod"); held.Life != tc.life || held.Keeps != tc.keeps {
				t.Errorf("held with life %q and keeps %q, want %q and %q", held.Life, held.Keeps, tc.life, tc.keeps)
			}
		})
	}
	// Who holds the liveness lock of the run's earlier process knows that it is gone.
	s := memstore.New()
	for range 2 {
		k := keeper(t, s, "r1", func(c *lock.KeeperConfig) { c.Liveness, c.Holder.Alive = here, "living" })
		if _, err := k.TakeRun(t.Context(), lock.Patience{}); err != nil {
			t.Fatal(err)
		}
	}
}

// placed is what a shared store's liveness says where folders have no names.
func placed(l *lock.Liveness, life lock.Life) lock.Life {
	if l.Place() == "" {
		return lock.Unknown
	}
	return life
}

func TestTakeStopsWithItsContext(t *testing.T) {
	s := memstore.New()
	take(t, keeper(t, s, "r1", nil), "prod")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	_, err := keeper(t, s, "r2", nil).Take(ctx, "prod", lock.Patience{Timeout: time.Hour, Waiting: func(*lock.HeldError, time.Duration) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Fatalf("Take: %v, want %v", err, why)
	}
}

func TestHeldListsWhatIsHeld(t *testing.T) {
	s := memstore.New()
	one, two, three := keeper(t, s, "r1", nil), keeper(t, s, "r2", nil), keeper(t, s, "r3", nil)
	take(t, one, "staging")
	take(t, two, "prod")
	take(t, three, "a/b")
	if err := one.Free(t.Context(), "staging"); err != nil {
		t.Fatal(err)
	}
	held, err := lock.Held(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range held {
		got = append(got, fmt.Sprint(h.Environment, " ", h.Holder.Run, " ", h.Fence))
	}
	if diff := cmp.Diff([]string{"a/b r3 1", "prod r2 1"}, got); diff != "" {
		t.Errorf("locks differ (-want +got):\n%s", diff)
	}
}

func TestOneOfManyTakesTheLock(t *testing.T) {
	s := memstore.New()
	for round := range 5 {
		winners := make(chan *lock.Keeper, 16)
		var wg sync.WaitGroup
		for i := range 16 {
			k := keeper(t, s, fmt.Sprint("r", round, i), nil)
			wg.Go(func() {
				_, err := k.Take(t.Context(), "prod", lock.Patience{})
				if err == nil {
					winners <- k
				} else if !errors.As(err, new(*lock.HeldError)) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: %d runs took the lock", round, len(winners))
		}
		if err := (<-winners).Free(t.Context(), "prod"); err != nil {
			t.Fatal(err)
		}
	}
}

// A write that arrives although the store says that it failed: taking again is
// taking, not waiting for oneself.
func TestALockWhoseWriteWasNotConfirmedIsTakenAgain(t *testing.T) {
	s := memstore.New()
	lostAnswer := errors.New("lost answer")
	k := keeper(t, s, "r1", nil)
	s.After = func(op memstore.Op) error {
		if op.Name == "put_absent" {
			s.After = nil
			return lostAnswer
		}
		return nil
	}
	if _, err := k.Take(t.Context(), "prod", lock.Patience{}); !errors.Is(err, lostAnswer) {
		t.Fatal(err)
	}
	if taken := take(t, k, "prod"); taken.Fence != 2 || taken.Over != "" {
		t.Errorf("taken again as %+v", taken)
	}
}

func TestADamagedLockIsNotAFreeOne(t *testing.T) {
	s := memstore.New()
	k, other := keeper(t, s, "r1", nil), keeper(t, s, "r2", nil)
	fence := take(t, k, "prod").Fence
	for _, damage := range []string{"", "{}", `{"environment":"prod"}`, `{"environment":"other","fence":1}`, "\x00"} {
		s.Corrupt("locks/prod", func([]byte) []byte { return []byte(damage) })
		_, takeErr := other.Take(t.Context(), "prod", lock.Patience{})
		_, heldErr := lock.Held(t.Context(), s)
		_, findErr := lock.Find(t.Context(), s, "prod")
		for what, err := range map[string]error{
			"Take": takeErr, "Held": heldErr, "Find": findErr,
			"Check": lock.Check(t.Context(), s, "prod", fence),
			"Renew": k.Renew(t.Context(), "prod"),
		} {
			if !errors.As(err, new(*lock.DamagedError)) || errors.Is(err, lock.ErrLost) {
				t.Errorf("%s of the lock %q gives %v", what, damage, err)
			}
		}
	}
	broken := lock.Broken{By: "bob", Host: "desk", At: since}
	for i, want := range []bool{true, false} {
		if cleared, err := lock.Clear(t.Context(), s, "prod", broken); err != nil || cleared != want {
			t.Fatalf("Clear %d: %v, %v", i, cleared, err)
		}
	}
	if taken := take(t, other, "prod"); taken.Fence <= fence || taken.Over != "bob on desk cleared it" {
		t.Errorf("taken as %+v after fence %d", taken, fence)
	}
}
