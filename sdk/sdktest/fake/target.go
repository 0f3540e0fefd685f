package fake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Target keeps releases and weights in a file, where a test can read them.
type Target struct {
	File string `hcl:"file" doc:"JSON file with the state and every operation"`

	Weights        string        `hcl:"weights,optional" doc:"none, switch, percent"`
	Step           float64       `hcl:"step,optional" doc:"percent between two weights"`
	SideBySide     bool          `hcl:"side_by_side,optional"`
	Propagation    time.Duration `hcl:"propagation,optional"`
	ReleaseAddress bool          `hcl:"release_address,optional"`
	ReleaseMetrics bool          `hcl:"release_metrics,optional"`
	Capacity       bool          `hcl:"capacity,optional"`
	Address        string        `hcl:"address,optional" doc:"address of every release; {release} stands for its id"`

	Leak string `hcl:"leak,optional" doc:"told in what it says of releases and of the world"`

	Delay time.Duration `hcl:"delay,optional" doc:"how long each operation takes"`

	FailOp      string `hcl:"fail_op,optional" doc:"operation that fails: observe, install, set_weight, scale, settle, retire, any"`
	FailNth     int    `hcl:"fail_nth,optional" doc:"which one of them, from 1; 0 is every one"`
	FailHow     string `hcl:"fail_how,optional" doc:"error, retryable, crash_before, crash_after, hang, lie: it does nothing and says it did"`
	FailRelease string `hcl:"fail_release,optional" doc:"only for the release with this id"`
}

// State is what the file holds.
type State struct {
	Stable   string                   `json:"stable,omitempty"`
	Releases []target.Release         `json:"releases,omitempty"`
	Weights  map[string]target.Weight `json:"weights,omitempty"`
	Capacity map[string]target.Weight `json:"capacity,omitempty"`
	// World grows with every change.
	World int `json:"world"`
	// Operations that were asked for, in order, also those that failed.
	Operations []Operation `json:"operations,omitempty"`
}

// Operation is one that was asked for.
type Operation struct {
	Name    string        `json:"name"`
	Release string        `json:"release,omitempty"`
	Weight  target.Weight `json:"weight,omitempty"`
	Key     string        `json:"key"`
	Attempt int           `json:"attempt,omitempty"`
}

func newTarget() *Target {
	return &Target{Weights: "percent", Step: 0.001, SideBySide: true, ReleaseAddress: true, ReleaseMetrics: true, FailHow: "error"}
}

// Validate checks the step.
func (t *Target) Validate() error {
	var step error
	if w, err := target.Percent(t.Step); err != nil || w == 0 {
		step = diag.AtAttr("step", "Invalid step", errors.New("it must be a percentage above 0"))
	}
	return errors.Join(
		step, oneOf("weights", t.Weights, "none", "switch", "percent"),
		oneOf("fail_op", t.FailOp, "observe", "install", "set_weight", "scale", "settle", "retire", "any"),
		oneOf("fail_how", t.FailHow, "error", "retryable", "crash_before", "crash_after", "hang", "lie"),
	)
}

// Capabilities are as configured.
func (t *Target) Capabilities() target.Capabilities {
	c := target.Capabilities{
		SideBySide: t.SideBySide, Weights: target.WeightKind(t.Weights), Propagation: t.Propagation,
		ReleaseAddress: t.ReleaseAddress, ReleaseMetrics: t.ReleaseMetrics, Capacity: t.Capacity,
		Metrics: map[string]target.ReadyMetric{"error_rate": {
			Component: "fake_metrics", Config: map[string]string{"file": "metrics.json", "per_second": "true", "known": "24h"}, Better: "lower",
		}},
	}
	if c.Weights == target.PercentSteps {
		c.Step, _ = target.Percent(t.Step)
	}
	return c
}

// Observe reads the file.
func (t *Target) Observe(ctx context.Context, req *target.Request) (target.Observation, error) {
	var o target.Observation
	err := t.do(ctx, Operation{Name: "observe", Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		o = target.Observation{Stable: s.Stable, Releases: s.Releases, Weights: s.Weights, World: strconv.Itoa(s.World) + t.Leak}
		return nil
	})
	return o, err
}

// Plan tells whether there is a file.
func (t *Target) Plan(context.Context, *target.Request) (target.Plan, error) {
	return target.Plan{Changes: []call.Change{{Action: call.Create, Subject: "release", Summary: "one more in " + t.File + t.Leak}}, Estimate: t.Delay}, nil
}

// Install adds the release.
func (t *Target) Install(ctx context.Context, req *target.InstallRequest) (target.Release, error) {
	r := req.Release
	if t.ReleaseAddress {
		r.Address = strings.ReplaceAll(t.Address, "{release}", r.ID)
	}
	if t.ReleaseMetrics {
		r.Labels = map[string]string{target.LabelMetrics: "file://" + t.File + "#" + r.ID}
	}
	if t.Leak != "" {
		r.Address, r.Version = "http://"+t.Leak+".invalid", t.Leak
		r.Labels = map[string]string{t.Leak: t.Leak}
	}
	r.Created = time.Now().UTC().Truncate(time.Millisecond)
	err := t.do(ctx, Operation{Name: "install", Release: r.ID, Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		if i := s.find(r.ID); i >= 0 {
			r = s.Releases[i]
			return nil
		}
		s.Releases = append(s.Releases, r)
		s.World++
		return nil
	})
	return r, err
}

// SetWeight divides traffic between the release and the stable one.
func (t *Target) SetWeight(ctx context.Context, req *target.WeightRequest) error {
	return t.do(ctx, Operation{Name: "set_weight", Release: req.Release, Weight: req.Weight, Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		if req.Expect != "" && req.Expect != strconv.Itoa(s.World)+t.Leak {
			return refuse("Target changed meanwhile", "It is at version %d, not %s.", s.World, req.Expect)
		}
		if s.find(req.Release) < 0 {
			return refuse("Unknown release", "%q is not installed.", req.Release)
		}
		want := map[string]target.Weight{req.Release: req.Weight}
		if req.Weight == 0 {
			delete(want, req.Release)
		}
		if rest := target.Full - req.Weight; rest > 0 && s.other(req.Release) != "" {
			want[s.other(req.Release)] = rest
		}
		if fmt.Sprint(want) != fmt.Sprint(s.Weights) {
			s.Weights = want
			s.World++
		}
		return nil
	})
}

// Scale records the capacity.
func (t *Target) Scale(ctx context.Context, req *target.ScaleRequest) error {
	return t.do(ctx, Operation{Name: "scale", Release: req.Release, Weight: req.Capacity, Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		if s.Capacity == nil {
			s.Capacity = map[string]target.Weight{}
		}
		if s.Capacity[req.Release] != req.Capacity {
			s.Capacity[req.Release] = req.Capacity
			s.World++
		}
		return nil
	})
}

// Settle makes the release stable.
func (t *Target) Settle(ctx context.Context, req *target.ReleaseRequest) error {
	return t.do(ctx, Operation{Name: "settle", Release: req.Release, Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		switch {
		case s.Stable == req.Release:
			return nil
		case s.find(req.Release) < 0:
			return refuse("Unknown release", "%q is not installed.", req.Release)
		case s.Weights[req.Release] != target.Full:
			return refuse("Release not at full weight", "%q is at %s.", req.Release, s.Weights[req.Release])
		}
		s.Stable = req.Release
		s.World++
		return nil
	})
}

// Retire removes the release.
func (t *Target) Retire(ctx context.Context, req *target.ReleaseRequest) error {
	return t.do(ctx, Operation{Name: "retire", Release: req.Release, Key: req.Key, Attempt: req.Attempt}, func(s *State) error {
		i := s.find(req.Release)
		switch {
		case i < 0:
			return nil
		case s.Weights[req.Release] > 0:
			return refuse("Release has traffic", "%q is at %s.", req.Release, s.Weights[req.Release])
		}
		s.Releases = slices.Delete(s.Releases, i, i+1)
		if s.Stable == req.Release {
			s.Stable = ""
		}
		s.World++
		return nil
	})
}

func refuse(summary, format string, args ...any) error {
	return diag.WithEffect(diag.None, diag.New(summary, format, args...))
}

func (s *State) find(id string) int {
	return slices.IndexFunc(s.Releases, func(r target.Release) bool { return r.ID == id })
}

// other is who has the rest of the traffic: the stable release, or the one
// beside it.
func (s *State) other(id string) string {
	if id != s.Stable {
		return s.Stable
	}
	for _, r := range s.Releases {
		if r.ID != id {
			return r.ID
		}
	}
	return ""
}

// oneAtATime keeps operations of this process apart.
var oneAtATime sync.Mutex

// do writes the operation down, fails if it is asked to, and changes the state.
func (t *Target) do(ctx context.Context, op Operation, change func(*State) error) error {
	select {
	case <-time.After(t.Delay):
	case <-ctx.Done():
		return diag.WithEffect(diag.None, ctx.Err())
	}
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	s, err := ReadState(t.File)
	if err != nil {
		return diag.WithEffect(diag.None, err)
	}
	if op.Name == "observe" && t.FailOp != "observe" && t.FailOp != "any" {
		return change(&s)
	}
	reached(Began, op.Name)
	s.Operations = append(s.Operations, op)
	how := t.failing(s, op)
	if how == "crash_before" || how == "error" || how == "retryable" || how == "hang" || how == "lie" {
		if err := s.write(t.File); err != nil {
			return err
		}
	}
	failed := diag.WithEffect(diag.None, diag.New("Failed on request", "The fake target was asked to fail."))
	switch how {
	case "error":
		return failed
	case "retryable":
		return diag.Retryable(failed)
	case "crash_before":
		os.Exit(13)
	case "hang":
		select {}
	case "lie":
		return nil
	}
	if err := change(&s); err != nil {
		return errors.Join(err, s.write(t.File))
	}
	reached(Ready, op.Name)
	if err := s.write(t.File); err != nil {
		return err
	}
	reached(Happened, op.Name)
	if how == "crash_after" {
		os.Exit(14)
	}
	return nil
}

// failing is how the operation, the last one of the state, is to fail.
func (t *Target) failing(s State, op Operation) string {
	if t.FailOp == "" || t.FailOp != "any" && t.FailOp != op.Name || t.FailRelease != "" && t.FailRelease != op.Release {
		return ""
	}
	nth := 0
	for _, o := range s.Operations {
		if (t.FailOp == "any" || o.Name == op.Name) && (t.FailRelease == "" || t.FailRelease == o.Release) {
			nth++
		}
	}
	if t.FailNth != 0 && t.FailNth != nth {
		return ""
	}
	return t.FailHow
}

// ReadState reads the file of a target; a missing one is an empty state.
func ReadState(path string) (State, error) {
	var s State
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

func (s *State) write(path string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
