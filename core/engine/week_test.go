package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/store/memstore"
)

// thrifty is a store in memory that forgets old segments of journals, as a disk
// does for a process's heap, and counts what it was given.
type thrifty struct {
	*memstore.Store
	segments []string
	mu       sync.Mutex
	bytes    int
}

func (s *thrifty) stored() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

// kept is how many segments there are at least.
const kept = 100

func (s *thrifty) PutAbsent(ctx context.Context, key string, value []byte) (string, error) {
	version, err := s.Store.PutAbsent(ctx, key, value)
	if err != nil || !strings.Contains(key, "/journal/") {
		return version, err
	}
	s.mu.Lock()
	s.bytes += len(key) + len(value)
	s.mu.Unlock()
	if s.segments = append(s.segments, key); len(s.segments) > 2*kept {
		for _, old := range s.segments[:kept] {
			it, err := s.Get(ctx, old)
			if err != nil {
				return "", err
			}
			if err := s.Delete(ctx, old, it.Version); err != nil {
				return "", err
			}
		}
		s.segments = append([]string(nil), s.segments[kept:]...)
	}
	return version, nil
}

// A run that bakes for a week, is measured every minute and has a gate open all
// the time needs no more memory on its last day than on its first.
func TestAWeekNeedsNoMoreMemoryThanADay(t *testing.T) {
	const day = 24 * time.Hour
	virtual(t, func(t *testing.T, w *wall) {
		b := rollout(t, strings.Replace(fmt.Sprintf(watched, measured), "minutes = 60", "minutes = 5040", 1)+`
stage "later" {
  use "act" {}
  approval "sre" {
    expires = "240h"
  }
}
`)
		b.acts(echo)
		s := &thrifty{Store: b.store}
		type figure struct{ heap, goroutines, events, bytes int }
		var mu sync.Mutex
		var gate kernel.GateOpened
		events := 0
		measure := func() figure {
			var m runtime.MemStats
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&m)
			mu.Lock()
			defer mu.Unlock()
			return figure{int(m.HeapAlloc), runtime.NumGoroutine(), events, s.stored()}
		}
		var at [8]figure
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 1; i < len(at); i++ {
				// Between two looks, so that no command is under way.
				time.Sleep(time.Duration(i)*day - 30*time.Second - time.Since(began))
				at[i] = measure()
			}
			mu.Lock()
			defer mu.Unlock()
			yes := kernel.GateAnswered{Node: gate.Node, Gate: gate.Gate, Subject: gate.Subject, Who: "bob", How: "test", Yes: true}
			if err := Send(t.Context(), b.store, b.rec.ID, w.now(), Post{Answer: &yes}); err != nil {
				t.Error(err)
			}
		}()
		e, state := b.engine(func(c *Config) {
			c.Now, c.Store, c.Journal = w.now, s, journal.At(s, b.rec.ID, journal.Head{})
			c.Observer = func(ev kernel.Event) {
				mu.Lock()
				defer mu.Unlock()
				events++
				if g, ok := ev.Fact.(kernel.GateOpened); ok {
					gate = g
				}
			}
		})
		// A week of looking four times a second takes many seconds.
		e.poll = 10 * time.Second
		idle, err := e.Run(t.Context())
		<-done
		if err != nil || idle != kernel.Closed || state.Outcome() != kernel.Succeeded {
			t.Fatalf("left %q with %q, error %v", idle, state.Outcome(), err)
		}
		for i, f := range at[1:] {
			t.Logf("day %d: %d KiB of heap, %d goroutines, %d events, %d KiB of journal", i+1, f.heap>>10, f.goroutines, f.events, f.bytes>>10)
		}
		first, last := at[1], at[7]
		if more := last.heap - first.heap; more > 256<<10 {
			t.Errorf("the heap grew by %d KiB in six days", more>>10)
		}
		if last.goroutines > first.goroutines {
			t.Errorf("%d goroutines, %d on the first day", last.goroutines, first.goroutines)
		}
		if today := last.bytes - at[6].bytes; today > first.bytes*11/10 {
			t.Errorf("the journal grew by %d KiB on the last day, by %d KiB on the first", today>>10, first.bytes>>10)
		}
		figures.Record(t, "A simulated week", "looks at the metrics, one a minute", "%d", int(7*day/time.Minute))
		figures.Record(t, "A simulated week", "heap on the first day and on the last", "%d KiB, %d KiB", first.heap>>10, last.heap>>10)
		figures.Record(t, "A simulated week", "journal per day", "%d KiB", last.bytes/7>>10)
	})
}
