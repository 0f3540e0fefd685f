//go:build unix

package pluginhost_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/sdk/host"
)

func TestALostProcessIsReplaced(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	first := get(t, pool, configured("", "t"))
	before := look(t, first)
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended(t, "the killed process", first.Done())
	if _, err := run(t.Context(), first, ""); !errors.Is(err, host.ErrLost) {
		t.Errorf("a call to the lost process: %v", err)
	}
	after := look(t, get(t, pool, configured("", "t")))
	if after.PID == before.PID || after.Token != "t" {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestQuarantineSparesTheNeighbours(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	gate := newGate(t)
	old := get(t, pool, plain)
	neighbour := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), old, gate.Addr().String())
		neighbour <- err
	}()
	release := gate.arrived(t)
	before := look(t, old)

	pool.Quarantine(old, 0)
	pool.Quarantine(old, 0) // again changes nothing
	after := look(t, get(t, pool, plain))
	if after.PID == before.PID {
		t.Error("a new call went to the quarantined process")
	}
	select {
	case <-old.Done():
		t.Error("the quarantined process ended while a neighbour's call was under way")
	default:
	}
	release()
	if err := <-neighbour; err != nil {
		t.Errorf("the neighbour's call: %v", err)
	}
	ended(t, "the quarantined process", old.Done())
	if again := look(t, get(t, pool, plain)); again.PID != after.PID {
		t.Errorf("the new process %d was replaced by %d", after.PID, again.PID)
	}
}

// Who got the process a moment before, and calls a moment after, is answered by it,
// and not kept waiting by a process that is being stopped.
func TestQuarantineLetsLateCallersThrough(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	old := get(t, pool, plain)
	before := look(t, old)
	pool.Quarantine(old, time.Minute)
	for range 5 {
		if after := look(t, old); after.PID != before.PID {
			t.Errorf("before %+v, after %+v", before, after)
		}
	}
	ended(t, "the quarantined process", old.Done())
}

func TestQuarantineEndsAfterItsGrace(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, func(cfg *pluginhost.PoolConfig) { cfg.StopGrace = time.Millisecond })
	gate := newGate(t)
	old := get(t, pool, plain)
	hung := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), old, gate.Addr().String())
		hung <- err
	}()
	gate.arrived(t)
	pool.Quarantine(old, time.Millisecond)
	ended(t, "the quarantined process", old.Done())
	if err := <-hung; !errors.Is(err, host.ErrLost) {
		t.Errorf("the hung call: %v", err)
	}
}

func TestStopAllLeavesNoProcess(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	gate := newGate(t)
	a, b := get(t, pool, plain), get(t, pool, configured("", "b"))
	quarantined := b
	busy := make(chan error, 2)
	for _, p := range []host.Plugin{a, b} {
		go func() {
			_, err := run(t.Context(), p, gate.Addr().String())
			busy <- err
		}()
		gate.arrived(t)
	}
	pool.Quarantine(quarantined, time.Hour)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(pool.StopAll)
	}
	wg.Wait()
	for _, p := range []host.Plugin{a, b} {
		select {
		case <-p.Done():
		default:
			t.Error("a process is left")
		}
		if err := <-busy; err == nil {
			t.Error("a call under way succeeded")
		}
	}
	if _, err := pool.Get(t.Context(), plain); err == nil {
		t.Error("Get succeeded after StopAll")
	}
}

func TestStopAllEndsAStartUnderWay(t *testing.T) {
	w := newWorld(t)
	starting := make(chan struct{})
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, func(cfg *pluginhost.PoolConfig) {
		cfg.Launch = func(ctx context.Context, _ host.Config) (host.Plugin, error) {
			close(starting)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	result := make(chan error, 1)
	go func() {
		_, err := pool.Get(context.Background(), plain)
		result <- err
	}()
	<-starting
	// A caller may give up; the start goes on for the others.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pool.Get(ctx, plain); !errors.Is(err, context.Canceled) {
		t.Errorf("Get with an ended context: %v", err)
	}
	pool.StopAll()
	if err := <-result; err == nil {
		t.Error("Get succeeded")
	}
}

func TestProcessesHoldTheLivenessLock(t *testing.T) {
	w := newWorld(t)
	alive, err := lock.AcquireAlive(t.Context(), filepath.Join(w.dir, "alive"), "r1", 0)
	if err != nil {
		t.Fatal(err)
	}
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, func(cfg *pluginhost.PoolConfig) { cfg.Alive = alive })
	pid := look(t, get(t, pool, plain)).PID
	// As if this process had been killed: its own descriptor is gone, the plugin's is not.
	var held *lock.AliveError
	if err := alive.Release(); !errors.As(err, &held) {
		t.Fatalf("Release while a plugin runs: %v", err)
	}
	if n := len(held.Holders); n != 2 || held.Holders[1] != (lock.AliveHolder{PID: pid, Name: "runner-plugin-one", Running: true}) {
		t.Errorf("holders are %+v, want the plugin %d", held.Holders, pid)
	}
	pool.StopAll()
	next, err := lock.AcquireAlive(t.Context(), filepath.Join(w.dir, "alive"), "r1", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Release(); err != nil {
		t.Error(err)
	}
}
