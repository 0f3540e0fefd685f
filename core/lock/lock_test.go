package lock_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

var since = time.Date(2026, 11, 23, 1, 34, 5, 0, time.UTC)

func holder(run string) lock.Holder {
	return lock.Holder{Run: run, Host: "ci-7", PID: 42, Initiator: "ada", Since: since}
}

func take(t *testing.T, s *memstore.Store, env, run string) int64 {
	t.Helper()
	fence, err := lock.Take(t.Context(), s, env, holder(run))
	if err != nil {
		t.Fatal(err)
	}
	return fence
}

func TestOneRunHoldsAnEnvironment(t *testing.T) {
	s := memstore.New()
	fence := take(t, s, "prod", "r1")
	_, err := lock.Take(t.Context(), s, "prod", holder("r2"))
	var held *lock.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("Take by another run: %v", err)
	}
	if diff := cmp.Diff(&lock.HeldError{Environment: "prod", Holder: holder("r1"), Fence: fence}, held); diff != "" {
		t.Errorf("error differs (-want +got):\n%s", diff)
	}
	const says = `environment "prod" is locked by run r1 (ada on ci-7, process 42) since 2026-11-23T01:34:05Z`
	if err.Error() != says {
		t.Errorf("error says %q, want %q", err, says)
	}
	take(t, s, "staging", "r2")
	take(t, s, "a/b %", "r2")
	if err := lock.Free(t.Context(), s, "prod", fence); err != nil {
		t.Fatal(err)
	}
	if second := take(t, s, "prod", "r2"); second <= fence {
		t.Errorf("fence went from %d to %d", fence, second)
	}
}

func TestFencesOfEarlierTakesAreLost(t *testing.T) {
	s := memstore.New()
	check := func(what string, fence int64, want error) {
		t.Helper()
		if err := lock.Check(t.Context(), s, "prod", fence); !errors.Is(err, want) {
			t.Errorf("%s: Check gives %v, want %v", what, err, want)
		}
	}
	check("never taken", 1, lock.ErrLost)
	first := take(t, s, "prod", "r1")
	check("taken", first, nil)
	second := take(t, s, "prod", "r1") // the run is resumed
	if second <= first {
		t.Fatalf("fence went from %d to %d", first, second)
	}
	check("the earlier incarnation", first, lock.ErrLost)
	check("the resumed one", second, nil)
	if err := lock.Free(t.Context(), s, "prod", first); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Free by the earlier incarnation: %v", err)
	}
	check("after the earlier incarnation's Free", second, nil)
	for range 2 {
		if err := lock.Free(t.Context(), s, "prod", second); err != nil {
			t.Fatal(err)
		}
	}
	check("freed", second, lock.ErrLost)
	third := take(t, s, "prod", "r2")
	if third <= second {
		t.Errorf("fence went from %d to %d", second, third)
	}
	if err := lock.Free(t.Context(), s, "prod", second); !errors.Is(err, lock.ErrLost) {
		t.Errorf("Free of a lock that another run has: %v", err)
	}
}

func TestHeldListsWhatIsHeld(t *testing.T) {
	s := memstore.New()
	fence := take(t, s, "staging", "r1")
	take(t, s, "prod", "r2")
	take(t, s, "a/b", "r3")
	if err := lock.Free(t.Context(), s, "staging", fence); err != nil {
		t.Fatal(err)
	}
	got, err := lock.Held(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []lock.HeldError{
		{Environment: "a/b", Holder: holder("r3"), Fence: 1},
		{Environment: "prod", Holder: holder("r2"), Fence: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("locks differ (-want +got):\n%s", diff)
	}
}

func TestOneOfManyTakesTheLock(t *testing.T) {
	s := memstore.New()
	for round := range 5 {
		fences := make(chan int64, 16)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				fence, err := lock.Take(t.Context(), s, "prod", holder(fmt.Sprint("r", i)))
				if err == nil {
					fences <- fence
				} else if !errors.As(err, new(*lock.HeldError)) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(fences) != 1 {
			t.Fatalf("round %d: %d runs took the lock", round, len(fences))
		}
		if err := lock.Free(t.Context(), s, "prod", <-fences); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADamagedLockIsNotAFreeOne(t *testing.T) {
	s := memstore.New()
	fence := take(t, s, "prod", "r1")
	for _, damage := range []string{"", "{}", `{"environment":"prod"}`, `{"environment":"other","fence":1}`, "\x00"} {
		s.Corrupt("locks/prod", func([]byte) []byte { return []byte(damage) })
		_, takeErr := lock.Take(t.Context(), s, "prod", holder("r2"))
		_, heldErr := lock.Held(t.Context(), s)
		for what, err := range map[string]error{
			"Take": takeErr, "Held": heldErr,
			"Check": lock.Check(t.Context(), s, "prod", fence),
			"Free":  lock.Free(t.Context(), s, "prod", fence),
		} {
			if err == nil || errors.Is(err, lock.ErrLost) || errors.As(err, new(*lock.HeldError)) {
				t.Errorf("%s of the lock %q gives %v", what, damage, err)
			}
		}
	}
}
