package pluginhost

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/value"
)

// slow is a plugin whose calls take a second.
type slow struct {
	host.Plugin
	done chan struct{}
}

func (s slow) Validate(context.Context, schema.Kind, string, value.Value) (diag.List, error) {
	time.Sleep(time.Second)
	return nil, nil
}

func (s slow) Next(context.Context, string, value.Value, strategy.Snapshot) (strategy.Decision, error) {
	time.Sleep(time.Second)
	return strategy.Decision{}, nil
}

func (s slow) Done() <-chan struct{} { return s.done }

// The clock is a bubble's: it stands still while anybody can go on.
func TestTurnsAreKept(t *testing.T) {
	for limit, want := range map[int]time.Duration{0: time.Second, 1: 6 * time.Second, 2: 3 * time.Second, 6: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := newMember("one", slow{done: make(chan struct{})}, limit)
			begin := time.Now()
			for i := range 6 {
				go func() {
					var err error
					if i%2 == 0 {
						_, err = m.Validate(t.Context(), schema.KindAction, "a", value.Empty())
					} else {
						_, err = m.Next(t.Context(), "a", value.Empty(), strategy.Snapshot{})
					}
					if err != nil {
						t.Error(err)
					}
				}()
			}
			synctest.Wait() // all have begun or wait for a turn
			m.quarantine()
			<-m.idle
			if got := time.Since(begin); got != want {
				t.Errorf("with %d at the same time six calls of a second take %v, want %v", limit, got, want)
			}
		})
	}
}

func TestWhoGivesUpWaitingFreesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMember("one", slow{done: make(chan struct{})}, 1)
		call := func(ctx context.Context) error {
			_, err := m.Validate(ctx, schema.KindAction, "a", value.Empty())
			return err
		}
		go func() { _ = call(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the call that waits: %v", err)
		}
		begin := time.Now()
		if err := call(t.Context()); err != nil || time.Since(begin) < 1500*time.Millisecond {
			t.Errorf("the next call took %v, error %v", time.Since(begin), err)
		}
	})
}

func TestIdleOnceOnly(t *testing.T) {
	m := newMember("one", slow{}, 0)
	if !m.quarantine() || m.quarantine() {
		t.Error("quarantine does not tell the first time")
	}
	// Whoever still holds the process may call it again.
	if err := m.begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.end()
	<-m.idle
}
