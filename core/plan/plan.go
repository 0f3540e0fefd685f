// Package plan works out what a run will do before anything is touched.
//
// Make checks every configuration with the plugins, observes the targets, runs
// every strategy through the kernel in a simulated world, forward and from a
// failure at each step, and writes down all that it was based on. A Plan opens
// exactly one run; Load turns it back into the program that the run carries out.
package plan

import (
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Plan is what a run will do and what that was based on. Its JSON is the
// content of a plan file.
type Plan struct {
	// Runner is the version of the program that made the plan.
	Runner  string    `json:"runner"`
	Created time.Time `json:"created"`
	// Salt is that of every hash of something sensitive; it makes each plan unique.
	Salt []byte `json:"salt"`
	// Lineage names the state that the plan was made against.
	Lineage  string `json:"lineage"`
	Pipeline string `json:"pipeline"`
	// Sources are the pipeline's files by relative path.
	Sources map[string][]byte `json:"sources"`
	// Variables are the values given to the root's variables.
	Variables map[string]Variable `json:"variables,omitempty"`
	// World is what the outside world said to expressions, sealed.
	World []byte `json:"world,omitempty"`
	// Lock is the text of the lock file.
	Lock  []byte       `json:"lock"`
	Graph kernel.Graph `json:"graph"`
	// Nodes describe Graph.Nodes one by one.
	Nodes []Node `json:"nodes"`
	// Replays is the run whose results stand for the stages that are not run
	// again; set for the plan of a rollback.
	Replays string `json:"replays,omitempty"`

	digest string
}

// Digest names the plan: sha256:… over everything in it.
func (p *Plan) Digest() string { return p.digest }

// Variable is the value of a variable, or the hash of a sensitive one.
type Variable struct {
	// Type and Value are cty's JSON forms.
	Type  []byte `json:"type,omitempty"`
	Value []byte `json:"value,omitempty"`
	// Hash is set instead of Value for sensitive variables.
	Hash string `json:"hash,omitempty"`
}

// Node is what one node will do, for people and for the engine.
type Node struct {
	ID          string          `json:"id"`
	Kind        kernel.NodeKind `json:"kind"`
	Component   string          `json:"component,omitempty"`
	Environment string          `json:"environment,omitempty"`
	// Skip is why the node will not run, as far as it is known now.
	Skip string `json:"skip,omitempty"`
	// Maybe is set while when is not known.
	Maybe bool `json:"maybe,omitempty"`
	// Deferred is what must be known before the stage's plan can be made.
	Deferred []string `json:"deferred,omitempty"`
	// Unchanged: there is nothing to do.
	Unchanged bool          `json:"unchanged,omitempty"`
	Changes   []call.Change `json:"changes,omitempty"`
	WayBack   call.WayBack  `json:"way_back,omitempty"`
	// Back says in words how the node is taken back.
	Back string `json:"back,omitempty"`
	// EstimateMS is a span in milliseconds; 0 when it cannot be told.
	EstimateMS int64 `json:"estimate_ms,omitempty"`
	// Inputs is a salted digest of the resolved configuration; empty when deferred.
	Inputs string `json:"inputs,omitempty"`
	// World is the version of the world that the stage plan was made against.
	World string `json:"world,omitempty"`
	// Sealed is the plugin's own plan, encrypted.
	Sealed     []byte      `json:"sealed,omitempty"`
	Targets    []Target    `json:"targets,omitempty"`
	Simulation *Simulation `json:"simulation,omitempty"`
	// Forecast says what the analysis will be able to see, metric by metric.
	Forecast []Forecast `json:"forecast,omitempty"`
	// Budgets are the error budgets of its SLOs as they are now.
	Budgets []Budget `json:"budgets,omitempty"`
}

// Forecast is what the comparison of one metric can be expected to see with the
// traffic that stable has now.
type Forecast struct {
	Metric string `json:"metric"`
	// Unknown is why nothing can be said.
	Unknown string `json:"unknown,omitempty"`
	// PerMinute is how many observations stable has, Share the share of bad ones among
	// them; 0 for a distribution, which has one for each bound.
	PerMinute float64 `json:"per_minute,omitempty"`
	Share     float64 `json:"share,omitempty"`
	// Independent says that bad observations of the past came independently.
	Independent bool           `json:"independent,omitempty"`
	Steps       []ForecastStep `json:"steps,omitempty"`
}

// ForecastStep is one step with traffic on both releases.
type ForecastStep struct {
	Title  string        `json:"title"`
	Weight target.Weight `json:"weight"`
	// TimeMS is the time that there is for evidence: to the deadline, or the bake.
	TimeMS int64 `json:"time_ms"`
	// See says when harm is seen, after milliseconds; 0 is never.
	See []ForecastSee `json:"see"`
	// PassMS is when a candidate as good as stable passes; 0 is never.
	PassMS int64 `json:"pass_ms,omitempty"`
	// Margin is the smallest ratio that can be ruled out in the time; 0 for none.
	Margin float64 `json:"margin,omitempty"`
	// Blind: not even ten times as many bad observations are seen in the time.
	Blind bool `json:"blind,omitempty"`
}

// ForecastSee is a size of harm, as a ratio, and when it is seen.
type ForecastSee struct {
	Ratio   float64 `json:"ratio"`
	AfterMS int64   `json:"after_ms,omitempty"`
}

// Target is what was found at one target.
type Target struct {
	Name      string `json:"name"`
	Component string `json:"component"`
	// Stable is the release that has the traffic now; empty before the first deployment.
	Stable        string `json:"stable,omitempty"`
	StableVersion string `json:"stable_version,omitempty"`
	// Candidate is empty while the configuration is not known.
	Candidate    string              `json:"candidate,omitempty"`
	World        string              `json:"world,omitempty"`
	Capabilities target.Capabilities `json:"capabilities"`
	Changes      []call.Change       `json:"changes,omitempty"`
	EstimateMS   int64               `json:"estimate_ms,omitempty"`
}

// Simulation is how a rollout will go when every wait ends at its earliest.
type Simulation struct {
	// First: there is no stable release yet.
	First bool   `json:"first,omitempty"`
	Steps []Step `json:"steps"`
	// DurationMS is the span of the whole rollout, waits for people not counted.
	DurationMS int64 `json:"duration_ms"`
	// BackMS is the longest span of the way back from any step.
	BackMS int64 `json:"back_ms"`
	// Decisions counts how often the strategy was asked.
	Decisions int `json:"decisions"`
}

// Step is one step of a simulated rollout.
type Step struct {
	Wave    int      `json:"wave,omitempty"`
	Title   string   `json:"title"`
	Targets []string `json:"targets"`
	// Weight of the candidate after the step.
	Weight target.Weight `json:"weight"`
	// AtMS is when the step begins, from the start of the rollout.
	AtMS int64 `json:"at_ms"`
	// BakeMS is how long the strategy watches before it goes on.
	BakeMS int64 `json:"bake_ms,omitempty"`
	// Approvals are asked for before the step.
	Approvals []string `json:"approvals,omitempty"`
	// Evidence: the step is passed on a verdict.
	Evidence bool `json:"evidence,omitempty"`
}

// HasChanges reports whether a run of the plan would do anything.
func (p *Plan) HasChanges() bool {
	for _, n := range p.Nodes {
		if n.Kind != kernel.BarrierNode && n.Skip == "" && !n.Unchanged {
			return true
		}
	}
	return false
}

// Node finds a node by its address.
func (p *Plan) Node(id string) *Node {
	for i := range p.Nodes {
		if p.Nodes[i].ID == id {
			return &p.Nodes[i]
		}
	}
	return nil
}
