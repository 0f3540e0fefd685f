//go:build unix

package pluginhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// pool initializes the plugin and makes a pool for it; change may be nil.
func (w *world) pool(t testing.TB, p plugin, change func(*pluginhost.PoolConfig)) *pluginhost.Pool {
	t.Helper()
	p.write(t, w.places.PluginDir, "runner-plugin-"+p.Name)
	cfg := pluginhost.PoolConfig{
		Requirements: []pluginhost.Requirement{need(p.Name, "")},
		Lock:         w.resolve(t, &lockfile.File{}, need(p.Name, "")).Lock,
		Places:       *w.places,
		SchemaDir:    w.opts.SchemaDir,
		Dir:          w.dir,
		LookupEnv:    env(nil),
		StopGrace:    time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	pool := pluginhost.NewPool(cfg)
	t.Cleanup(pool.StopAll)
	return pool
}

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

func get(t testing.TB, pool *pluginhost.Pool, spec pluginhost.Spec) host.Plugin {
	t.Helper()
	p, err := pool.Get(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func configured(alias, token string) pluginhost.Spec {
	text, _ := json.Marshal(map[string]string{"token": token})
	return pluginhost.Spec{Plugin: "one", Alias: alias, Config: &value.Value{JSON: text}}
}

var plain = configured("", "")

// silent drops what happens during an operation.
type silent struct{}

func (silent) Log(host.Line)            {}
func (silent) Progress(int, string)     {}
func (silent) Handle(call.Handle) error { return nil }

type probed struct {
	PID   int
	Env   map[string]string
	Dir   string
	Token string
}

// run has the plugin look round; hold is where it waits first, or empty.
func run(ctx context.Context, p host.Plugin, hold string) (probed, error) {
	config, _ := json.Marshal(map[string]string{"hold": hold})
	out, err := p.RunAction(ctx, call.Call{Key: "5b0f7f9e-0000-4000-8000-000000000001", Attempt: 1}, "probe", value.Value{JSON: config}, nil, silent{})
	var got probed
	if err == nil {
		err = json.Unmarshal(out.Outputs.JSON, &got)
	}
	return got, err
}

func look(t testing.TB, p host.Plugin) probed {
	t.Helper()
	got, err := run(t.Context(), p, "")
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// gate holds operations: each connects, and goes on when its connection is let go.
type gate struct{ net.Listener }

func newGate(t *testing.T) gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return gate{l}
}

// arrived waits for an operation and returns how to let it go.
func (g gate) arrived(t *testing.T) (release func()) {
	t.Helper()
	_ = g.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	conn, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		_, _ = conn.Write([]byte("go\n"))
		_ = conn.Close()
	}
}

func ended(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s has not ended", what)
	}
}

func wantProblem(t *testing.T, err error, code string, says ...string) {
	t.Helper()
	var p *diag.Problem
	if !errors.As(err, &p) || len(p.Diagnostics) != 1 || p.Diagnostics[0].Code != code {
		t.Fatalf("error is %v, want a problem with code %s", err, code)
	}
	for _, s := range says {
		if !strings.Contains(p.Diagnostics[0].Detail, s) {
			t.Errorf("the error does not say %q: %s", s, p.Diagnostics[0].Detail)
		}
	}
}

func TestOneProcessPerConfiguration(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	specs := []pluginhost.Spec{plain, configured("other", ""), configured("", "a"), configured("prod", "a")}
	pids := make([]map[int]bool, len(specs))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, spec := range specs {
		pids[i] = map[int]bool{}
		for range 5 {
			wg.Go(func() {
				p, err := pool.Get(t.Context(), spec)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := run(t.Context(), p, "")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				pids[i][got.PID] = true
				if want := map[bool]string{true: "a"}[i >= 2]; got.Token != want || got.Dir != w.dir {
					t.Errorf("spec %d: token %q, want %q; folder %s, want %s", i, got.Token, want, got.Dir, w.dir)
				}
			})
		}
	}
	wg.Wait()
	all := map[int]bool{}
	for i := range pids {
		if len(pids[i]) != 1 {
			t.Errorf("spec %d was served by the processes %v", i, slices.Collect(maps.Keys(pids[i])))
		}
		maps.Copy(all, pids[i])
	}
	if len(all) != len(specs) {
		t.Errorf("%d specs were served by %d processes", len(specs), len(all))
	}
	if h := pool.Hashes(); len(h) != 1 || !strings.HasPrefix(h["runner/one"], "sha256:") {
		t.Errorf("hashes are %v", h)
	}
}

func TestWithoutConfigurationAProcessOnlyValidates(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	p := get(t, pool, pluginhost.Spec{Plugin: "one"})
	if diags, err := p.Validate(t.Context(), schema.KindAction, "probe", value.Empty()); err != nil || diags != nil {
		t.Errorf("Validate: %v, %v", diags, err)
	}
	if _, err := run(t.Context(), p, ""); err == nil {
		t.Error("an operation succeeded")
	}
	if again := get(t, pool, pluginhost.Spec{Plugin: "one"}); again != p {
		t.Error("another process was started")
	}
}

func TestAPluginSeesOnlyWhatIsGranted(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0", Env: []string{"WANTED", "ABSENT"}}, func(cfg *pluginhost.PoolConfig) {
		cfg.LookupEnv = env(map[string]string{"WANTED": "w", "EXTRA": "e", "HOME": "/root", "PATH": "/bin", "SECRET": "s"})
	})
	// Some are the shell's, some the plugin protocol's own.
	own := func(vars map[string]string) map[string]string {
		out := map[string]string{}
		for _, name := range []string{"WANTED", "ABSENT", "EXTRA", "HOME", "SECRET"} {
			if v, ok := vars[name]; ok {
				out[name] = v
			}
		}
		return out
	}
	if diff := cmp.Diff(map[string]string{"WANTED": "w"}, own(look(t, get(t, pool, plain)).Env)); diff != "" {
		t.Errorf("environment differs (-want +got):\n%s", diff)
	}
	spec := plain
	spec.Environment = []string{"EXTRA"}
	if diff := cmp.Diff(map[string]string{"WANTED": "w", "EXTRA": "e"}, own(look(t, get(t, pool, spec)).Env)); diff != "" {
		t.Errorf("with more granted the environment differs (-want +got):\n%s", diff)
	}
}

func TestWithoutConsentNothingStarts(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0", Env: []string{"HOME", "TOKEN"}}, func(cfg *pluginhost.PoolConfig) {
		cfg.Lock.Plugins[0].Env = []string{"HOME"} // the reviewer took one out
	})
	_, err := pool.Get(t.Context(), plain)
	wantProblem(t, err, pluginhost.CodeEnvironment, "  - TOKEN: for the tests", "runner init -upgrade")
	spec := plain
	spec.Environment = []string{"TOKEN"}
	get(t, pool, spec) // the pipeline grants it
}

func TestAFailedConfigurationIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, nil)
	flag := filepath.Join(w.dir, "not-ready")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(map[string]string{"fail": flag})
	spec := pluginhost.Spec{Plugin: "one", Config: &value.Value{JSON: text}}
	_, err := pool.Get(t.Context(), spec)
	if p := diag.Of(err); p == nil || p.Diagnostics[0].Summary != "Not ready" {
		t.Fatalf("Get: %v", err)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	look(t, get(t, pool, spec))
}

// How turns are kept is tested beside them; here, that the plugin's word reaches them.
func TestAPluginThatNeverGetsReadyIsLeft(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "1.0.0"}, func(cfg *pluginhost.PoolConfig) { cfg.ConfigureTimeout = 200 * time.Millisecond })
	_, err := pool.Get(t.Context(), configured("", "hang"))
	p := diag.Of(err)
	if p == nil || p.Diagnostics[0].Code != pluginhost.CodeHangs || p.Retry != diag.Safe {
		t.Errorf("got %v", err)
	}
	look(t, get(t, pool, configured("", "fine")))
}

func TestMaxParallelIsWhatThePluginSays(t *testing.T) {
	w := newWorld(t)
	pool := w.pool(t, plugin{Name: "one", Version: "0.1.0", MaxParallel: 1}, nil)
	gate := newGate(t)
	p := get(t, pool, plain)
	result := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), p, gate.Addr().String())
		result <- err
	}()
	release := gate.arrived(t)
	// The only turn is taken: a call without time gets none, where it would be done at once.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Validate(ctx, schema.KindAction, "probe", value.Empty()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second call: %v", err)
	}
	release()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if _, err := p.Validate(t.Context(), schema.KindAction, "probe", value.Empty()); err != nil {
		t.Errorf("a call after the first: %v", err)
	}
}

func TestEveryLaunchVerifiesTheProgram(t *testing.T) {
	w := newWorld(t)
	p := plugin{Name: "one", Version: "0.1.0"}
	pool := w.pool(t, p, nil)
	get(t, pool, plain)
	p.Comment = "replaced"
	p.write(t, w.places.PluginDir, "runner-plugin-one")
	_, err := pool.Get(t.Context(), configured("", "another process"))
	wantProblem(t, err, pluginhost.CodeChanged, "not the one that was locked")
	look(t, get(t, pool, plain)) // the one that runs is still the locked one
	// The right program somewhere else is found.
	p.Comment = ""
	p.write(t, w.places.ExeDir, "runner-plugin-one")
	look(t, get(t, pool, configured("", "another process")))
}

func TestAProgramReplacedWhileItStartsIsNotUsed(t *testing.T) {
	w := newWorld(t)
	p := plugin{Name: "one", Version: "0.1.0"}
	var started host.Plugin
	pool := w.pool(t, p, func(cfg *pluginhost.PoolConfig) {
		cfg.Launch = func(ctx context.Context, c host.Config) (host.Plugin, error) {
			p.Comment = "replaced"
			p.write(t, w.places.PluginDir, "runner-plugin-one")
			var err error
			started, err = pluginhost.Start(ctx, c)
			return started, err
		}
	})
	_, err := pool.Get(t.Context(), plain)
	wantProblem(t, err, pluginhost.CodeChanged, "its program was replaced")
	ended(t, "the process of the replaced program", started.Done())
}

func TestWhatIsMissingIsExplained(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*testing.T, *world, *pluginhost.PoolConfig)
		spec   pluginhost.Spec
		code   string
		says   []string
	}{
		"an unknown plugin": {nil, pluginhost.Spec{Plugin: "onne"}, "unknown_plugin", []string{`Did you mean "one"?`}},
		"not locked": {func(_ *testing.T, _ *world, cfg *pluginhost.PoolConfig) { cfg.Lock = &lockfile.File{} },
			plain, "not_initialized", []string{"runner init"}},
		"no schemas": {func(t *testing.T, w *world, _ *pluginhost.PoolConfig) {
			if err := os.RemoveAll(w.opts.SchemaDir); err != nil {
				t.Fatal(err)
			}
		}, plain, "not_initialized", []string{"runner init", "schemas"}},
		"no program": {func(t *testing.T, w *world, _ *pluginhost.PoolConfig) {
			if err := os.RemoveAll(w.places.PluginDir); err != nil {
				t.Fatal(err)
			}
		}, plain, pluginhost.CodeNotFound, []string{"Looked in:", "plugin directory"}},
		"another platform": {func(_ *testing.T, _ *world, cfg *pluginhost.PoolConfig) {
			cfg.Lock.Plugins[0].Hashes = []string{"plan9_386:sha256:" + strings.Repeat("7", 64)}
		}, plain, pluginhost.CodeNotInitialized, []string{"for plan9_386, and this is " + platform}},
		"a page": {func(t *testing.T, w *world, _ *pluginhost.PoolConfig) {
			if err := os.WriteFile(filepath.Join(w.places.PluginDir, "runner-plugin-one"), []byte("<html>"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, plain, pluginhost.CodeNotAProgram, []string{"is a web page"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pool := w.pool(t, plugin{Name: "one", Version: "0.1.0"}, func(cfg *pluginhost.PoolConfig) {
				if tc.change != nil {
					tc.change(t, w, cfg)
				}
			})
			_, err := pool.Get(t.Context(), tc.spec)
			wantProblem(t, err, tc.code, tc.says...)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	w := newWorld(b)
	pool := w.pool(b, plugin{Name: "one", Version: "0.1.0"}, nil)
	spec := configured("", "t")
	get(b, pool, spec)
	b.ReportAllocs()
	for b.Loop() {
		get(b, pool, spec)
	}
}
