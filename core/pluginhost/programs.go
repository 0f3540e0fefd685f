package pluginhost

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/hashicorp/go-version"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

// program is one that may be started.
type program struct {
	discover.Program
	path string
}

// programs finds the programs that the lock file names, and remembers those that
// have not changed since they were read.
type programs struct {
	lock   *lockfile.File
	places discover.Places
	log    *slog.Logger

	mu    sync.Mutex
	known map[string]*known
	// read is discover.ReadProgram when nil.
	read func(path, platform string) (discover.Program, error)
}

// known is a program that was read, or is being read: many processes that start
// at once read it once.
type known struct {
	mu sync.Mutex
	program
	ok bool
}

func (ps *programs) hashes() map[string]string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	out := map[string]string{}
	for source, k := range ps.known {
		k.mu.Lock()
		if k.ok {
			out[source] = k.Hash
		}
		k.mu.Unlock()
	}
	return out
}

// find gives the program for a source that is locked.
func (ps *programs) find(source string) (program, error) {
	k := ps.slot(source)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ok && k.Unchanged(k.path) == nil {
		return k.program, nil
	}
	found, err := ps.search(source)
	if err != nil {
		return program{}, err
	}
	k.program, k.ok = found, true
	return found, nil
}

func (ps *programs) slot(source string) *known {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	k := ps.known[source]
	if k == nil {
		k = &known{}
		if ps.known == nil {
			ps.known = map[string]*known{}
		}
		ps.known[source] = k
	}
	return k
}

func (ps *programs) search(source string) (program, error) {
	src, err := discover.ParseSource(source)
	if err != nil {
		return program{}, problem(CodeSource, "Invalid plugin source", "%v.", err)
	}
	entry := ps.lock.Plugin(source)
	want := entry.Hash(ps.places.Platform)
	locked, err := version.NewSemver(entry.Version)
	if err != nil {
		return program{}, problem(CodeLockedVersion, "Invalid locked version", "The lock file has version %q for the plugin %s.", entry.Version, source)
	}
	candidates, looks := ps.places.Find(src)
	read := ps.read
	if read == nil {
		read = discover.ReadProgram
	}
	var wrong []string
	var changed *option
	for _, c := range candidates {
		if c.Version != nil && !c.Version.Equal(locked) {
			continue
		}
		prog, err := read(c.Path, ps.places.Platform)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("  - %s %v\n", c.Path, err))
			continue
		case c.Override:
			if prog.Hash != want {
				ps.log.Warn("an overridden plugin has changed since runner init; run it again when the plugin's components changed", "plugin", source, "program", c.Path)
			}
			return program{prog, c.Path}, nil
		case prog.Hash == want:
			return program{prog, c.Path}, nil
		case changed == nil:
			changed = &option{Candidate: c, program: prog}
		}
	}
	switch {
	case want == "":
		return program{}, problem(CodeNotInitialized, "Plugin not initialized for this platform",
			"The lock file has the plugin %s for %s, and this is %s. Run:\n\n  runner init", source, platforms(entry), ps.places.Platform)
	case changed != nil:
		return program{}, changedProgram(src, entry.Version, want, *changed)
	case len(wrong) > 0:
		return program{}, problem(CodeNotAProgram, "File is not a program",
			"For version %s of the plugin %s there is no program that can be run:\n\n%s", entry.Version, source, strings.Join(wrong, ""))
	}
	return program{}, problem(CodeNotFound, "Plugin not found",
		"The program of the plugin %s %s is not here. Looked in:\n\n%s\nPut it into one of these places, or name its folder with -plugin-dir.", source, entry.Version, discover.DescribeLooks(looks))
}

func platforms(p *lockfile.Plugin) string {
	var names []string
	for _, h := range p.Hashes {
		platform, _, _ := strings.Cut(h, ":")
		names = append(names, platform)
	}
	if names == nil {
		return "no platform"
	}
	return strings.Join(names, ", ")
}
