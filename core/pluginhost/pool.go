package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

const (
	defaultStopGrace        = 5 * time.Second
	defaultConfigureTimeout = time.Minute
)

// PoolConfig says what a pool may run.
type PoolConfig struct {
	Requirements []Requirement
	Lock         *lockfile.File
	Places       discover.Places
	SchemaDir    string
	// Dir is the working directory of the processes.
	Dir string
	// LookupEnv reads the host's environment; os.LookupEnv when nil.
	LookupEnv func(string) (string, bool)
	// Call is told to Configure; it names run and pipeline.
	Call call.Call
	// Alive is handed on to every process; may be nil.
	Alive *lock.Alive
	// Certificate of the host; made when nil.
	Certificate *host.Certificate
	Log         *slog.Logger
	// Launch is Start when nil.
	Launch Launch
	// StopGrace is how long a process may take to end by itself; 5 s when 0.
	StopGrace time.Duration
	// ConfigureTimeout is how long a process may take to get ready; 1 min when 0.
	ConfigureTimeout time.Duration
}

// Spec asks for the process of one plugin configuration.
type Spec struct {
	// Plugin is the local name in required_plugins.
	Plugin string
	// Alias of the plugin block; empty for the one without.
	Alias string
	// Config of the plugin block, wholly known. Nil starts a process that is not
	// configured: it can describe and validate only.
	Config *value.Value
	// Environment are variables that the pipeline's plugin block grants, beyond
	// those of the lock file.
	Environment []string
}

// key tells processes apart. The configuration may hold secrets, so that only its
// digest is kept.
func (s Spec) key() string {
	h := sha256.New()
	for _, part := range append([]string{s.Plugin, s.Alias}, slices.Sorted(slices.Values(s.Environment))...) {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	if s.Config != nil {
		_, _ = fmt.Fprintf(h, "=%s", s.Config.JSON)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Pool runs one process per plugin configuration and reuses it. Its methods may be
// called at the same time; processes for different configurations start in parallel.
type Pool struct {
	cfg      PoolConfig
	programs programs
	catalog  *catalog.Catalog
	cert     func() (*host.Certificate, error)

	// starting ends with StopAll.
	starting context.Context
	stop     context.CancelFunc

	mu      sync.Mutex
	stopped bool
	slots   map[string]*slot
	members sync.WaitGroup // one for each process that runs, and each start
	all     map[*member]struct{}
}

// slot holds the process for one key.
type slot struct {
	current *member
	start   *start // under way
}

type start struct {
	done   chan struct{} // closed when member or err is set
	member *member
	err    error
}

// NewPool starts nothing yet.
func NewPool(cfg PoolConfig) *Pool {
	if cfg.LookupEnv == nil {
		cfg.LookupEnv = os.LookupEnv
	}
	if cfg.Launch == nil {
		cfg.Launch = Start
	}
	if cfg.StopGrace <= 0 {
		cfg.StopGrace = defaultStopGrace
	}
	if cfg.ConfigureTimeout <= 0 {
		cfg.ConfigureTimeout = defaultConfigureTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	required := map[string]string{}
	for _, req := range cfg.Requirements {
		required[req.Name] = req.Source
	}
	p := &Pool{
		cfg: cfg, slots: map[string]*slot{}, all: map[*member]struct{}{},
		programs: programs{lock: cfg.Lock, places: cfg.Places, log: cfg.Log},
		catalog:  catalog.New(cfg.SchemaDir, cfg.Lock, required),
		cert:     sync.OnceValues(host.NewCertificate),
	}
	if cfg.Certificate != nil {
		p.cert = func() (*host.Certificate, error) { return cfg.Certificate, nil }
	}
	p.starting, p.stop = context.WithCancel(context.Background())
	return p
}

// Get returns the process for a spec, started and configured when this is its first use
// or when the earlier one has ended. Before each launch the program's hash is compared
// with the lock file's. Calls beyond the plugin's max_parallel wait.
//
// When ctx ends first the start goes on for others. Errors that the user can mend are
// *diag.Problem.
func (p *Pool) Get(ctx context.Context, spec Spec) (host.Plugin, error) {
	key := spec.key()
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return nil, errStopped
	}
	s := p.slots[key]
	if s == nil {
		s = &slot{}
		p.slots[key] = s
	}
	if m := s.current; m != nil && m.usable() {
		p.mu.Unlock()
		return m, nil
	}
	st := s.start
	if st == nil {
		st = &start{done: make(chan struct{})}
		s.current, s.start = nil, st
		p.members.Add(1)
		go p.fill(s, spec)
	}
	p.mu.Unlock()
	select {
	case <-st.done:
		if st.err != nil {
			return nil, st.err
		}
		return st.member, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fill starts the process for a slot.
func (p *Pool) fill(s *slot, spec Spec) {
	defer p.members.Done()
	m, err := p.begin(p.starting, spec)
	p.mu.Lock()
	st := s.start
	s.current, s.start = m, nil
	if m != nil {
		p.all[m] = struct{}{}
		p.members.Add(1)
		go func() {
			defer p.members.Done()
			<-m.Done()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.all, m)
		}()
	}
	stopped := p.stopped
	p.mu.Unlock()
	if stopped {
		if m != nil {
			m.Stop(p.cfg.StopGrace)
		}
		m, err = nil, errStopped
	}
	st.member, st.err = m, err
	close(st.done)
}

// begin starts and configures one process.
func (p *Pool) begin(ctx context.Context, spec Spec) (*member, error) {
	source, about, err := p.catalog.Plugin(spec.Plugin)
	if err != nil {
		return nil, err
	}
	entry := p.cfg.Lock.Plugin(source)
	var wanted []string
	for _, e := range about.EnvWanted {
		wanted = append(wanted, e.Name)
	}
	granted := slices.Concat(entry.Env, spec.Environment)
	if missing := without(wanted, granted); len(missing) > 0 {
		return nil, moreEnv(source, missing, about.EnvWanted)
	}
	program, err := p.programs.find(source)
	if err != nil {
		return nil, err
	}
	cert, err := p.cert()
	if err != nil {
		return nil, fmt.Errorf("start plugin %q: %w", spec.Plugin, err)
	}
	name := spec.Plugin
	if spec.Alias != "" {
		name += "." + spec.Alias
	}
	cfg := host.Config{
		Name: name, Command: []string{program.path}, Dir: p.cfg.Dir, Env: environment(p.cfg.LookupEnv, granted),
		Certificate: cert, Log: p.cfg.Log.With("plugin", name),
	}
	if p.cfg.Alive != nil {
		cfg.Alive = p.cfg.Alive.File()
	}
	raw, err := launch(ctx, p.cfg.Launch, cfg, program.Program)
	if err != nil {
		return nil, err
	}
	if proc, ok := raw.(interface{ PID() int }); ok && p.cfg.Alive != nil {
		if err := p.cfg.Alive.Note(strings.TrimSuffix(filepath.Base(program.path), ".exe"), proc.PID()); err != nil {
			p.cfg.Log.Warn("the liveness lock could not be written", "error", err)
		}
	}
	if spec.Config != nil {
		c := p.cfg.Call
		c.Attempt = 1
		limited, cancel := context.WithTimeout(ctx, p.cfg.ConfigureTimeout)
		defer cancel()
		if err := raw.Configure(limited, c, *spec.Config); err != nil {
			raw.Stop(stopTime)
			if ctx.Err() == nil && limited.Err() != nil {
				return nil, diag.Retryable(problem(CodeHangs, "Plugin does not get ready", "The plugin %q was given its configuration and did not answer within %s. Its process was ended, and nothing was done with it. RUNNER_LOG=debug shows what it says meanwhile.", name, p.cfg.ConfigureTimeout))
			}
			return nil, err
		}
	}
	return newMember(name, raw, about.MaxParallel), nil
}

// Quarantine takes a process that hangs out of use: the next Get starts another. It is
// stopped when its other calls have ended, at the latest after grace; without grace
// it is stopped only then. What is not from this pool is ignored.
func (p *Pool) Quarantine(plugin host.Plugin, grace time.Duration) {
	m, ok := plugin.(*member)
	if !ok {
		return
	}
	p.mu.Lock()
	_, mine := p.all[m]
	p.mu.Unlock()
	if !mine || !m.quarantine() {
		return
	}
	p.cfg.Log.Warn("a plugin process hangs and is taken out of use", "plugin", m.name)
	go func() {
		var late <-chan time.Time
		if grace > 0 {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-m.idle:
			p.letLateCallers(m, late)
		case <-late:
		case <-m.Done():
		case <-p.starting.Done(): // StopAll stops it
			return
		}
		m.Stop(p.cfg.StopGrace)
	}()
}

// lateMoment is how long a process must have had no call before it is stopped.
const lateMoment = 200 * time.Millisecond

// letLateCallers waits for those who got the process before it was taken out of use
// and had not called yet. A process that is being stopped would keep them waiting
// until it is killed.
func (p *Pool) letLateCallers(m *member, late <-chan time.Time) {
	for {
		begun := m.quiet()
		select {
		case <-time.After(lateMoment):
		case <-late:
			return
		case <-m.Done():
			return
		case <-p.starting.Done():
			return
		}
		if begun >= 0 && m.quiet() == begun {
			return
		}
	}
}

// Hashes of the programs launched so far, by source: what the run used.
func (p *Pool) Hashes() map[string]string { return p.programs.hashes() }

// StopAll stops every process, in parallel, and waits. Get fails afterwards.
func (p *Pool) StopAll() { p.stopAll(p.cfg.StopGrace) }

// Kill is StopAll without patience. It may be called while StopAll waits.
func (p *Pool) Kill() { p.stopAll(0) }

func (p *Pool) stopAll(grace time.Duration) {
	p.mu.Lock()
	p.stopped = true
	var running []*member
	for m := range p.all {
		running = append(running, m)
	}
	p.mu.Unlock()
	p.stop()
	var wg sync.WaitGroup
	for _, m := range running {
		wg.Go(func() { m.Stop(grace) })
	}
	wg.Wait()
	p.members.Wait()
}
