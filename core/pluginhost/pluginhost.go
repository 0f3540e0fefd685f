// Package pluginhost turns required_plugins into running processes: Resolve
// chooses programs and fills the lock file for runner init, NewPool starts them
// and keeps them for a run. Where programs lie is discover's business, what they
// serve catalog's.
package pluginhost

import (
	"context"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Requirement is one entry of required_plugins.
type Requirement struct {
	// Name is the local name.
	Name       string
	Source     string
	Constraint string
	// Range of the entry in the pipeline file.
	Range hcl.Range
}

// Launch starts a process; Start is the real one.
type Launch func(ctx context.Context, cfg host.Config) (host.Plugin, error)

// Options of Resolve.
type Options struct {
	Places discover.Places
	// SchemaDir is .runner/schemas.
	SchemaDir string
	// Upgrade chooses the newest versions and accepts changed programs and more
	// environment variables.
	Upgrade bool
	// Certificate of the host.
	Certificate *host.Certificate
	Launch      Launch
}

// Selection is a plugin that was chosen.
type Selection struct {
	Requirement
	discover.Candidate
	// Hash of the program.
	Hash        string
	Description *host.Description
	// Change against the lock file before: "" (none), "added", "changed".
	Change string
}

// Resolve chooses a program for every requirement, asks each what it serves,
// fills the schema cache, and returns the new lock file. old is not changed.
// Overridden plugins are locked without hashes, with a warning.
func Resolve(ctx context.Context, reqs []Requirement, old *lockfile.File, opts Options) (*lockfile.File, []Selection, hcl.Diagnostics) {
	panic("")
}

// Outdated says what is wrong between requirements and lock file, such as a
// plugin that is not locked or a version outside the constraint; each asks for
// runner init. It starts nothing and reads no program.
func Outdated(reqs []Requirement, lock *lockfile.File) hcl.Diagnostics { panic("") }
