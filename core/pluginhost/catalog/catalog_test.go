package catalog_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

func describe(name string, comps ...host.Component) *host.Description {
	s := schema.Schema{Attributes: []schema.Attribute{{Name: "region", Type: schema.Type{Kind: schema.String}, Default: []byte(`"eu"`)}}}
	return &host.Description{
		Name: name, Version: "1.2.3", SDK: "go/0.1.0", Features: []string{"a"}, MaxParallel: 4, Protocol: 1,
		EnvWanted: []host.EnvVar{{Name: "Z_TOKEN", Doc: "to log in"}, {Name: "A_HOME"}}, Config: &s, Components: comps,
	}
}

func component(name string, kind schema.Kind) host.Component {
	c := host.Component{
		Name: name, Kind: kind, Doc: "does <things>",
		Config: schema.Schema{
			Attributes: []schema.Attribute{
				{Name: "steps", Type: schema.ListOf(schema.Type{Kind: schema.Number}), Required: true, Known: true},
				{Name: "labels", Type: schema.MapOf(schema.Type{Kind: schema.String}), Default: []byte(`{"a":"b"}`)},
			},
			Blocks: []schema.Block{{Name: "expect", Labels: []string{"name"}, Nesting: schema.Many, Min: 1}},
		},
		Operations: []schema.Operation{{Name: "run", Class: schema.Once, Reconcile: true}},
	}
	switch kind {
	case schema.KindTarget:
		c.Target = &target.Capabilities{SideBySide: true}
	case schema.KindStrategy:
		c.Strategy = &strategy.Needs{SideBySide: true}
	}
	return c
}

// setup stores plugins and returns the lock file and the cache.
func setup(t *testing.T, ds ...*host.Description) (*lockfile.File, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "schemas")
	lock := &lockfile.File{}
	for _, d := range ds {
		p, err := catalog.Store(dir, d)
		if err != nil {
			t.Fatal(err)
		}
		p.Source = "runner/" + d.Name
		lock.Plugins = append(lock.Plugins, p)
	}
	return lock, dir
}

func TestDescriptionsComeBackAsTheyWere(t *testing.T) {
	comps := []host.Component{component("a_run", schema.KindAction), component("a_place", schema.KindTarget), component("a_way", schema.KindStrategy)}
	d := describe("a", comps...)
	lock, dir := setup(t, d)
	entry := lock.Plugins[0]
	if diff := cmp.Diff([]string{"A_HOME", "Z_TOKEN"}, entry.Env); diff != "" || entry.Version != "1.2.3" || entry.Protocol != 1 {
		t.Errorf("entry is %+v (-want +got env):\n%s", entry, diff)
	}
	again, err := catalog.LockEntry(d)
	if err != nil {
		t.Fatal(err)
	}
	again.Source = entry.Source
	if diff := cmp.Diff(entry, again); diff != "" {
		t.Errorf("equal descriptions have other digests (-first +second):\n%s", diff)
	}
	c := catalog.New(dir, lock, map[string]string{"mine": "runner/a"})
	for _, want := range comps {
		got, err := c.Component(want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(catalog.Entry{Plugin: "mine", Source: "runner/a", Component: &want}, got); diff != "" {
			t.Errorf("component differs (-want +got):\n%s", diff)
		}
	}
	source, about, err := c.Plugin("mine")
	if err != nil {
		t.Fatal(err)
	}
	want := &catalog.About{Name: "a", Version: "1.2.3", SDK: "go/0.1.0", Features: []string{"a"}, MaxParallel: 4, EnvWanted: d.EnvWanted, Config: d.Config, Protocol: 1}
	if diff := cmp.Diff(want, about); diff != "" || source != "runner/a" {
		t.Errorf("about %s differs (-want +got):\n%s", source, diff)
	}
	all, err := c.Entries()
	if err != nil || len(all) != 3 {
		t.Errorf("Entries gives %d, %v", len(all), err)
	}
}

func TestAChangedDescriptionHasAnotherDigest(t *testing.T) {
	base, err := catalog.LockEntry(describe("a", component("x", schema.KindAction)))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*host.Description){
		"a default":         func(d *host.Description) { d.Components[0].Config.Attributes[1].Default = []byte(`{}`) },
		"an operation":      func(d *host.Description) { d.Components[0].Operations[0].Class = schema.Convergent },
		"documentation":     func(d *host.Description) { d.Components[0].Doc = "" },
		"the plugin block":  func(d *host.Description) { d.Config = nil },
		"calls at a time":   func(d *host.Description) { d.MaxParallel = 5 },
		"the environment":   func(d *host.Description) { d.EnvWanted = nil },
		"a component's way": func(d *host.Description) { d.Components[0].Kind = schema.KindMetrics },
	} {
		d := describe("a", component("x", schema.KindAction))
		change(d)
		got, err := catalog.LockEntry(d)
		if err != nil {
			t.Fatal(err)
		}
		if got.About == base.About && got.Components[0].Schema == base.Components[0].Schema {
			t.Errorf("%s: the digests stay the same", name)
		}
	}
	if _, err := catalog.LockEntry(describe("a", component("x", schema.KindAction), component("x", schema.KindTarget))); err == nil {
		t.Error("two components of one name were taken")
	}
}

func TestLookups(t *testing.T) {
	lock, dir := setup(t,
		describe("canary", component("canary", schema.KindStrategy), component("blue_green", schema.KindStrategy)),
		describe("acme", component("blue_green", schema.KindStrategy), component("acme_run", schema.KindAction), component("twin", schema.KindAction)),
		describe("local", component("local_exec", schema.KindAction), component("twin", schema.KindTarget)),
	)
	c := catalog.New(dir, lock, map[string]string{"canary": "runner/canary", "ac": "runner/acme", "local": "runner/local", "new": "runner/new"})
	known := catalog.New(dir, lock, map[string]string{"canary": "runner/canary", "ac": "runner/acme", "local": "runner/local"})
	strategy, action := []schema.Kind{schema.KindStrategy}, []schema.Kind{schema.KindAction, schema.KindTarget}
	for _, tc := range []struct {
		c     *catalog.Catalog
		name  string
		kinds []schema.Kind
		want  string // plugin, or a code
		says  string
	}{
		{c, "canary", strategy, "canary", ""},
		{c, "canary/blue_green", strategy, "canary", ""},
		{c, "ac/blue_green", nil, "ac", ""},
		{c, "local_exec", action, "local", ""},
		// The slot decides between a name's kinds in different plugins.
		{c, "twin", []schema.Kind{schema.KindTarget}, "local", ""},
		{c, "twin", []schema.Kind{schema.KindAction}, "ac", ""},
		{c, "twin", nil, catalog.CodeAmbiguous, "The plugins \"ac\" and \"local\" offer a component named \"twin\". Say which one is meant:\n\n  ac/twin\n  local/twin"},
		{c, "blue_green", strategy, catalog.CodeAmbiguous, "\n  ac/blue_green\n  canary/blue_green"},
		{c, "local_exec", strategy, catalog.CodeWrongKind, `"local_exec" of the plugin "local" is an action, and here a strategy is needed.`},
		{c, "canary", []schema.Kind{schema.KindMetrics}, catalog.CodeWrongKind, "here a source of metrics is needed"},
		{known, "local_exce", action, catalog.CodeUnknownComponent, `No declared plugin offers an action or a target named "local_exce". Did you mean "local_exec"?`},
		{known, "canari", strategy, catalog.CodeUnknownComponent, `Did you mean "canary"?`},
		{known, "zzz", strategy, catalog.CodeUnknownComponent, "There is blue_green, canary."},
		{known, "local/canary", strategy, catalog.CodeUnknownComponent, `The plugin "local" does not offer a strategy named "canary".`},
		{known, "", nil, catalog.CodeUnknownComponent, "No declared plugin offers a component named"},
		{c, "loca/local_exec", nil, catalog.CodeUnknownPlugin, `required_plugins declares no plugin "loca". Did you mean "local"?`},
		{c, "a/b/c", nil, catalog.CodeUnknownPlugin, `no plugin "a"`},
		// Who is not locked may offer it.
		{c, "local_exce", action, catalog.CodeNotInitialized, `What "new" offers is not known yet. Run:` + "\n\n  runner init"},
		{c, "new/x", nil, catalog.CodeNotInitialized, "runner init"},
		{catalog.New(dir, lock, nil), "canary", nil, catalog.CodeUnknownComponent, "The pipeline declares no plugins"},
	} {
		e, err := tc.c.Component(tc.name, tc.kinds...)
		if tc.says == "" {
			if err != nil || e.Plugin != tc.want {
				t.Errorf("Component(%q, %v) is of %q, want %q: %v", tc.name, tc.kinds, e.Plugin, tc.want, err)
			}
			continue
		}
		wantProblem(t, err, tc.want, tc.says)
	}
	_, _, err := c.Plugin("new")
	wantProblem(t, err, catalog.CodeNotInitialized, "runner init")
	_, _, err = c.Plugin("lokal")
	wantProblem(t, err, catalog.CodeUnknownPlugin, `Did you mean "local"?`)
}

func wantProblem(t *testing.T, err error, code, says string) {
	t.Helper()
	var p *diag.Problem
	if !errors.As(err, &p) || p.Diagnostics[0].Code != code || !strings.Contains(p.Diagnostics[0].Detail, says) {
		t.Errorf("error is %v\nwant %s: %s", err, code, says)
	}
}

func TestADamagedOrMissingCacheAsksForInit(t *testing.T) {
	d := describe("a", component("x", schema.KindAction))
	for name, damage := range map[string]func(path string) error{
		"missing": os.Remove,
		"changed": func(p string) error {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text[len(text)/2] ^= 1
			return os.WriteFile(p, text, 0o600)
		},
		"cut":   func(p string) error { return os.Truncate(p, 10) },
		"empty": func(p string) error { return os.Truncate(p, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			lock, dir := setup(t, d)
			entry := lock.Plugins[0]
			for _, digest := range []string{entry.About, entry.Components[0].Schema} {
				if err := damage(filepath.Join(dir, digest+".json")); err != nil {
					t.Fatal(err)
				}
			}
			c := catalog.New(dir, lock, map[string]string{"a": "runner/a"})
			_, err := c.Component("x")
			wantProblem(t, err, catalog.CodeNotInitialized, "\n\n  runner init")
			_, _, err = c.Plugin("a")
			wantProblem(t, err, catalog.CodeNotInitialized, "\n\n  runner init")
			_, err = c.Entries()
			wantProblem(t, err, catalog.CodeNotInitialized, "\n\n  runner init")
			if _, err := catalog.Store(dir, d); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Component("x"); err != nil {
				t.Errorf("after init: %v", err)
			}
		})
	}
}

func TestALockFileThatMixesUpSchemasIsNoticed(t *testing.T) {
	lock, dir := setup(t, describe("a", component("x", schema.KindAction), component("y", schema.KindAction)))
	comps := lock.Plugins[0].Components
	comps[0].Schema, comps[1].Schema = comps[1].Schema, comps[0].Schema
	_, err := catalog.New(dir, lock, map[string]string{"a": "runner/a"}).Component("x")
	wantProblem(t, err, catalog.CodeNotInitialized, `its schema action "y"`)
}

func TestLookupsAtTheSameTime(t *testing.T) {
	lock, dir := setup(t, describe("a", component("x", schema.KindAction), component("y", schema.KindTarget)))
	c := catalog.New(dir, lock, map[string]string{"a": "runner/a"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, errX := c.Component("x")
			_, errY := c.Component("a/y")
			_, _, errP := c.Plugin("a")
			if err := errors.Join(errX, errY, errP); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
