package plan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/target"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Observed is a target as it was found.
type Observed struct {
	Target
	target.Observation
}

// StableRelease is the stable release as the target describes it; nil without one.
func (o *Observed) StableRelease() *target.Release { return find(o.Releases, o.Observation.Stable) }

func find(releases []target.Release, id string) *target.Release {
	for i := range releases {
		if releases[i].ID == id && id != "" {
			return &releases[i]
		}
	}
	return nil
}

// ObserveTarget asks a target what is so, what it can do as configured, and
// names the release that the configuration stands for. An error is that of a call,
// as host.Plugin gives it; what the target says against its configuration is in
// the diagnostics.
func ObserveTarget(ctx context.Context, plugin host.Plugin, c call.Call, s *program.Slot, bound *bind.Bound, id Identity) (*Observed, hcl.Diagnostics, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()
	wire := bound.Wire()
	p, err := plugin.PlanTarget(ctx, c, s.Entry.Name, wire)
	diags := bind.Diagnostics(bound, p.Diagnostics, s.Use.Range)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	seen, err := plugin.Observe(ctx, c, s.Entry.Name, wire)
	if err != nil {
		return nil, diags, err
	}
	o := &Observed{Observation: seen, Target: Target{
		Name: s.Name, Component: s.Entry.Name, Stable: seen.Stable, World: seen.World,
		Capabilities: p.Capabilities, Changes: p.Changes, EstimateMS: p.Estimate.Milliseconds(),
	}}
	// They are of the component, and settled before anything is planned.
	o.Target.Capabilities.Metrics = nil
	if r := o.StableRelease(); r != nil {
		o.StableVersion = r.Version
	}
	if bound.Known() {
		o.Candidate = id.Of(s, wire)
	}
	return o, diags, nil
}

// Standing refuses a target that another rollout left between 0 and 100 %: a
// new rollout could not tell whose traffic it moves.
func Standing(o *Observed, s *program.Slot) hcl.Diagnostics {
	for id, w := range o.Weights {
		if w > 0 && w < target.Full && id != o.Target.Stable && id != o.Candidate {
			return hcl.Diagnostics{diagnostics.Error(s.Use.Range, "Target stands between two releases",
				"Release %s has %s of the traffic of target %q: an earlier rollout was not finished. Finish it, or take it back:\n  runner resume\n  runner rollback", id, w, s.Name)}
		}
	}
	return nil
}

// Identity names releases by their content.
type Identity struct {
	// Salt is mixed into names that depend on sensitive values.
	Salt string
	// Artifacts is the directory of the artifact store.
	Artifacts string
}

// Of is the id of the release that a configuration stands for: equal content
// has an equal id, wherever its artifacts lie.
func (i Identity) Of(s *program.Slot, v value.Value) string {
	content := v.JSON
	if i.Artifacts != "" {
		if quoted, err := json.Marshal(i.Artifacts); err == nil {
			content = bytes.ReplaceAll(content, bytes.Trim(quoted, `"`), []byte("artifact:"))
		}
	}
	if len(v.Sensitive) > 0 {
		content = []byte(seal.Hash([]byte(i.Salt), content))
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{s.Entry.Source, s.Entry.Name, string(content)}, "\x00")))
	return "r-" + hex.EncodeToString(sum[:6])
}
