//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/target"
)

var serial atomic.Int64

// deployment drives one local_service as the host would, a fresh component for
// every call.
type deployment struct {
	t    testing.TB
	call call.Call
	// make changes the component of a release; may be nil.
	make func(*Service)
	dir  service.Dir
}

func deploy(t testing.TB, change func(*Service)) *deployment {
	t.Helper()
	d := &deployment{t: t, make: change, call: call.Call{
		Key: "k", Run: "r", Pipeline: "test", Node: fmt.Sprintf("stage.s%d", serial.Add(1)), Target: "main", Attempt: 1,
	}}
	var err error
	if d.dir, err = d.service("v0").dir(d.call); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			if b, err := os.ReadFile(d.dir.Log()); err == nil {
				t.Logf("proxy.log:\n%s", b)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := control.NewClient(d.dir).Stop(ctx); err != nil && !os.IsNotExist(err) {
			t.Errorf("stop: %v", err)
		}
	})
	return d
}

// service is the component as it is decoded for a release of that version.
func (d *deployment) service(version string, args ...string) *Service {
	s := NewService()
	s.Command = append([]string{os.Args[0], testServiceArg, "-version", version}, args...)
	s.Grace = 2 * time.Second
	if d.make != nil {
		d.make(s)
	}
	return s
}

func (d *deployment) request() call.Request {
	return call.Request{Call: d.call, Log: slog.New(slog.DiscardHandler)}
}

func (d *deployment) tryInstall(version string, args ...string) (target.Release, error) {
	s := d.service(version, args...)
	if err := s.Validate(); err != nil {
		d.t.Fatalf("validate: %v", err)
	}
	return s.Install(d.t.Context(), &target.InstallRequest{Request: d.request(), Release: target.Release{ID: version, Version: version}})
}

func (d *deployment) install(version string, args ...string) target.Release {
	d.t.Helper()
	rel, err := d.tryInstall(version, args...)
	if err != nil {
		d.t.Fatalf("install %s: %v", version, err)
	}
	return rel
}

func (d *deployment) trySetWeight(version string, percent float64, expect string) error {
	d.t.Helper()
	w, err := target.Percent(percent)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.service(version).SetWeight(d.t.Context(), &target.WeightRequest{Request: d.request(), Release: version, Weight: w, Expect: expect})
}

func (d *deployment) setWeight(version string, percent float64) {
	d.t.Helper()
	if err := d.trySetWeight(version, percent, ""); err != nil {
		d.t.Fatalf("set weight of %s to %v%%: %v", version, percent, err)
	}
}

func (d *deployment) trySettle(version string) error {
	return d.service(version).Settle(d.t.Context(), &target.ReleaseRequest{Request: d.request(), Release: version})
}

func (d *deployment) settle(version string) {
	d.t.Helper()
	if err := d.trySettle(version); err != nil {
		d.t.Fatalf("settle %s: %v", version, err)
	}
}

func (d *deployment) tryRetire(version string) error {
	return d.service(version).Retire(d.t.Context(), &target.ReleaseRequest{Request: d.request(), Release: version})
}

func (d *deployment) retire(version string) {
	d.t.Helper()
	if err := d.tryRetire(version); err != nil {
		d.t.Fatalf("retire %s: %v", version, err)
	}
}

func (d *deployment) observe() target.Observation {
	d.t.Helper()
	o, err := d.service("v0").Observe(d.t.Context(), &target.Request{Request: d.request()})
	if err != nil {
		d.t.Fatalf("observe: %v", err)
	}
	return o
}

// first deploys a first release fully.
func (d *deployment) first(version string, args ...string) target.Release {
	d.t.Helper()
	rel := d.install(version, args...)
	d.setWeight(version, 100)
	d.settle(version)
	return rel
}

func (d *deployment) state() *service.State {
	d.t.Helper()
	s, err := d.dir.Load()
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// url is where the public is answered.
func (d *deployment) url() string {
	d.t.Helper()
	return describe(d.state()).Address
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(body))
}

func TestServiceDeploysTwoReleases(t *testing.T) {
	d := deploy(t, nil)
	d.first("v1")
	if code, body := get(t, d.url()); code != 200 || body != "v1" {
		t.Fatalf("public address: %d %q", code, body)
	}
	v2 := d.install("v2")
	if code, body := get(t, v2.Address); code != 200 || body != "v2" {
		t.Fatalf("candidate's address: %d %q", code, body)
	}
	if _, body := get(t, d.url()); body != "v1" {
		t.Fatalf("the candidate gets traffic at weight 0")
	}
	d.setWeight("v2", 100)
	if _, body := get(t, d.url()); body != "v2" {
		t.Fatalf("public address after the switch: %q", body)
	}
	d.settle("v2")
	d.retire("v1")
	o := d.observe()
	if o.Stable != "v2" || len(o.Releases) != 1 || o.Weights["v2"] != target.Full {
		t.Errorf("observation: %+v", o)
	}
}
