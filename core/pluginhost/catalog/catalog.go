// Package catalog knows what the locked plugins serve, without starting them:
// names from the lock file, schemas from the cache in .runner/schemas.
package catalog

import (
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// About is what the cache keeps of a plugin itself.
type About struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	SDK         string         `json:"sdk,omitempty"`
	Features    []string       `json:"features,omitempty"`
	MaxParallel int            `json:"max_parallel,omitempty"`
	EnvWanted   []host.EnvVar  `json:"env_wanted,omitempty"`
	Config      *schema.Schema `json:"config,omitempty"`
	Protocol    int            `json:"protocol"`
}

// Catalog answers by name. Its methods may be called at the same time.
type Catalog struct{}

// New is the catalog of the plugins that a pipeline requires: local name in
// required_plugins to source. dir is the schema cache.
func New(dir string, lock *lockfile.File, required map[string]string) *Catalog { panic("") }

// Entry is a component and the plugin that serves it.
type Entry struct {
	// Plugin is the local name in required_plugins.
	Plugin string
	Source string
	*host.Component
}

// Component finds a component by name, or plugin/name, among those of the given
// kinds; no kinds means any. Errors are *diag.Problem: no such component (with
// a suggestion), another kind, offered by several plugins, not initialised.
func (c *Catalog) Component(name string, kinds ...schema.Kind) (Entry, error) { panic("") }

// Plugin finds a plugin by its local name. Errors are *diag.Problem.
func (c *Catalog) Plugin(name string) (source string, about *About, err error) { panic("") }

// Entries lists all components, by plugin and name.
func (c *Catalog) Entries() ([]Entry, error) { panic("") }

// Store writes a description to the cache and returns its lock entry without
// version, constraints and hashes.
func Store(dir string, d *host.Description) (*lockfile.Plugin, error) { panic("") }
