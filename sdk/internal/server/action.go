package server

import (
	"context"
	"fmt"
	"reflect"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

type actionService struct {
	actionpb.UnimplementedActionServiceServer
	s *Server
}

func (a *actionService) Plan(ctx context.Context, req *actionpb.PlanRequest) (*actionpb.PlanResponse, error) {
	out := &actionpb.PlanResponse{}
	diags, failure, err := question(ctx, a.s, req.GetCall(), schema.KindAction, req.GetComponent(), "plan", req.GetConfig(),
		func(ctx context.Context, p action.Planner, r call.Request) error {
			plan, err := p.Plan(ctx, &action.Request{Request: r})
			outputs, encErr := encodeOutputs(p, plan.Outputs)
			if encErr != nil && err == nil {
				return encErr
			}
			out.Changes, out.Outputs = wire.ChangesToPB(plan.Changes), outputs
			if plan.Outputs == nil {
				out.Outputs = wire.ValueToPB(value.Value{JSON: []byte("null"), Unknown: []value.Path{{}}})
			}
			out.SealedPlan, out.WorldVersion = plan.Sealed, plan.World
			out.WayBack, out.Estimate = wire.WayBackToPB(plan.WayBack), wire.DurationToPB(plan.Estimate)
			if plan.Deferred != "" || len(plan.Needs) > 0 {
				out.Deferred = &actionpb.Deferred{Reason: plan.Deferred, Needs: wire.PathsToPB(plan.Needs)}
			}
			return err
		})
	if failure != nil {
		return &actionpb.PlanResponse{Failure: failure}, nil
	}
	out.Diagnostics = wire.DiagnosticsToPB(diags)
	return out, err
}

func (a *actionService) Run(req *actionpb.RunRequest, srv grpc.ServerStreamingServer[actionpb.RunResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&actionpb.RunResponse{Event: e}) }
	return a.s.operation(srv.Context(), req.GetCall(), "run", send, func(ctx context.Context, r call.Request) (*pluginpb.Outcome, error) {
		c, _, err := component[action.Action](a.s, schema.KindAction, req.GetComponent(), "run", req.GetConfig(), true)
		if err != nil {
			return nil, err
		}
		request := &action.Request{Request: r}
		if len(req.GetSealedPlan()) > 0 {
			request.Sealed = req.GetSealedPlan()
		}
		result, err := c.Run(ctx, request)
		if err != nil {
			return nil, err
		}
		return actionOutcome(c, result)
	})
}

func (a *actionService) Undo(req *actionpb.UndoRequest, srv grpc.ServerStreamingServer[actionpb.UndoResponse]) error {
	send := func(e *pluginpb.Event) error { return srv.Send(&actionpb.UndoResponse{Event: e}) }
	return a.s.operation(srv.Context(), req.GetCall(), "undo", send, func(ctx context.Context, r call.Request) (*pluginpb.Outcome, error) {
		c, _, err := component[action.Undoer](a.s, schema.KindAction, req.GetComponent(), "undo", req.GetConfig(), true)
		if err != nil {
			return nil, err
		}
		return emptyOutcome(), c.Undo(ctx, &action.UndoRequest{Request: r, Undo: req.GetSealedUndo()})
	})
}

func (a *actionService) Read(ctx context.Context, req *actionpb.ReadRequest) (*actionpb.ReadResponse, error) {
	out := &actionpb.ReadResponse{}
	diags, failure, err := question(ctx, a.s, req.GetCall(), schema.KindAction, req.GetComponent(), "read", req.GetConfig(),
		func(ctx context.Context, c action.Reader, r call.Request) error {
			result, err := c.Read(ctx, &action.Request{Request: r})
			outputs, encErr := encodeOutputs(c, result.Outputs)
			if encErr != nil && err == nil {
				return encErr
			}
			out.Outputs, out.Drift, out.WorldVersion = outputs, wire.ChangesToPB(result.Drift), result.World
			return err
		})
	if failure != nil {
		return &actionpb.ReadResponse{Failure: failure}, nil
	}
	out.Diagnostics = wire.DiagnosticsToPB(diags)
	return out, err
}

func emptyOutcome() *pluginpb.Outcome {
	return &pluginpb.Outcome{Outcome: &pluginpb.Outcome_Outputs{Outputs: wire.ValueToPB(value.Empty())}}
}

func actionOutcome(component any, r action.Result) (*pluginpb.Outcome, error) {
	outputs, err := encodeOutputs(component, r.Outputs)
	if err != nil {
		return nil, diag.WithEffect(diag.Done, err)
	}
	return &pluginpb.Outcome{
		Outcome: &pluginpb.Outcome_Outputs{Outputs: outputs}, Artifacts: wire.ArtifactsToPB(r.Artifacts),
		SealedUndo: r.Undo, WorldVersion: r.World,
	}, nil
}

// encodeOutputs fails when the outputs are not of the type that Outputter names.
func encodeOutputs(component, outputs any) (*pluginpb.Value, error) {
	mistake := func(format string, args ...any) error {
		return diag.New("Invalid outputs", "%s. This is a mistake in the plugin.", fmt.Sprintf(format, args...))
	}
	if outputs == nil {
		return wire.ValueToPB(value.Empty()), nil
	}
	o, ok := component.(action.Outputter)
	if !ok {
		return nil, mistake("The component gives outputs and declares none")
	}
	declared, given := structOf(o.Outputs()), structOf(outputs)
	if declared != given {
		return nil, mistake("The component gives outputs of type %s and declares %s", given, declared)
	}
	v, err := schema.Encode(outputs)
	if err != nil {
		return nil, mistake("%v", err)
	}
	return wire.ValueToPB(v), nil
}

func structOf(v any) reflect.Type {
	t := reflect.TypeOf(v)
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}
