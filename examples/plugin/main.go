// Command runner-plugin-tcp waits until somebody listens at a TCP address. It
// is the plugin that docs/writing-a-plugin.md walks through.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// Open is the body of a stage, or of a verify block, that uses "tcp_open".
type Open struct {
	Address string        `hcl:"address" doc:"Host and port, such as 127.0.0.1:5432."`
	Within  time.Duration `hcl:"within,optional" doc:"How long to go on trying."`
}

// Opened is what others may refer to: stage.NAME.attempts.
type Opened struct {
	Attempts int64 `hcl:"attempts" doc:"How often it was tried."`
}

// Doc says what the component is for.
func (o *Open) Doc() string { return "Waits until a TCP address accepts connections." }

// Outputs tells the shape of what Run gives.
func (o *Open) Outputs() any { return Opened{} }

// Convergent says that Run may be called any number of times: it only looks.
func (o *Open) Convergent() {}

// Validate is called when a plan is made, before anything runs.
func (o *Open) Validate() error {
	if _, _, err := net.SplitHostPort(o.Address); err != nil {
		return diag.AtAttr("address", "Invalid address",
			fmt.Errorf("%q is not host:port, such as 127.0.0.1:5432", o.Address))
	}
	if o.Within < 0 {
		return diag.AtAttr("within", "Negative duration", errors.New("nobody can wait for less than no time"))
	}
	return nil
}

// Run dials until somebody answers, the time is over, or the host gives up.
func (o *Open) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Within, errors.New("the time is over"))
	defer cancel()
	for attempt := int64(1); ; attempt++ {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", o.Address)
		if err == nil {
			return action.Result{Outputs: Opened{Attempts: attempt}}, conn.Close()
		}
		req.Log.Debug("nobody answers yet", "address", o.Address, "err", err)
		select {
		case <-ctx.Done():
			return action.Result{}, diag.WithEffect(diag.None, diag.New("Nobody answers",
				"After %s and %d attempts nobody answers at %s (%w). Is the service running, and does it listen there?", o.Within, attempt, o.Address, err))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "tcp",
		Version: "0.1.0",
		Actions: map[string]func() action.Action{
			"tcp_open": func() action.Action { return &Open{Within: 10 * time.Second} },
		},
	}
}

func main() { sdk.Serve(plugin()) }
