//go:build unix

package crash

import (
	"context"
	"encoding/json"
	"time"

	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// plugin is a process whose calls are boundaries.
type plugin struct {
	host.Plugin
	points *points
}

// launch starts a plugin that knows the order.
func (p *points) launch(ctx context.Context, cfg host.Config) (host.Plugin, error) {
	order, err := json.Marshal(p.order)
	if err != nil {
		return nil, err
	}
	cfg.Env = append(cfg.Env, EnvWatch+"="+string(order))
	started, err := pluginhost.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	wrapped := &plugin{started, p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plugins = append(p.plugins, wrapped)
	return wrapped, nil
}

// PID is the process's number.
func (p *plugin) PID() int { return p.Plugin.(interface{ PID() int }).PID() }

// passing makes a call about a node between two boundaries.
func passing[T any](p *plugin, what, node string, call func() (T, error)) (T, error) {
	what += " " + node
	p.points.pass("before "+what, p)
	out, err := call()
	p.points.pass("after "+what, p)
	return out, err
}

func (p *plugin) Validate(ctx context.Context, kind schema.Kind, component string, config value.Value) (diag.List, error) {
	return passing(p, "validate", "", func() (diag.List, error) { return p.Plugin.Validate(ctx, kind, component, config) })
}

func (p *plugin) Reconcile(ctx context.Context, c call.Call, kind schema.Kind, component, operation string, config value.Value, handle *call.Handle) (host.Reconciliation, error) {
	return passing(p, "reconcile", c.Node, func() (host.Reconciliation, error) {
		return p.Plugin.Reconcile(ctx, c, kind, component, operation, config, handle)
	})
}

func (p *plugin) PlanAction(ctx context.Context, c call.Call, component string, config value.Value) (host.ActionPlan, error) {
	return passing(p, "plan", c.Node, func() (host.ActionPlan, error) { return p.Plugin.PlanAction(ctx, c, component, config) })
}

func (p *plugin) RunAction(ctx context.Context, c call.Call, component string, config value.Value, sealed []byte, sink host.Sink) (host.Outcome, error) {
	return passing(p, "run", c.Node, func() (host.Outcome, error) { return p.Plugin.RunAction(ctx, c, component, config, sealed, sink) })
}

func (p *plugin) UndoAction(ctx context.Context, c call.Call, component string, config value.Value, undo []byte, sink host.Sink) (host.Outcome, error) {
	return passing(p, "undo", c.Node, func() (host.Outcome, error) { return p.Plugin.UndoAction(ctx, c, component, config, undo, sink) })
}

func (p *plugin) Observe(ctx context.Context, c call.Call, component string, config value.Value) (target.Observation, error) {
	return passing(p, "observe", c.Node, func() (target.Observation, error) { return p.Plugin.Observe(ctx, c, component, config) })
}

func (p *plugin) PlanTarget(ctx context.Context, c call.Call, component string, config value.Value) (host.TargetPlan, error) {
	return passing(p, "plan", c.Node, func() (host.TargetPlan, error) { return p.Plugin.PlanTarget(ctx, c, component, config) })
}

func (p *plugin) Install(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, sink host.Sink) (host.Outcome, error) {
	return passing(p, "install", c.Node, func() (host.Outcome, error) { return p.Plugin.Install(ctx, c, component, config, release, sink) })
}

func (p *plugin) SetWeight(ctx context.Context, c call.Call, component string, config value.Value, release string, weight target.Weight, expect string, sink host.Sink) (host.Outcome, error) {
	return passing(p, "set_weight", c.Node, func() (host.Outcome, error) {
		return p.Plugin.SetWeight(ctx, c, component, config, release, weight, expect, sink)
	})
}

func (p *plugin) Scale(ctx context.Context, c call.Call, component string, config value.Value, release string, capacity target.Weight, sink host.Sink) (host.Outcome, error) {
	return passing(p, "scale", c.Node, func() (host.Outcome, error) {
		return p.Plugin.Scale(ctx, c, component, config, release, capacity, sink)
	})
}

func (p *plugin) Settle(ctx context.Context, c call.Call, component string, config value.Value, release string, sink host.Sink) (host.Outcome, error) {
	return passing(p, "settle", c.Node, func() (host.Outcome, error) { return p.Plugin.Settle(ctx, c, component, config, release, sink) })
}

func (p *plugin) Retire(ctx context.Context, c call.Call, component string, config value.Value, release string, sink host.Sink) (host.Outcome, error) {
	return passing(p, "retire", c.Node, func() (host.Outcome, error) { return p.Plugin.Retire(ctx, c, component, config, release, sink) })
}

func (p *plugin) Next(ctx context.Context, component string, config value.Value, snapshot strategy.Snapshot) (strategy.Decision, error) {
	return passing(p, "next", "", func() (strategy.Decision, error) { return p.Plugin.Next(ctx, component, config, snapshot) })
}

func (p *plugin) Measure(ctx context.Context, c call.Call, component string, config value.Value, releases []target.Release, from, to time.Time) (metrics.Measurement, error) {
	return passing(p, "measure", c.Node, func() (metrics.Measurement, error) {
		return p.Plugin.Measure(ctx, c, component, config, releases, from, to)
	})
}

func (p *plugin) Past(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, from, to time.Time, window time.Duration) (metrics.Past, error) {
	return passing(p, "past", c.Node, func() (metrics.Past, error) {
		return p.Plugin.Past(ctx, c, component, config, release, from, to, window)
	})
}
