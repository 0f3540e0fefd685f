package server

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

type targetService struct {
	targetpb.UnimplementedTargetServiceServer
	s *Server
}

func (t *targetService) Observe(ctx context.Context, req *targetpb.ObserveRequest) (*targetpb.ObserveResponse, error) {
	out := &targetpb.ObserveResponse{}
	diags, failure, err := question(ctx, t.s, req.GetCall(), schema.KindTarget, req.GetComponent(), "observe", req.GetConfig(),
		func(ctx context.Context, c target.Target, r call.Request) error {
			o, err := c.Observe(ctx, &target.Request{Request: r})
			out.Stable, out.Releases, out.WorldVersion = o.Stable, wire.ReleasesToPB(o.Releases), o.World
			for _, id := range slices.Sorted(maps.Keys(o.Weights)) {
				out.Weights = append(out.Weights, &targetpb.ReleaseWeight{Release: id, Weight: int32(o.Weights[id])})
			}
			return err
		})
	if failure != nil {
		return &targetpb.ObserveResponse{Failure: failure}, nil
	}
	out.Diagnostics = wire.DiagnosticsToPB(diags)
	return out, err
}

func (t *targetService) Plan(ctx context.Context, req *targetpb.PlanRequest) (*targetpb.PlanResponse, error) {
	out := &targetpb.PlanResponse{}
	diags, failure, err := question(ctx, t.s, req.GetCall(), schema.KindTarget, req.GetComponent(), "plan", req.GetConfig(),
		func(ctx context.Context, c target.Target, r call.Request) error {
			out.Capabilities = t.narrowed(c, req.GetComponent(), r)
			p, ok := c.(target.Planner)
			if !ok {
				return nil
			}
			plan, err := p.Plan(ctx, &target.Request{Request: r})
			out.Changes, out.Estimate = wire.ChangesToPB(plan.Changes), wire.DurationToPB(plan.Estimate)
			return err
		})
	if failure != nil {
		return &targetpb.PlanResponse{Failure: failure}, nil
	}
	out.Diagnostics = wire.DiagnosticsToPB(diags)
	return out, err
}

// narrowed is what the target can do as configured. Where that hangs on a part
// that is not known yet, and makes no sense without it, it is what was declared.
func (t *targetService) narrowed(c target.Target, name string, r call.Request) *pluginpb.TargetCapabilities {
	pb := wire.CapabilitiesToPB(c.Capabilities())
	if _, err := wire.CapabilitiesFromPB(pb); err != nil && len(r.Unknown) > 0 {
		return wire.CapabilitiesToPB(t.s.cfg.Targets[name]().Capabilities())
	}
	return pb
}

// act is the frame of the operations that change something. After each the
// target is observed: the host learns the version of the world that the operation
// left, and a weight counts only when it is seen from outside.
func (t *targetService) act(ctx context.Context, pb *pluginpb.Call, name, operation string, config *pluginpb.Value, send func(*pluginpb.Event) error, want *weight, f func(context.Context, target.Target, call.Request) (*pluginpb.Outcome, error)) error {
	return t.s.operation(ctx, pb, operation, send, func(ctx context.Context, r call.Request) (*pluginpb.Outcome, error) {
		c, _, err := component[target.Target](t.s, schema.KindTarget, name, operation, config, true)
		if err != nil {
			return nil, err
		}
		out, err := f(ctx, c, r)
		if err != nil {
			return nil, err
		}
		o, err := c.Observe(ctx, &target.Request{Request: r})
		if err != nil {
			return nil, diag.WithEffect(diag.Done, fmt.Errorf("the operation succeeded, but the target could not be observed after it: %w", err))
		}
		out.WorldVersion = o.World
		return out, readBack(o, want)
	})
}

// weight is one that should be seen; nil where an operation sets none.
type weight struct {
	release string
	share   target.Weight
}

func readBack(o target.Observation, want *weight) error {
	if want == nil || o.Weights[want.release] == want.share {
		return nil
	}
	return diag.Retryable(diag.New("Weight not in place", "Release %s should have %s of the traffic; seen from outside it has %s.", want.release, want.share, o.Weights[want.release]))
}

func (t *targetService) Install(req *targetpb.InstallRequest, srv grpc.ServerStreamingServer[targetpb.InstallResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&targetpb.InstallResponse{Event: e}) }
	return t.act(srv.Context(), req.GetCall(), req.GetComponent(), "install", req.GetConfig(), send, nil,
		func(ctx context.Context, c target.Target, r call.Request) (*pluginpb.Outcome, error) {
			release, err := c.Install(ctx, &target.InstallRequest{Request: r, Release: wire.ReleaseFromPB(req.GetRelease())})
			out := emptyOutcome()
			out.Release = wire.ReleaseToPB(release)
			return out, err
		})
}

func (t *targetService) SetWeight(req *targetpb.SetWeightRequest, srv grpc.ServerStreamingServer[targetpb.SetWeightResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&targetpb.SetWeightResponse{Event: e}) }
	w := target.Weight(req.GetWeight())
	return t.act(srv.Context(), req.GetCall(), req.GetComponent(), "set_weight", req.GetConfig(), send, &weight{req.GetRelease(), w},
		func(ctx context.Context, c target.Target, r call.Request) (*pluginpb.Outcome, error) {
			if caps := c.Capabilities(); !caps.Allows(w) {
				return nil, diag.WithEffect(diag.None, diag.New("Weight not possible", "The target cannot have a weight of %s exactly, and weights are never rounded.", w))
			}
			return emptyOutcome(), c.SetWeight(ctx, &target.WeightRequest{Request: r, Release: req.GetRelease(), Weight: w, Expect: req.GetExpectWorldVersion()})
		})
}

func (t *targetService) Scale(req *targetpb.ScaleRequest, srv grpc.ServerStreamingServer[targetpb.ScaleResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&targetpb.ScaleResponse{Event: e}) }
	return t.act(srv.Context(), req.GetCall(), req.GetComponent(), "scale", req.GetConfig(), send, nil,
		func(ctx context.Context, c target.Target, r call.Request) (*pluginpb.Outcome, error) {
			scaler, ok := c.(target.Scaler)
			if !ok {
				return nil, errNoOperation(schema.KindTarget, req.GetComponent(), "scale")
			}
			return emptyOutcome(), scaler.Scale(ctx, &target.ScaleRequest{Request: r, Release: req.GetRelease(), Capacity: target.Weight(req.GetCapacity())})
		})
}

func (t *targetService) Settle(req *targetpb.SettleRequest, srv grpc.ServerStreamingServer[targetpb.SettleResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&targetpb.SettleResponse{Event: e}) }
	return t.act(srv.Context(), req.GetCall(), req.GetComponent(), "settle", req.GetConfig(), send, nil,
		func(ctx context.Context, c target.Target, r call.Request) (*pluginpb.Outcome, error) {
			return emptyOutcome(), c.Settle(ctx, &target.ReleaseRequest{Request: r, Release: req.GetRelease()})
		})
}

func (t *targetService) Retire(req *targetpb.RetireRequest, srv grpc.ServerStreamingServer[targetpb.RetireResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&targetpb.RetireResponse{Event: e}) }
	return t.act(srv.Context(), req.GetCall(), req.GetComponent(), "retire", req.GetConfig(), send, nil,
		func(ctx context.Context, c target.Target, r call.Request) (*pluginpb.Outcome, error) {
			return emptyOutcome(), c.Retire(ctx, &target.ReleaseRequest{Request: r, Release: req.GetRelease()})
		})
}
