package pluginhost

import (
	"context"
	"log/slog"
	"time"

	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

// PoolConfig says what a pool may run.
type PoolConfig struct {
	Requirements []Requirement
	Lock         *lockfile.File
	Places       discover.Places
	SchemaDir    string
	// Dir is the working directory of the processes.
	Dir string
	// LookupEnv reads the host's environment.
	LookupEnv func(string) (string, bool)
	// Alive is handed on to every process; may be nil.
	Alive *lock.Alive
	Log   *slog.Logger
	// Launch is Start when nil.
	Launch Launch
	// StopGrace is how long a process may take to end by itself; 5 s when 0.
	StopGrace time.Duration
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
	// Environment are variables that the pipeline's plugin block consents to,
	// beyond those of the lock file.
	Environment []string
}

// Pool runs one process per plugin configuration and reuses it. Its methods may
// be called at the same time; processes for different configurations start in parallel.
type Pool struct{}

// NewPool starts nothing yet.
func NewPool(cfg PoolConfig) *Pool { panic("") }

// Get returns the process for a spec, started and configured when this is its first
// use or when the earlier one has ended. Before each launch the program's hash is
// compared with the lock file's. Calls beyond the plugin's max_parallel wait.
//
// Errors that the user can mend are *diag.Problem.
func (p *Pool) Get(ctx context.Context, spec Spec) (host.Plugin, error) { panic("") }

// Quarantine takes a process that hangs out of use: the next Get starts another. It
// is stopped when its other calls have ended, at the latest after grace.
func (p *Pool) Quarantine(plugin host.Plugin, grace time.Duration) { panic("") }

// Hashes of the programs launched so far, by source: what the run used.
func (p *Pool) Hashes() map[string]string { panic("") }

// StopAll stops every process, in parallel, and waits. Get fails afterwards.
func (p *Pool) StopAll() { panic("") }
