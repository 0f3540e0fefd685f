package pluginhost_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/action"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// The plugins of these tests are the test binary, started through small scripts: so
// every one has a name, a version and bytes of its own.
const envPlugin = "PLUGINHOST_TEST_PLUGIN"

// plugin is what such a script makes of the test binary.
type plugin struct {
	Name        string
	Version     string
	Env         []string
	MaxParallel int
	Actions     []string
	// Instead is a line for the shell to run instead.
	Instead string `json:"-"`
	// Comment changes nothing but the bytes.
	Comment string `json:"-"`
}

func TestMain(m *testing.M) {
	text, ok := os.LookupEnv(envPlugin)
	if !ok {
		os.Exit(m.Run())
	}
	var p plugin
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	out := sdk.Plugin{
		Name: p.Name, Version: p.Version, MaxParallel: p.MaxParallel,
		Config:  func() sdk.Configurer { return &block{} },
		Env:     map[string]string{},
		Actions: map[string]func() action.Action{},
	}
	for _, name := range p.Env {
		out.Env[name] = "for the tests"
	}
	for _, name := range append(p.Actions, "probe") {
		out.Actions[name] = func() action.Action { return &probe{} }
	}
	sdk.Serve(out)
}

// block is the plugin block.
type block struct {
	Token string `hcl:"token,optional"`
	Fail  string `hcl:"fail,optional"`
}

var token string

func (b *block) Configure() error {
	token = b.Token
	if b.Token == "hang" {
		select {}
	}
	if _, err := os.Stat(b.Fail); b.Fail != "" && err == nil {
		return diag.New("Not ready", "The file %s is there.", b.Fail)
	}
	return nil
}

// probe says what it sees, or holds the line until the test lets it go.
type probe struct {
	Hold string `hcl:"hold,optional"`
}

type seen struct {
	PID   int64             `hcl:"pid"`
	Env   map[string]string `hcl:"env"`
	Dir   string            `hcl:"dir"`
	Token string            `hcl:"token"`
}

func (p *probe) Outputs() any { return seen{} }

func (p *probe) Run(ctx context.Context, req *action.Request) (action.Result, error) {
	if p.Hold != "" {
		conn, err := net.Dial("tcp", p.Hold)
		if err != nil {
			return action.Result{}, err
		}
		defer conn.Close()
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			return action.Result{}, err
		}
	}
	s := seen{PID: int64(os.Getpid()), Env: map[string]string{}, Token: token}
	s.Dir, _ = os.Getwd()
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		s.Env[name] = value
	}
	return action.Result{Outputs: s}, nil
}

// write puts the plugin into a folder under the name and returns its path.
func (p plugin) write(t testing.TB, dir, name string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the plugins of these tests are shell scripts")
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The race detector's runtime sleeps a second at the end of a process unless told not to.
	script := fmt.Sprintf("#!/bin/sh\n# %s\n%s\nGORACE=atexit_sleep_ms=0 %s='%s' exec '%s' \"$@\"\n", p.Comment, p.Instead, envPlugin, text, exe)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	// Written by a process that no other test's plugin is forked from: a file that is
	// open for writing anywhere cannot be started.
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `cat > "$0.new" && chmod 755 "$0.new" && mv -f "$0.new" "$0"`, path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// world is a pipeline's folder with places for plugins.
type world struct {
	dir    string
	opts   pluginhost.Options
	places *discover.Places
}

func newWorld(t testing.TB) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{dir: dir, opts: pluginhost.Options{
		SchemaDir: filepath.Join(dir, ".runner", "schemas"),
		Places: discover.Places{
			Settings:  &discover.Settings{File: "config.hcl"},
			PluginDir: filepath.Join(dir, "plugins"),
			ExeDir:    filepath.Join(dir, "bin"),
			Platform:  discover.Platform(),
		},
	}}
	w.places = &w.opts.Places
	return w
}

// long is a file name with version and platform.
func long(name, version, platform string) string {
	return fmt.Sprintf("runner-plugin-%s_v%s_x1.0_%s", name, version, platform)
}

func need(name, constraint string) pluginhost.Requirement {
	return pluginhost.Requirement{
		Name: name, Source: "runner/" + name, Constraint: constraint,
		Range: hcl.Range{Filename: "pipeline.hcl", Start: hcl.Pos{Line: 3, Column: 5}, End: hcl.Pos{Line: 3, Column: 9}},
	}
}

// wantError fails unless there is exactly one error, with code and text, at a place.
func wantError(t *testing.T, diags hcl.Diagnostics, code string, says ...string) {
	t.Helper()
	errs := diags.Errs()
	if len(errs) != 1 {
		t.Fatalf("%d errors: %v", len(errs), diags)
	}
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if d.Extra != code || d.Subject == nil || d.Subject.Start.Line != 3 {
			t.Errorf("the error has code %v, want %s, at %v:\n%s\n%s", d.Extra, code, d.Subject, d.Summary, d.Detail)
		}
		for _, s := range says {
			if !strings.Contains(d.Summary+"\n"+d.Detail, s) {
				t.Errorf("the error does not say %q:\n%s\n%s", s, d.Summary, d.Detail)
			}
		}
	}
}

func noDiags(t testing.TB, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		t.Fatalf("%s: %s", d.Summary, d.Detail)
	}
}
