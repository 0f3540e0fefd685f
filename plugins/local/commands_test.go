//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runner-pipelines/runner/plugins/local/internal/service"
	"github.com/runner-pipelines/runner/sdk/target"
)

// asked is what one of the functions behind a command came to.
func asked(f func(args []string, out, errs *bytes.Buffer) int, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = f(args, &o, &e)
	return code, o.String(), e.String()
}

func ls(args []string, out, errs *bytes.Buffer) int     { return list(args, out, errs) }
func stopIt(args []string, out, errs *bytes.Buffer) int { return stop(args, out, errs) }
func logsOf(args []string, out, errs *bytes.Buffer) int { return logs(args, out, errs) }

func TestListNothing(t *testing.T) {
	t.Setenv("RUNNER_LOCAL_DIR", filepath.Join(t.TempDir(), "none"))
	if code, out, errs := asked(ls); code != 0 || errs != "" || strings.Count(out, "\n") != 1 {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, _ := asked(ls, "-json"); code != 0 || out != "[]\n" {
		t.Errorf("%d %q", code, out)
	}
}

func TestCommandsOnAService(t *testing.T) {
	d := deploy(t, func(s *Service) { s.Name, s.Replicas = "shop-in-test", 2 })
	d.first("v1")
	d.install("v2")
	d.setWeight("v2", 5)

	code, out, errs := asked(ls)
	if code != 0 || errs != "" {
		t.Fatalf("ls: %d %s", code, errs)
	}
	want := `NAME ADDRESS RELEASE WEIGHT READY PID SINCE
shop-in-test http://127.0.0.1:PORT v1 (v1) stable 95% 2/2 PID TIME
v2 (v2) 5% 2/2 TIME
`
	shown := out
	for _, r := range []struct{ pattern, text string }{
		{`127.0.0.1:\d+`, "127.0.0.1:PORT"}, {`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, "TIME"}, {`2/2 +\d+`, "2/2 PID"}, {`(?m)^ +`, ""}, {` +`, " "},
	} {
		shown = regexp.MustCompile(r.pattern).ReplaceAllString(shown, r.text)
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("ls (-want +got):\n%s\n%s", diff, out)
	}

	_, out, _ = asked(ls, "-json")
	var services []listed
	if err := json.Unmarshal([]byte(out), &services); err != nil || len(services) != 1 {
		t.Fatalf("ls -json: %v\n%s", err, out)
	}
	s := d.state()
	wantListed := listed{
		Name: "shop-in-test", Pipeline: "test", Address: d.url(), Running: true, Keeper: s.Keeper.PID, Front: s.Front.PID,
		Releases: []listedRelease{{ID: "v1", Version: "v1", Stable: true, Weight: 95 * target.OnePercent}, {ID: "v2", Version: "v2", Weight: 5 * target.OnePercent}},
	}
	if diff := cmp.Diff(wantListed, services[0], cmpopts.IgnoreFields(listed{}, "Since", "Metrics"), cmpopts.IgnoreFields(listedRelease{}, "Address", "Created", "Replicas")); diff != "" {
		t.Errorf("ls -json (-want +got):\n%s", diff)
	}
	if strings.Contains(out, s.Token) {
		t.Error("ls -json tells the token")
	}
	for i, rep := range services[0].Releases[1].Replicas {
		if !rep.Ready || rep.PID != s.Releases[1].Replicas[i].Proc.PID {
			t.Errorf("replica %d: %+v", i, rep)
		}
	}
	if _, metrics := get(t, services[0].Metrics); !strings.Contains(metrics, "runner_local_requests_total") {
		t.Errorf("the metrics are not at %s", services[0].Metrics)
	}

	code, out, errs = asked(logsOf, "-n", "1", "shop-in", "v2")
	if code != 0 || strings.Count(out, "==> v2, replica") != 2 || !strings.Contains(out, "this is v2, replica 1 of v2") {
		t.Errorf("logs: %d %s %s", code, out, errs)
	}
	if code, _, errs := asked(logsOf, "shop-in-test", "v9"); code != 1 || !strings.Contains(errs, "no such release") {
		t.Errorf("logs of an unknown release: %d %s", code, errs)
	}
	for _, args := range [][]string{{}, {"a", "b", "c"}, {"-n", "x"}} {
		if code, _, errs := asked(logsOf, args...); code != exitUsage {
			t.Errorf("logs %q: %d %s", args, code, errs)
		}
	}

	for _, args := range [][]string{{}, {"-all", "shop-in-test"}, {"-unknown"}} {
		if code, _, errs := asked(stopIt, args...); code != exitUsage || errs == "" {
			t.Errorf("stop %q: %d %s", args, code, errs)
		}
	}
	if code, _, errs := asked(stopIt, "nobody"); code != 1 || !strings.Contains(errs, `no service is named "nobody"`) {
		t.Errorf("stop nobody: %d %s", code, errs)
	}
	code, out, errs = asked(stopIt, "shop-in-test", "shop-in-test")
	if code != 0 || out != "stopped shop-in-test\n" || errs != "" {
		t.Errorf("stop: %d %q %q", code, out, errs)
	}
	if s.Keeper.Alive() || s.Front.Alive() {
		t.Error("processes of the service are still there")
	}
	for name, id := range replicas(s) {
		if id.Alive() {
			t.Errorf("replica %s is still there", name)
		}
	}
	if _, err := os.Stat(string(d.dir)); !os.IsNotExist(err) {
		t.Errorf("the service's folder is still there: %v", err)
	}
}

func TestStopAll(t *testing.T) {
	a, b := deploy(t, nil), deploy(t, nil)
	a.first("v1")
	b.first("v1")
	code, out, errs := asked(stopIt, "-all")
	if code != 0 || strings.Count(out, "stopped ") != 2 || errs != "" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestListSaysWhatIsWrong(t *testing.T) {
	root := t.TempDir()
	t.Setenv("RUNNER_LOCAL_DIR", root)
	good, bad := service.At(root, "good"), service.At(root, "bad")
	for _, d := range []service.Dir{good, bad} {
		if err := d.Create(); err != nil {
			t.Fatal(err)
		}
	}
	if err := good.Save(&service.State{Format: service.Format, Name: "good", Since: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(bad), "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := asked(ls)
	if code != 1 || !strings.Contains(out, "good") || !strings.Contains(out, "not running") || !strings.Contains(errs, "damaged state of service bad") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}

func TestNamed(t *testing.T) {
	all := []service.Dir{"/x/shop", "/x/shop-eu", "/x/till"}
	for name, want := range map[string]service.Dir{"shop": "/x/shop", "shop-": "/x/shop-eu", "t": "/x/till", "s": "", "x": ""} {
		got, err := named(all, []string{name})
		if (err == nil) != (want != "") || err == nil && got[0] != want {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}
