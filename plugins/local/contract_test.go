//go:build unix

package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/target"
)

// wantProblem checks what a failure says: to people, about the attribute at
// fault, and to the host, about what was changed.
func wantProblem(t *testing.T, err error, summary, path string, effect diag.Effect, details ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", summary)
	}
	p := diag.Of(err)
	if len(p.Diagnostics) != 1 {
		t.Fatalf("%d diagnostics: %v", len(p.Diagnostics), err)
	}
	d := p.Diagnostics[0]
	if d.Summary != summary || d.Path.String() != path || p.Effect != effect {
		t.Errorf("got %q at %q with effect %d, want %q at %q with effect %d\n%v", d.Summary, d.Path, p.Effect, summary, path, effect, err)
	}
	for _, text := range details {
		if !strings.Contains(d.Detail, text) {
			t.Errorf("the detail does not say %q:\n%s", text, d.Detail)
		}
	}
}

func TestObserveBeforeAnything(t *testing.T) {
	d := deploy(t, nil)
	o := d.observe()
	if o.Stable != "" || len(o.Releases) != 0 || len(o.Weights) != 0 || o.World == "" {
		t.Errorf("observation: %+v", o)
	}
	if _, err := os.Stat(string(d.dir)); !os.IsNotExist(err) {
		t.Errorf("observing has made the service's folder: %v", err)
	}
	if err := d.tryRetire("v1"); err != nil {
		t.Errorf("retiring what never was: %v", err)
	}
	wantProblem(t, d.trySetWeight("v1", 100, ""), "Release not installed", "", diag.None)
	wantProblem(t, d.trySettle("v1"), "Release not installed", "", diag.None)
	if _, err := os.Stat(string(d.dir)); !os.IsNotExist(err) {
		t.Errorf("a refusal has made the service's folder: %v", err)
	}
}

func TestInstallIsConvergent(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Replicas = 2 })
	first := d.install("v1")
	if first.Address == "" || first.Labels[target.LabelMetrics] == "" || first.Created.IsZero() || first.Version != "v1" {
		t.Errorf("release: %+v", first)
	}
	before := d.state()
	again := d.install("v1")
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the second installation gave another release (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(before.Releases, d.state().Releases); diff != "" {
		t.Errorf("the second installation changed something (-before +after):\n%s", diff)
	}
	o := d.observe()
	if len(o.Releases) != 1 || len(o.Weights) != 0 || o.Stable != "" {
		t.Errorf("after installing: %+v", o)
	}
	if code, _ := get(t, d.url()); code != 503 {
		t.Errorf("the public address answers %d while no release has weight", code)
	}
}

func TestInstallAtOnceFromManySides(t *testing.T) {
	d := deploy(t, nil)
	var wait sync.WaitGroup
	addresses := make([]string, 8)
	for i := range addresses {
		wait.Go(func() {
			rel, err := d.tryInstall("v1")
			if err != nil {
				t.Errorf("install: %v", err)
			}
			addresses[i] = rel.Address
		})
	}
	wait.Wait()
	for _, a := range addresses {
		if a != addresses[0] {
			t.Errorf("addresses differ: %v", addresses)
			break
		}
	}
	if s := d.state(); len(s.Releases) != 1 || len(s.Releases[0].Replicas) != 1 {
		t.Errorf("%d releases were installed", len(s.Releases))
	}
}

func TestWeights(t *testing.T) {
	d := deploy(t, nil)
	d.install("v1")
	wantProblem(t, d.trySetWeight("v1", 50, ""), "No release for the rest", "", diag.None, "50%")
	d.setWeight("v1", 100)
	wantProblem(t, d.trySetWeight("v9", 5, ""), "Release not installed", "", diag.None)
	d.settle("v1")
	d.settle("v1")
	wantProblem(t, d.trySetWeight("v1", 0, ""), "No release for the rest", "", diag.None)

	seen := d.observe().World
	d.install("v2")
	wantProblem(t, d.trySetWeight("v2", 5, seen), "Service changed by somebody else", "", diag.None)
	if w := d.observe().Weights; w["v1"] != target.Full || w["v2"] != 0 {
		t.Errorf("a refused change was made: %v", w)
	}
	seen = d.observe().World
	if err := d.trySetWeight("v2", 5.125, seen); err != nil {
		t.Fatal(err)
	}
	want := map[string]target.Weight{"v1": 94_875, "v2": 5_125}
	if diff := cmp.Diff(want, d.observe().Weights); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if err := d.trySetWeight("v2", 5.125, seen); err != nil {
		t.Errorf("the same again, after a lost answer: %v", err)
	}
	if d.observe().World == seen {
		t.Error("the world has the same version after a change")
	}

	wantProblem(t, d.trySettle("v2"), "Release does not have all traffic", "", diag.None)
	wantProblem(t, d.tryRetire("v2"), "Release still has traffic", "", diag.None)
	d.setWeight("v1", 100) // the way back
	if w := d.observe().Weights; w["v1"] != target.Full || w["v2"] != 0 {
		t.Errorf("after the way back: %v", w)
	}
	d.retire("v2")
	d.retire("v2")
	if o := d.observe(); len(o.Releases) != 1 || o.Stable != "v1" {
		t.Errorf("after retiring the candidate: %+v", o)
	}
}

func TestFirstDeploymentWalksBack(t *testing.T) {
	d := deploy(t, nil)
	d.install("v1")
	d.setWeight("v1", 100)
	d.setWeight("v1", 0)
	d.retire("v1")
	if o := d.observe(); len(o.Releases) != 0 || o.Stable != "" || len(o.Weights) != 0 {
		t.Errorf("observation: %+v", o)
	}
	url := d.url()
	d.first("v2")
	if d.url() != url {
		t.Errorf("the port has changed from %s to %s", url, d.url())
	}
}

func TestFailedInstallLeavesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name    string
		change  func(*Service)
		args    []string
		summary string
		path    string
		details []string
	}{
		{
			name: "a program that ends at once", args: []string{"-exit", "3"},
			summary: "Release did not start", path: "command",
			details: []string{"exit status 3", "cannot open the database", "this is v1, replica 0 of v1"},
		},
		{
			name: "a program that is never ready", args: []string{"-unhealthy"},
			change: func(s *Service) {
				s.Health = &Health{}
				s.Health.SetDefaults()
				s.Health.Deadline = 2 * time.Second
			},
			summary: "Release did not start", path: "command",
			details: []string{"not ready within 2s", "GET /healthz", "status 503"},
		},
		{
			name: "one replica of two that fails", args: nil,
			change: func(s *Service) {
				s.Replicas = 2
				s.Command = []string{"/bin/sh", "-c", `[ "$RUNNER_REPLICA" = 0 ] || exit 9; exec "$0" "$@"`, os.Args[0], testServiceArg, "-version", "v1"}
			},
			summary: "Release did not start", path: "command", details: []string{"exit status 9"},
		},
		{
			name:    "a port that somebody else has",
			change:  func(s *Service) { s.Port = int64(taken.Addr().(*net.TCPAddr).Port) },
			summary: "Port not available", path: "port", details: []string{"address already in use"},
		},
		{
			name:    "no such program",
			change:  func(s *Service) { s.Command = []string{"./no-such-program"} },
			summary: "Program not found", path: "command", details: []string{"no-such-program"},
		},
		{
			name:    "no such program in PATH",
			change:  func(s *Service) { s.Command = []string{"no-such-program"} },
			summary: "Program not found", path: "command", details: []string{"PATH"},
		},
		{
			name:    "no such directory",
			change:  func(s *Service) { s.Dir = "no/such/dir" },
			summary: "Directory not found", path: "dir",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := deploy(t, tt.change)
			_, err := d.tryInstall("v1", tt.args...)
			wantProblem(t, err, tt.summary, tt.path, diag.None, tt.details...)
			eventually(t, "the service's folder is gone", func() bool {
				_, err := os.Stat(string(d.dir))
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}

// eventually waits for what another process is about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestInstallRightAfterAFailure: the processes of the one that failed may just
// be ending.
func TestInstallRightAfterAFailure(t *testing.T) {
	d := deploy(t, nil)
	for range 5 {
		_, err := d.tryInstall("v1", "-exit", "1")
		wantProblem(t, err, "Release did not start", "command", diag.None)
	}
	d.install("v1")
}

func TestFailedCandidateLeavesStableAlone(t *testing.T) {
	d := deploy(t, nil)
	d.first("v1")
	before := d.observe()
	_, err := d.tryInstall("v2", "-exit", "1")
	wantProblem(t, err, "Release did not start", "command", diag.None, "exit status 1")
	if diff := cmp.Diff(before, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	if _, body := get(t, d.url()); body != "v1" {
		t.Errorf("the public gets %q", body)
	}
	d.install("v2")
}

func TestServicesAreNotShared(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Name = "shared-by-mistake" })
	d.call.Environment = "staging"
	d.first("v1")
	d.call.Environment = "prod"
	_, err := d.tryInstall("v2")
	wantProblem(t, err, "Service belongs to another stage", "name", diag.None, `environment "staging"`, "runner-plugin-local stop shared-by-mistake")
	d.call.Environment = "staging"
	d.make = func(s *Service) { s.Name, s.Host = "shared-by-mistake", "127.0.0.2" }
	_, err = d.tryInstall("v2")
	wantProblem(t, err, "Address cannot change", "host", diag.None)
}

func TestPortCanMove(t *testing.T) {
	d := deploy(t, nil)
	d.first("v1")
	old := d.url()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int64(ln.Addr().(*net.TCPAddr).Port)
	ln.Close()
	d.make = func(s *Service) { s.Port = port }
	d.install("v2")
	if d.url() == old {
		t.Fatalf("the port is still that of %s", old)
	}
	if _, body := get(t, d.url()); body != "v1" {
		t.Errorf("at the new port: %q", body)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(old, "http://")); err == nil {
		conn.Close()
		t.Error("the old port is still open")
	}
	d.make = nil
	d.install("v3")
	if _, body := get(t, d.url()); body != "v1" {
		t.Errorf("without a port in the configuration the service did not stay where it was: %q", body)
	}
}
