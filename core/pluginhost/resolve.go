package pluginhost

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Options of Resolve.
type Options struct {
	Places discover.Places
	// SchemaDir is .runner/schemas.
	SchemaDir string
	// Upgrade chooses the newest versions and accepts changed programs and more
	// environment variables.
	Upgrade bool
	// Certificate of the host; made when nil.
	Certificate *host.Certificate
	// Launch is Start when nil.
	Launch Launch
	// Log receives the plugins' own log lines; may be nil.
	Log *slog.Logger
}

// Selection is a plugin that was chosen.
type Selection struct {
	Requirement
	discover.Candidate
	// Hash of the program.
	Hash        string
	Description *host.Description
	Change      Change
	// NewEnv are environment variables that the plugin may see from now on.
	NewEnv []string
}

// Change is how a selection differs from what was locked before.
type Change string

const (
	Unchanged Change = ""
	Added     Change = "added"
	Changed   Change = "changed"
)

// Resolution is what Resolve has chosen.
type Resolution struct {
	// Lock is the new lock file.
	Lock *lockfile.File
	// Dev locks the overridden plugins.
	Dev        *lockfile.File
	Selections []Selection
}

// Save writes the lock file at path, and what is locked for overridden plugins in the
// state folder.
func (r *Resolution) Save(path, stateDir string) error {
	if err := r.Lock.Save(path); err != nil {
		return err
	}
	dev := filepath.Join(stateDir, DevLockName)
	if old, diags := lockfile.Load(dev); len(r.Dev.Plugins) == 0 && len(old.Plugins) == 0 && !diags.HasErrors() {
		return nil
	}
	return r.Dev.Save(dev)
}

// maxLaunches bounds how many plugins are asked at the same time.
const maxLaunches = 8

// Resolve chooses a program for every requirement, asks each what it serves and fills
// the schema cache. A locked version is kept as long as it satisfies the constraint;
// else, and with Upgrade, the newest that does is chosen. old is not changed. With
// errors the Resolution is nil.
func Resolve(ctx context.Context, reqs []Requirement, old *lockfile.File, opts Options) (*Resolution, hcl.Diagnostics) {
	r := &resolver{Options: opts, old: old}
	if diags := r.prepare(reqs); diags.HasErrors() {
		return nil, diags
	}
	type result struct {
		selection Selection
		entry     *lockfile.Plugin
		diags     hcl.Diagnostics
	}
	results := make([]result, len(reqs))
	turns := make(chan struct{}, maxLaunches)
	var wg sync.WaitGroup
	for i, req := range reqs {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			out := &results[i]
			out.selection, out.entry, out.diags = r.resolve(ctx, req)
		})
	}
	wg.Wait()
	out := &Resolution{Lock: &lockfile.File{}, Dev: &lockfile.File{}}
	var diags hcl.Diagnostics
	for _, res := range results {
		diags = append(diags, res.diags...)
		if res.entry == nil {
			continue
		}
		out.Selections = append(out.Selections, res.selection)
		if !res.selection.Override {
			out.Lock.Plugins = append(out.Lock.Plugins, res.entry)
			continue
		}
		out.Dev.Plugins = append(out.Dev.Plugins, res.entry)
		if p := old.Plugin(res.entry.Source); p != nil {
			out.Lock.Plugins = append(out.Lock.Plugins, p.Clone())
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return out, diags
}

type resolver struct {
	Options
	old *lockfile.File
}

// prepare fills in defaults and refuses a source that is required twice.
func (r *resolver) prepare(reqs []Requirement) hcl.Diagnostics {
	if r.Launch == nil {
		r.Launch = Start
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	if r.Certificate == nil {
		var err error
		if r.Certificate, err = host.NewCertificate(); err != nil {
			return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Certificate cannot be made", Detail: err.Error()}}
		}
	}
	var diags hcl.Diagnostics
	names := map[string]string{}
	for _, req := range reqs {
		if first, ok := names[req.Source]; ok {
			diags = append(diags, req.diagnose(problem(CodeSource, "Plugin is required twice",
				"%q and %q have the same source %s. One entry is enough: an alias makes a second configuration.", first, req.Name, req.Source))...)
		}
		names[req.Source] = req.Name
	}
	return diags
}

// option is a program that could be chosen.
type option struct {
	discover.Candidate
	program     discover.Program
	description *host.Description
}

// resolve chooses for one requirement; entry is nil when diags has errors.
func (r *resolver) resolve(ctx context.Context, req Requirement) (Selection, *lockfile.Plugin, hcl.Diagnostics) {
	src, constraints, diags := req.parse()
	if diags.HasErrors() {
		return Selection{}, nil, diags
	}
	candidates, looks := r.Places.Find(src)
	if len(candidates) == 0 {
		return Selection{}, nil, req.diagnose(problem(CodeNotFound, "Plugin not found",
			"There is no program for the plugin %s. Looked in:\n\n%s\nPut the program into one of these places, or name its folder with -plugin-dir.", src, discover.DescribeLooks(looks)))
	}
	locked := r.old.Plugin(src.String())
	var chosen option
	var err error
	if candidates[0].Override {
		diags = append(diags, overridden(src, r.Places.Settings))
		chosen = option{Candidate: candidates[0]}
		err = r.describe(ctx, src, &chosen)
		locked = nil
	} else {
		if r.Upgrade {
			chosen, err = r.newest(ctx, src, constraints, candidates, req)
		} else if locked != nil {
			chosen, err = r.lockedOne(ctx, src, locked, constraints, candidates, looks, req)
		} else {
			chosen, err = r.newest(ctx, src, constraints, candidates, req)
		}
	}
	if err != nil {
		return Selection{}, nil, append(diags, req.diagnose(err)...)
	}
	sel, entry, err := r.lock(src, req, chosen, locked)
	if err != nil {
		return Selection{}, nil, append(diags, req.diagnose(err)...)
	}
	return sel, entry, diags
}

// lockedOne finds the program that the lock file names.
func (r *resolver) lockedOne(ctx context.Context, src discover.Source, locked *lockfile.Plugin, constraints version.Constraints, candidates []discover.Candidate, looks []discover.Look, req Requirement) (option, error) {
	if err := outside(locked, constraints, req); err != nil {
		return option{}, err
	}
	want, hash := version.Must(version.NewSemver(locked.Version)), locked.Hash(r.Places.Platform)
	var changed, usable []option
	var problems []string
	for _, c := range candidates {
		if c.Version != nil && !c.Version.Equal(want) {
			continue
		}
		prog, err := discover.ReadProgram(c.Path, r.Places.Platform)
		if err != nil {
			problems = append(problems, fmt.Sprintf("  - %s %v\n", c.Path, err))
			continue
		}
		o := option{Candidate: c, program: prog}
		if prog.Hash == hash {
			return o, r.describe(ctx, src, &o)
		}
		if c.Version == nil { // it may be another version altogether
			if err := r.describe(ctx, src, &o); err != nil {
				return option{}, err
			}
			if o.description.Version != locked.Version {
				continue
			}
		}
		if hash == "" {
			usable = append(usable, o)
		} else {
			changed = append(changed, o)
		}
	}
	switch {
	case len(usable) > 0:
		return usable[0], r.describe(ctx, src, &usable[0])
	case len(changed) > 0:
		return option{}, changedProgram(src, locked.Version, hash, changed[0])
	case len(problems) > 0:
		return option{}, problem(CodeNotAProgram, "File is not a program", "For version %s of the plugin %s there is no program that can be run:\n\n%s", locked.Version, src, strings.Join(problems, ""))
	}
	return option{}, problem(CodeNotFound, "Locked version not found",
		"The lock file has version %s of the plugin %s, and that version is not here. Looked in:\n\n%s\nPut its program into one of these places; or, to choose another version, run:\n\n  runner init -upgrade",
		locked.Version, src, discover.DescribeLooks(looks))
}

func changedProgram(src discover.Source, locked, want string, found option) error {
	return problem(CodeChanged, "Plugin program was changed",
		"The program of the plugin %s %s is not the one that was locked.\n\n  program  %s\n  locked   %s\n  found    %s\n\nIt was built again, or somebody replaced it. If you know why and trust it, run:\n\n  runner init -upgrade",
		src, locked, found.Path, want, found.program.Hash)
}

// newest finds the newest version that satisfies the constraint; of equal ones
// the first in the order of places.
func (r *resolver) newest(ctx context.Context, src discover.Source, constraints version.Constraints, candidates []discover.Candidate, req Requirement) (option, error) {
	var best *option
	var bestVersion *version.Version
	var others, problems []string
	for _, c := range candidates {
		o := option{Candidate: c}
		v := c.Version
		if v == nil {
			if err := r.describe(ctx, src, &o); err != nil {
				if len(candidates) == 1 {
					return option{}, err
				}
				problems = append(problems, fmt.Sprintf("  - %s: %v\n", c.Path, err))
				continue
			}
			v = version.Must(version.NewSemver(o.description.Version))
		}
		if !satisfies(constraints, v) {
			others = append(others, fmt.Sprintf("  - %s, %s: %s\n", c.Where, c.Path, v))
			continue
		}
		if best == nil || v.GreaterThan(bestVersion) {
			best, bestVersion = &o, v
		}
	}
	if best == nil {
		return option{}, problem(CodeNoVersion, "No version satisfies the constraint",
			"The pipeline asks for %q of the plugin %s. Found were:\n\n%s", req.Constraint, src, strings.Join(append(others, problems...), ""))
	}
	return *best, r.describe(ctx, src, best)
}

// describe reads the program and asks it what it serves, unless both was done.
func (r *resolver) describe(ctx context.Context, src discover.Source, o *option) error {
	if o.description != nil {
		return nil
	}
	if o.program == (discover.Program{}) {
		var err error
		if o.program, err = discover.ReadProgram(o.Path, r.Places.Platform); err != nil {
			return problem(CodeNotAProgram, "File is not a program", "For the plugin %s there is %s, but it %v.", src, o.Path, err)
		}
	}
	p, err := launch(ctx, r.Launch, host.Config{
		Name: src.Name, Command: []string{o.Path}, Dir: filepath.Dir(o.Path), Env: baseEnv(),
		Certificate: r.Certificate, Log: r.Log,
	}, o.program)
	if err != nil {
		return err
	}
	defer p.Stop(stopTime)
	d, err := p.Describe(ctx)
	if err != nil {
		return err
	}
	if d.Name != src.Name {
		return problem(CodeMisnamed, "Plugin has another name", "The program %s was taken for the plugin %s, but says that it is %q. Correct the source in required_plugins, or the name of the file.", o.Path, src, d.Name)
	}
	v, err := version.NewSemver(d.Version)
	if err != nil {
		return problem(CodeMisnamed, "Plugin has no version", "The plugin %s says that its version is %q, which is not a semantic version such as 1.2.3. This is a mistake in the plugin.", src, d.Version)
	}
	if o.Version != nil && !o.Version.Equal(v) {
		return problem(CodeMisnamed, "Plugin has another version", "The name of the file %s says version %s, the plugin itself says %s. Take the program from where it was released.", o.Path, o.Version, v)
	}
	o.description = d
	return nil
}

// lock makes the entry of the lock file.
func (r *resolver) lock(src discover.Source, req Requirement, o option, locked *lockfile.Plugin) (Selection, *lockfile.Plugin, error) {
	entry, err := catalog.LockEntry(o.description)
	if err != nil {
		return Selection{}, nil, problem(CodeMisnamed, "Plugin describes itself wrongly", "The plugin %s: %v. This is a mistake in the plugin.", src, err)
	}
	entry.Source, entry.Constraints = src.String(), req.Constraint
	entry.Hashes = []string{r.Places.Platform + ":" + o.program.Hash}
	sel := Selection{Requirement: req, Candidate: o.Candidate, Hash: o.program.Hash, Description: o.description, NewEnv: entry.Env}
	if locked == nil {
		sel.Change = Added
	} else {
		sel.NewEnv = without(entry.Env, locked.Env)
		if err := r.compare(src, o, entry, locked, sel.NewEnv); err != nil {
			return Selection{}, nil, err
		}
		if sameRelease(entry, locked) {
			entry.Hashes = append(entry.Hashes, otherPlatforms(locked.Hashes, r.Places.Platform)...)
		}
		slices.Sort(entry.Hashes)
		if before, after := (&lockfile.File{Plugins: []*lockfile.Plugin{locked}}), (&lockfile.File{Plugins: []*lockfile.Plugin{entry}}); string(before.Bytes()) != string(after.Bytes()) {
			sel.Change = Changed
		}
	}
	if _, err := catalog.Store(r.SchemaDir, o.description); err != nil {
		return Selection{}, nil, err
	}
	return sel, entry, nil
}

// compare refuses what needs -upgrade: more environment variables, and another
// program for a further platform.
func (r *resolver) compare(src discover.Source, o option, entry, locked *lockfile.Plugin, newEnv []string) error {
	if r.Upgrade {
		return nil
	}
	if len(newEnv) > 0 {
		return moreEnv(src.String(), newEnv, o.description.EnvWanted)
	}
	if hash := locked.Hash(r.Places.Platform); hash == "" && !sameRelease(entry, locked) {
		return problem(CodeChanged, "Plugin differs between platforms",
			"The lock file has the plugin %s %s for other platforms, and the program found for %s, %s, offers something else under the same version. If you know why and trust it, run:\n\n  runner init -upgrade",
			src, locked.Version, r.Places.Platform, o.Path)
	}
	return nil
}

func moreEnv(source string, names []string, wanted []host.EnvVar) error {
	var list strings.Builder
	for _, w := range wanted {
		if slices.Contains(names, w.Name) {
			fmt.Fprintf(&list, "  - %s: %s\n", w.Name, w.Doc)
		}
	}
	return problem(CodeEnvironment, "Plugin wants more of the environment",
		"The plugin %s wants to see environment variables that the lock file does not grant:\n\n%s\nTo grant them, run:\n\n  runner init -upgrade", source, list.String())
}

// sameRelease: both entries speak of the same version that offers the same.
func sameRelease(a, b *lockfile.Plugin) bool {
	return a.Version == b.Version && a.About == b.About && slices.Equal(sortedComponents(a), sortedComponents(b))
}

func sortedComponents(p *lockfile.Plugin) []lockfile.Component {
	return slices.SortedFunc(slices.Values(p.Components), func(a, b lockfile.Component) int { return strings.Compare(a.Name, b.Name) })
}

func otherPlatforms(hashes []string, platform string) []string {
	return slices.DeleteFunc(slices.Clone(hashes), func(h string) bool { return strings.HasPrefix(h, platform+":") })
}

func without(list, remove []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(remove, s) })
}
