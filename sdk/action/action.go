// Package action is the kind of component that runs something: a command, a
// check, a migration, a provisioning tool.
//
// Implement Action on the struct that is the component's configuration; the
// SDK decodes the pipeline file into a fresh one for every call. What an action
// can do beyond running is said by the optional interfaces: Convergent,
// Outputter, Planner, Undoer, Reader, Reconciler.
package action

import (
	"context"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Action runs something. Unless it is also Convergent, an action counts as
// once: the host never calls Run a second time for the same key without the
// plugin's word (Reconcile, or a failure with effect none) or a person's.
type Action interface {
	// Run does it. When ctx ends, Run stops what it started and returns; the
	// host waits a grace period and then ends the plugin.
	Run(ctx context.Context, req *Request) (Result, error)
}

// Convergent marks an action that states what should be so: the host may call
// Run again at any time, and calling it twice leaves what calling it once would.
type Convergent interface{ Convergent() }

// Outputter tells the shape of Result.Outputs: a struct with hcl and doc tags
// as in a configuration. An attribute tagged sensitive is kept encrypted.
type Outputter interface{ Outputs() any }

// Planner says what Run would do. It changes nothing and may be called
// with parts of the configuration unknown.
type Planner interface {
	Plan(ctx context.Context, req *Request) (Plan, error)
}

// Undoer takes back what a Run did, from the Undo bytes of its result. It may
// be called again after a failure.
type Undoer interface {
	Undo(ctx context.Context, req *UndoRequest) error
}

// Reader looks at what a Run left behind. It changes nothing.
type Reader interface {
	Read(ctx context.Context, req *Request) (ReadResult, error)
}

// Reconciler tells what became of a Run (or Undo) whose result was lost. The
// host calls it only when the process that ran it is provably gone.
type Reconciler interface {
	Reconcile(ctx context.Context, req *ReconcileRequest) (Reconciliation, error)
}

// Request is what Run, Plan and Read are told.
type Request struct {
	call.Request
	// Sealed is what Plan returned; nil where none was made.
	Sealed []byte
}

// Result of a Run.
type Result struct {
	// Outputs is of the type that Outputter names; nil when there are none.
	Outputs any
	// Artifacts that were made.
	Artifacts []call.Artifact
	// Undo is what Undoer needs; kept encrypted by the host.
	Undo []byte
	// World is the version of the world after the run; may be empty.
	World string
}

// Plan is what Run would do.
type Plan struct {
	// Changes is empty when Run would change nothing; the host then skips it.
	Changes []call.Change
	// Outputs as far as known, of the type that Outputter names; nil when unknown.
	Outputs any
	// Sealed is given back to Run; kept encrypted by the host.
	Sealed []byte
	// World is the version of the world that the plan was made against. When
	// it differs at the start of the stage, the stage is planned again.
	World   string
	WayBack call.WayBack
	// Estimate of Run's duration; 0 when it cannot be told.
	Estimate time.Duration
	// Deferred is set when the plan must wait for the unknown places Needs.
	Deferred string
	Needs    []value.Path
}

// UndoRequest is what Undo is told.
type UndoRequest struct {
	call.Request
	// Undo is from the Run's result.
	Undo []byte
}

// ReadResult is the present state.
type ReadResult struct {
	Outputs any
	// Drift is what differs from the configuration.
	Drift []call.Change
	World string
}

// ReconcileRequest asks about a lost operation; its Key is that operation's.
type ReconcileRequest struct {
	call.Request
	// Operation is "run" or "undo".
	Operation string
	// Handle is the last that arrived; nil when none did.
	Handle *call.Handle
}

// Reconciliation is what became of it.
type Reconciliation struct {
	State call.State
	// Handle is set with call.Running.
	Handle *call.Handle
	// Result and Err are set with call.Done: how it ended.
	Result Result
	Err    error
	// Retry is when to ask again; 0 with call.Unknown means that time cannot help.
	Retry time.Duration
}
