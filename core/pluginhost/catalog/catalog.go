// Package catalog knows what the locked plugins serve, without starting them: names
// from the lock file, schemas from the cache in .runner/schemas. Fill the cache with
// Store, then ask a Catalog by name.
package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/agext/levenshtein"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// Codes of the diagnostics of this package.
const (
	CodeUnknownPlugin    = "unknown_plugin"
	CodeUnknownComponent = "unknown_component"
	CodeWrongKind        = "component_of_another_kind"
	CodeAmbiguous        = "ambiguous_component"
	CodeNotInitialized   = "not_initialized"
)

// Catalog answers by name. Its methods may be called at the same time.
type Catalog struct {
	cache   cache
	plugins []plugin // by name

	mu         sync.Mutex
	components map[string]*host.Component // by digest
	abouts     map[string]*About          // by digest
}

// plugin is one that the pipeline requires; lock is nil when it is not locked.
type plugin struct {
	name, source string
	lock         *lockfile.Plugin
}

// New is the catalog of the plugins that a pipeline requires: local name in
// required_plugins to source. dir is the schema cache.
func New(dir string, lock *lockfile.File, required map[string]string) *Catalog {
	c := &Catalog{cache: cache{dir}, components: map[string]*host.Component{}, abouts: map[string]*About{}}
	for _, name := range slices.Sorted(maps.Keys(required)) {
		c.plugins = append(c.plugins, plugin{name, required[name], lock.Plugin(required[name])})
	}
	return c
}

// Entry is a component and the plugin that serves it.
type Entry struct {
	// Plugin is the local name in required_plugins.
	Plugin string
	Source string
	// Component is shared: it must not be changed.
	*host.Component
}

// found is a component by name, before its schema is read.
type found struct {
	plugin
	lockfile.Component
}

// Component finds a component by name, or plugin/name, among those of the given kinds;
// no kinds means any. Errors are *diag.Problem: no such component (with a
// suggestion), another kind, offered by several plugins, not initialized.
func (c *Catalog) Component(name string, kinds ...schema.Kind) (Entry, error) {
	bare, named, err := c.plugin(name)
	if err != nil {
		return Entry{}, err
	}
	var hits, others []found
	for _, p := range named {
		if p.lock == nil {
			continue
		}
		for _, comp := range p.lock.Components {
			switch {
			case comp.Name != bare:
			case len(kinds) == 0 || slices.Contains(kinds, comp.Kind):
				hits = append(hits, found{p, comp})
			default:
				others = append(others, found{p, comp})
			}
		}
	}
	switch {
	case len(hits) == 1:
		return c.entry(hits[0])
	case len(hits) > 1:
		return Entry{}, ambiguous(bare, hits)
	case len(others) > 0:
		return Entry{}, problem(CodeWrongKind, "Component of another kind",
			"%q of the plugin %q is %s, and here %s is needed.%s",
			bare, others[0].name, a(string(others[0].Kind)), oneOf(kinds), c.suggest(bare, named, kinds))
	}
	return Entry{}, c.unknown(bare, named, kinds)
}

// plugin splits plugin/name and gives the plugins to search.
func (c *Catalog) plugin(ref string) (bare string, named []plugin, err error) {
	prefix, bare, qualified := strings.Cut(ref, "/")
	if !qualified {
		return ref, c.plugins, nil
	}
	for _, p := range c.plugins {
		if p.name == prefix {
			return bare, []plugin{p}, nil
		}
	}
	return "", nil, c.unknownPlugin(prefix)
}

func (c *Catalog) unknownPlugin(name string) error {
	var names []string
	for _, p := range c.plugins {
		names = append(names, p.name)
	}
	detail := fmt.Sprintf("required_plugins declares no plugin %q.", name)
	if near := nearest(name, names); near != "" {
		detail += fmt.Sprintf(" Did you mean %q?", near)
	} else {
		detail += fmt.Sprintf(" Add it there with its source, such as %s = { source = \"runner/%s\" }, and run:\n\n  runner init", name, name)
	}
	return problem(CodeUnknownPlugin, "Unknown plugin", "%s", detail)
}

func (c *Catalog) unknown(name string, named []plugin, kinds []schema.Kind) error {
	var unlocked []string
	for _, p := range named {
		if p.lock == nil {
			unlocked = append(unlocked, fmt.Sprintf("%q", p.name))
		}
	}
	if len(unlocked) > 0 {
		return problem(CodeNotInitialized, "Plugin not initialized",
			"No plugin that is known offers %s named %q. What %s offers is not known yet. Run:\n\n  runner init",
			wanted(kinds), name, strings.Join(unlocked, " and "))
	}
	if len(c.plugins) == 0 {
		return problem(CodeUnknownComponent, "Unknown component",
			"The pipeline declares no plugins, so there is no %q. Declare the plugin that offers it in required_plugins and run:\n\n  runner init", name)
	}
	who := "No declared plugin offers"
	if len(named) == 1 {
		who = fmt.Sprintf("The plugin %q does not offer", named[0].name)
	}
	return problem(CodeUnknownComponent, "Unknown component", "%s %s named %q.%s", who, wanted(kinds), name, c.suggest(name, named, kinds))
}

// suggest is the end of a message about a name that is not there.
func (c *Catalog) suggest(name string, named []plugin, kinds []schema.Kind) string {
	var fitting []string
	for _, p := range named {
		if p.lock == nil {
			continue
		}
		for _, comp := range p.lock.Components {
			if len(kinds) == 0 || slices.Contains(kinds, comp.Kind) {
				fitting = append(fitting, comp.Name)
			}
		}
	}
	if near := nearest(name, fitting); near != "" {
		return fmt.Sprintf(" Did you mean %q?", near)
	}
	slices.Sort(fitting)
	fitting = slices.Compact(fitting)
	if len(fitting) == 0 || len(fitting) > 8 {
		return ""
	}
	return " There is " + strings.Join(fitting, ", ") + "."
}

func ambiguous(name string, hits []found) error {
	var refs, plugins []string
	for _, h := range hits {
		plugins = append(plugins, fmt.Sprintf("%q", h.name))
		refs = append(refs, "  "+h.name+"/"+name)
	}
	return problem(CodeAmbiguous, "Ambiguous component", "The plugins %s offer a component named %q. Say which one is meant:\n\n%s",
		strings.Join(plugins, " and "), name, strings.Join(refs, "\n"))
}

func (c *Catalog) entry(f found) (Entry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	comp := c.components[f.Schema]
	if comp == nil {
		comp = new(host.Component)
		if err := c.cache.load(f.Schema, comp); err != nil {
			return Entry{}, notCached(f.name, err)
		}
		c.components[f.Schema] = comp
	}
	if comp.Name != f.Name || comp.Kind != f.Kind {
		return Entry{}, notCached(f.name, fmt.Errorf("the lock file calls it %s %q, its schema %s %q", f.Kind, f.Name, comp.Kind, comp.Name))
	}
	return Entry{Plugin: f.name, Source: f.source, Component: comp}, nil
}

func notCached(name string, err error) error {
	return problem(CodeNotInitialized, "Schema cannot be read",
		"What the plugin %q offers is kept in the folder .runner, and cannot be read there: %v. To ask the plugin again:\n\n  runner init", name, err)
}

// Plugin finds a plugin by its local name. Errors are *diag.Problem.
func (c *Catalog) Plugin(name string) (source string, about *About, err error) {
	for _, p := range c.plugins {
		if p.name != name {
			continue
		}
		if p.lock == nil {
			return "", nil, problem(CodeNotInitialized, "Plugin not initialized", "The lock file does not have the plugin %q. Run:\n\n  runner init", name)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if about = c.abouts[p.lock.About]; about == nil {
			about = new(About)
			if err := c.cache.load(p.lock.About, about); err != nil {
				return "", nil, notCached(name, err)
			}
			c.abouts[p.lock.About] = about
		}
		return p.source, about, nil
	}
	return "", nil, c.unknownPlugin(name)
}

// Entries lists all components of the locked plugins, by plugin and name.
func (c *Catalog) Entries() ([]Entry, error) {
	var out []Entry
	for _, p := range c.plugins {
		if p.lock == nil {
			continue
		}
		for _, comp := range p.lock.Components {
			e, err := c.entry(found{p, comp})
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func problem(code, summary, format string, args ...any) error {
	return diag.List{{Severity: diag.Error, Code: code, Summary: summary, Detail: fmt.Sprintf(format, args...)}}.Err()
}

// nearest is the name that was probably meant; empty when none is near.
func nearest(name string, names []string) string {
	best, distance := "", max(2, len(name)/4)+1
	for _, n := range names {
		if d := levenshtein.Distance(name, n, nil); d < distance {
			best, distance = n, d
		}
	}
	return best
}

func wanted(kinds []schema.Kind) string {
	if len(kinds) == 0 {
		return "a component"
	}
	return oneOf(kinds)
}

// oneOf lists kinds: an action, a target or a scanner.
func oneOf(kinds []schema.Kind) string {
	var b strings.Builder
	for i, k := range kinds {
		switch {
		case i == 0:
		case i == len(kinds)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(a(string(k)))
	}
	return b.String()
}

func a(word string) string {
	if strings.ContainsAny(word[:min(1, len(word))], "aeiou") {
		return "an " + word
	}
	if word == string(schema.KindMetrics) {
		return "a source of metrics"
	}
	return "a " + word
}
