package server

import (
	"context"
	"log/slog"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/wire"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/schema"
)

type pluginService struct {
	pluginpb.UnimplementedPluginServiceServer
	s *Server
}

func (p *pluginService) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	return p.s.describe, nil
}

func (p *pluginService) Configure(_ context.Context, req *pluginpb.ConfigureRequest) (*pluginpb.ConfigureResponse, error) {
	out := &pluginpb.ConfigureResponse{}
	_, err := guarded("configure", slog.Default(), func() (struct{}, error) { return struct{}{}, p.s.configure(req, out) })
	if r, ok := refused(err); ok {
		return nil, r
	}
	out.Failure = wire.FailureToPB(diag.Of(err))
	return out, nil
}

func (s *Server) configure(req *pluginpb.ConfigureRequest, out *pluginpb.ConfigureResponse) error {
	if s.cfg.Configurer == nil {
		return refuse(codes.Unimplemented, "the plugin %q takes no configuration", s.cfg.Name)
	}
	v := wire.ValueFromPB(req.GetConfig())
	if len(v.Unknown) > 0 {
		return refuse(codes.InvalidArgument, "the plugin's configuration is not wholly known")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.configurer != nil {
		return refuse(codes.FailedPrecondition, "the plugin %q is configured already", s.cfg.Name)
	}
	c := s.cfg.Configurer()
	diags := schema.Decode(v, c)
	if !diags.HasErrors() {
		diags = append(diags, validate(c, nil)...)
	}
	out.Diagnostics = wire.DiagnosticsToPB(diags)
	if diags.HasErrors() {
		return nil
	}
	if err := c.Configure(); err != nil {
		return err
	}
	s.configurer = c
	return nil
}

func (p *pluginService) Validate(_ context.Context, req *pluginpb.ValidateRequest) (*pluginpb.ValidateResponse, error) {
	kind, err := wire.KindFromPB(req.GetKind())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	var subject any
	if kind == "" && req.GetComponent() == "" && p.s.cfg.Configurer != nil {
		subject = p.s.cfg.Configurer()
	} else if c, ok := p.s.find(kind, req.GetComponent()); ok {
		subject = c
	} else {
		return nil, status.Errorf(codes.NotFound, "there is no %s named %q", kind, req.GetComponent())
	}
	v := wire.ValueFromPB(req.GetConfig())
	diags := schema.Decode(v, subject)
	if !diags.HasErrors() {
		diags = append(diags, validate(subject, v.Unknown)...)
	}
	return &pluginpb.ValidateResponse{Diagnostics: wire.DiagnosticsToPB(diags)}, nil
}

func (p *pluginService) Reconcile(ctx context.Context, req *pluginpb.ReconcileRequest) (*pluginpb.ReconcileResponse, error) {
	kind, err := wire.KindFromPB(req.GetKind())
	if err != nil || kind != schema.KindAction {
		return nil, status.Errorf(codes.Unimplemented, "%s %q offers no operation %q", kind, req.GetComponent(), "reconcile")
	}
	out := &pluginpb.ReconcileResponse{}
	_, failure, err := question(ctx, p.s, req.GetCall(), kind, req.GetComponent(), "reconcile", req.GetConfig(),
		func(ctx context.Context, c action.Reconciler, r call.Request) error {
			found, err := c.Reconcile(ctx, &action.ReconcileRequest{Request: r, Operation: req.GetOperation(), Handle: wire.HandleFromPB(req.GetHandle())})
			if err != nil {
				return err
			}
			return fillReconciled(out, c, found)
		})
	if failure != nil {
		return &pluginpb.ReconcileResponse{Failure: failure}, nil
	}
	return out, err
}

func fillReconciled(out *pluginpb.ReconcileResponse, component any, found action.Reconciliation) error {
	out.RetryAfter = wire.DurationToPB(found.Retry)
	switch found.State {
	case call.NotStarted:
		out.State = pluginpb.ReconcileState_RECONCILE_STATE_NOT_STARTED
	case call.Running:
		out.State = pluginpb.ReconcileState_RECONCILE_STATE_RUNNING
		out.Handle = wire.HandleToPB(found.Handle)
	case call.Done:
		out.State = pluginpb.ReconcileState_RECONCILE_STATE_DONE
		if found.Err != nil {
			out.Outcome = &pluginpb.Outcome{Outcome: &pluginpb.Outcome_Failure{Failure: wire.FailureToPB(diag.Of(found.Err))}}
			return nil
		}
		var err error
		out.Outcome, err = actionOutcome(component, found.Result)
		return err
	default:
		out.State = pluginpb.ReconcileState_RECONCILE_STATE_UNKNOWN
	}
	return nil
}

func (p *pluginService) Cancel(_ context.Context, req *pluginpb.CancelRequest) (*pluginpb.CancelResponse, error) {
	p.s.cancel(req.GetCall().GetKey())
	return &pluginpb.CancelResponse{}, nil
}

// checker is sdk.Checker.
type checker interface {
	Check(ctx context.Context) (identity string, err error)
}

func (p *pluginService) Check(ctx context.Context, _ *pluginpb.CheckRequest) (*pluginpb.CheckResponse, error) {
	out := &pluginpb.CheckResponse{}
	p.s.mu.Lock()
	c, ok := p.s.configurer.(checker)
	p.s.mu.Unlock()
	if !ok {
		return out, nil
	}
	_, err := guarded("check", slog.Default(), func() (struct{}, error) {
		var err error
		out.Identity, err = c.Check(ctx)
		return struct{}{}, err
	})
	if problem := diag.Of(err); problem != nil {
		out.Diagnostics = wire.DiagnosticsToPB(problem.Diagnostics)
	}
	return out, nil
}
