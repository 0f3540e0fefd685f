// Package link is the talk between the keeper of a service and its front:
// messages over a pair of sockets, along with the listening sockets that
// both hold, so that either may die without a port being closed.
//
// The keeper sends Orders and gets Reports. The first report is a Hello.
package link

import (
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Names of listening sockets; a release's own is ReleaseSocket of its id.
const (
	PublicSocket  = "public"
	MetricsSocket = "metrics"
)

// ReleaseSocket is the name of the socket at which one release alone answers.
func ReleaseSocket(id string) string { return "release/" + id }

// Order goes from keeper to front. Exactly one field is set.
type Order struct {
	Table *Table `json:"table,omitempty"`
	// Quit asks the front to finish what it is answering and to end.
	Quit bool `json:"quit,omitempty"`
}

// Table is everything the front must know. A later one replaces an earlier one whole.
type Table struct {
	Version int64   `json:"version"`
	Service string  `json:"service"`
	Routes  []Route `json:"routes"`
	// Sockets that must be open. The first len(attached) of Attached come along
	// with this message; the front has the others already.
	Sockets  []string `json:"sockets"`
	Attached []string `json:"attached,omitempty"`
}

// Route is one release.
type Route struct {
	Release string        `json:"release"`
	Version string        `json:"version,omitempty"`
	Weight  target.Weight `json:"weight"`
	H2C     bool          `json:"h2c,omitempty"`
	// Replicas that are ready, as host:port.
	Replicas []string `json:"replicas"`
}

// Report goes from front to keeper. Exactly one field is set.
type Report struct {
	Hello *Hello `json:"hello,omitempty"`
	// Applied is the version of the table that every request from now on is
	// dealt out by.
	Applied int64 `json:"applied,omitempty"`
	// Idle is a release that left the table and has answered its last request.
	Idle string `json:"idle,omitempty"`
}

// Hello says who the front is and which sockets it holds; they come along.
type Hello struct {
	Proc    proc.ID  `json:"proc"`
	Sockets []string `json:"sockets,omitempty"`
}
