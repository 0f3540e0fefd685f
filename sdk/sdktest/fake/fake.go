// Package fake is a real plugin that fails on request. Tests of a host run it
// as another process: what a pipeline file asks of its components decides
// whether they succeed, fail, hang, crash, lie or flood.
//
// Its actions write what they did to a file, one line per effect, so that a
// test can count effects; its target keeps all its state in a JSON file.
package fake

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// EnvStart is an environment variable that makes the program misbehave before
// it serves: "exit", "noise", "endless", "silent", "early" (a line before the
// greeting), "panic", "future" (a protocol nobody speaks yet), "plain" (no
// certificate), "garbage" (on the wire), "lie:METHOD:HOW" (see liar), or a
// duration to wait.
const EnvStart = "FAKE_START"

// Main is the program.
func Main() {
	misbehave(os.Getenv(EnvStart))
	sdk.Serve(Plugin())
}

// Plugin is what the program serves.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "fake",
		Version: "1.2.3",
		Config:  func() sdk.Configurer { return &Config{Identity: "nobody"} },
		Env:     map[string]string{EnvStart: "how to misbehave at the start", "FAKE_TOKEN": "shown in the outputs of actions"},
		Commands: map[string]sdk.Command{
			"hello": {Doc: "greet", Run: func(args []string) int { fmt.Println("hello", strings.Join(args, " ")); return 3 }},
		},
		Actions: map[string]func() action.Action{
			"fake_run":        func() action.Action { return &Worker{defaults()} },
			"fake_once":       func() action.Action { return &Once{Worker: Worker{defaults()}} },
			"fake_convergent": func() action.Action { return &Convergent{Worker{defaults()}} },
			"fake_leak":       func() action.Action { return &Leak{} },
			"fake_plain":      func() action.Action { return &Plain{Text: "plain"} },
		},
		Targets: map[string]func() target.Target{
			"fake_target": func() target.Target { return newTarget() },
		},
		Strategies: map[string]func() strategy.Strategy{
			"fake_strategy": func() strategy.Strategy { return &Strategy{Steps: []float64{50, 100}} },
		},
		Metrics: map[string]func() metrics.Metrics{
			"fake_metrics": func() metrics.Metrics { return &Metrics{} },
		},
	}
}

// Config is the plugin block.
type Config struct {
	Identity string `hcl:"identity,optional" doc:"as whom the plugin says it acts"`
	Token    string `hcl:"token,optional" sensitive:"true"`
	Fail     string `hcl:"fail,optional" doc:"configure: fail to get ready; check: lack a permission"`
}

// Configure fails on request.
func (c *Config) Configure() error {
	if c.Fail == "configure" {
		return diag.Retryable(diag.New("Not ready", "The fake plugin was asked not to get ready."))
	}
	return nil
}

// Validate refuses what Configure does not know.
func (c *Config) Validate() error { return oneOf("fail", c.Fail, "configure", "check") }

// Check names the identity.
func (c *Config) Check(context.Context) (string, error) {
	if c.Fail == "check" {
		return c.Identity, diag.New("Permission missing", "%s may not pretend.", c.Identity)
	}
	return c.Identity, nil
}

func oneOf(attr, got string, allowed ...string) error {
	if got == "" {
		return nil
	}
	for _, a := range allowed {
		if a == got {
			return nil
		}
	}
	return diag.AtAttr(attr, "Unknown value", fmt.Errorf("%q is not one of %s", got, strings.Join(allowed, ", ")))
}

func misbehave(how string) {
	switch how {
	case "":
	case "exit":
		fmt.Fprintln(os.Stderr, "fake: I was asked to exit")
		os.Exit(7)
	case "panic":
		panic("I was asked to panic")
	case "noise":
		fmt.Println("<!doctype html>")
		select {}
	case "endless":
		out := bufio.NewWriter(os.Stdout)
		for {
			if _, err := out.WriteString("noise "); err != nil {
				os.Exit(1)
			}
		}
	case "silent":
		select {}
	case "early":
		fmt.Println("loading")
	case "future":
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig:  handshake.Config(),
			VersionedPlugins: map[int]plugin.PluginSet{99: {handshake.Component: future{}}},
			GRPCServer:       plugin.DefaultGRPCServer,
		})
		os.Exit(0)
	case "plain":
		if err := os.Unsetenv(handshake.EnvCertificate); err != nil {
			panic(err)
		}
	case "garbage":
		serveGarbage()
	default:
		if lie, ok := strings.CutPrefix(how, liePrefix); ok {
			serveLiar(lie)
		}
		d, err := time.ParseDuration(how)
		if err != nil {
			panic(err)
		}
		time.Sleep(d)
	}
}

// future can only describe itself, as every version of the protocol can.
type future struct{ plugin.NetRPCUnsupportedPlugin }

func (future) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	registerFuture(s)
	return nil
}

func (future) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin is not a host")
}
