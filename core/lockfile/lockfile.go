// Package lockfile reads and writes .runner.lock.hcl: which plugins a pipeline
// uses, the exact programs by hash, what they serve, and which environment
// variables they may see. People review it, so that it is kept in version control.
package lockfile

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// Name of the file, in the pipeline's folder.
const Name = ".runner.lock.hcl"

// File is the whole lock file.
type File struct {
	// Plugins are sorted by source.
	Plugins []*Plugin
}

// Plugin is one locked plugin.
type Plugin struct {
	// Source is namespace/name.
	Source  string
	Version string
	// Constraints are those that the version was chosen by.
	Constraints string
	// Protocol is the negotiated protocol version.
	Protocol int
	// Hashes are of the program, one per platform: linux_amd64:sha256:….
	Hashes []string
	// About is the digest of the cached description of the plugin itself.
	About string
	// Env are the environment variables that the plugin may see.
	Env        []string
	Components []Component
}

// Component is one thing that the plugin serves.
type Component struct {
	Name string
	Kind schema.Kind
	// Schema is the digest of its cached description.
	Schema string
}

// Load reads the file at path. A missing file is an empty File.
func Load(path string) (*File, hcl.Diagnostics) { panic("") }

// Parse reads a lock file from memory; name is for messages.
func Parse(name string, src []byte) (*File, hcl.Diagnostics) { panic("") }

// Bytes is the file as text; equal files give equal bytes.
func (f *File) Bytes() []byte { panic("") }

// Save writes the file, whole or not at all. When nothing changed it writes nothing.
func (f *File) Save(path string) error { panic("") }

// Plugin finds a plugin by source; nil when it is not locked.
func (f *File) Plugin(source string) *Plugin { panic("") }

// Hash is the hash of the program for a platform such as linux_amd64, without the
// platform; empty when there is none.
func (p *Plugin) Hash(platform string) string { panic("") }
