package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

const maxReplicas = 100

// Service is the body of a target that uses "local_service".
type Service struct {
	Command  []string          `hcl:"command" doc:"program and arguments; it must serve HTTP on 127.0.0.1 at the port in the environment variable PORT"`
	Dir      string            `hcl:"dir,optional" doc:"working directory, relative to the pipeline's own; empty for that itself"`
	Env      map[string]string `hcl:"env,optional" doc:"environment variables, on top of those the plugin may see; PORT, RUNNER_RELEASE and RUNNER_REPLICA are added"`
	Replicas int64             `hcl:"replicas,optional" doc:"number of processes of each release"`
	Name     string            `hcl:"name,optional" doc:"name of the service on this machine; without it, one is made of pipeline, stage, environment and target"`
	Host     string            `hcl:"host,optional" doc:"address on which the service takes traffic in"`
	Port     int64             `hcl:"port,optional" doc:"port on which the service takes traffic in; 0 chooses one at the first installation, which is then kept"`
	Protocol string            `hcl:"protocol,optional" doc:"how replicas are spoken to: http1, or h2c for HTTP/2 without TLS, such as gRPC"`
	Drain    time.Duration     `hcl:"drain,optional" doc:"how long requests under way may go on when a release is retired"`
	Grace    time.Duration     `hcl:"grace,optional" doc:"time between asking a replica to end and killing it"`
	Health   *Health           `hcl:"health,block" doc:"how to tell that a replica is ready"`
}

// Health is how to tell that a replica is ready.
type Health struct {
	Path     string        `hcl:"path,optional" doc:"path that is asked"`
	Status   []int64       `hcl:"status,optional" unique:"true" doc:"status codes that mean ready"`
	Interval time.Duration `hcl:"interval,optional" doc:"longest pause between two checks; the first ones come faster"`
	Timeout  time.Duration `hcl:"timeout,optional" doc:"limit for one check"`
	Deadline time.Duration `hcl:"deadline,optional" doc:"how long a replica may take to be ready"`
}

// SetDefaults is called before the block is decoded.
func (h *Health) SetDefaults() {
	*h = Health{Path: "/healthz", Status: []int64{200}, Interval: 250 * time.Millisecond, Timeout: 2 * time.Second, Deadline: 30 * time.Second}
}

// NewService has the defaults set.
func NewService() *Service {
	return &Service{Replicas: 1, Host: "127.0.0.1", Protocol: "http1", Drain: 10 * time.Second, Grace: 5 * time.Second}
}

// Doc is the reference documentation.
func (s *Service) Doc() string {
	return "Runs each release as processes on this machine, behind a proxy that divides traffic by weight. The proxy is installed software: it outlives the runner, and is listed and stopped with runner-plugin-local ls and stop."
}

// Capabilities: requests are dealt out one by one, so any weight is exact.
func (s *Service) Capabilities() target.Capabilities {
	return target.Capabilities{
		SideBySide: true, Weights: target.PercentSteps, Step: 1,
		ReleaseAddress: true, ReleaseMetrics: true,
		Metrics: map[string]target.ReadyMetric{
			errorRate: {Component: "local_metrics", Config: map[string]string{"metric": errorRate}, Better: "lower"},
			latency:   {Component: "local_metrics", Config: map[string]string{"metric": latency}, Better: "lower"},
		},
	}
}

// Validate checks what can be known before anything runs.
func (s *Service) Validate() error {
	errs := []error{checkCommand(s.Command), checkEnv(s.Env)}
	bad := func(path value.Path, summary, format string, args ...any) {
		errs = append(errs, diag.AtPath(path, summary, fmt.Errorf(format, args...)))
	}
	if s.Replicas < 1 || s.Replicas > maxReplicas {
		bad(value.Names("replicas"), "Invalid number of replicas", "%d is not from 1 to %d", s.Replicas, maxReplicas)
	}
	if s.Name != "" {
		if err := service.CheckName(s.Name); err != nil {
			bad(value.Names("name"), "Invalid service name", "%w", err)
		}
	}
	if net.ParseIP(s.Host) == nil {
		bad(value.Names("host"), "Invalid address", "%q is not an IP address such as 127.0.0.1 or 0.0.0.0", s.Host)
	}
	if s.Port < 0 || s.Port > 65535 {
		bad(value.Names("port"), "Invalid port", "%d is not from 0 to 65535", s.Port)
	}
	if s.Protocol != "http1" && s.Protocol != "h2c" {
		bad(value.Names("protocol"), "Invalid protocol", "%q is not one of http1, h2c", s.Protocol)
	}
	for _, d := range []struct {
		path value.Path
		d    time.Duration
		zero bool
	}{{value.Names("drain"), s.Drain, true}, {value.Names("grace"), s.Grace, true}} {
		if d.d < 0 {
			bad(d.path, "Invalid duration", "the duration cannot be negative")
		}
	}
	if h := s.Health; h != nil {
		if !strings.HasPrefix(h.Path, "/") {
			bad(value.Names("health", "path"), "Invalid path", "%q does not begin with a slash", h.Path)
		}
		if len(h.Status) == 0 {
			bad(value.Names("health", "status"), "No status code", "the list must hold at least one status code")
		}
		for i, code := range h.Status {
			if code < 100 || code > 599 {
				bad(value.Names("health", "status").With(value.Index(i)), "Invalid status code", "%d is not from 100 to 599", code)
			}
		}
		for name, d := range map[string]time.Duration{"interval": h.Interval, "timeout": h.Timeout, "deadline": h.Deadline} {
			if d <= 0 {
				bad(value.Names("health", name), "Invalid duration", "the duration must be greater than zero")
			}
		}
	}
	return errors.Join(errs...)
}

// dir is the folder of the service that the call is about.
func (s *Service) dir(c call.Call) (service.Dir, error) {
	root, err := service.Root()
	if err != nil {
		return "", diag.WithEffect(diag.None, err)
	}
	name := s.Name
	if name == "" {
		name = service.NameFor(c)
	}
	dir := service.At(root, name)
	if c.Run != "" {
		minder.Mind(dir)
	}
	return dir, nil
}

// minder brings the services of the present run back when their proxies are
// killed. It is nil outside of a plugin's process.
var minder *control.Minder

// Observe reads the record that the keeper of the service writes; what stands
// there is what the proxy does, or will do as soon as it runs again.
func (s *Service) Observe(_ context.Context, req *target.Request) (target.Observation, error) {
	dir, err := s.dir(req.Call)
	if err != nil {
		return target.Observation{}, err
	}
	state, err := dir.Load()
	if errors.Is(err, fs.ErrNotExist) {
		state = &service.State{}
	} else if err != nil {
		return target.Observation{}, diag.New("Service state unreadable", "%w", err)
	}
	return state.Observation(), nil
}

// Plan says what Install would change.
func (s *Service) Plan(_ context.Context, req *target.Request) (target.Plan, error) {
	if req.IsUnknown("name") {
		return target.Plan{Changes: []call.Change{{Action: call.Create, Subject: "service", Summary: "install a release"}}}, nil
	}
	dir, err := s.dir(req.Call)
	if err != nil {
		return target.Plan{}, err
	}
	var plan target.Plan
	if _, err := dir.Load(); errors.Is(err, fs.ErrNotExist) {
		where := "a port that is chosen then"
		if s.Port != 0 {
			where = net.JoinHostPort(s.Host, fmt.Sprint(s.Port))
		}
		plan.Changes = append(plan.Changes, call.Change{Action: call.Create, Subject: dir.Name(), Summary: "start a proxy on " + where})
	}
	processes := "processes"
	if !req.IsUnknown("replicas") {
		processes = count(s.Replicas, "process", "processes")
	}
	plan.Changes = append(plan.Changes, call.Change{Action: call.Create, Subject: dir.Name(), Summary: "start a release of " + processes})
	return plan, nil
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Install starts the release's replicas and waits until all are ready.
func (s *Service) Install(ctx context.Context, req *target.InstallRequest) (target.Release, error) {
	if req.Release.ID == "" {
		return target.Release{}, diag.WithEffect(diag.None, diag.New("Release without id", "the host did not name the release"))
	}
	dir, err := s.dir(req.Call)
	if err != nil {
		return target.Release{}, err
	}
	p, err := findProgram(s.Command, s.Dir, s.Env)
	if err != nil {
		return target.Release{}, err
	}
	health := s.Health
	if health == nil {
		health = &Health{}
		health.SetDefaults()
	}
	rel, err := control.NewClient(dir).Install(ctx, control.InstallRequest{
		Release: req.Release,
		Spec: service.Spec{
			Path: p.path, Args: p.args, Dir: p.dir, Env: p.env,
			Replicas: int(s.Replicas), H2C: s.Protocol == "h2c", Health: service.Health(*health),
			Drain: s.Drain, Grace: s.Grace,
		},
		Host: s.Host, Port: int(s.Port), Pipeline: req.Pipeline, Environment: req.Environment,
	}, req.Progress)
	if err != nil {
		return target.Release{}, s.problem(ctx, dir, err)
	}
	return rel, nil
}

// SetWeight returns when every request from now on is dealt out by the weight.
func (s *Service) SetWeight(ctx context.Context, req *target.WeightRequest) error {
	if !s.Capabilities().Allows(req.Weight) {
		return diag.WithEffect(diag.None, diag.New("Impossible weight", "%d thousandths of a percent is not from 0 to %d", req.Weight, target.Full))
	}
	return s.change(ctx, req.Call, req.Release, func(c *control.Client) error {
		return c.SetWeight(ctx, control.WeightRequest{Release: req.Release, Weight: req.Weight, Expect: req.Expect})
	})
}

// Settle makes the release the stable one.
func (s *Service) Settle(ctx context.Context, req *target.ReleaseRequest) error {
	return s.change(ctx, req.Call, req.Release, func(c *control.Client) error { return c.Settle(ctx, req.Release) })
}

// Retire drains the release and ends its processes.
func (s *Service) Retire(ctx context.Context, req *target.ReleaseRequest) error {
	err := s.change(ctx, req.Call, req.Release, func(c *control.Client) error { return c.Retire(ctx, req.Release, req.Progress) })
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

var errNothing = errors.New("the service was never installed")

// change does something to a service that exists.
func (s *Service) change(ctx context.Context, c call.Call, release string, do func(*control.Client) error) error {
	dir, err := s.dir(c)
	if err != nil {
		return err
	}
	if _, err := dir.Load(); errors.Is(err, fs.ErrNotExist) {
		return diag.WithEffect(diag.None, diag.New("Release not installed", "there is no release %q of service %s: %w", release, dir.Name(), errNothing))
	}
	if err := do(control.NewClient(dir)); err != nil {
		return s.problem(ctx, dir, err)
	}
	return nil
}

// problem says what a failure means for the author of the pipeline and what the
// host may do next.
func (s *Service) problem(ctx context.Context, dir service.Dir, err error) error {
	name := dir.Name()
	refusal := (*service.Refusal)(nil)
	switch {
	case ctx.Err() != nil:
		return diag.New("Operation cancelled", "what was begun on service %s may still be carried out: %w", name, err)
	case errors.Is(err, control.ErrUnsupported):
		return diag.WithEffect(diag.None, diag.New("Target not available on this system", "%w", err))
	case !errors.As(err, &refusal):
		return diag.New("Service not under control", "%w", err)
	}
	stop := fmt.Sprintf("\n    runner-plugin-local stop %s", name)
	switch refusal.Code {
	case service.NoRelease:
		return diag.WithEffect(diag.None, diag.New("Release not installed", "%w", err))
	case service.HasWeight:
		return diag.WithEffect(diag.None, diag.New("Release still has traffic", "%w", err))
	case service.WorldMoved:
		return diag.WithEffect(diag.None, diag.New("Service changed by somebody else", "%w", err))
	case service.NoOther:
		return diag.WithEffect(diag.None, diag.New("No release for the rest", "%w", err))
	case service.NotFull:
		return diag.WithEffect(diag.None, diag.New("Release does not have all traffic", "%w", err))
	case service.NotReady:
		return diag.Retryable(diag.New("Release not ready", "%w", err))
	case service.StartFailed:
		return atNone("command", "Release did not start", err)
	case service.PortTaken:
		return atNone("port", "Port not available", fmt.Errorf("%w. Choose another port, or end the program that has it", err))
	case service.HostFixed:
		return atNone("host", "Address cannot change", fmt.Errorf("%w:%s", err, stop))
	case service.OtherOwner:
		return atNone("name", "Service belongs to another stage", fmt.Errorf("%w. Two stages must not share a service: give each its own name, or remove this one first:%s", err, stop))
	}
	return diag.New("Service failed", "%w", err)
}
