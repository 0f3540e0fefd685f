package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Configurer is the body of a plugin block.
type Configurer interface{ Configure() error }

// Config is what one plugin serves; see sdk.Plugin.
type Config struct {
	Name, Version string
	// SDK is language and version.
	SDK         string
	Configurer  func() Configurer
	Env         map[string]string
	MaxParallel int

	Actions    map[string]func() action.Action
	Targets    map[string]func() target.Target
	Strategies map[string]func() strategy.Strategy
	Metrics    map[string]func() metrics.Metrics
}

// Server answers the host's calls.
type Server struct {
	cfg      Config
	describe *pluginpb.DescribeResponse

	mu sync.Mutex
	// configurer is the decoded plugin block once Configure succeeded.
	configurer Configurer
	// cancels ends operations under way, by key.
	cancels map[string]map[*context.CancelFunc]struct{}

	running sync.WaitGroup
}

// New checks everything that can be checked before the first call. Its error
// speaks to the author of the plugin and names all mistakes.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, cancels: map[string]map[*context.CancelFunc]struct{}{}}
	return s, s.check()
}

// Register adds the services to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pluginpb.RegisterPluginServiceServer(r, &pluginService{s: s})
	actionpb.RegisterActionServiceServer(r, &actionService{s: s})
	targetpb.RegisterTargetServiceServer(r, &targetService{s: s})
	strategypb.RegisterStrategyServiceServer(r, &strategyService{s: s})
	metricspb.RegisterMetricsServiceServer(r, &metricsService{s: s})
}

// Options are what the gRPC server needs besides.
func (s *Server) Options() []grpc.ServerOption {
	ours := func(method string) bool { return strings.HasPrefix(method, "/runner.") }
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			if ours(info.FullMethod) {
				s.running.Add(1)
				defer s.running.Done()
			}
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			if ours(info.FullMethod) {
				s.running.Add(1)
				defer s.running.Done()
			}
			return next(srv, stream)
		}),
	}
}

// Wait returns when no call is under way any more. Their contexts have ended
// once the gRPC server has stopped.
func (s *Server) Wait() { s.running.Wait() }

var (
	pluginName    = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	componentName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	envName       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	semver        = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
)

// check builds the answer to Describe on the way.
func (s *Server) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !pluginName.MatchString(s.cfg.Name) {
		fail("the plugin's name %q must be lower case letters, digits and hyphens", s.cfg.Name)
	}
	if !semver.MatchString(s.cfg.Version) {
		fail("the version %q must be semantic and without a leading v, such as 0.1.0", s.cfg.Version)
	}
	if s.cfg.MaxParallel < 0 {
		fail("MaxParallel must not be negative")
	}
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Env)) {
		if !envName.MatchString(name) {
			fail("%q is not the name of an environment variable", name)
		}
	}
	kinds := map[string]schema.Kind{}
	for _, c := range s.constructors() {
		switch other, twice := kinds[c.name]; {
		case !componentName.MatchString(c.name):
			fail("%s %q: the name must be lower case letters, digits and underscores", c.kind, c.name)
		case twice:
			fail("%s %q: the name already belongs to a component of kind %s", c.kind, c.name, other)
		}
		kinds[c.name] = c.kind
	}
	d, err := s.newDescription()
	if err != nil {
		errs = append(errs, err)
	}
	s.describe = d
	return errors.Join(errs...)
}

// constructor makes one component of any kind; make is nil when the author's is.
type constructor struct {
	kind schema.Kind
	name string
	make func() any
}

// constructors lists all components, by kind and name.
func (s *Server) constructors() []constructor {
	return slices.Concat(
		list(schema.KindAction, s.cfg.Actions), list(schema.KindTarget, s.cfg.Targets),
		list(schema.KindStrategy, s.cfg.Strategies), list(schema.KindMetrics, s.cfg.Metrics),
	)
}

func list[C any](kind schema.Kind, m map[string]func() C) []constructor {
	var out []constructor
	for _, name := range slices.Sorted(maps.Keys(m)) {
		c := constructor{kind: kind, name: name}
		if f := m[name]; f != nil {
			c.make = func() any { return f() }
		}
		out = append(out, c)
	}
	return out
}

// find makes a fresh component.
func (s *Server) find(kind schema.Kind, name string) (any, bool) {
	switch kind {
	case schema.KindAction:
		return fresh(s.cfg.Actions, name)
	case schema.KindTarget:
		return fresh(s.cfg.Targets, name)
	case schema.KindStrategy:
		return fresh(s.cfg.Strategies, name)
	case schema.KindMetrics:
		return fresh(s.cfg.Metrics, name)
	}
	return nil, false
}

func fresh[C any](m map[string]func() C, name string) (any, bool) {
	f, ok := m[name]
	if !ok {
		return nil, false
	}
	return f(), true
}
