// Package discover finds the programs of plugins on this machine. It reads
// the user's settings and the folders they name, and runs nothing.
package discover

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
)

// Source is where a plugin comes from: namespace/name.
type Source struct {
	Namespace string
	Name      string
}

// ParseSource reads namespace/name: lower case letters, digits, - and _.
func ParseSource(s string) (Source, error) { panic("") }

func (s Source) String() string { return s.Namespace + "/" + s.Name }

// Settings is the user's own configuration of the runner.
type Settings struct {
	// DevOverrides are programs, or folders with one, by source.
	DevOverrides map[Source]string
	Mirrors      []Mirror
	// File is where the settings were read; empty when there is none.
	File string
}

// Mirror is one folder with plugins.
type Mirror struct {
	Path string
	// Include and Exclude are patterns such as runner/* or */*; no Include
	// means all.
	Include []string
	Exclude []string
}

// LoadSettings reads the settings file: the one named by RUNNER_CLI_CONFIG_FILE,
// else runner/config.hcl in XDG_CONFIG_HOME or ~/.config. Without a file the
// settings are empty.
func LoadSettings(lookupEnv func(string) (string, bool)) (*Settings, hcl.Diagnostics) { panic("") }

// Places are the folders where plugins may lie.
type Places struct {
	Settings *Settings
	// PluginDir is given by -plugin-dir or RUNNER_PLUGIN_DIR; may be empty.
	PluginDir string
	// CacheDir may be empty.
	CacheDir string
	// ExeDir is the folder of the runner's own binary; may be empty.
	ExeDir string
	// Platform is as Platform() gives it.
	Platform string
}

// DefaultPlaces reads RUNNER_PLUGIN_DIR, RUNNER_PLUGIN_CACHE_DIR and the place of
// this program.
func DefaultPlaces(settings *Settings, lookupEnv func(string) (string, bool)) Places { panic("") }

// Platform of this program, such as linux_amd64.
func Platform() string { panic("") }

// Candidate is a program that may be the plugin.
type Candidate struct {
	Path string
	// Version from the file's name; nil when the name has none.
	Version *version.Version
	// Where says which place it was found in, for people.
	Where string
	// Override: from dev_overrides, and so bound to no version and no hash.
	Override bool
}

// Look is a place that was searched, for messages.
type Look struct {
	Where string
	Path  string
	// Found says what was there, such as "no such folder" or
	// "only for darwin_arm64".
	Found string
}

// Find lists the programs for a source in the order of preference, and where it
// looked.
func (p Places) Find(s Source) ([]Candidate, []Look) { panic("") }

// NotFoundDetail lists where was looked, one place a line, for a diagnostic.
func NotFoundDetail(s Source, looks []Look) string {
	var b strings.Builder
	for _, l := range looks {
		fmt.Fprintf(&b, "  - %s %s: %s\n", l.Where, l.Path, l.Found)
	}
	return b.String()
}

// HashFile is the SHA-256 of a program in the lock file's form, sha256:….
func HashFile(path string) (string, error) { panic("") }
