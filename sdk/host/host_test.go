package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/value"
)

// The test binary is also the plugin, and the host that is killed.
const envRole = "HOST_TEST_ROLE"

var roles = map[string]func(){"plugin": fake.Main, "liar": serveLiar}

func TestMain(m *testing.M) {
	if play, ok := roles[os.Getenv(envRole)]; ok {
		play()
	}
	os.Exit(m.Run())
}

var certificate = sync.OnceValues(host.NewCertificate)

// config starts the fake plugin; env is added to its environment.
func config(t testing.TB, env ...string) host.Config {
	t.Helper()
	cert, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return host.Config{
		Name: "fake", Command: []string{exe}, Dir: t.TempDir(), Env: append([]string{envRole + "=plugin", "GORACE=atexit_sleep_ms=0"}, env...),
		Certificate: cert, Log: slog.New(slog.DiscardHandler),
	}
}

// start starts and configures the fake plugin.
func start(t testing.TB, change ...func(*host.Config)) *host.Process {
	t.Helper()
	cfg := config(t)
	for _, f := range change {
		f(&cfg)
	}
	p, err := host.Start(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	if err := p.Configure(context.Background(), call.Call{}, value.Empty()); err != nil {
		t.Fatal(err)
	}
	return p
}

// object makes a configuration from pairs.
func object(t testing.TB, kv map[string]any) value.Value {
	t.Helper()
	if kv == nil {
		return value.Empty()
	}
	b, err := json.Marshal(kv)
	if err != nil {
		t.Fatal(err)
	}
	return value.Value{JSON: b}
}

// outputs reads the outputs of a fake action.
func outputs(t testing.TB, o host.Outcome) fake.Outputs {
	t.Helper()
	var out fake.Outputs
	if diags := schema.Decode(o.Outputs, &out); diags.HasErrors() {
		t.Fatalf("outputs %s: %v", o.Outputs.JSON, diags)
	}
	return out
}

// recorder keeps what a sink is told.
type recorder struct {
	mu        sync.Mutex
	lines     []host.Line
	progress  []string
	handles   []call.Handle
	handleErr error
	onLine    func(host.Line)
}

func (r *recorder) Log(l host.Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, l)
	if r.onLine != nil {
		r.onLine(l)
	}
}

func (r *recorder) Progress(percent int, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = append(r.progress, fmt.Sprintf("%d %s", percent, message))
}

func (r *recorder) Handle(h call.Handle) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handles = append(r.handles, h)
	return r.handleErr
}

// logs collects what the process's own log says.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventually polls a condition that another process makes true.
func eventually(t testing.TB, within time.Duration, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func readLines(path string) []string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func key() call.Call { return call.Call{Key: "k1", Run: "r1", Node: "stage.a", Attempt: 1} }

func TestDescribeTellsWhatIsServed(t *testing.T) {
	p := start(t)
	d, err := p.Describe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "fake" || d.Version != "1.2.3" || d.Protocol != 1 || d.SDK != "go/0.1.0" || d.Config == nil || len(d.EnvWanted) != 2 {
		t.Errorf("got %+v", d)
	}
	want := map[string]string{
		"fake_run":        "action run:once undo:convergent plan:read read:read",
		"fake_once":       "action run:once:reconcile undo:convergent:reconcile plan:read read:read",
		"fake_convergent": "action run:convergent undo:convergent plan:read read:read",
		"fake_plain":      "action run:once",
		"fake_leak":       "action run:once:reconcile undo:convergent:reconcile plan:read",
		"fake_target":     "target observe:read plan:read install:convergent set_weight:convergent settle:convergent retire:convergent scale:convergent",
		"fake_strategy":   "strategy next:read",
		"fake_metrics":    "metrics measure:read past:read",
	}
	for _, c := range d.Components {
		got := string(c.Kind)
		for _, op := range c.Operations {
			got += " " + op.Name + ":" + string(op.Class)
			if op.Reconcile {
				got += ":reconcile"
			}
		}
		if got != want[c.Name] {
			t.Errorf("%s: got %q, want %q", c.Name, got, want[c.Name])
		}
		delete(want, c.Name)
		if (c.Target != nil) != (c.Kind == schema.KindTarget) || (c.Strategy != nil) != (c.Kind == schema.KindStrategy) {
			t.Errorf("%s: target %v, strategy %v", c.Name, c.Target, c.Strategy)
		}
		switch c.Name {
		case "fake_run":
			if c.Outputs == nil || c.Doc == "" {
				t.Errorf("fake_run has no outputs or no doc: %+v", c)
			}
			if s, _ := schema.Of(fake.Options{After: time.Second}); s.Digest() != c.Config.Digest() {
				t.Error("the schema of fake_run is not what it was made from")
			}
		case "fake_plain":
			if c.Outputs != nil {
				t.Errorf("fake_plain has outputs: %+v", c.Outputs)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not served: %v", want)
	}
}

func TestStartNeedsItsConfig(t *testing.T) {
	cfg := config(t)
	for name, change := range map[string]func(*host.Config){
		"command":     func(c *host.Config) { c.Command = nil },
		"certificate": func(c *host.Config) { c.Certificate = nil },
		"log":         func(c *host.Config) { c.Log = nil },
	} {
		c := cfg
		change(&c)
		if _, err := host.Start(context.Background(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := host.Start(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestSocketsAndFilesAreGoneAfterStop(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if len(tmp) > 48 {
		// Long paths are not used for sockets; the count of files below still holds.
		t.Logf("%s is too long for sockets", tmp)
	}
	before := openFiles(t)
	for range 3 {
		p, err := host.Start(context.Background(), config(t))
		if err != nil {
			t.Fatal(err)
		}
		p.Stop(time.Second)
		select {
		case <-p.Done():
		default:
			t.Error("Stop returned before the process had ended")
		}
		p.Stop(0)
	}
	if _, err := host.Start(context.Background(), config(t, fake.EnvStart+"=exit")); err == nil {
		t.Fatal("the plugin started")
	}
	entries, err := os.ReadDir(tmp)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	eventually(t, 2*time.Second, "no file is left open", func() bool { return openFiles(t) <= before })
}

func openFiles(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("open files cannot be counted here: %v", err)
	}
	n := 0
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err == nil && !strings.HasPrefix(to, "anon_inode:") {
			n++
		}
	}
	return n
}

var _ io.Writer = (*logs)(nil)
