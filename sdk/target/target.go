// Package target is the kind of component that has a weight: it installs a
// candidate release beside the stable one and gives it a share of traffic.
//
// Implement Target on the struct that is the component's configuration; the
// SDK decodes the pipeline file into a fresh one for every call, so a target
// keeps nothing between calls but what is out in the world.
package target

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
)

// Target is where releases run. All its operations are convergent: they
// state what should be so, and the host calls them again after any failure or
// lost answer. None of them rounds a weight. After each operation that succeeded
// the SDK calls Observe, which tells the host the version of the world and
// whether a weight is in place.
type Target interface {
	// Capabilities of the target as configured. With the default configuration
	// they are what Describe declares.
	Capabilities() Capabilities
	// Observe says what is so, seen from outside. It changes nothing and
	// answers also when nothing was installed yet.
	Observe(ctx context.Context, req *Request) (Observation, error)
	// Install puts the release beside the stable one, at weight 0, and returns
	// when it is ready to serve. An installed release is left as it is. Without a
	// stable release it is still at weight 0.
	Install(ctx context.Context, req *InstallRequest) (Release, error)
	// SetWeight gives the release its share, and all the rest to the other
	// one. It returns when the weight was read back and is true everywhere.
	SetWeight(ctx context.Context, req *WeightRequest) error
	// Settle makes the release, at full weight, the stable one. The earlier stable
	// release keeps running until it is retired.
	Settle(ctx context.Context, req *ReleaseRequest) error
	// Retire removes a release that is at weight 0, after its connections drained.
	// To retire one that is gone is no error; to retire one with weight is.
	Retire(ctx context.Context, req *ReleaseRequest) error
}

// Scaler sets capacity apart from weight. A target that declares
// Capabilities.Capacity must implement it.
type Scaler interface {
	Scale(ctx context.Context, req *ScaleRequest) error
}

// Planner says what Install would change. It changes nothing and may be called
// with parts of the configuration unknown.
type Planner interface {
	Plan(ctx context.Context, req *Request) (Plan, error)
}

// Weight is a share of traffic in thousandths of a percent: 0 to Full.
type Weight int32

const (
	// Full is all traffic.
	Full Weight = 100_000
	// OnePercent is one percent.
	OnePercent Weight = 1_000
)

// Percent reads a number of percent. It fails when p is outside 0 to 100, or
// finer than a thousandth.
func Percent(p float64) (Weight, error) {
	w := math.Round(p * float64(OnePercent))
	if math.IsNaN(p) || w < 0 || w > float64(Full) {
		return 0, fmt.Errorf("%v is not a percentage from 0 to 100", p)
	}
	if math.Abs(p*float64(OnePercent)-w) > 1e-6 {
		return 0, fmt.Errorf("%v%% is finer than a thousandth of a percent", p)
	}
	return Weight(w), nil
}

// String writes the weight in percent: 5%, 0.125%.
func (w Weight) String() string {
	return strconv.FormatFloat(float64(w)/float64(OnePercent), 'f', -1, 64) + "%"
}

// WeightKind is how a target divides traffic.
type WeightKind string

const (
	// NoWeights means that traffic is not divided: one release at a time.
	NoWeights WeightKind = "none"
	// Switch means all or nothing.
	Switch WeightKind = "switch"
	// PercentSteps means in multiples of Capabilities.Step.
	PercentSteps WeightKind = "percent"
)

// Capabilities of a target. What is not declared is not asked for.
type Capabilities struct {
	// SideBySide: two releases can run at once.
	SideBySide bool       `json:"side_by_side,omitempty"`
	Weights    WeightKind `json:"weights,omitempty"`
	// Step is the smallest step; set with PercentSteps.
	Step Weight `json:"step,omitempty"`
	// Propagation is how long a weight takes to be true everywhere.
	Propagation time.Duration `json:"propagation,omitempty"`
	// ReleaseAddress: a candidate answers at an address of its own.
	ReleaseAddress bool `json:"release_address,omitempty"`
	// ReleaseMetrics: metrics are told apart by release.
	ReleaseMetrics bool `json:"release_metrics,omitempty"`
	// Capacity is set apart from weight, by Scale.
	Capacity bool `json:"capacity,omitempty"`
	// Sticky: the same client stays with the same release.
	Sticky bool `json:"sticky,omitempty"`
	// Mirror: requests can be copied to the candidate.
	Mirror bool `json:"mirror,omitempty"`
	// HeaderRouting: chosen requests can be sent to the candidate.
	HeaderRouting bool `json:"header_routing,omitempty"`
	// Metrics are ready-made metrics of the target's releases by name: error_rate,
	// latency and saturation where it has them.
	Metrics map[string]ReadyMetric `json:"metrics,omitempty"`
}

// ReadyMetric is a metric that needs no configuration by the user.
type ReadyMetric struct {
	// Component is the name of the metrics component that reads it, of this plugin
	// or another one.
	Component string `json:"component"`
	// Config is its configuration, attribute by attribute.
	Config map[string]string `json:"config,omitempty"`
	// Better is "lower", "higher" or "same": which values are good.
	Better string `json:"better"`
}

// Equal compares all of it.
func (c Capabilities) Equal(d Capabilities) bool { return reflect.DeepEqual(c, d) }

// Allows reports whether the target can have this weight exactly.
func (c Capabilities) Allows(w Weight) bool {
	switch {
	case w < 0 || w > Full:
		return false
	case w == 0 || w == Full:
		return true
	case c.Weights == PercentSteps:
		return c.Step > 0 && w%c.Step == 0
	}
	return false
}

// Release is one version of software installed at a target.
type Release struct {
	// ID is chosen by the host; equal content has an equal id.
	ID string `json:"id"`
	// Artifact it came from, where there is one.
	Artifact *call.Artifact `json:"artifact,omitempty"`
	// Version for people; may be empty.
	Version string            `json:"version,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Address is a URL at which this release alone answers; empty when there is none.
	Address string    `json:"address,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// LabelMetrics is the label of a release under which a target says at which
// URL the release's metrics are, in Prometheus text format.
const LabelMetrics = "runner.metrics"

// Observation is what is so.
type Observation struct {
	// Stable is the id of the stable release; empty before the first deployment.
	Stable string
	// Releases that are installed, in the order of their creation.
	Releases []Release
	// Weights by release id; releases without one are left out.
	Weights map[string]Weight
	// World is the version of all this.
	World string
}

// Request is what Observe and Plan are told.
type Request struct{ call.Request }

// InstallRequest is what Install is told.
type InstallRequest struct {
	call.Request
	// Release has its id, and where known artifact and version.
	Release Release
}

// WeightRequest is what SetWeight is told.
type WeightRequest struct {
	call.Request
	// Release is an id.
	Release string
	Weight  Weight
	// Expect is the world version that the host last saw; empty when any will do.
	// A target that finds another one fails with effect none, so that somebody
	// else's change is noticed, never overwritten.
	Expect string
}

// ScaleRequest is what Scale is told.
type ScaleRequest struct {
	call.Request
	// Release is an id.
	Release string
	// Capacity is a share of full capacity.
	Capacity Weight
}

// ReleaseRequest is what Settle and Retire are told.
type ReleaseRequest struct {
	call.Request
	// Release is an id.
	Release string
}

// Plan is what Install would change.
type Plan struct {
	Changes []call.Change
	// Estimate of Install's duration; 0 when it cannot be told.
	Estimate time.Duration
}
