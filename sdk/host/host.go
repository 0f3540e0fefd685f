// Package host starts one plugin process and speaks to it. It is core's door
// to plugins and for nobody else: core/pluginhost finds, hashes and consents; a
// Process runs what it is given.
package host

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/internal/coredump"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/metrics"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

var (
	// ErrLost means that the process ended, or stopped answering, before it
	// told the outcome: nobody knows what happened.
	ErrLost = errors.New("plugin process lost")
	// ErrProtocol means that the plugin answered with what it must not.
	ErrProtocol = errors.New("plugin broke the protocol")
)

// ForbidCoreDumps keeps the memory of this process out of core files, and with
// it that of the plugins it starts. The environment variable RUNNER_CORE_DUMPS
// allows them again, for debugging.
func ForbidCoreDumps() { coredump.Forbid(os.Getenv) }

// Protocols are the versions of the protocol that this host speaks, oldest first.
func Protocols() []int {
	var out []int
	for v := handshake.Oldest; v <= handshake.Protocol; v++ {
		out = append(out, v)
	}
	return out
}

// Config says how to start a process.
type Config struct {
	// Name of the plugin, for messages.
	Name string
	// Command is the path of the program and its arguments.
	Command []string
	// Dir is the working directory.
	Dir string
	// Env is the whole environment; nothing else is inherited.
	Env []string
	// Certificate is the host's; one serves every process of a run.
	Certificate *Certificate
	// Alive is an open file that the process inherits and holds open as long as
	// it lives; with a lock on it the host's successor can prove that the process is
	// gone. May be nil.
	Alive *os.File
	// StartTimeout limits the launch; 30 s when 0.
	StartTimeout time.Duration
	// CancelGrace is how long a call that was cancelled waits for the plugin's
	// own outcome; 5 s when 0.
	CancelGrace time.Duration
	// Log receives the process's own log lines. It is never nil.
	Log *slog.Logger
}

// Description is what Describe says.
type Description struct {
	Name        string
	Version     string
	SDK         string
	Features    []string
	Components  []Component
	EnvWanted   []EnvVar
	MaxParallel int
	// Config is the body of the plugin block; nil when it takes none.
	Config *schema.Schema
	// Protocol is the negotiated protocol version.
	Protocol int
}

// EnvVar is an environment variable that a plugin wants to see.
type EnvVar struct {
	Name string `json:"name"`
	Doc  string `json:"doc,omitempty"`
}

// Component is one thing that a plugin serves. It marshals to JSON for the
// schema cache.
type Component struct {
	Name       string             `json:"name"`
	Kind       schema.Kind        `json:"kind"`
	Config     schema.Schema      `json:"config"`
	Outputs    *schema.Schema     `json:"outputs,omitempty"`
	Operations []schema.Operation `json:"operations"`
	// Target is set for targets, Strategy for strategies.
	Target   *target.Capabilities `json:"target,omitempty"`
	Strategy *strategy.Needs      `json:"strategy,omitempty"`
	Doc      string               `json:"doc,omitempty"`
}

// Operation finds a declared operation by name.
func (c *Component) Operation(name string) (schema.Operation, bool) {
	for _, op := range c.Operations {
		if op.Name == name {
			return op, true
		}
	}
	return schema.Operation{}, false
}

// Line is one log line of an operation.
type Line struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   map[string]string
	// Stream is "stdout" or "stderr" for a child program's output; else empty.
	Stream string
}

// Sink receives what happens during an operation, in order, from one goroutine.
type Sink interface {
	Log(Line)
	Progress(percent int, message string)
	// Handle must make the handle durable before it returns. An error ends the call.
	Handle(call.Handle) error
}

// Outcome of an operation that succeeded.
type Outcome struct {
	Outputs   value.Value
	Artifacts []call.Artifact
	Undo      []byte
	World     string
	// Release is set by Install.
	Release *target.Release
}

// ActionPlan is what Plan of an action says.
type ActionPlan struct {
	Diagnostics diag.List
	Changes     []call.Change
	Outputs     value.Value
	Sealed      []byte
	World       string
	WayBack     call.WayBack
	Estimate    time.Duration
	Deferred    string
	Needs       []value.Path
}

// TargetPlan is what Plan of a target says.
type TargetPlan struct {
	Diagnostics  diag.List
	Capabilities target.Capabilities
	Changes      []call.Change
	Estimate     time.Duration
}

// ReadResult is the present state of what an action left behind.
type ReadResult struct {
	Diagnostics diag.List
	Outputs     value.Value
	Drift       []call.Change
	World       string
}

// Reconciliation is what became of a lost operation.
type Reconciliation struct {
	State  call.State
	Handle *call.Handle
	// Outcome and Err are set with call.Done.
	Outcome Outcome
	Err     error
	Retry   time.Duration
}

// Plugin is one running process as the core uses it. *Process is the real one.
//
// A failure that the plugin reports is a *diag.Problem, found with errors.As;
// ErrLost and ErrProtocol are found with errors.Is. What changes nothing fails
// with effect none.
//
// When ctx ends, a streamed operation is told to stop, and the call returns when
// the plugin has answered or the grace period is over. A success is a success
// all the same. A failure has ctx's error and the plugin's problem in it; when
// no answer came, ctx's error and ErrLost. An operation that was never sent fails
// with effect none.
type Plugin interface {
	Describe(ctx context.Context) (*Description, error)
	Configure(ctx context.Context, c call.Call, config value.Value) error
	Validate(ctx context.Context, kind schema.Kind, component string, config value.Value) (diag.List, error)
	Check(ctx context.Context, c call.Call) (identity string, diags diag.List, err error)
	Reconcile(ctx context.Context, c call.Call, kind schema.Kind, component, operation string, config value.Value, handle *call.Handle) (Reconciliation, error)

	PlanAction(ctx context.Context, c call.Call, component string, config value.Value) (ActionPlan, error)
	RunAction(ctx context.Context, c call.Call, component string, config value.Value, sealed []byte, sink Sink) (Outcome, error)
	UndoAction(ctx context.Context, c call.Call, component string, config value.Value, undo []byte, sink Sink) (Outcome, error)
	ReadAction(ctx context.Context, c call.Call, component string, config value.Value) (ReadResult, error)

	Observe(ctx context.Context, c call.Call, component string, config value.Value) (target.Observation, error)
	PlanTarget(ctx context.Context, c call.Call, component string, config value.Value) (TargetPlan, error)
	Install(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, sink Sink) (Outcome, error)
	SetWeight(ctx context.Context, c call.Call, component string, config value.Value, release string, weight target.Weight, expect string, sink Sink) (Outcome, error)
	Scale(ctx context.Context, c call.Call, component string, config value.Value, release string, capacity target.Weight, sink Sink) (Outcome, error)
	Settle(ctx context.Context, c call.Call, component string, config value.Value, release string, sink Sink) (Outcome, error)
	Retire(ctx context.Context, c call.Call, component string, config value.Value, release string, sink Sink) (Outcome, error)

	// Next asks a strategy; Snapshot.Memory is given along.
	Next(ctx context.Context, component string, config value.Value, snapshot strategy.Snapshot) (strategy.Decision, error)
	Measure(ctx context.Context, c call.Call, component string, config value.Value, releases []target.Release, from, to time.Time) (metrics.Measurement, error)
	// Past is only for components that name the operation.
	Past(ctx context.Context, c call.Call, component string, config value.Value, release target.Release, from, to time.Time, window time.Duration) (metrics.Past, error)

	// Done is closed when the process has ended, for whatever reason.
	Done() <-chan struct{}
	// Stop asks the process to end, waits for the grace period, then kills its
	// whole process group. It may be called again.
	Stop(grace time.Duration)
}
