package host_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// liar is a plugin that was not made with this SDK and breaks the protocol in
// the way that the component's name says.
type liar struct {
	plugin.NetRPCUnsupportedPlugin
	pluginpb.UnimplementedPluginServiceServer
	actionpb.UnimplementedActionServiceServer
	strategypb.UnimplementedStrategyServiceServer
	metricspb.UnimplementedMetricsServiceServer
}

const envLie = "HOST_TEST_LIE"

func serveLiar() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: handshake.Versions(plugin.PluginSet{handshake.Component: &liar{}}),
		GRPCServer:       plugin.DefaultGRPCServer,
	})
	os.Exit(0)
}

func (l *liar) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	pluginpb.RegisterPluginServiceServer(s, l)
	actionpb.RegisterActionServiceServer(s, l)
	targetpb.RegisterTargetServiceServer(s, lyingTarget{})
	strategypb.RegisterStrategyServiceServer(s, l)
	metricspb.RegisterMetricsServiceServer(s, l)
	return nil
}

func (l *liar) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("not a host")
}

func (l *liar) Describe(context.Context, *pluginpb.DescribeRequest) (*pluginpb.DescribeResponse, error) {
	d := &pluginpb.DescribeResponse{Name: "liar", Version: "0.0.1", Components: []*pluginpb.Component{{Name: "of a later kind", Kind: 77}}}
	component := func(c *pluginpb.Component) { d.Components = append(d.Components, c) }
	switch os.Getenv(envLie) {
	case "no name":
		d.Name = ""
	case "parallel":
		d.Limits = &pluginpb.Limits{MaxParallel: -1}
	case "twice":
		component(&pluginpb.Component{Name: "a", Kind: pluginpb.Kind_KIND_ACTION})
		component(&pluginpb.Component{Name: "a", Kind: pluginpb.Kind_KIND_ACTION})
	case "type":
		component(&pluginpb.Component{Name: "a", Kind: pluginpb.Kind_KIND_ACTION, Config: &pluginpb.Schema{Attributes: []*pluginpb.Attribute{{Name: "x", Type: "set(string)"}}}})
	case "outputs":
		component(&pluginpb.Component{Name: "a", Kind: pluginpb.Kind_KIND_ACTION, Outputs: &pluginpb.Schema{Attributes: []*pluginpb.Attribute{{}}}})
	case "target":
		component(&pluginpb.Component{Name: "a", Kind: pluginpb.Kind_KIND_TARGET})
	case "block":
		d.Config = &pluginpb.Schema{Attributes: []*pluginpb.Attribute{{Name: "x", Type: "?"}}}
	case "error":
		return nil, status.Error(codes.Internal, "I will not say")
	}
	return d, nil
}

func (l *liar) Run(req *actionpb.RunRequest, s grpc.ServerStreamingServer[actionpb.RunResponse]) error {
	outcome := &pluginpb.Event{Event: &pluginpb.Event_Outcome{Outcome: &pluginpb.Outcome{Outcome: &pluginpb.Outcome_Outputs{Outputs: &pluginpb.Value{}}}}}
	send := func(e *pluginpb.Event) error { return s.Send(&actionpb.RunResponse{Event: e}) }
	switch req.GetComponent() {
	case "no outcome":
		return nil
	case "no event":
		return send(nil)
	case "empty outcome":
		outcome.GetOutcome().Outcome = nil
	case "empty event":
		return send(&pluginpb.Event{})
	case "outcome twice":
		return errors.Join(send(outcome), send(outcome))
	case "no end":
		_ = send(outcome)
		<-s.Context().Done()
		return nil
	case "error":
		return status.Error(codes.Unknown, "something went wrong")
	case "too large":
		outcome.GetOutcome().SealedUndo = make([]byte, 100<<20)
	case "deaf":
		<-s.Context().Done()
		return s.Context().Err()
	}
	return send(outcome)
}

func (lyingTarget) Observe(context.Context, *targetpb.ObserveRequest) (*targetpb.ObserveResponse, error) {
	return &targetpb.ObserveResponse{Weights: []*targetpb.ReleaseWeight{{Release: "r", Weight: 100_001}}}, nil
}

func (l *liar) Plan(_ context.Context, req *actionpb.PlanRequest) (*actionpb.PlanResponse, error) {
	return &actionpb.PlanResponse{Diagnostics: []*pluginpb.Diagnostic{{Summary: "no severity"}}}, nil
}

func (lyingTarget) Install(_ *targetpb.InstallRequest, s grpc.ServerStreamingServer[targetpb.InstallResponse]) error {
	return s.Send(&targetpb.InstallResponse{Event: &pluginpb.Event{Event: &pluginpb.Event_Outcome{Outcome: &pluginpb.Outcome{Outcome: &pluginpb.Outcome_Outputs{Outputs: &pluginpb.Value{}}}}}})
}

func (l *liar) Next(_ context.Context, req *strategypb.NextRequest) (*strategypb.NextResponse, error) {
	if req.GetComponent() == "memory" {
		return &strategypb.NextResponse{Memory: make([]byte, strategy.MaxMemory+1)}, nil
	}
	return &strategypb.NextResponse{Changes: []*strategypb.TargetChange{{Target: "t"}}}, nil
}

func (l *liar) Measure(context.Context, *metricspb.MeasureRequest) (*metricspb.MeasureResponse, error) {
	return &metricspb.MeasureResponse{Releases: []*metricspb.ReleaseMeasurement{{Release: "r"}}}, nil
}

func (l *liar) Past(_ context.Context, req *metricspb.PastRequest) (*metricspb.PastResponse, error) {
	window := func(from, to int64, release string) *metricspb.PastWindow {
		return &metricspb.PastWindow{
			From: &timestamppb.Timestamp{Seconds: from}, To: &timestamppb.Timestamp{Seconds: to},
			Data: &metricspb.ReleaseMeasurement{Release: release, Data: &metricspb.ReleaseMeasurement_Counter{Counter: &metricspb.Counter{N: 1}}},
		}
	}
	switch req.GetComponent() {
	case "another":
		return &metricspb.PastResponse{Windows: []*metricspb.PastWindow{window(0, 60, "s")}}, nil
	case "backwards":
		return &metricspb.PastResponse{Windows: []*metricspb.PastWindow{window(60, 120, "r"), window(0, 60, "r")}}, nil
	case "empty":
		return &metricspb.PastResponse{Windows: []*metricspb.PastWindow{window(60, 60, "r")}}, nil
	case "endless":
		return &metricspb.PastResponse{Windows: make([]*metricspb.PastWindow, host.MaxEntries+1)}, nil
	}
	return &metricspb.PastResponse{Windows: []*metricspb.PastWindow{{Data: &metricspb.ReleaseMeasurement{Release: "r"}}}}, nil
}

func (l *liar) Reconcile(context.Context, *pluginpb.ReconcileRequest) (*pluginpb.ReconcileResponse, error) {
	return &pluginpb.ReconcileResponse{State: pluginpb.ReconcileState_RECONCILE_STATE_DONE}, nil
}

// lyingTarget is apart because its Plan is another one.
type lyingTarget struct {
	targetpb.UnimplementedTargetServiceServer
}

func startLiar(t *testing.T, lie string) (*host.Process, error) {
	cfg := config(t)
	cfg.Env = []string{envRole + "=liar", envLie + "=" + lie, "GORACE=atexit_sleep_ms=0"}
	cfg.CancelGrace = 300 * time.Millisecond
	p, err := host.Start(context.Background(), cfg)
	if err == nil {
		t.Cleanup(func() { p.Stop(100 * time.Millisecond) })
	}
	return p, err
}

func TestADescriptionThatMakesNoSenseIsRefused(t *testing.T) {
	for lie, want := range map[string]string{
		"no name": "it has no name or no version", "parallel": "it allows -1 calls", "twice": `the action "a" has no name or kind of its own`,
		"type": `no type is named "set"`, "outputs": "an attribute has no name", "target": "there are no capabilities", "block": "the plugin block",
		"error": "I will not say",
	} {
		t.Run(lie, func(t *testing.T) {
			t.Parallel()
			_, err := startLiar(t, lie)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v; want %q", err, want)
			}
			if lie != "error" && (!errors.Is(err, host.ErrProtocol) || diag.Of(err).Diagnostics[0].Code != host.CodeNonsense) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestBrokenProtocolIsNamed(t *testing.T) {
	p, err := startLiar(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := p.Describe(context.Background()); err != nil || len(d.Components) != 0 {
		t.Errorf("components of a later kind are not left out: %+v, %v", d, err)
	}
	ctx, none := context.Background(), value.Empty()
	run := func(component string) func() error {
		return func() error {
			_, err := p.RunAction(ctx, key(), component, none, nil, &recorder{})
			return err
		}
	}
	past := func(component string) func() error {
		return func() error {
			_, err := p.Past(ctx, key(), component, none, target.Release{ID: "r"}, time.Time{}, time.Time{}, time.Minute)
			return err
		}
	}
	for name, tt := range map[string]struct {
		call func() error
		want string
	}{
		"no outcome":    {run("no outcome"), "the call ended without an outcome"},
		"no event":      {run("no event"), "an event says nothing"},
		"empty event":   {run("empty event"), "an event says nothing"},
		"empty outcome": {run("empty outcome"), "the outcome says neither success nor failure"},
		"outcome twice": {run("outcome twice"), "an event came after the outcome"},
		"error":         {run("error"), "something went wrong"},
		"too large":     {run("too large"), "is larger than 16 MiB"},
		"weight": {func() error {
			_, err := p.Observe(ctx, key(), "x", none)
			return err
		}, `release "r" has a weight of 100.001%`},
		"install": {func() error {
			_, err := p.Install(ctx, key(), "x", none, target.Release{ID: "r1"}, nil)
			return err
		}, `the outcome does not hold release "r1"`},
		"change": {func() error {
			_, err := p.Next(ctx, "x", none, strategy.Snapshot{})
			return err
		}, `a change of target "t" says nothing`},
		"memory": {func() error {
			_, err := p.Next(ctx, "memory", none, strategy.Snapshot{})
			return err
		}, "the memory has 16385 bytes"},
		"measure": {func() error {
			_, err := p.Measure(ctx, key(), "x", none, []target.Release{{ID: "r"}}, time.Time{}, time.Time{})
			return err
		}, `release "r" has no data`},
		"past without data":           {past("x"), `release "r" has no data`},
		"past of another release":     {past("another"), `it told the past of release "s"`},
		"past backwards":              {past("backwards"), "begins before the one before it ended"},
		"past in windows without end": {past("empty"), "is empty"},
		"endless past":                {past("endless"), "windows of the past"},
		"reconcile": {func() error {
			_, err := p.Reconcile(ctx, key(), "action", "x", "run", none, nil)
			return err
		}, "done and has no outcome"},
		"unimplemented": {func() error {
			_, err := p.UndoAction(ctx, key(), "x", none, nil, nil)
			return err
		}, "not implemented"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.call()
			if !errors.Is(err, host.ErrProtocol) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want %q", err, tt.want)
			}
		})
	}
	if _, err := p.PlanAction(ctx, key(), "x", none); diag.Of(err) == nil || diag.Of(err).Diagnostics[0].Summary != "no severity" {
		t.Errorf("a diagnostic without severity is no error: %v", err)
	}
	// The outcome is known, so a stream that does not end does no harm.
	began := time.Now()
	if err := run("no end")(); err != nil || time.Since(began) > 3*time.Second {
		t.Errorf("a stream without end, after %s: %v", time.Since(began), err)
	}
	select {
	case <-p.Done():
		t.Error("the process has ended")
	default:
	}
}

// A plugin that knows no Cancel is told by the end of the stream.
func TestCancelWithoutCancel(t *testing.T) {
	p, err := startLiar(t, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = p.RunAction(ctx, call.Call{Key: "k"}, "deaf", value.Empty(), nil, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, host.ErrLost) || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
