//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/plugins/local/internal/control"
	"github.com/runner-pipelines/runner/plugins/local/internal/proc"
	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

// kill ends a process as kill -9 does and waits until it is gone.
func kill(t *testing.T, id proc.ID) {
	t.Helper()
	if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", id.PID, err)
	}
	eventually(t, "the killed process is gone", func() bool { return !id.Alive() })
}

// replicas are the processes of all releases.
func replicas(s *service.State) map[string]proc.ID {
	ids := map[string]proc.ID{}
	for _, r := range s.Releases {
		for i, rep := range r.Replicas {
			ids[fmt.Sprintf("%s/%d", r.ID, i)] = rep.Proc
		}
	}
	return ids
}

// canary deploys v1 with two replicas and gives v2 a quarter.
func canary(t *testing.T) *deployment {
	t.Helper()
	d := deploy(t, func(s *Service) { s.Replicas = 2 })
	d.first("v1")
	d.install("v2")
	d.setWeight("v2", 25)
	return d
}

// slow is a request that the release answers only after a while.
func slow(t *testing.T, url string, d time.Duration) (finish func() (string, error)) {
	t.Helper()
	res, err := http.Get(url + "/slow?for=" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("begun "))
	if _, err := io.ReadFull(res.Body, begun); err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return string(b), err
	}
}

func TestKeeperKilled(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	finish := slow(t, d.url(), time.Second)
	l := startLoad(t, d.url(), 4)
	l.waitFor(t, 20)
	kill(t, before.Keeper)
	killed := time.Now()
	eventually(t, "another keeper is there", func() bool { s := d.state(); return s.Keeper != before.Keeper && s.Keeper.Alive() })
	took := time.Since(killed)
	l.waitFor(t, 50)

	after := d.state()
	if after.Front != before.Front {
		t.Error("the front was replaced")
	}
	if diff := cmp.Diff(replicas(before), replicas(after)); diff != "" {
		t.Errorf("replicas were started again (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	d.setWeight("v2", 100)
	d.settle("v2")
	d.retire("v1")
	d.install("v3")
	l.waitFor(t, 50)
	l.stop()
	if body, err := finish(); err != nil || !strings.HasPrefix(body, "v") {
		t.Errorf("a request under way came to %q, %v", body, err)
	}
	if len(l.failed) > 0 {
		t.Errorf("%d requests failed, the first one: %s", len(l.failed), l.failed[0])
	}
	t.Logf("another keeper after %v, %d requests, none failed", took.Round(time.Millisecond), l.total())
	// Adopted replicas are watched like own ones.
	kill(t, replicas(after)["v2/0"])
	eventually(t, "the adopted replica that was killed runs again", func() bool {
		rep := d.state().Release("v2").Replicas[0]
		return rep.Ready && rep.Proc.Alive() && rep.Restarts == 1
	})
}

func TestFrontKilled(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	kill(t, before.Front)
	killed := time.Now()
	// The port was never closed: the request waits for the new front.
	if code, body := get(t, d.url()); code != 200 {
		t.Errorf("the first request after the kill: %d %s", code, body)
	}
	took := time.Since(killed)
	if took > 5*time.Second {
		t.Errorf("the front took %v to be back", took)
	}
	after := d.state()
	if after.Keeper != before.Keeper || after.Front == before.Front || !after.Front.Alive() {
		t.Errorf("keeper %v → %v, front %v → %v", before.Keeper, after.Keeper, before.Front, after.Front)
	}
	if diff := cmp.Diff(replicas(before), replicas(after)); diff != "" {
		t.Errorf("replicas were started again (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	hits := 0
	for range 100 {
		if _, body := get(t, d.url()); body == "v2" {
			hits++
		}
	}
	if hits < 23 || hits > 27 {
		t.Errorf("the candidate with 25%% gets %d of 100 requests", hits)
	}
	t.Logf("the port answered again after %v", took.Round(time.Millisecond))
}

func TestKeeperAndFrontKilled(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	// Stopped ones cannot notice each other's death.
	for _, id := range []proc.ID{before.Keeper, before.Front} {
		if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, before.Front)
	kill(t, before.Keeper)
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("without its processes the world looks different (-before +after):\n%s", diff)
	}
	// Any operation brings them back, here the one that changes nothing.
	d.setWeight("v2", 25)
	after := d.state()
	if !after.Keeper.Alive() || !after.Front.Alive() {
		t.Fatalf("keeper and front are not back: %v %v", after.Keeper, after.Front)
	}
	if before.Port != after.Port || before.MetricsPort != after.MetricsPort {
		t.Errorf("ports %d, %d became %d, %d", before.Port, before.MetricsPort, after.Port, after.MetricsPort)
	}
	if diff := cmp.Diff(replicas(before), replicas(after)); diff != "" {
		t.Errorf("replicas were started again (-before +after):\n%s", diff)
	}
	if code, _ := get(t, d.url()); code != 200 {
		t.Errorf("the public gets %d", code)
	}
}

// TestBothKilledWhileMinded: during a run nothing needs to be asked of the service
// for it to come back.
func TestBothKilledWhileMinded(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	new(control.Minder).Mind(d.dir)
	for _, id := range []proc.ID{before.Keeper, before.Front} {
		if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, before.Front)
	kill(t, before.Keeper)
	killed := time.Now()
	eventually(t, "the public is answered again", func() bool {
		res, err := http.Get(d.url())
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	t.Logf("the port answered again after %v", time.Since(killed).Round(time.Millisecond))
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	after := d.state()
	if diff := cmp.Diff(replicas(before), replicas(after)); diff != "" {
		t.Errorf("replicas were started again (-before +after):\n%s", diff)
	}
	// One that is told to end is not brought back.
	if err := syscall.Kill(after.Keeper.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "keeper and front have ended", func() bool { return !after.Keeper.Alive() && !after.Front.Alive() })
	if now := d.state(); now.Keeper.PID != 0 {
		t.Errorf("the service that was ended has a keeper again: %v", now.Keeper)
	}
}

func TestEverythingKilled(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	for _, id := range []proc.ID{before.Keeper, before.Front} {
		if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, before.Front)
	kill(t, before.Keeper)
	for _, id := range replicas(before) {
		kill(t, id)
	}
	d.install("v2") // a run that is resumed asks again
	for name, id := range replicas(d.state()) {
		if id == replicas(before)[name] {
			t.Errorf("replica %s is still recorded as the one that was killed", name)
		}
	}
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	if _, body := get(t, d.observe().Releases[1].Address); body != "v2" {
		t.Errorf("the candidate's address answers %q", body)
	}
	eventually(t, "the stable release answers too", func() bool {
		_, body := get(t, d.url())
		return body == "v1"
	})
}

// TestReplicaThatWasNotWrittenDown: a keeper that dies between starting a
// replica and writing it down leaves no stray behind.
func TestReplicaThatWasNotWrittenDown(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the environment of other processes cannot be read on", runtime.GOOS)
	}
	for _, how := range []string{"adopted", "stopped"} {
		t.Run(how, func(t *testing.T) {
			d := deploy(t, nil)
			d.first("v1")
			s := d.state()
			for _, id := range []proc.ID{s.Keeper, s.Front} {
				if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			kill(t, s.Front)
			kill(t, s.Keeper)
			started := replicas(s)["v1/0"]
			s.Releases[0].Replicas[0].Proc, s.Releases[0].Replicas[0].Ready = proc.ID{}, false
			if err := d.dir.Save(s); err != nil {
				t.Fatal(err)
			}
			if how == "stopped" {
				if err := control.NewClient(d.dir).Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
				if started.Alive() {
					t.Error("the replica is still there")
				}
				return
			}
			d.setWeight("v1", 100)
			if now := replicas(d.state())["v1/0"]; now != started {
				t.Errorf("the replica is %v, it was %v", now, started)
			}
			if _, body := get(t, d.url()); body != "v1" {
				t.Errorf("the public gets %q", body)
			}
		})
	}
}

// TestTerminated is what happens when the machine is shut down in an orderly way.
func TestTerminated(t *testing.T) {
	d := canary(t)
	before, seen := d.state(), d.observe()
	if err := syscall.Kill(before.Keeper.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "keeper, front and replicas have ended", func() bool {
		for _, id := range replicas(before) {
			if id.Alive() {
				return false
			}
		}
		return !before.Keeper.Alive() && !before.Front.Alive()
	})
	if diff := cmp.Diff(seen, d.observe()); diff != "" {
		t.Errorf("the world has changed (-before +after):\n%s", diff)
	}
	d.setWeight("v2", 50)
	if code, _ := get(t, d.url()); code != 200 {
		t.Errorf("the public gets %d", code)
	}
}

func TestReplicaCrashes(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Replicas = 2 })
	d.first("v1")
	before := replicas(d.state())
	l := startLoad(t, d.url(), 2)
	l.waitFor(t, 20)
	// One that dies by itself takes the request that kills it along, no other.
	if code, _ := get(t, d.url()+"/crash"); code != http.StatusBadGateway {
		t.Errorf("the request that killed its replica was answered %d", code)
	}
	eventually(t, "the replica runs again", func() bool {
		n := 0
		for name, id := range replicas(d.state()) {
			if id != before[name] && id.Alive() {
				n++
			}
		}
		return n == 1 && d.state().Release("v1").Ready() == 2
	})
	l.waitFor(t, 20)
	l.stop()
	// Those that were being answered by it in that moment are lost with it.
	if len(l.failed) > 2 {
		t.Errorf("%d requests failed: %v", len(l.failed), l.failed)
	}
	ends := ""
	for _, rep := range d.state().Release("v1").Replicas {
		ends += rep.LastEnd
	}
	if ends != "exit status 7" {
		t.Errorf("the record says that replicas ended with %q", ends)
	}
}

func TestRetireDrains(t *testing.T) {
	d := deploy(t, nil)
	d.first("v1")
	finish := slow(t, d.url(), 500*time.Millisecond)
	d.install("v2")
	d.setWeight("v2", 100)
	d.settle("v2")
	d.retire("v1")
	if body, err := finish(); err != nil || body != "v1" {
		t.Errorf("the request under way came to %q, %v", body, err)
	}
}

func TestRetireDoesNotWaitForEver(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Drain, s.Grace = 100*time.Millisecond, 100*time.Millisecond })
	d.first("v1", "-deaf")
	finish := slow(t, d.url(), time.Minute)
	d.install("v2")
	d.setWeight("v2", 100)
	d.settle("v2")
	old := replicas(d.state())["v1/0"]
	began := time.Now()
	d.retire("v1")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("retiring took %v", took)
	}
	if old.Alive() {
		t.Error("a replica that ignores SIGTERM is still there")
	}
	if body, err := finish(); err == nil {
		t.Errorf("the request that was cut off seems whole: %q", body)
	}
}

// TestOutlivesItsInstaller kills the process that installed a service, with
// its whole group, as the runner does with a plugin: the service goes on, and holds
// nothing open that it was not meant to have.
func TestOutlivesItsInstaller(t *testing.T) {
	d := deploy(t, nil)
	alive, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	cmd := exec.Command(os.Args[0], testInstallerArg, d.call.Node)
	cmd.Env = append(os.Environ(), "SECRET=hush")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "installed\n" {
		t.Fatalf("the installer says %q, %v", line, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// The other end is closed once nobody has it any more.
	if err := alive.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a file that the installer had open is still open somewhere: %v", err)
	}
	if _, body := get(t, d.url()); body != "v1" {
		t.Errorf("the service answers %q", body)
	}
	if _, body := get(t, d.url()+"/env?name=SECRET"); body != "hush" {
		t.Errorf("the release does not have its installer's environment")
	}
	s := d.state()
	for role, id := range map[string]proc.ID{"keeper": s.Keeper, "front": s.Front} {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", id.PID))
		if err != nil {
			t.Logf("environment of the %s not readable here: %v", role, err)
			continue
		}
		if bytes.Contains(env, []byte("SECRET")) {
			t.Errorf("the %s keeps its installer's environment: %q", role, env)
		}
	}
}

const testInstallerArg = "test-installer"

// testInstaller installs a service for the stage it is told and then hangs.
func testInstaller(node string) int {
	d := &deployment{}
	d.call.Pipeline, d.call.Node, d.call.Target = "test", node, "main"
	s := d.service("v1")
	req := &target.InstallRequest{Request: d.request(), Release: target.Release{ID: "v1"}}
	if _, err := s.Install(context.Background(), req); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err := s.SetWeight(context.Background(), &target.WeightRequest{Request: d.request(), Release: "v1", Weight: target.Full})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("installed")
	select {}
}

// TestNothingPilesUp: a service that is deployed to again and again holds no
// more files open than in the beginning.
func TestNothingPilesUp(t *testing.T) {
	d := deploy(t, nil)
	d.first("v0")
	s := d.state()
	files := func(id proc.ID) int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", id.PID))
		if err != nil {
			t.Skip("open files cannot be counted here:", err)
		}
		return len(entries)
	}
	keeper, front := files(s.Keeper), files(s.Front)
	for i := range 10 {
		next, old := fmt.Sprintf("v%d", i+1), fmt.Sprintf("v%d", i)
		d.install(next)
		d.setWeight(next, 100)
		get(t, d.url())
		d.settle(next)
		d.retire(old)
	}
	// A few connections may still be kept for a moment.
	eventually(t, "open files are few again", func() bool { return files(s.Keeper) <= keeper+2 && files(s.Front) <= front+4 })
}

func TestStopWithoutKeeper(t *testing.T) {
	d := canary(t)
	s := d.state()
	for _, id := range []proc.ID{s.Keeper, s.Front} {
		if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	kill(t, s.Front)
	kill(t, s.Keeper)
	if err := control.NewClient(d.dir).Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, id := range replicas(s) {
		if id.Alive() {
			t.Errorf("replica %s is still there", name)
		}
	}
	if _, err := os.Stat(string(d.dir)); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
}
