package pluginhost

import (
	"context"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// member is a process of a pool. It counts its calls, and makes those beyond
// max_parallel wait.
type member struct {
	host.Plugin
	name  string
	turns chan struct{} // nil without a limit

	mu          sync.Mutex
	calls       int
	begun       int // calls so far
	quarantined bool
	rested      bool
	idle        chan struct{} // closed when it is quarantined and no call is under way
}

func newMember(name string, p host.Plugin, maxParallel int) *member {
	m := &member{Plugin: p, name: name, idle: make(chan struct{})}
	if maxParallel > 0 {
		m.turns = make(chan struct{}, maxParallel)
	}
	return m
}

// usable: it runs, and new calls may go to it.
func (m *member) usable() bool {
	select {
	case <-m.Done():
		return false
	default:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.quarantined
}

// quarantine reports whether it was not quarantined before.
func (m *member) quarantine() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quarantined {
		return false
	}
	m.quarantined = true
	m.rest()
	return true
}

// rest closes idle when it is time, once. Call with mu held.
func (m *member) rest() {
	if m.quarantined && m.calls == 0 && !m.rested {
		m.rested = true
		close(m.idle)
	}
}

// quiet is how many calls have begun so far; negative while one is under way.
func (m *member) quiet() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.calls > 0 {
		return -1
	}
	return m.begun
}

// begin waits for a turn. end must be called when err is nil.
func (m *member) begin(ctx context.Context) (err error) {
	m.mu.Lock()
	m.calls++
	m.begun++
	m.mu.Unlock()
	if m.turns == nil {
		return nil
	}
	select {
	case m.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		m.count()
		return ctx.Err()
	}
}

func (m *member) end() {
	if m.turns != nil {
		<-m.turns
	}
	m.count()
}

// count notes that a call has ended.
func (m *member) count() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls--
	m.rest()
}

// counted makes one call.
func counted[T any](ctx context.Context, m *member, call func() (T, error)) (T, error) {
	if err := m.begin(ctx); err != nil {
		var none T
		return none, err
	}
	defer m.end()
	return call()
}

func (m *member) Validate(ctx context.Context, kind schema.Kind, component string, config value.Value) (diag.List, error) {
	return counted(ctx, m, func() (diag.List, error) { return m.Plugin.Validate(ctx, kind, component, config) })
}

func (m *member) Check(ctx context.Context, c call.Call) (identity string, diags diag.List, err error) {
	diags, err = counted(ctx, m, func() (diag.List, error) {
		identity, diags, err = m.Plugin.Check(ctx, c)
		return diags, err
	})
	return identity, diags, err
}

func (m *member) Reconcile(ctx context.Context, c call.Call, kind schema.Kind, component, operation string, config value.Value, handle *call.Handle) (host.Reconciliation, error) {
	return counted(ctx, m, func() (host.Reconciliation, error) {
		return m.Plugin.Reconcile(ctx, c, kind, component, operation, config, handle)
	})
}

func (m *member) PlanAction(ctx context.Context, c call.Call, component string, config value.Value) (host.ActionPlan, error) {
	return counted(ctx, m, func() (host.ActionPlan, error) { return m.Plugin.PlanAction(ctx, c, component, config) })
}

func (m *member) RunAction(ctx context.Context, c call.Call, component string, config value.Value, sealed []byte, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) { return m.Plugin.RunAction(ctx, c, component, config, sealed, sink) })
}

func (m *member) UndoAction(ctx context.Context, c call.Call, component string, config value.Value, undo []byte, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) { return m.Plugin.UndoAction(ctx, c, component, config, undo, sink) })
}

func (m *member) ReadAction(ctx context.Context, c call.Call, component string, config value.Value) (host.ReadResult, error) {
	return counted(ctx, m, func() (host.ReadResult, error) { return m.Plugin.ReadAction(ctx, c, component, config) })
}

func (m *member) Observe(ctx context.Context, c call.Call, component string, config value.Value) (target.Observation, error) {
	return counted(ctx, m, func() (target.Observation, error) { return m.Plugin.Observe(ctx, c, component, config) })
}

func (m *member) PlanTarget(ctx context.Context, c call.Call, component string, config value.Value) (host.TargetPlan, error) {
	return counted(ctx, m, func() (host.TargetPlan, error) { return m.Plugin.PlanTarget(ctx, c, component, config) })
}

func (m *member) Install(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) { return m.Plugin.Install(ctx, c, component, config, release, sink) })
}

func (m *member) SetWeight(ctx context.Context, c call.Call, component string, config value.Value, release string, weight target.Weight, expect string, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) {
		return m.Plugin.SetWeight(ctx, c, component, config, release, weight, expect, sink)
	})
}

func (m *member) Scale(ctx context.Context, c call.Call, component string, config value.Value, release string, capacity target.Weight, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) {
		return m.Plugin.Scale(ctx, c, component, config, release, capacity, sink)
	})
}

func (m *member) Settle(ctx context.Context, c call.Call, component string, config value.Value, release string, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) { return m.Plugin.Settle(ctx, c, component, config, release, sink) })
}

func (m *member) Retire(ctx context.Context, c call.Call, component string, config value.Value, release string, sink host.Sink) (host.Outcome, error) {
	return counted(ctx, m, func() (host.Outcome, error) { return m.Plugin.Retire(ctx, c, component, config, release, sink) })
}

func (m *member) Next(ctx context.Context, component string, config value.Value, snapshot strategy.Snapshot) (strategy.Decision, error) {
	return counted(ctx, m, func() (strategy.Decision, error) { return m.Plugin.Next(ctx, component, config, snapshot) })
}

func (m *member) Measure(ctx context.Context, c call.Call, component string, config value.Value, releases []target.Release, from, to time.Time) (metrics.Measurement, error) {
	return counted(ctx, m, func() (metrics.Measurement, error) {
		return m.Plugin.Measure(ctx, c, component, config, releases, from, to)
	})
}

func (m *member) Past(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, from, to time.Time, window time.Duration) (metrics.Past, error) {
	return counted(ctx, m, func() (metrics.Past, error) {
		return m.Plugin.Past(ctx, c, component, config, release, from, to, window)
	})
}

var _ host.Plugin = (*member)(nil)
