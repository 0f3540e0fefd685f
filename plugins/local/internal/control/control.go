// Package control is how this program's components speak to the keeper of a
// service: a Client finds the keeper, starts one where there is none, and asks
// again when it lost an answer, since every operation states what should be so.
package control

import (
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Paths of the operations. Each is asked by POST with a request as JSON and
// answers with Events, one on a line, of which the last is Done.
const (
	PathInstall = "/v1/install"
	PathWeight  = "/v1/weight"
	PathSettle  = "/v1/settle"
	PathRetire  = "/v1/retire"
	PathStop    = "/v1/stop"
)

// InstallRequest asks for a release.
type InstallRequest struct {
	Release target.Release `json:"release"`
	Spec    service.Spec   `json:"spec"`
	// Host and Port are where the service takes traffic in; port 0 leaves it
	// where it is, or chooses one.
	Host        string `json:"host"`
	Port        int    `json:"port"`
	Pipeline    string `json:"pipeline"`
	Environment string `json:"environment"`
}

// WeightRequest asks for a weight.
type WeightRequest struct {
	Release string        `json:"release"`
	Weight  target.Weight `json:"weight"`
	// Expect is a world version; empty for any.
	Expect string `json:"expect,omitempty"`
}

// ReleaseRequest asks to settle or retire a release.
type ReleaseRequest struct {
	Release string `json:"release"`
}

// Event is one line of an answer.
type Event struct {
	Progress string `json:"progress,omitempty"`
	// Percent goes with Progress; negative when it cannot be told.
	Percent int `json:"percent,omitempty"`

	Done bool `json:"done,omitempty"`
	// Release is set when an install is done.
	Release *target.Release `json:"release,omitempty"`
	// Refusal is set when it is not done and never will be.
	Refusal *service.Refusal `json:"refusal,omitempty"`
}
