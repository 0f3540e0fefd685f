package host

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// verdict splits the diagnostics of an answer: warnings are given back, errors
// and a failure are the error.
func verdict(pb []*pluginpb.Diagnostic, failure *pluginpb.Failure) (diag.List, error) {
	diags := diagnostics(pb)
	if p := problem(failure); p != nil {
		p.Diagnostics = append(p.Diagnostics, diags...)
		return nil, p
	}
	if diags.HasErrors() {
		return nil, &diag.Problem{Diagnostics: diags, Effect: diag.None}
	}
	return diags, nil
}

// Describe gives what the plugin said when it was started.
func (p *Process) Describe(context.Context) (*Description, error) {
	d := *p.description
	return &d, nil
}

func (p *Process) Configure(ctx context.Context, c call.Call, config value.Value) error {
	r, err := p.plugin.Configure(ctx, &pluginpb.ConfigureRequest{Call: wire.CallToPB(c), Config: wire.ValueToPB(config)})
	if err != nil {
		return p.failed(ctx, "configure", err)
	}
	_, err = verdict(r.GetDiagnostics(), r.GetFailure())
	return err
}

// Validate asks about the plugin block when kind and component are empty.
func (p *Process) Validate(ctx context.Context, kind schema.Kind, component string, config value.Value) (diag.List, error) {
	r, err := p.plugin.Validate(ctx, &pluginpb.ValidateRequest{Component: component, Kind: wire.KindToPB(kind), Config: wire.ValueToPB(config)})
	if err != nil {
		return nil, p.failed(ctx, "validate", err)
	}
	return diagnostics(r.GetDiagnostics()), nil
}

func (p *Process) Check(ctx context.Context, c call.Call) (string, diag.List, error) {
	r, err := p.plugin.Check(ctx, &pluginpb.CheckRequest{Call: wire.CallToPB(c)})
	if err != nil {
		return "", nil, p.failed(ctx, "check", err)
	}
	return cutText(r.GetIdentity(), MaxText), diagnostics(r.GetDiagnostics()), nil
}

func (p *Process) Reconcile(ctx context.Context, c call.Call, kind schema.Kind, component, operation string, config value.Value, handle *call.Handle) (Reconciliation, error) {
	r, err := p.plugin.Reconcile(ctx, &pluginpb.ReconcileRequest{
		Call: wire.CallToPB(c), Component: component, Kind: wire.KindToPB(kind), Operation: operation, Config: wire.ValueToPB(config), Handle: wire.HandleToPB(handle),
	})
	if err != nil {
		return Reconciliation{}, p.failed(ctx, "reconcile", err)
	}
	if f := problem(r.GetFailure()); f != nil {
		return Reconciliation{}, f
	}
	var l limited
	l.handle(r.GetHandle())
	l.outcome(r.GetOutcome())
	if l.what != "" {
		return Reconciliation{}, p.broke("reconcile", "%s", l.what)
	}
	out := Reconciliation{State: call.Unknown, Retry: wire.DurationFromPB(r.GetRetryAfter())}
	switch r.GetState() {
	case pluginpb.ReconcileState_RECONCILE_STATE_NOT_STARTED:
		out.State = call.NotStarted
	case pluginpb.ReconcileState_RECONCILE_STATE_RUNNING:
		out.State, out.Handle = call.Running, wire.HandleFromPB(r.GetHandle())
	case pluginpb.ReconcileState_RECONCILE_STATE_DONE:
		if r.GetOutcome().GetOutputs() == nil && r.GetOutcome().GetFailure() == nil {
			return Reconciliation{}, p.broke("reconcile", "an operation is done and has no outcome")
		}
		out.State = call.Done
		var problem *diag.Problem
		if out.Outcome, problem = outcomeFromPB(r.GetOutcome()); problem != nil {
			out.Err = problem
		}
	}
	return out, nil
}

func (p *Process) PlanAction(ctx context.Context, c call.Call, component string, config value.Value) (ActionPlan, error) {
	r, err := p.action.Plan(ctx, &actionpb.PlanRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config)})
	if err != nil {
		return ActionPlan{}, p.failed(ctx, "plan", err)
	}
	diags, err := verdict(r.GetDiagnostics(), r.GetFailure())
	if err != nil {
		return ActionPlan{}, err
	}
	var l limited
	l.changes(r.GetChanges())
	l.value(r.GetOutputs())
	l.entries("paths", len(r.GetDeferred().GetNeeds()))
	l.bytes("the version of the world", len(r.GetWorldVersion()), MaxWorld)
	if l.what != "" {
		return ActionPlan{}, p.broke("plan", "%s", l.what)
	}
	return ActionPlan{
		Diagnostics: diags, Changes: wire.ChangesFromPB(r.GetChanges()), Outputs: wire.ValueFromPB(r.GetOutputs()), Sealed: r.GetSealedPlan(),
		World: r.GetWorldVersion(), WayBack: wire.WayBackFromPB(r.GetWayBack()), Estimate: wire.DurationFromPB(r.GetEstimate()),
		Deferred: cutText(r.GetDeferred().GetReason(), MaxText), Needs: wire.PathsFromPB(r.GetDeferred().GetNeeds()),
	}, nil
}

func (p *Process) RunAction(ctx context.Context, c call.Call, component string, config value.Value, sealed []byte, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "run", sink, func(ctx context.Context) (grpc.ServerStreamingClient[actionpb.RunResponse], error) {
		return p.action.Run(ctx, &actionpb.RunRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), SealedPlan: sealed})
	})
}

func (p *Process) UndoAction(ctx context.Context, c call.Call, component string, config value.Value, undo []byte, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "undo", sink, func(ctx context.Context) (grpc.ServerStreamingClient[actionpb.UndoResponse], error) {
		return p.action.Undo(ctx, &actionpb.UndoRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), SealedUndo: undo})
	})
}

func (p *Process) ReadAction(ctx context.Context, c call.Call, component string, config value.Value) (ReadResult, error) {
	r, err := p.action.Read(ctx, &actionpb.ReadRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config)})
	if err != nil {
		return ReadResult{}, p.failed(ctx, "read", err)
	}
	diags, err := verdict(r.GetDiagnostics(), r.GetFailure())
	if err != nil {
		return ReadResult{}, err
	}
	var l limited
	l.changes(r.GetDrift())
	l.value(r.GetOutputs())
	l.bytes("the version of the world", len(r.GetWorldVersion()), MaxWorld)
	if l.what != "" {
		return ReadResult{}, p.broke("read", "%s", l.what)
	}
	return ReadResult{Diagnostics: diags, Outputs: wire.ValueFromPB(r.GetOutputs()), Drift: wire.ChangesFromPB(r.GetDrift()), World: r.GetWorldVersion()}, nil
}

func (p *Process) Observe(ctx context.Context, c call.Call, component string, config value.Value) (target.Observation, error) {
	r, err := p.target.Observe(ctx, &targetpb.ObserveRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config)})
	if err != nil {
		return target.Observation{}, p.failed(ctx, "observe", err)
	}
	if _, err := verdict(r.GetDiagnostics(), r.GetFailure()); err != nil {
		return target.Observation{}, err
	}
	var l limited
	if l.observation(r); l.what != "" {
		return target.Observation{}, p.broke("observe", "%s", l.what)
	}
	out := target.Observation{Stable: r.GetStable(), Releases: wire.ReleasesFromPB(r.GetReleases()), World: r.GetWorldVersion()}
	for _, w := range r.GetWeights() {
		if out.Weights == nil {
			out.Weights = map[string]target.Weight{}
		}
		out.Weights[w.GetRelease()] = target.Weight(w.GetWeight())
	}
	return out, nil
}

func (p *Process) PlanTarget(ctx context.Context, c call.Call, component string, config value.Value) (TargetPlan, error) {
	r, err := p.target.Plan(ctx, &targetpb.PlanRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config)})
	if err != nil {
		return TargetPlan{}, p.failed(ctx, "plan", err)
	}
	diags, err := verdict(r.GetDiagnostics(), r.GetFailure())
	if err != nil {
		return TargetPlan{}, err
	}
	caps, err := wire.CapabilitiesFromPB(r.GetCapabilities())
	if err != nil {
		return TargetPlan{}, p.broke("plan", "%v", err)
	}
	var l limited
	if l.changes(r.GetChanges()); l.what != "" {
		return TargetPlan{}, p.broke("plan", "%s", l.what)
	}
	return TargetPlan{Diagnostics: diags, Capabilities: caps, Changes: wire.ChangesFromPB(r.GetChanges()), Estimate: wire.DurationFromPB(r.GetEstimate())}, nil
}

func (p *Process) Install(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, sink Sink) (Outcome, error) {
	out, err := operate(ctx, p, c, "install", sink, func(ctx context.Context) (grpc.ServerStreamingClient[targetpb.InstallResponse], error) {
		return p.target.Install(ctx, &targetpb.InstallRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: wire.ReleaseToPB(release)})
	})
	if err == nil && (out.Release == nil || out.Release.ID != release.ID) {
		return Outcome{}, p.broke("install", "the outcome does not hold release %q", release.ID)
	}
	return out, err
}

func (p *Process) SetWeight(ctx context.Context, c call.Call, component string, config value.Value, release string, weight target.Weight, expect string, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "set_weight", sink, func(ctx context.Context) (grpc.ServerStreamingClient[targetpb.SetWeightResponse], error) {
		return p.target.SetWeight(ctx, &targetpb.SetWeightRequest{
			Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: release, Weight: int32(weight), ExpectWorldVersion: expect,
		})
	})
}

func (p *Process) Scale(ctx context.Context, c call.Call, component string, config value.Value, release string, capacity target.Weight, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "scale", sink, func(ctx context.Context) (grpc.ServerStreamingClient[targetpb.ScaleResponse], error) {
		return p.target.Scale(ctx, &targetpb.ScaleRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: release, Capacity: int32(capacity)})
	})
}

func (p *Process) Settle(ctx context.Context, c call.Call, component string, config value.Value, release string, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "settle", sink, func(ctx context.Context) (grpc.ServerStreamingClient[targetpb.SettleResponse], error) {
		return p.target.Settle(ctx, &targetpb.SettleRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: release})
	})
}

func (p *Process) Retire(ctx context.Context, c call.Call, component string, config value.Value, release string, sink Sink) (Outcome, error) {
	return operate(ctx, p, c, "retire", sink, func(ctx context.Context) (grpc.ServerStreamingClient[targetpb.RetireResponse], error) {
		return p.target.Retire(ctx, &targetpb.RetireRequest{Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: release})
	})
}

// Next asks a strategy; Snapshot.Memory is given along.
func (p *Process) Next(ctx context.Context, component string, config value.Value, snapshot strategy.Snapshot) (strategy.Decision, error) {
	r, err := p.strategy.Next(ctx, &strategypb.NextRequest{
		Component: component, Config: wire.ValueToPB(config), Snapshot: wire.SnapshotToPB(snapshot), Memory: snapshot.Memory,
	})
	if err != nil {
		return strategy.Decision{}, p.failed(ctx, "next", err)
	}
	if _, err := verdict(r.GetDiagnostics(), nil); err != nil {
		return strategy.Decision{}, err
	}
	var l limited
	if l.decision(r); l.what != "" {
		return strategy.Decision{}, p.broke("next", "%s", l.what)
	}
	d, err := wire.DecisionFromPB(r)
	if err != nil {
		return strategy.Decision{}, p.broke("next", "%v", err)
	}
	return d, nil
}

func (p *Process) Measure(ctx context.Context, c call.Call, component string, config value.Value, releases []target.Release, from, to time.Time) (metrics.Measurement, error) {
	r, err := p.metrics.Measure(ctx, &metricspb.MeasureRequest{
		Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Releases: wire.ReleasesToPB(releases), From: wire.TimeToPB(from), To: wire.TimeToPB(to),
	})
	if err != nil {
		return metrics.Measurement{}, p.failed(ctx, "measure", err)
	}
	if _, err := verdict(nil, r.GetFailure()); err != nil {
		return metrics.Measurement{}, err
	}
	var l limited
	if l.measurement(r, releases); l.what != "" {
		return metrics.Measurement{}, p.broke("measure", "%s", l.what)
	}
	m, err := wire.MeasurementFromPB(r)
	if err != nil {
		return metrics.Measurement{}, p.broke("measure", "%v", err)
	}
	return m, nil
}

// Past reads one metric of one release over [from, to) in windows. Only components
// that name the operation have it.
func (p *Process) Past(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, from, to time.Time, window time.Duration) (metrics.Past, error) {
	r, err := p.metrics.Past(ctx, &metricspb.PastRequest{
		Call: wire.CallToPB(c), Component: component, Config: wire.ValueToPB(config), Release: wire.ReleaseToPB(release),
		From: wire.TimeToPB(from), To: wire.TimeToPB(to), Window: wire.DurationToPB(window),
	})
	if err != nil {
		return metrics.Past{}, p.failed(ctx, "past", err)
	}
	if _, err := verdict(nil, r.GetFailure()); err != nil {
		return metrics.Past{}, err
	}
	var l limited
	if l.past(r, release); l.what != "" {
		return metrics.Past{}, p.broke("past", "%s", l.what)
	}
	past, err := wire.PastFromPB(r)
	if err != nil {
		return metrics.Past{}, p.broke("past", "%v", err)
	}
	return past, nil
}
