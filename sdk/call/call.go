// Package call is what every operation of every kind is told: who asks, under
// which idempotency key, and where to log.
package call

import (
	"log/slog"
	"time"

	"github.com/runner-pipelines/runner/sdk/value"
)

// Call identifies one operation.
type Call struct {
	// Key is the idempotency key: a UUID, equal over retries of the same
	// operation, fit for the client tokens of cloud APIs.
	Key string
	// Run is the run that asks; Pipeline the name of its pipeline.
	Run      string
	Pipeline string
	// Node is the stage's address, such as stage.release["prod"].
	Node string
	// Environment is empty when the stage belongs to none.
	Environment string
	// Target is the label of the target inside the stage; empty for actions.
	Target string
	// Attempt counts from 1 and grows when the same operation is tried again.
	Attempt int
	// Deadline is when the host gives up; zero when it waits without limit. The
	// operation's context ends at that moment too.
	Deadline time.Time
	// Traceparent and Tracestate are the W3C trace context; may be empty.
	Traceparent string
	Tracestate  string
}

// Request is embedded in the request of every operation.
type Request struct {
	Call
	// Log goes to the run's log. It is never nil.
	Log *slog.Logger
	// Unknown lists the places of the configuration that are not known yet;
	// always empty for operations that act.
	Unknown []value.Path
	// Events is where progress and handles go. It is set by the SDK.
	Events Events
}

// IsUnknown reports whether the value at the path, or a part that holds it or
// lies inside it, is not known yet.
func (r *Request) IsUnknown(names ...string) bool {
	p := value.Names(names...)
	for _, u := range r.Unknown {
		if u.HasPrefix(p) || p.HasPrefix(u) {
			return true
		}
	}
	return false
}

// Progress tells how far a long operation is: percent from 0 to 100, or
// negative when it cannot be told.
func (r *Request) Progress(percent int, message string) {
	if r.Events != nil {
		r.Events.Progress(percent, message)
	}
}

// Output sends one line of a child program's output; stream is "stdout" or "stderr".
func (r *Request) Output(stream, line string) {
	if r.Events != nil {
		r.Events.Output(stream, line)
	}
}

// Handle records an early handle before the operation is waited for. It
// is given back to Reconcile when the result is lost. An error means that the
// host is gone: stop.
func (r *Request) Handle(id string, opaque []byte) error {
	if r.Events == nil {
		return nil
	}
	return r.Events.Handle(Handle{ID: id, Opaque: opaque})
}

// Handle names an operation under way on the other side.
type Handle struct {
	// ID is for people and logs.
	ID string
	// Opaque is for the plugin.
	Opaque []byte
}

// Events receives what happens during an operation.
type Events interface {
	Progress(percent int, message string)
	Output(stream, line string)
	Handle(Handle) error
}

// Change is one line of a plan.
type Change struct {
	Action ChangeAction `json:"action"`
	// Subject is the object concerned, for people.
	Subject string `json:"subject"`
	// Summary is one line for people.
	Summary string `json:"summary"`
}

// ChangeAction is what a change does.
type ChangeAction string

const (
	Create ChangeAction = "create"
	Update ChangeAction = "update"
	Delete ChangeAction = "delete"
	Run    ChangeAction = "run"
)

// WayBack says how an operation is undone.
type WayBack string

const (
	// NoWayBack means it cannot be undone. It is the zero value.
	NoWayBack WayBack = ""
	// BestEffort means it can be undone in part.
	BestEffort WayBack = "best_effort"
	// Exact means it leaves things as they were.
	Exact WayBack = "exact"
)

// Artifact is something built once and named by its digest. In a component's
// configuration or outputs a field of this type has the type artifact.
type Artifact struct {
	// Digest is algorithm and hex, such as sha256:….
	Digest    string `json:"digest"`
	MediaType string `json:"media_type,omitempty"`
	// URI is where it can be fetched; empty for local files.
	URI string `json:"uri,omitempty"`
	// Size in bytes.
	Size   int64             `json:"size,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Path of the local copy; empty when there is none on this machine.
	Path string `json:"path,omitempty"`
}

// State is what became of an operation whose result was lost.
type State string

const (
	// NotStarted means it never began: it may be issued again.
	NotStarted State = "not_started"
	// Running means it is under way: ask again after Retry.
	Running State = "running"
	// Done means it ended; the result is given.
	Done State = "done"
	// Unknown means it cannot be told.
	Unknown State = "unknown"
)
