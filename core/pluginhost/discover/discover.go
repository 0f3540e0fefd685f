// Package discover finds the programs of plugins on this machine. It reads the
// user's settings and the folders they name, and runs nothing: LoadSettings,
// DefaultPlaces, then Find for each source.
package discover

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/hashicorp/go-version"
)

// Environment variables that say where plugins lie.
const (
	EnvPluginDir = "RUNNER_PLUGIN_DIR"
	EnvCacheDir  = "RUNNER_PLUGIN_CACHE_DIR"
	EnvSettings  = "RUNNER_CLI_CONFIG_FILE"
)

// ownNamespace is that of the plugins in the folder beside the runner's binary.
const ownNamespace = "runner"

// Source is where a plugin comes from: namespace/name.
type Source struct {
	Namespace string
	Name      string
}

var sourceForm = regexp.MustCompile(`^([a-z0-9][a-z0-9_-]*)/([a-z0-9][a-z0-9-]*)$`)

// ParseSource reads namespace/name: small letters, digits and hyphens.
func ParseSource(s string) (Source, error) {
	m := sourceForm.FindStringSubmatch(s)
	if m == nil {
		return Source{}, fmt.Errorf("%q is not a source: it is written namespace/name, such as runner/local, in small letters, digits and hyphens", s)
	}
	return Source{Namespace: m[1], Name: m[2]}, nil
}

func (s Source) String() string { return s.Namespace + "/" + s.Name }

// Platform of this program, such as linux_amd64.
func Platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

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
func DefaultPlaces(settings *Settings, lookupEnv func(string) (string, bool)) Places {
	p := Places{Settings: settings, Platform: Platform()}
	p.PluginDir, _ = lookupEnv(EnvPluginDir)
	var ok bool
	if p.CacheDir, ok = lookupEnv(EnvCacheDir); !ok {
		if dir, err := os.UserCacheDir(); err == nil {
			p.CacheDir = filepath.Join(dir, "runner", "plugins")
		}
	}
	if exe, err := os.Executable(); err == nil {
		if resolved, err := filepath.EvalSymlinks(exe); err == nil {
			exe = resolved
		}
		p.ExeDir = filepath.Dir(exe)
	}
	return p
}

// Candidate is a program that may be the plugin.
type Candidate struct {
	// Path is absolute.
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
	// Found says what was there, such as "no such folder".
	Found string
}

// Find lists the programs for a source in the order of preference, and where it
// looked. A plugin with an override is looked for nowhere else.
func (p Places) Find(s Source) ([]Candidate, []Look) {
	f := finder{source: s, platform: p.Platform}
	if path, ok := p.Settings.override(s); ok {
		f.override(path)
		return f.candidates, f.looks
	}
	if p.PluginDir != "" {
		f.folder("plugin directory", p.PluginDir, true)
	}
	for _, m := range p.Settings.mirrors() {
		if m.serves(s) {
			f.folder("mirror", m.Path, true)
		} else {
			f.looks = append(f.looks, Look{"mirror", m.Path, "excluded by " + p.Settings.File})
		}
	}
	if p.CacheDir != "" {
		f.folder("cache", p.CacheDir, true)
	}
	if p.ExeDir != "" {
		f.folder("beside the runner", p.ExeDir, s.Namespace == ownNamespace)
	}
	return f.candidates, f.looks
}

// DescribeLooks lists where was looked, one indented line for each place.
func DescribeLooks(looks []Look) string {
	var b strings.Builder
	for _, l := range looks {
		fmt.Fprintf(&b, "  - %s, %s: %s\n", l.Where, l.Path, l.Found)
	}
	return b.String()
}

// finder collects what one search finds.
type finder struct {
	source     Source
	platform   string
	candidates []Candidate
	looks      []Look
}

// override takes a program, or the one in a folder.
func (f *finder) override(path string) {
	const where = "dev_overrides"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		f.looks = append(f.looks, Look{where, path, reason(err)})
		return
	case info.IsDir():
		before := len(f.candidates)
		f.folder(where, path, true)
		// Which of several is meant cannot be told; the plainest name comes first.
		if len(f.candidates) > before {
			f.candidates = f.candidates[:before+1]
			f.candidates[before].Override, f.candidates[before].Version = true, nil
		}
		return
	}
	f.looks = append(f.looks, Look{where, path, "a program"})
	f.candidates = append(f.candidates, Candidate{Path: absolute(path), Where: where, Override: true})
}

// folder looks in DIR/namespace/name and, when flat, in DIR itself.
func (f *finder) folder(where, dir string, flat bool) {
	dir = absolute(dir)
	inner := filepath.Join(dir, f.source.Namespace, f.source.Name)
	_, missing := os.Stat(inner)
	if missing == nil || !flat {
		f.files(where, inner)
	}
	if flat {
		f.files(where, dir)
	}
}

func (f *finder) files(where, dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.looks = append(f.looks, Look{where, dir, reason(err)})
		return
	}
	var found []string
	for _, e := range entries {
		name, ok := parseFileName(e.Name())
		if !ok || name.plugin != f.source.Name {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		switch {
		case err != nil:
			found = append(found, e.Name()+": "+reason(err))
			continue
		case !info.Mode().IsRegular():
			found = append(found, e.Name()+" is not a file")
			continue
		case name.platform != "" && name.platform != f.platform:
			found = append(found, e.Name()+" is for another platform than "+f.platform)
			continue
		}
		found = append(found, e.Name())
		f.candidates = append(f.candidates, Candidate{Path: filepath.Join(dir, e.Name()), Version: name.version, Where: where})
	}
	if found == nil {
		found = []string{fmt.Sprintf("no %s%s", filePrefix, f.source.Name)}
	}
	f.looks = append(f.looks, Look{where, dir, strings.Join(found, ", ")})
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// reason is an error without the path, which stands beside it.
func reason(err error) string {
	switch {
	case os.IsNotExist(err):
		return "does not exist"
	case os.IsPermission(err):
		return "may not be read"
	}
	return err.Error()
}
