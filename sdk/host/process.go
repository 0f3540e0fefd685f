package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/wire/actionpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/metricspb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/pluginpb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/strategypb"
	"github.com/runner-pipelines/runner/sdk/internal/wire/targetpb"
)

const (
	defaultStartTimeout = 30 * time.Second
	defaultCancelGrace  = 5 * time.Second
	// killTime is how long a process may take to end after it was killed.
	killTime = 10 * time.Second
)

// Process is one running plugin.
type Process struct {
	name   string
	grace  time.Duration
	run    *launched
	client *plugin.Client
	// closing ends go-plugin's part once.
	closing sync.Once
	// gone is closed when everything of the process is cleaned up.
	gone chan struct{}

	description *Description
	plugin      pluginpb.PluginServiceClient
	action      actionpb.ActionServiceClient
	target      targetpb.TargetServiceClient
	strategy    strategypb.StrategyServiceClient
	metrics     metricspb.MetricsServiceClient
}

var _ Plugin = (*Process)(nil)

// Start launches the program and waits until it has described itself. When it
// does not, the error is a *diag.Problem that says why and what to do, and no
// process is left.
func Start(ctx context.Context, cfg Config) (*Process, error) {
	if len(cfg.Command) == 0 || cfg.Certificate == nil || cfg.Log == nil {
		return nil, errors.New("start plugin: a command, a certificate and a log are needed")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start plugin %q: %w", cfg.Name, err)
	}
	if cfg.StartTimeout <= 0 {
		cfg.StartTimeout = defaultStartTimeout
	}
	if cfg.CancelGrace <= 0 {
		cfg.CancelGrace = defaultCancelGrace
	}
	sockets, err := os.MkdirTemp(socketBase(), handshake.SocketPrefix)
	if err != nil {
		return nil, fmt.Errorf("start plugin %q: %w", cfg.Name, err)
	}
	p := &Process{name: cfg.Name, grace: cfg.CancelGrace, run: newLaunched(cfg), gone: make(chan struct{})}
	p.client = plugin.NewClient(p.clientConfig(cfg, sockets))

	limited, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	if err := p.connect(limited); err != nil {
		p.abandon()
		close(p.gone)
		_ = os.RemoveAll(sockets)
		return nil, p.explainStart(ctx, limited, cfg, err)
	}
	go p.cleanUp(sockets)
	return p, nil
}

func (p *Process) clientConfig(cfg Config, sockets string) *plugin.ClientConfig {
	stdout := &drainTo{out: newLines(cfg.Log), stream: "stdout"}
	stderr := &drainTo{out: newLines(cfg.Log), stream: "stderr", tail: &p.run.tail}
	return &plugin.ClientConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: handshake.Versions(plugin.PluginSet{handshake.Component: connection{}}),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, _ string) (runner.Runner, error) {
			p.run.cmd.Env = append(p.run.cmd.Env, spec.Env...)
			return p.run, nil
		},
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{cfg.Certificate.pair}, MinVersion: tls.VersionTLS12, ServerName: "localhost",
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(handshake.MaxMessage), grpc.MaxCallSendMsgSize(handshake.MaxMessage),
		)},
		// The limit is the context's; this one only must not come first.
		StartTimeout:     cfg.StartTimeout + killTime,
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: sockets},
		SyncStdout:       stdout,
		SyncStderr:       stderr,
		Logger:           hclog.NewNullLogger(),
	}
}

// connection dispenses the bare connection: the services are ours.
type connection struct{ plugin.NetRPCUnsupportedPlugin }

func (connection) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return errors.New("a host is not a plugin")
}

func (connection) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// connect launches the process and asks it who it is.
func (p *Process) connect(ctx context.Context) error {
	defer context.AfterFunc(ctx, p.run.end)()
	protocol, err := p.client.Client()
	if err != nil {
		return err
	}
	raw, err := protocol.Dispense(handshake.Component)
	if err != nil {
		return err
	}
	conn := raw.(*grpc.ClientConn)
	p.plugin = pluginpb.NewPluginServiceClient(conn)
	p.action = actionpb.NewActionServiceClient(conn)
	p.target = targetpb.NewTargetServiceClient(conn)
	p.strategy = strategypb.NewStrategyServiceClient(conn)
	p.metrics = metricspb.NewMetricsServiceClient(conn)
	answer, err := p.plugin.Describe(ctx, &pluginpb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if p.description, err = describe(answer); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	_, p.description.Protocol, _ = p.run.said()
	if !supported(p.description.Protocol) {
		return errVersion
	}
	return nil
}

// errVersion means that plugin and host have no protocol version in common.
var errVersion = errors.New("protocol version not supported")

func supported(version int) bool {
	return version >= handshake.Oldest && version <= handshake.Protocol
}

// abandon ends a process whose start has failed.
func (p *Process) abandon() {
	if p.run.end(); p.run.ID() != "" {
		await(p.run.done)
	}
	p.closing.Do(p.client.Kill)
}

// cleanUp waits for the end of the process, however it comes.
func (p *Process) cleanUp(sockets string) {
	<-p.run.done
	p.closing.Do(p.client.Kill)
	_ = os.RemoveAll(sockets)
	close(p.gone)
}

// PID is the process id, and that of its group.
func (p *Process) PID() int { return p.run.cmd.Process.Pid }

// Done is closed when the process has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.run.done }

// Stop asks the process to end, waits for the grace period, then kills its
// whole process group. It may be called again, also with a shorter grace while
// another call waits.
func (p *Process) Stop(grace time.Duration) {
	if grace > 0 {
		go p.closing.Do(p.client.Kill)
		patience := time.NewTimer(grace)
		defer patience.Stop()
		select {
		case <-p.run.done:
		case <-patience.C:
		}
	}
	p.run.end()
	await(p.gone)
}

// await waits for the end of a process that was killed. One that the kernel
// holds back is left to it.
func await(end <-chan struct{}) {
	patience := time.NewTimer(killTime)
	defer patience.Stop()
	select {
	case <-end:
	case <-patience.C:
	}
}
