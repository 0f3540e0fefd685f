// Package service is what is known of one service: its releases, their
// weights, the processes by which it runs, and the folder that this is kept in.
//
// The rules of weights stand here and nowhere else: SetWeight, Settle and
// Retire change a State or refuse. Dir keeps it on disk.
package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Format of the state on disk; a program refuses others.
const Format = 1

// State of one service. One process, the keeper, writes it; anybody may read it.
type State struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	// Pipeline and Environment of the stage that installed it.
	Pipeline    string    `json:"pipeline,omitempty"`
	Environment string    `json:"environment,omitempty"`
	Since       time.Time `json:"since"`

	// Host and Port are where traffic comes in. Port is 0 until the first
	// release is installed.
	Host string `json:"host"`
	Port int    `json:"port"`
	// MetricsPort, on the loopback address, answers with counters.
	MetricsPort int `json:"metrics_port"`

	// Keeper supervises, Front carries the traffic.
	Keeper proc.ID `json:"keeper"`
	Front  proc.ID `json:"front"`
	// ControlPort, on the loopback address, is the keeper's door; Token opens it.
	ControlPort int    `json:"control_port"`
	Token       string `json:"token"`

	// Stable is a release's id; empty before the first deployment.
	Stable string `json:"stable,omitempty"`
	// Releases in the order of their creation.
	Releases []*Release `json:"releases"`
	// Served is set when a release was ever ready.
	Served bool `json:"served,omitempty"`
}

// Release is one version of the software.
type Release struct {
	ID       string         `json:"id"`
	Version  string         `json:"version,omitempty"`
	Artifact *call.Artifact `json:"artifact,omitempty"`
	Created  time.Time      `json:"created"`
	// Installed is set from when it was first ready until it is retired; else
	// it counts for nothing.
	Installed bool          `json:"installed"`
	Weight    target.Weight `json:"weight"`
	// Port, on the loopback address, is where this release alone answers.
	Port     int        `json:"port"`
	Spec     Spec       `json:"spec"`
	Replicas []*Replica `json:"replicas"`
}

// Spec is how a release is run.
type Spec struct {
	// Path is absolute, as is Dir.
	Path     string        `json:"path"`
	Args     []string      `json:"args"`
	Dir      string        `json:"dir"`
	Env      []string      `json:"env"`
	Replicas int           `json:"replicas"`
	H2C      bool          `json:"h2c,omitempty"`
	Health   Health        `json:"health"`
	Drain    time.Duration `json:"drain"`
	Grace    time.Duration `json:"grace"`
}

// Health is how to tell that a replica is ready.
type Health struct {
	Path     string        `json:"path"`
	Status   []int64       `json:"status"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Deadline time.Duration `json:"deadline"`
}

// Replica is one process of a release.
type Replica struct {
	Port int `json:"port"`
	// Key is written down before the process is started, with the key in its
	// environment, Proc right after: so it is found in any case.
	Key  string  `json:"key,omitempty"`
	Proc proc.ID `json:"proc"`
	// Ready: it passed its health check since it was started.
	Ready bool `json:"ready"`
	// Restarts after it had been ready, and how it ended the last time.
	Restarts int    `json:"restarts,omitempty"`
	LastEnd  string `json:"last_end,omitempty"`
}

// EnvKey is the environment variable that holds a replica's key.
const EnvKey = "RUNNER_REPLICA_KEY"

// Process is the replica's process, also when whoever started it could not
// write it down. It is the zero ID when there is none.
func (r *Replica) Process() proc.ID {
	if r.Proc != (proc.ID{}) || r.Key == "" {
		return r.Proc
	}
	return proc.Find(EnvKey + "=" + r.Key)
}

// Refusal is why a state was not changed, in a form that travels.
type Refusal struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// Error is the detail.
func (r *Refusal) Error() string { return r.Detail }

// Code tells refusals apart.
type Code string

const (
	// NoRelease: the release is not installed.
	NoRelease Code = "no_release"
	// HasWeight: the release still gets traffic.
	HasWeight Code = "has_weight"
	// WorldMoved: the state is not what the caller saw.
	WorldMoved Code = "world_moved"
	// NoOther: there is no release to take the rest.
	NoOther Code = "no_other"
	// NotFull: the release does not have all traffic.
	NotFull Code = "not_full"
	// NotReady: the release is installed but no replica answers.
	NotReady Code = "not_ready"
	// StartFailed: the release could not be started.
	StartFailed Code = "start_failed"
	// PortTaken: somebody else listens there.
	PortTaken Code = "port_taken"
	// HostFixed: the service listens on another address already.
	HostFixed Code = "host_fixed"
	// OtherOwner: the service was installed by another pipeline or environment.
	OtherOwner Code = "other_owner"
	// Internal: the keeper failed; what it changed is not known.
	Internal Code = "internal"
)

// Refuse makes a refusal.
func Refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Release finds a release by id; nil when there is none.
func (s *State) Release(id string) *Release {
	for _, r := range s.Releases {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// World is the version of what a target's observer sees. Processes that come
// and go do not change it.
func (s *State) World() string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", s.Stable)
	for _, r := range s.Releases {
		if r.Installed {
			fmt.Fprintf(h, "%q %d\n", r.ID, r.Weight)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Observation is the state as a target's observer sees it.
func (s *State) Observation() target.Observation {
	o := target.Observation{Stable: s.Stable, World: s.World(), Weights: map[string]target.Weight{}}
	for _, r := range s.Releases {
		if !r.Installed {
			continue
		}
		o.Releases = append(o.Releases, s.Describe(r))
		if r.Weight > 0 {
			o.Weights[r.ID] = r.Weight
		}
	}
	return o
}

// Describe is the release as the host knows it.
func (s *State) Describe(r *Release) target.Release {
	return target.Release{
		ID: r.ID, Version: r.Version, Artifact: r.Artifact, Created: r.Created,
		Address: fmt.Sprintf("http://127.0.0.1:%d", r.Port),
		Labels:  map[string]string{target.LabelMetrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", s.MetricsPort)},
	}
}

// SetWeight gives the release its share and all the rest to the other one:
// the stable release, or where that is the one named, the one that has traffic
// or came last. What is so already is so, whatever the caller expects.
func (s *State) SetWeight(id string, w target.Weight, expect string) error {
	r := s.Release(id)
	if r == nil || !r.Installed {
		return Refuse(NoRelease, "the release %q is not installed", id)
	}
	if w < 0 || w > target.Full {
		return Refuse(Internal, "%d is not a weight", w)
	}
	other := s.other(r)
	if other == nil && w != target.Full && (w != 0 || r.ID == s.Stable) {
		return Refuse(NoOther, "no other release is installed that could take the remaining %s", target.Full-w)
	}
	want := map[*Release]target.Weight{r: w}
	if other != nil {
		want[other] = target.Full - w
	}
	same := true
	for _, x := range s.Releases {
		same = same && x.Weight == want[x]
	}
	if same {
		return nil
	}
	if now := s.World(); expect != "" && expect != now {
		return Refuse(WorldMoved, "somebody else has changed the service since it was looked at (version %s, expected %s)", now, expect)
	}
	for _, x := range s.Releases {
		x.Weight = want[x]
	}
	return nil
}

// other is who gets what r leaves.
func (s *State) other(r *Release) *Release {
	if stable := s.Release(s.Stable); stable != nil && stable != r {
		return stable
	}
	var best *Release
	for _, x := range s.Releases {
		if x != r && x.Installed && (best == nil || x.Weight >= best.Weight) {
			best = x
		}
	}
	return best
}

// Settle makes the release, which has all traffic, the stable one.
func (s *State) Settle(id string) error {
	r := s.Release(id)
	switch {
	case r == nil || !r.Installed:
		return Refuse(NoRelease, "the release %q is not installed", id)
	case r.Weight != target.Full:
		return Refuse(NotFull, "the release %q has a weight of %s; only one with all traffic can become the stable one", id, r.Weight)
	}
	s.Stable = id
	return nil
}

// Retire makes a release without weight count for nothing. One that is not
// there is retired already.
func (s *State) Retire(id string) error {
	r := s.Release(id)
	if r == nil {
		return nil
	}
	if r.Weight > 0 {
		return Refuse(HasWeight, "the release %q has a weight of %s; retiring it would drop that traffic", id, r.Weight)
	}
	r.Installed = false
	if s.Stable == id {
		s.Stable = ""
	}
	return nil
}

// Drop forgets a release whose processes are gone.
func (s *State) Drop(id string) {
	s.Releases = slices.DeleteFunc(s.Releases, func(r *Release) bool { return r.ID == id })
}

// Clone is a copy that shares nothing that changes.
func (s *State) Clone() *State {
	out := *s
	out.Releases = make([]*Release, len(s.Releases))
	for i, r := range s.Releases {
		release := *r
		release.Replicas = make([]*Replica, len(r.Replicas))
		for j, rep := range r.Replicas {
			replica := *rep
			release.Replicas[j] = &replica
		}
		out.Releases[i] = &release
	}
	return &out
}

// Ready counts the replicas that are ready.
func (r *Release) Ready() int {
	n := 0
	for _, rep := range r.Replicas {
		if rep.Ready {
			n++
		}
	}
	return n
}
