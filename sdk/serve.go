package sdk

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk/internal/coredump"
	"github.com/runner-pipelines/runner/sdk/internal/guard"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/internal/server"
)

// Version of the SDK, told to the host.
const Version = "0.1.0"

// exitTime is how long what was given to OnExit may take.
const exitTime = time.Second

// Serve runs the plugin until the host lets it go, and then exits; it does not
// return. Call it as the only line of main. Without a host it runs the
// subcommand named by the first argument, or says what the program is.
//
// Whatever the program prints after that goes to the log; the default logger
// of log/slog writes there too. When the host is gone, in whatever way, the
// process ends at once, and with it every program started with package child.
func Serve(p Plugin) {
	guard.RunIfAsked()
	s, err := newServer(p)
	if err != nil {
		fmt.Fprintf(os.Stderr, "The plugin %q is not well formed:\n%s\n", p.Name, indent(err.Error()))
		os.Exit(2)
	}
	if len(os.Args) > 1 {
		if c, ok := p.Commands[os.Args[1]]; ok {
			os.Exit(c.Run(os.Args[2:]))
		}
	}
	if !handshake.Launched(os.Getenv) {
		os.Exit(explain(p, os.Args, os.Stdout, os.Stderr))
	}
	serve(s)
}

// OnExit has f called when the process is about to end because the host let it
// go or is gone: to end what the system does not end by itself. There may be
// little time: after a second the process ends in any case.
func OnExit(f func()) { guard.OnExit(f) }

// newServer checks the literal.
func newServer(p Plugin) (*server.Server, error) {
	cfg := server.Config{
		Name: p.Name, Version: p.Version, SDK: "go/" + Version, Env: p.Env, MaxParallel: p.MaxParallel,
		Actions: p.Actions, Targets: p.Targets, Strategies: p.Strategies, Metrics: p.Metrics,
	}
	if p.Config != nil {
		cfg.Configurer = func() server.Configurer {
			// A nil Configurer must stay nil in the other interface.
			if c := p.Config(); c != nil {
				return c
			}
			return nil
		}
	}
	s, err := server.New(cfg)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(p.Commands)) {
		if name == "" || strings.HasPrefix(name, "-") || p.Commands[name].Run == nil {
			return nil, fmt.Errorf("command %q: a name without a leading hyphen and a function are needed", name)
		}
	}
	return s, nil
}

// serve answers the host's calls.
func serve(s *server.Server) {
	exit := func(code int) {
		time.AfterFunc(exitTime, func() { os.Exit(code) })
		guard.KillAll()
		os.Exit(code)
	}
	coredump.Forbid(os.Getenv)
	// The lifeline first: nothing that follows may outlive the host.
	held, err := holdOn(os.Getenv, func() { exit(1) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	guard.Enable(held...)
	logToHost(os.Stderr)
	p := &served{server: s}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: handshake.Versions(plugin.PluginSet{handshake.Component: p}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			opts = append(opts, s.Options()...)
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(handshake.MaxMessage), grpc.MaxSendMsgSize(handshake.MaxMessage))...)
		},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr, JSONFormat: true}),
	})
	s.Wait()
	if !p.started {
		exit(1)
	}
	exit(0)
}

// served adds our services to go-plugin's server.
type served struct {
	plugin.NetRPCUnsupportedPlugin
	server  *server.Server
	started bool
}

// GRPCServer is called when the environment has been read, so what is in it for
// this process alone is removed before there are children.
func (p *served) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	p.server.Register(g)
	p.started = true
	for _, name := range handshake.Private() {
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *served) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin is not a host")
}

// explain answers somebody who started the program by hand. It returns the exit code.
func explain(p Plugin, args []string, stdout, stderr io.Writer) int {
	out, code := stderr, 2
	asked := ""
	if len(args) > 1 {
		asked = args[1]
	}
	switch strings.TrimLeft(asked, "-") {
	case "version":
		fmt.Fprintf(stdout, "%s %s (protocol %d, sdk go/%s)\n", p.Name, p.Version, handshake.Protocol, Version)
		return 0
	case "h", "help":
		out, code = stdout, 0
	case "":
	default:
		fmt.Fprintf(out, "There is no command %q.\n\n", asked)
	}
	program := "runner-plugin-" + p.Name
	if len(args) > 0 {
		program = filepath.Base(args[0])
	}
	fmt.Fprintf(out, "%s is the plugin %q of runner, version %s. runner starts it by itself when a\npipeline names it in required_plugins.\n", program, p.Name, p.Version)
	var listed []string
	for _, name := range slices.Sorted(maps.Keys(p.Commands)) {
		if doc := p.Commands[name].Doc; doc != "" {
			listed = append(listed, fmt.Sprintf("  %s %-10s %s", program, name, doc))
		}
	}
	if len(listed) > 0 {
		fmt.Fprintf(out, "\nBy hand it can be asked to:\n%s\n", strings.Join(listed, "\n"))
	}
	return code
}

func indent(s string) string { return "  - " + strings.ReplaceAll(s, "\n", "\n  - ") }
