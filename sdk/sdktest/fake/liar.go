package fake

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/server"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
)

// A liar serves the same components honestly but for one method, whose answers
// are changed on their way out, past everything that the SDK sees to. EnvStart
// asks for it with "lie:METHOD:HOW", such as "lie:Run:no outcome" or
// "lie:Observe:weights".
const liePrefix = "lie:"

// huge is more than anything may be that a run keeps, and less than a message may be.
const huge = 10 << 20

// liar is one lie.
type liar struct {
	plugin.NetRPCUnsupportedPlugin
	honest      *server.Server
	method, how string
}

// serveLiar does not return.
func serveLiar(what string) {
	l := &liar{}
	l.method, l.how, _ = strings.Cut(what, ":")
	p := Plugin()
	honest, err := server.New(server.Config{
		Name: p.Name, Version: p.Version, SDK: "liar", Configurer: func() server.Configurer { return p.Config() },
		Env: p.Env, Actions: p.Actions, Targets: p.Targets, Strategies: p.Strategies, Metrics: p.Metrics,
	})
	if err != nil {
		panic(err)
	}
	l.honest = honest
	if fd, err := strconv.Atoi(os.Getenv(handshake.EnvLifeline)); err == nil {
		go func() {
			_, _ = os.NewFile(uintptr(fd), "lifeline").Read(make([]byte, 1))
			os.Exit(1)
		}()
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: handshake.Versions(plugin.PluginSet{handshake.Component: l}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.UnaryInterceptor(l.answer), grpc.StreamInterceptor(l.stream), grpc.MaxSendMsgSize(math.MaxInt32))...)
		},
	})
	os.Exit(0)
}

// GRPCServer adds the services.
func (l *liar) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	l.honest.Register(s)
	return nil
}

// GRPCClient is for hosts.
func (l *liar) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin is not a host")
}

func (l *liar) meant(method string) bool {
	return strings.HasPrefix(method, "/runner.") && strings.HasSuffix(method, "/"+l.method)
}

// instead is what every method can do instead of answering.
func (l *liar) instead(ctx context.Context) error {
	switch l.how {
	case "error":
		return status.Error(codes.Internal, "I will not say")
	case "hang":
		<-ctx.Done()
		return ctx.Err()
	case "deaf":
		select {}
	case "crash":
		os.Exit(13)
	}
	return nil
}

func (l *liar) answer(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !l.meant(info.FullMethod) {
		return next(ctx, req)
	}
	if err := l.instead(ctx); err != nil {
		return nil, err
	}
	said, err := next(ctx, req)
	if err != nil {
		return said, err
	}
	if l.how == "garbage" {
		return garbage(said.(proto.Message)), nil
	}
	switch m := said.(type) {
	case *actionpb.PlanResponse:
		l.plan(m)
	case *targetpb.ObserveResponse:
		l.observe(m)
	case *targetpb.PlanResponse:
		m.Capabilities = &pluginpb.TargetCapabilities{SideBySide: true, Weights: pluginpb.WeightKind(77)}
	case *strategypb.NextResponse:
		l.next(m)
	case *metricspb.MeasureResponse:
		l.measure(m)
	case *pluginpb.ValidateResponse:
		m.Diagnostics = l.diagnostics()
	}
	return said, nil
}

// garbage is no message, although it begins like one.
func garbage(m proto.Message) proto.Message {
	m.ProtoReflect().SetUnknown([]byte("\xff\xfegarbage"))
	return m
}

// diagnostics are too many, or too long.
func (l *liar) diagnostics() []*pluginpb.Diagnostic {
	if l.how == "many" {
		return slices.Repeat([]*pluginpb.Diagnostic{{Severity: pluginpb.Severity_SEVERITY_ERROR, Summary: "One of many", Detail: "It is said again and again."}}, 100_000)
	}
	return []*pluginpb.Diagnostic{{Severity: pluginpb.Severity_SEVERITY_ERROR, Summary: long("Summary "), Detail: long("detail "), Code: long("code")}}
}

func long(word string) string { return strings.Repeat(word, huge/2/len(word)) }

func (l *liar) plan(m *actionpb.PlanResponse) {
	switch l.how {
	case "not JSON":
		m.Changes, m.Outputs = nil, &pluginpb.Value{Json: []byte("\x00\xff{")}
	case "other outputs":
		m.Changes, m.Outputs = nil, &pluginpb.Value{Json: []byte(`{"other":1}`)}
	case "huge world":
		m.WorldVersion = long("w")
	case "huge changes":
		m.Changes = slices.Repeat([]*pluginpb.Change{{Subject: "s", Summary: "the same again"}}, 200_000)
	}
}

func (l *liar) observe(m *targetpb.ObserveResponse) {
	add := func(w ...*targetpb.ReleaseWeight) { m.Weights = append(m.Weights, w...) }
	switch l.how {
	case "weights":
		add(&targetpb.ReleaseWeight{Release: "r", Weight: 250_000})
	case "negative weight":
		add(&targetpb.ReleaseWeight{Release: "r", Weight: -1})
	case "more than all":
		m.Releases = append(m.Releases, &pluginpb.Release{Id: "q"}, &pluginpb.Release{Id: "r"})
		add(&targetpb.ReleaseWeight{Release: "q", Weight: 60_000}, &targetpb.ReleaseWeight{Release: "r", Weight: 60_000})
	case "twice":
		m.Releases = append(m.Releases, &pluginpb.Release{Id: "r"}, &pluginpb.Release{Id: "r"})
	case "nameless":
		m.Releases = append(m.Releases, &pluginpb.Release{})
	case "stranger":
		m.Stable = "nobody"
	case "huge":
		m.WorldVersion = long("w")
	case "many":
		for i := range 100_000 {
			m.Releases = append(m.Releases, &pluginpb.Release{Id: fmt.Sprint("r", i)})
		}
	}
}

func (l *liar) next(m *strategypb.NextResponse) {
	weight := func(w int32) {
		m.Changes = []*strategypb.TargetChange{{Target: "main", Change: &strategypb.TargetChange_Weight{Weight: w}}}
	}
	switch l.how {
	case "weights":
		weight(250_000)
	case "negative weight":
		weight(-1)
	case "no change":
		m.Changes = []*strategypb.TargetChange{{Target: "main"}}
	case "many":
		weight(1)
		m.Changes = slices.Repeat(m.Changes, 100_000)
	case "memory":
		m.Memory = make([]byte, huge)
	case "huge":
		m.Why = long("why ")
	case "huge abort":
		m.Abort = long("abort ")
	case "huge step":
		m.Step = &strategypb.Step{Id: long("s"), Title: long("t")}
	}
}

func (l *liar) measure(m *metricspb.MeasureResponse) {
	data := func(r *metricspb.ReleaseMeasurement) {
		for i, old := range m.Releases {
			m.Releases[i] = &metricspb.ReleaseMeasurement{Release: old.GetRelease(), Data: r.GetData()}
		}
	}
	switch l.how {
	case "negative":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_Counter{Counter: &metricspb.Counter{N: -5, Events: -7}}})
	case "more events":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_Counter{Counter: &metricspb.Counter{N: 1, Events: 1000}}})
	case "not a number":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_Samples{Samples: &metricspb.Samples{Values: []float64{math.NaN(), math.Inf(1)}}}})
	case "bounds":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_Histogram{Histogram: &metricspb.Histogram{Bounds: []float64{3, 2, math.NaN()}, Counts: []int64{1, -1, 1, 1}}}})
	case "no data":
		data(&metricspb.ReleaseMeasurement{})
	case "stranger":
		m.Releases = append(m.Releases, &metricspb.ReleaseMeasurement{Release: "nobody", Data: &metricspb.ReleaseMeasurement_NoData{NoData: &metricspb.NoData{Reason: "who?"}}})
	case "twice":
		m.Releases = append(m.Releases, m.Releases...)
	case "huge":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_Samples{Samples: &metricspb.Samples{Values: make([]float64, huge/16)}}})
	case "huge reason":
		data(&metricspb.ReleaseMeasurement{Data: &metricspb.ReleaseMeasurement_NoData{NoData: &metricspb.NoData{Reason: long("why ")}}})
	case "future":
		m.CompleteUntil = timestamppb.New(time.Now().AddDate(100, 0, 0))
	case "past":
		m.CompleteUntil = timestamppb.New(time.Now().AddDate(-100, 0, 0))
	}
}

func (l *liar) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if !l.meant(info.FullMethod) {
		return next(srv, s)
	}
	if err := l.instead(s.Context()); err != nil {
		return err
	}
	return next(srv, &lyingStream{ServerStream: s, liar: l})
}

// lyingStream changes what an operation sends.
type lyingStream struct {
	grpc.ServerStream
	*liar
}

// with is a message of the same kind with another event.
func with(m any, e *pluginpb.Event) any {
	switch m.(type) {
	case *actionpb.RunResponse:
		return &actionpb.RunResponse{Event: e}
	case *actionpb.UndoResponse:
		return &actionpb.UndoResponse{Event: e}
	case *targetpb.InstallResponse:
		return &targetpb.InstallResponse{Event: e}
	case *targetpb.SetWeightResponse:
		return &targetpb.SetWeightResponse{Event: e}
	case *targetpb.SettleResponse:
		return &targetpb.SettleResponse{Event: e}
	case *targetpb.RetireResponse:
		return &targetpb.RetireResponse{Event: e}
	}
	return &targetpb.ScaleResponse{Event: e}
}

// SendMsg lets everything pass but the outcome.
func (s *lyingStream) SendMsg(m any) error {
	outcome := m.(interface{ GetEvent() *pluginpb.Event }).GetEvent().GetOutcome()
	if outcome == nil {
		return s.ServerStream.SendMsg(m)
	}
	event := func(e *pluginpb.Event) error { return s.ServerStream.SendMsg(with(m, e)) }
	log := func(l *pluginpb.Log) error {
		return event(&pluginpb.Event{Event: &pluginpb.Event_Log{Log: l}})
	}
	handle := func(h *pluginpb.Handle) error {
		return event(&pluginpb.Event{Event: &pluginpb.Event_Handle{Handle: h}})
	}
	said := func() error { return s.ServerStream.SendMsg(m) }
	switch s.how {
	case "garbage":
		return s.ServerStream.SendMsg(garbage(m.(proto.Message)))
	case "no outcome":
		return nil
	case "two outcomes":
		if err := said(); err != nil {
			return err
		}
	case "late event":
		if err := said(); err != nil {
			return err
		}
		return log(&pluginpb.Log{Message: "I forgot to say"})
	case "empty event":
		return event(&pluginpb.Event{})
	case "empty outcome":
		outcome.Outcome = nil
	case "no end":
		if err := said(); err != nil {
			return err
		}
		select {}
	case "endless log":
		for {
			if err := log(&pluginpb.Log{Message: strings.Repeat("noise ", 1<<20/6), Stream: "nowhere"}); err != nil {
				return err
			}
		}
	case "many handles":
		for i := range 100_000 {
			if err := handle(&pluginpb.Handle{Id: fmt.Sprint("handle ", i)}); err != nil {
				return err
			}
		}
	case "huge handle":
		if err := handle(&pluginpb.Handle{Id: "h", Opaque: make([]byte, huge)}); err != nil {
			return err
		}
	case "huge message":
		outcome.SealedUndo = make([]byte, 100<<20)
	case "huge undo":
		outcome.SealedUndo = make([]byte, huge)
	case "huge world":
		outcome.WorldVersion = long("w")
	case "huge release":
		outcome.Release.Address = long("a")
	case "other release":
		outcome.Release.Id = "another"
	case "many", "long":
		outcome.Outcome = &pluginpb.Outcome_Failure{Failure: &pluginpb.Failure{Diagnostics: s.diagnostics()}}
	case "not JSON":
		outcome.GetOutputs().Json = []byte("\x00\xff{")
	case "deep":
		outcome.GetOutputs().Json = []byte(`{"anybody":` + strings.Repeat("[", huge))
	case "other outputs":
		outcome.GetOutputs().Json = []byte(`{"text":{"a":1}}`)
	case "huge outputs":
		outcome.GetOutputs().Json = []byte(`{"text":"` + long("o") + `"}`)
	case "unknown":
		outcome.GetOutputs().Unknown = []*pluginpb.Path{path("text")}
	case "nowhere":
		outcome.GetOutputs().Unknown = []*pluginpb.Path{path("nowhere", "at all")}
	case "many paths":
		outcome.GetOutputs().Sensitive = slices.Repeat([]*pluginpb.Path{path("text")}, 500_000)
	}
	return said()
}

func path(names ...string) *pluginpb.Path {
	p := &pluginpb.Path{}
	for _, n := range names {
		p.Steps = append(p.Steps, &pluginpb.Step{Step: &pluginpb.Step_Name{Name: n}})
	}
	return p
}
