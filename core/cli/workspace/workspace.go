// Package workspace opens what commands work on: the pipeline that the working
// directory belongs to, its lock file, its state, its plugins.
package workspace

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/artifact"
	"github.com/runner-pipelines/runner/core/cli/ci"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/lang"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/scope"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
	"github.com/runner-pipelines/runner/sdk/call"
)

// DataDirEnv names the environment variable that moves .runner elsewhere.
const DataDirEnv = "RUNNER_DATA_DIR"

// Workspace is one pipeline on this machine.
type Workspace struct {
	Env      *command.Env
	Pipeline *config.Pipeline
	// Dir is the pipeline's directory, Data its .runner.
	Dir, Data string
	Lock      *lockfile.File
	// illegible: the lock file has mistakes, so that Lock may lack plugins.
	illegible bool
	settings  *discover.Settings
	Catalog   *catalog.Catalog
	Redactor  *redact.Redactor

	// What follows is set by OpenState.
	Store store.Store
	Key   *seal.Key
	Runs  *runs.Index
}

// Check finds the mistakes that only evaluation shows, beside those that Open
// found. It starts no plugin.
func (w *Workspace) Check(vars, files []string) hcl.Diagnostics {
	if w.Pipeline.Incomplete || w.Catalog == nil {
		return nil
	}
	if diags := w.Initialised(); diags.HasErrors() {
		if w.illegible {
			return nil // what was said about the lock file is why
		}
		return diags
	}
	_, diags, err := w.Program(vars, files)
	if err != nil {
		return hcl.Diagnostics{diagnostics.Error(hcl.Range{}, "Variable file cannot be read", "%s.", err)}
	}
	return diags
}

// Program is the pipeline without its plugins: variables that have no value are
// unknown. The error is that of a variable file.
func (w *Workspace) Program(vars, files []string) (*program.Program, hcl.Diagnostics, error) {
	values, err := w.Values(vars, files)
	if err != nil {
		return nil, nil, err
	}
	p, diags := program.New(w.Pipeline, program.Options{
		Catalog: w.Catalog, Values: values, World: w.World(), Redactor: w.Redactor, AllowMissing: true,
	})
	return p, diags, nil
}

// Ready opens the pipeline for a command that carries it out: with any mistake
// all of them are shown, and the error ends the command.
func Ready(env *command.Env, vars, files []string) (*Workspace, error) {
	w, diags := Open(env)
	if diags.HasErrors() {
		diags = append(diags, w.Check(vars, files)...)
	}
	return w, w.Show(env.Stderr, diags)
}

// Open reads the pipeline and its lock file.
func Open(env *command.Env) (*Workspace, hcl.Diagnostics) {
	p, diags := config.Load(env.Dir, config.Options{Version: env.Version})
	w := &Workspace{Env: env, Pipeline: p, Dir: p.Dir, Redactor: redact.New()}
	w.Data = filepath.Join(w.Dir, ".runner")
	if d := env.Getenv(DataDirEnv); d != "" {
		w.Data = absolute(env.Dir, d)
	}
	if p.Incomplete || w.Dir == "" {
		return w, diags
	}
	set, more := discover.LoadSettings(env.LookupEnv)
	diags = append(diags, more...)
	lock, more := pluginhost.LoadLock(w.LockPath(), w.Data, set)
	w.illegible = more.HasErrors()
	diags = append(diags, more...)
	if lock == nil {
		lock = &lockfile.File{}
	}
	w.Lock, w.settings = lock, set
	w.Catalog = catalog.New(w.SchemaDir(), lock, Required(p))
	return w, diags
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// OpenRuns finds the pipeline's directory and opens its state. The files need
// not be right: runs keep their own.
func OpenRuns(ctx context.Context, env *command.Env) (*Workspace, error) {
	w, diags := Open(env)
	if w.Dir == "" {
		return nil, w.Show(env.Stderr, diags)
	}
	return w, w.OpenState(ctx)
}

// Required maps local names to sources.
func Required(p *config.Pipeline) map[string]string {
	out := map[string]string{}
	for _, r := range p.Runner.RequiredPlugins {
		out[r.Name] = r.Source
	}
	return out
}

// Requirements are the entries of required_plugins.
func Requirements(p *config.Pipeline) []pluginhost.Requirement {
	var out []pluginhost.Requirement
	for _, r := range p.Runner.RequiredPlugins {
		out = append(out, pluginhost.Requirement{Name: r.Name, Source: r.Source, Constraint: r.VersionText, Range: r.Range})
	}
	return out
}

// SchemaDir is where descriptions of plugins are kept.
func (w *Workspace) SchemaDir() string { return filepath.Join(w.Data, "schemas") }

// HeadDir is where this machine remembers how far journals had come.
func (w *Workspace) HeadDir() string { return filepath.Join(w.Data, "heads") }

// ArtifactDir is where artifacts are kept.
func (w *Workspace) ArtifactDir() string { return filepath.Join(w.Data, "artifacts") }

// SpoolDir is where runs record what the state does not take.
func (w *Workspace) SpoolDir() string { return filepath.Join(w.Data, "spool") }

// Places are where programs of plugins may lie.
func (w *Workspace) Places(pluginDir string) discover.Places {
	if pluginDir == "" {
		pluginDir = w.Env.Getenv("RUNNER_PLUGIN_DIR")
	}
	if pluginDir != "" {
		pluginDir = absolute(w.Env.Dir, pluginDir)
	}
	return discover.Places{
		Settings: w.settings, PluginDir: pluginDir, CacheDir: w.Env.Getenv("RUNNER_PLUGIN_CACHE_DIR"),
		ExeDir: w.Env.ExeDir, Platform: discover.Platform(),
	}
}

// LockPath is where the lock file lies.
func (w *Workspace) LockPath() string { return filepath.Join(w.Dir, lockfile.Name) }

// Initialised says what is wrong between pipeline and lock file.
func (w *Workspace) Initialised() hcl.Diagnostics {
	return pluginhost.Outdated(Requirements(w.Pipeline), w.Lock)
}

// HasState reports whether there is a state to open; OpenState makes one where
// there is none.
func (w *Workspace) HasState() bool {
	_, err := os.Stat(w.statePath())
	return err == nil
}

func (w *Workspace) statePath() string { return filepath.Join(w.Data, "state.db") }

// OpenState opens store and state key.
func (w *Workspace) OpenState(ctx context.Context) error {
	if w.Store != nil {
		return nil
	}
	if err := os.MkdirAll(w.Data, 0o700); err != nil {
		return err
	}
	path := w.statePath()
	if err := w.NotLost(path); err != nil {
		return err
	}
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	key, err := seal.Load(w.Data, w.Env.LookupEnv)
	if err != nil {
		_ = s.Close()
		return err
	}
	w.Store, w.Key = s, key
	if wrap := w.Env.WrapStore; wrap != nil {
		w.Store = wrap(s)
	}
	w.Runs = runs.New(w.Store)
	return nil
}

// LostError means that there is no state where one was.
type LostError struct {
	// Path of the state file, Heads of the folder with what is remembered.
	Path, Heads string
	// Runs that were open.
	Runs []string
}

func (e *LostError) Error() string {
	return fmt.Sprintf("the state %s is gone or empty, though it had open runs: %s", e.Path, strings.Join(e.Runs, ", "))
}

// Advice is the way out, for people.
func (e *LostError) Advice() string {
	return "Put it back from a copy, with its -wal file. To begin anew without these runs, look at what they left standing, and move this away:\n  " + e.Heads
}

// NotLost makes sure that a new state is not begun in place of one that was lost: a
// file of no bytes is as good as a new one to SQLite.
func (w *Workspace) NotLost(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.Size() > 0 {
		return nil
	}
	open, err := witness.Runs(w.HeadDir())
	if err != nil || len(open) == 0 {
		return err
	}
	return &LostError{Path: path, Heads: w.HeadDir(), Runs: open}
}

// Close lets go of the state.
func (w *Workspace) Close() {
	if w.Store != nil {
		_ = w.Store.Close()
	}
}

// Artifacts is the artifact store.
func (w *Workspace) Artifacts() *artifact.Store { return artifact.Open(w.ArtifactDir()) }

// Pool is a pool of plugin processes; the caller stops it. Locked is the plan's
// lock file where there is a plan, so that a run keeps the plugins it was planned
// with.
func (w *Workspace) Pool(pluginDir string, locked *lockfile.File, alive *lock.Alive) *pluginhost.Pool {
	return pluginhost.NewPool(pluginhost.PoolConfig{
		Requirements: Requirements(w.Pipeline), Lock: locked, Places: w.Places(pluginDir), SchemaDir: w.SchemaDir(),
		Dir: w.Dir, LookupEnv: w.Env.LookupEnv, Alive: alive, Log: w.Slog(), Launch: w.Env.Launch, Call: call.Call{Pipeline: w.Pipeline.Name, Attempt: 1},
	})
}

// Slog is the log for the authors of plugins, set by RUNNER_LOG.
func (w *Workspace) Slog() *slog.Logger {
	var level slog.Level
	text := w.Env.Getenv("RUNNER_LOG")
	if text == "" || level.UnmarshalText([]byte(text)) != nil {
		if text != "trace" {
			return slog.New(slog.DiscardHandler)
		}
		level = slog.LevelDebug - 4
	}
	return slog.New(slog.NewTextHandler(w.Redactor.NewWriter(w.Env.Stderr), &slog.HandlerOptions{Level: level}))
}

// World is what expressions may see of the outside.
func (w *Workspace) World() lang.World { return lang.OS(w.Dir, w.Env.Dir, w.Env.Environ) }

// Values are where variables get their values from.
func (w *Workspace) Values(vars, files []string) (scope.Values, error) {
	auto, err := scope.AutoFiles(w.Dir)
	if err != nil {
		return scope.Values{}, err
	}
	v := scope.Values{Environ: w.Env.Environ, Files: auto, Vars: vars}
	for _, name := range files {
		b, err := regular.Read(absolute(w.Env.Dir, name), scope.MaxValues)
		if err != nil {
			return v, fmt.Errorf("reading values from %s: %w", name, err)
		}
		v.Files = append(v.Files, scope.ValuesFile{Name: name, Source: b})
	}
	return v, nil
}

// Show writes diagnostics and returns an error that ends the command when one
// of them is an error.
func (w *Workspace) Show(out io.Writer, diags hcl.Diagnostics) error {
	if len(diags) == 0 {
		return nil
	}
	var files map[string]*hcl.File
	if w.Pipeline != nil {
		files = w.Pipeline.Files
	}
	out = w.Redactor.NewWriter(out)
	if err := diagnostics.Write(out, diagnostics.Tidy(diags), files); err != nil {
		return err
	}
	if err := diagnostics.WriteMore(out, diagnostics.Tidy(diags)); err != nil {
		return err
	}
	if service := display.Service(w.Env); service != nil {
		ci.Mark(out, service, diags, display.Place(w.Env, w.Dir))
	}
	if diags.HasErrors() {
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}
