package sdktest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/value"
)

// Config is the body of a block: attributes by name, nested blocks as Config or
// []Config, durations as strings. What is left out has its default.
type Config map[string]any

// Invalid is a configuration that must be refused.
type Invalid struct {
	Config Config
	// At is the path of the attribute that must be blamed, such as steps[1].
	At string
}

// Subject is the component under test and samples of its configuration.
type Subject struct {
	// Plugin is what to serve. It may be left empty when the suite has a New.
	Plugin sdk.Plugin
	// Command starts a program instead, in any language: its path and arguments.
	Command []string
	// Component is its name in the plugin. It may be left empty when there is
	// only one of the kind.
	Component string
	// PluginConfig is the plugin block; used when the plugin takes one.
	PluginConfig Config
	// Env is the environment of the plugin; it gets nothing else.
	Env []string

	// Valid configurations must be accepted. The first one is used wherever one
	// is needed. At least one is needed, unless the empty one is valid.
	Valid []Config
	// Invalid configurations must be refused.
	Invalid []Invalid

	shared *shared
}

// shared is the process that the checks of one suite use in turn.
type shared struct {
	outer T
	p     *Started
}

// Share lets Use give the same process to all checks inside t.
func (s Subject) Share(t T) Subject {
	s.shared = &shared{outer: t}
	return s
}

// Use is Start, or what an earlier check has started, if it still lives.
func (s Subject) Use(t T, kind schema.Kind) *Started {
	t.Helper()
	if s.shared == nil {
		return s.Start(t, kind)
	}
	if s.shared.p != nil {
		select {
		case <-s.shared.p.Done():
		default:
			return s.shared.p
		}
	}
	s.shared.p = s.start(t, s.shared.outer, kind)
	return s.shared.p
}

// envServe tells a test binary to be the plugin of the test that it names.
const envServe = "RUNNER_SDKTEST_SERVE"

// InTest makes the test binary itself the plugin's program, unless there is a
// Command: it is started again for this test alone, and where the suite is
// reached there it serves. TestMain, and what the test does before the suite, run
// in both, and must print nothing.
func (s Subject) InTest(t *testing.T) Subject {
	if len(s.Command) > 0 {
		return s
	}
	if os.Getenv(envServe) == t.Name() && handshake.Launched(os.Getenv) {
		if err := os.Unsetenv(envServe); err != nil {
			t.Fatal(err)
		}
		sdk.Serve(s.Plugin)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(t.Name(), "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	s.Command = []string{exe, "-test.run=" + strings.Join(parts, "/"), "-test.count=1", "-test.v=false"}
	// The second is for binaries built with the race detector, which else sleep
	// for a second before they exit.
	s.Env = append(s.Env[:len(s.Env):len(s.Env)], envServe+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	return s
}

var certificate = sync.OnceValues(host.NewCertificate)

// Started is a running plugin with the component under test.
type Started struct {
	*host.Process
	Description *host.Description
	Component   *host.Component
	log         *output
}

// output collects what the process logs, for the message of a failed check.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.b.Len() > 64<<10 {
		o.b.Reset()
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start starts and configures the plugin, and stops it when the check ends.
func (s Subject) Start(t T, kind schema.Kind) *Started {
	t.Helper()
	return s.start(t, t, kind)
}

// start stops the plugin when owner ends.
func (s Subject) start(t, owner T, kind schema.Kind) *Started {
	t.Helper()
	if len(s.Command) == 0 {
		t.Fatalf("the subject has no command")
	}
	cert, err := certificate()
	if err != nil {
		t.Fatalf("%v", err)
	}
	log := &output{}
	p, err := host.Start(t.Context(), host.Config{
		Name: "under test", Command: s.Command, Env: s.Env, Certificate: cert, CancelGrace: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatalf("the plugin does not start: %v", err)
	}
	owner.Cleanup(func() { p.Stop(500 * time.Millisecond) })
	started := &Started{Process: p, log: log}
	if started.Description, err = p.Describe(t.Context()); err != nil {
		t.Fatalf("describe: %v", err)
	}
	var names []string
	for i := range started.Description.Components {
		c := &started.Description.Components[i]
		if c.Kind == kind && (s.Component == "" || s.Component == c.Name) {
			names = append(names, c.Name)
			started.Component = c
		}
	}
	if len(names) != 1 {
		t.Fatalf("the plugin serves the components %q of kind %s; the subject must name one of them", names, kind)
	}
	if cfg := started.Description.Config; cfg != nil {
		v, diags := cfg.Complete(s.PluginConfig.value(t))
		if diags.HasErrors() {
			t.Fatalf("the sample of the plugin block is not what its schema says: %v", diags.Err())
		}
		if err := p.Configure(t.Context(), call.Call{Key: NewKey()}, v); err != nil {
			t.Fatalf("configure: %v", err)
		}
	}
	return started
}

func (c Config) value(t T) value.Value {
	t.Helper()
	if c == nil {
		return value.Empty()
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatalf("the sample cannot be written as JSON: %v", err)
	}
	return value.Value{JSON: b}
}

// First is the configuration to use where one is needed.
func (s Subject) First() Config {
	if len(s.Valid) == 0 {
		return nil
	}
	return s.Valid[0]
}

// All is every valid configuration, at least the empty one.
func (s Subject) All() []Config {
	if len(s.Valid) == 0 {
		return []Config{nil}
	}
	return s.Valid
}

// Value completes a sample with the defaults of the component's schema.
func (s *Started) Value(t T, c Config) value.Value {
	t.Helper()
	v, diags := s.Component.Config.Complete(c.value(t))
	if diags.HasErrors() {
		t.Fatalf("the sample %s is not what the schema says: %v", v.JSON, diags.Err())
	}
	return v
}

// withoutNetwork wraps a command so that it runs where there is no network. The
// reason says why that is not possible.
func withoutNetwork(command []string) (wrapped []string, reason string) {
	if runtime.GOOS != "linux" {
		return nil, "there are no network namespaces on " + runtime.GOOS
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return nil, "the program unshare is not installed"
	}
	for _, flags := range [][]string{{"-n"}, {"-r", "-n"}} {
		if exec.Command(unshare, append(flags, "--", "true")...).Run() == nil {
			return append(append([]string{unshare}, append(flags, "--")...), command...), ""
		}
	}
	return nil, "this user may not make network namespaces"
}

// WithoutNetwork is the subject where there is no network; the reason says why
// that is not possible.
func (s Subject) WithoutNetwork() (Subject, string) {
	wrapped, reason := withoutNetwork(s.Command)
	s.Command = wrapped
	return s, reason
}
