package pluginhost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/schema"
)

// resolve asks for plugins, without errors, and saves what was chosen.
func (w *world) resolve(t testing.TB, lock *lockfile.File, reqs ...pluginhost.Requirement) *pluginhost.Resolution {
	t.Helper()
	res, diags := pluginhost.Resolve(t.Context(), reqs, lock, w.opts)
	noDiags(t, diags)
	return res
}

var platform = discover.Platform()

func TestInitLocksWhatItFinds(t *testing.T) {
	w := newWorld(t)
	path := plugin{Name: "one", Version: "0.1.0", Env: []string{"TOKEN", "HOME"}, Actions: []string{"one_run"}}.write(t, w.places.PluginDir, "runner-plugin-one")
	plugin{Name: "two", Version: "2.0.0"}.write(t, filepath.Join(w.places.ExeDir, "runner", "two"), long("two", "2.0.0", platform))
	res := w.resolve(t, &lockfile.File{}, need("two", ""), need("one", "~> 0.1"))

	prog, err := discover.ReadProgram(path, platform)
	if err != nil {
		t.Fatal(err)
	}
	one := res.Lock.Plugin("runner/one")
	want := &lockfile.Plugin{
		Source: "runner/one", Version: "0.1.0", Constraints: "~> 0.1", Protocol: 1,
		Hashes: []string{platform + ":" + prog.Hash}, Env: []string{"HOME", "TOKEN"},
		About: one.About, Components: one.Components,
	}
	if diff := cmp.Diff(want, one); diff != "" {
		t.Errorf("entry differs (-want +got):\n%s", diff)
	}
	if len(res.Dev.Plugins) != 0 || len(res.Lock.Plugins) != 2 {
		t.Errorf("%d plugins locked, %d overridden", len(res.Lock.Plugins), len(res.Dev.Plugins))
	}
	sel := res.Selections[1]
	if sel.Name != "one" || sel.Path != path || sel.Change != pluginhost.Added || len(sel.NewEnv) != 2 || sel.Description.Version != "0.1.0" {
		t.Errorf("selection is %+v", sel)
	}
	// What was locked can be looked up without starting anything.
	entry, err := catalog.New(w.opts.SchemaDir, res.Lock, map[string]string{"one": "runner/one"}).Component("one_run", schema.KindAction)
	if err != nil {
		t.Fatal(err)
	}
	attr, ok := entry.Config.Attribute("hold")
	if !ok || attr.Type.String() != "string" || entry.Outputs == nil || entry.Plugin != "one" {
		t.Errorf("component is %+v", entry)
	}
}

func TestInitTwiceChangesNothing(t *testing.T) {
	w := newWorld(t)
	plugin{Name: "one", Version: "0.1.0", Actions: []string{"a", "b", "c"}, Env: []string{"A", "B"}}.write(t, w.places.PluginDir, "runner-plugin-one")
	first := w.resolve(t, &lockfile.File{}, need("one", "~> 0.1"))
	second := w.resolve(t, first.Lock, need("one", "~> 0.1"))
	if diff := cmp.Diff(string(first.Lock.Bytes()), string(second.Lock.Bytes())); diff != "" {
		t.Errorf("the lock file differs (-first +second):\n%s", diff)
	}
	if s := second.Selections[0]; s.Change != pluginhost.Unchanged || len(s.NewEnv) != 0 {
		t.Errorf("selection is %+v", s)
	}
	// Through the file too.
	path := filepath.Join(w.dir, lockfile.Name)
	if err := first.Save(path, filepath.Join(w.dir, ".runner")); err != nil {
		t.Fatal(err)
	}
	loaded, diags := pluginhost.LoadLock(path, filepath.Join(w.dir, ".runner"), w.places.Settings)
	noDiags(t, diags)
	if third := w.resolve(t, loaded, need("one", "~> 0.1")); third.Selections[0].Change != pluginhost.Unchanged {
		t.Errorf("selection is %+v", third.Selections[0])
	}
	if _, err := os.Stat(filepath.Join(w.dir, ".runner", pluginhost.DevLockName)); !os.IsNotExist(err) {
		t.Errorf("a lock file for overridden plugins was written: %v", err)
	}
	// A plugin that is not required any more is not locked any more.
	if fourth := w.resolve(t, loaded); len(fourth.Lock.Plugins) != 0 {
		t.Errorf("still locked: %v", fourth.Lock.Plugins)
	}
}

func TestTheNewestVersionThatFitsIsChosen(t *testing.T) {
	for name, tc := range map[string]struct {
		constraint string
		versions   []string
		want       string
	}{
		"any":                     {"", []string{"0.9.0", "0.10.0", "0.2.0"}, "0.10.0"},
		"pessimistic":             {"~> 0.9.0", []string{"0.9.0", "0.9.7", "0.10.0"}, "0.9.7"},
		"range":                   {">= 0.2, < 0.10", []string{"0.9.0", "0.10.0"}, "0.9.0"},
		"exact":                   {"0.2.0", []string{"0.2.0", "0.3.0"}, "0.2.0"},
		"no pre-releases unasked": {">= 1.0", []string{"1.0.0", "1.1.0-beta.1"}, "1.0.0"},
		"a pre-release asked for": {"1.1.0-beta.1", []string{"1.0.0", "1.1.0-beta.1"}, "1.1.0-beta.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, v := range tc.versions {
				plugin{Name: "one", Version: v}.write(t, w.places.PluginDir, long("one", v, platform))
			}
			res := w.resolve(t, &lockfile.File{}, need("one", tc.constraint))
			if got := res.Lock.Plugins[0].Version; got != tc.want {
				t.Errorf("chosen is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestALockedVersionStaysUntilUpgrade(t *testing.T) {
	w := newWorld(t)
	plugin{Name: "one", Version: "0.1.0", Env: []string{"A"}}.write(t, w.places.PluginDir, long("one", "0.1.0", platform))
	first := w.resolve(t, &lockfile.File{}, need("one", "~> 0.1"))
	first.Lock.Plugins[0].Hashes = append(first.Lock.Plugins[0].Hashes, "plan9_386:sha256:"+strings.Repeat("7", 64))
	plugin{Name: "one", Version: "0.2.0", Env: []string{"A", "B"}}.write(t, w.places.PluginDir, long("one", "0.2.0", platform))
	// A plain name may be any version: here the newest.
	plugin{Name: "one", Version: "0.3.0", Env: []string{"A", "B"}}.write(t, w.places.PluginDir, "runner-plugin-one")

	kept := w.resolve(t, first.Lock, need("one", "~> 0.1"))
	if p := kept.Lock.Plugins[0]; p.Version != "0.1.0" || len(p.Hashes) != 2 {
		t.Errorf("without -upgrade: %s, hashes %v", p.Version, p.Hashes)
	}
	w.opts.Upgrade = true
	up := w.resolve(t, first.Lock, need("one", "~> 0.1"))
	if p, s := up.Lock.Plugins[0], up.Selections[0]; p.Version != "0.3.0" || len(p.Hashes) != 1 || s.Change != pluginhost.Changed || !cmp.Equal(s.NewEnv, []string{"B"}) {
		t.Errorf("with -upgrade: %s, hashes %v, selection %+v", p.Version, p.Hashes, s)
	}
}

func TestHashesOfOtherPlatformsAreKept(t *testing.T) {
	w := newWorld(t)
	p := plugin{Name: "one", Version: "0.1.0"}
	p.write(t, w.places.PluginDir, "runner-plugin-one")
	first := w.resolve(t, &lockfile.File{}, need("one", ""))
	other := "plan9_386:sha256:" + strings.Repeat("7", 64)
	mine := first.Lock.Plugins[0].Hashes[0]
	for name, tc := range map[string]struct {
		change  func(*lockfile.Plugin)
		upgrade bool
		want    []string
	}{
		"one more":         {func(p *lockfile.Plugin) { p.Hashes = []string{mine, other} }, false, []string{mine, other}},
		"not yet for this": {func(p *lockfile.Plugin) { p.Hashes = []string{other} }, false, []string{mine, other}},
		"built again":      {func(p *lockfile.Plugin) { p.Hashes = []string{mine[:len(mine)-1] + "x", other} }, true, []string{mine, other}},
		"offers another thing": {func(p *lockfile.Plugin) {
			p.Hashes, p.About = []string{mine, other}, strings.Repeat("1", 64)
		}, true, []string{mine}},
	} {
		t.Run(name, func(t *testing.T) {
			old := &lockfile.File{Plugins: []*lockfile.Plugin{first.Lock.Plugins[0].Clone()}}
			tc.change(old.Plugins[0])
			w.opts.Upgrade = tc.upgrade
			got := w.resolve(t, old, need("one", "")).Lock.Plugins[0].Hashes
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("hashes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnotherProgramNeedsUpgrade(t *testing.T) {
	type change = func(t *testing.T, w *world, lock *lockfile.Plugin)
	rewrite := func(p plugin, name string) change {
		return func(t *testing.T, w *world, _ *lockfile.Plugin) { p.write(t, w.places.PluginDir, name) }
	}
	tamper := func(name string) change {
		return func(t *testing.T, w *world, _ *lockfile.Plugin) {
			path := filepath.Join(w.places.PluginDir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[len("#!/bin/sh\n# ")] ^= 1 // one bit, in a comment
			if err := os.WriteFile(path, text, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	base := plugin{Name: "one", Version: "0.1.0", Comment: "first build"}
	for name, tc := range map[string]struct {
		file   string
		change change
		code   string
		says   []string
	}{
		"a tampered bit":              {long("one", "0.1.0", platform), tamper(long("one", "0.1.0", platform)), pluginhost.CodeChanged, []string{"not the one that was locked", "sha256:", "runner init -upgrade"}},
		"a tampered bit, plain name":  {"runner-plugin-one", tamper("runner-plugin-one"), pluginhost.CodeChanged, []string{"not the one that was locked"}},
		"another build":               {"runner-plugin-one", rewrite(plugin{Name: "one", Version: "0.1.0", Comment: "second"}, "runner-plugin-one"), pluginhost.CodeChanged, nil},
		"another version, plain name": {"runner-plugin-one", rewrite(plugin{Name: "one", Version: "0.2.0"}, "runner-plugin-one"), pluginhost.CodeNotFound, []string{"version 0.1.0", "Looked in:"}},
		"a page instead": {"runner-plugin-one", func(t *testing.T, w *world, _ *lockfile.Plugin) {
			if err := os.WriteFile(filepath.Join(w.places.PluginDir, "runner-plugin-one"), []byte("<!DOCTYPE html><title>Log in"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, pluginhost.CodeNotAProgram, []string{"is a web page"}},
		"more environment on another platform": {"runner-plugin-one", func(t *testing.T, w *world, p *lockfile.Plugin) {
			p.Hashes = []string{"plan9_386:sha256:" + strings.Repeat("7", 64)}
			plugin{Name: "one", Version: "0.1.0", Env: []string{"AWS_SECRET"}}.write(t, w.places.PluginDir, "runner-plugin-one")
		}, pluginhost.CodeEnvironment, []string{"  - AWS_SECRET: for the tests", "runner init -upgrade"}},
		"another thing on another platform": {"runner-plugin-one", func(t *testing.T, w *world, p *lockfile.Plugin) {
			p.Hashes = []string{"plan9_386:sha256:" + strings.Repeat("7", 64)}
			plugin{Name: "one", Version: "0.1.0", Actions: []string{"more"}}.write(t, w.places.PluginDir, "runner-plugin-one")
		}, pluginhost.CodeChanged, []string{"offers something else under the same version"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			base.write(t, w.places.PluginDir, tc.file)
			first := w.resolve(t, &lockfile.File{}, need("one", ""))
			tc.change(t, w, first.Lock.Plugins[0])
			_, diags := pluginhost.Resolve(t.Context(), []pluginhost.Requirement{need("one", "")}, first.Lock, w.opts)
			wantError(t, diags, tc.code, tc.says...)
			if tc.code == pluginhost.CodeNotAProgram {
				return
			}
			w.opts.Upgrade = true
			w.resolve(t, first.Lock, need("one", ""))
		})
	}
}

func TestWhatCannotBeChosenIsExplained(t *testing.T) {
	elf := func(machine byte) string {
		return "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00" + string([]byte{machine}) + "\x00" + strings.Repeat("\x00", 100)
	}
	foreign := byte(183)
	if strings.HasSuffix(platform, "_arm64") {
		foreign = 62
	}
	for name, tc := range map[string]struct {
		file, content string
		mode          os.FileMode
		plugin        plugin
		req           pluginhost.Requirement
		code          string
		says          []string
	}{
		"nothing anywhere": {req: need("one", ""), code: pluginhost.CodeNotFound,
			says: []string{"Looked in:", "  - plugin directory, ", "  - beside the runner, ", "does not exist", "-plugin-dir"}},
		"another name beside it": {file: "runner-plugin-two", plugin: plugin{Name: "two", Version: "1.0.0"}, req: need("one", ""),
			code: pluginhost.CodeNotFound, says: []string{"no runner-plugin-one"}},
		"another platform": {file: long("one", "1.0.0", "plan9_386"), plugin: plugin{Name: "one", Version: "1.0.0"}, req: need("one", ""),
			code: pluginhost.CodeNotFound, says: []string{"is for another platform than " + platform}},
		"a web page": {file: "runner-plugin-one", content: "\n <html><head>", mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"is a web page and not a program"}},
		"empty": {file: "runner-plugin-one", content: "", mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"is empty"}},
		"an archive": {file: "runner-plugin-one", content: "PK\x03\x04…", mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"is an archive"}},
		"text": {file: "runner-plugin-one", content: "hello", mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"is not a program"}},
		"for Windows": {file: "runner-plugin-one", content: "MZ\x00", mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"for another system (Windows)"}},
		"for another processor": {file: "runner-plugin-one", content: elf(foreign), mode: 0o755, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"for another processor"}},
		"not executable": {file: "runner-plugin-one", content: "#!/bin/sh\n", mode: 0o644, req: need("one", ""),
			code: pluginhost.CodeNotAProgram, says: []string{"is not executable; run chmod +x"}},
		"no version that fits": {file: long("one", "1.0.0", platform), plugin: plugin{Name: "one", Version: "1.0.0"}, req: need("one", "~> 2.0"),
			code: pluginhost.CodeNoVersion, says: []string{`asks for "~> 2.0"`, long("one", "1.0.0", platform) + ": 1.0.0"}},
		"no version that fits, plain name": {file: "runner-plugin-one", plugin: plugin{Name: "one", Version: "1.0.0"}, req: need("one", "~> 2.0"),
			code: pluginhost.CodeNoVersion, says: []string{": 1.0.0"}},
		"it says another name": {file: "runner-plugin-one", plugin: plugin{Name: "two", Version: "1.0.0"}, req: need("one", ""),
			code: pluginhost.CodeMisnamed, says: []string{`says that it is "two"`}},
		"it says another version": {file: long("one", "1.0.0", platform), plugin: plugin{Name: "one", Version: "1.1.0"}, req: need("one", ""),
			code: pluginhost.CodeMisnamed, says: []string{"says version 1.0.0, the plugin itself says 1.1.0"}},
		"it ends at once": {file: "runner-plugin-one", plugin: plugin{Instead: "echo no token >&2; exit 3"}, req: need("one", ""),
			code: "plugin_ended", says: []string{"no token", "exit status 3"}},
		"it is no plugin": {file: "runner-plugin-one", plugin: plugin{Instead: "echo hello"}, req: need("one", ""),
			code: "plugin_not_a_plugin", says: []string{"hello"}},
		"no source": {req: pluginhost.Requirement{Name: "one", Source: "one", Range: need("one", "").Range},
			code: pluginhost.CodeSource, says: []string{"namespace/name"}},
		"no constraint": {req: need("one", "newest"), code: pluginhost.CodeConstraint, says: []string{`"newest" is not a version constraint`}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			switch {
			case tc.mode != 0:
				if err := os.MkdirAll(w.places.PluginDir, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(w.places.PluginDir, tc.file), []byte(tc.content), tc.mode); err != nil {
					t.Fatal(err)
				}
			case tc.file != "":
				tc.plugin.write(t, w.places.PluginDir, tc.file)
			}
			res, diags := pluginhost.Resolve(t.Context(), []pluginhost.Requirement{tc.req}, &lockfile.File{}, w.opts)
			if res != nil {
				t.Error("there is a resolution beside the error")
			}
			wantError(t, diags, tc.code, tc.says...)
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	w := newWorld(t)
	_, diags := pluginhost.Resolve(t.Context(), []pluginhost.Requirement{need("one", ""), need("two", "x"), need("three", "")}, &lockfile.File{}, w.opts)
	if n := len(diags.Errs()); n != 3 {
		t.Errorf("%d errors: %v", n, diags)
	}
	_, diags = pluginhost.Resolve(t.Context(), []pluginhost.Requirement{need("one", ""), need("one", "")}, &lockfile.File{}, w.opts)
	wantError(t, diags, pluginhost.CodeSource, "required twice")
}

func TestAnOverrideIsLockedApart(t *testing.T) {
	w := newWorld(t)
	plugin{Name: "one", Version: "0.1.0"}.write(t, w.places.PluginDir, "runner-plugin-one")
	first := w.resolve(t, &lockfile.File{}, need("one", "~> 0.1"))
	path, state := filepath.Join(w.dir, lockfile.Name), filepath.Join(w.dir, ".runner")
	if err := first.Save(path, state); err != nil {
		t.Fatal(err)
	}
	dev := plugin{Name: "one", Version: "9.0.0-dev", Env: []string{"DEBUG"}}
	dev.write(t, filepath.Join(w.dir, "src"), "runner-plugin-one")
	w.places.Settings.DevOverrides = map[discover.Source]string{{Namespace: "runner", Name: "one"}: filepath.Join(w.dir, "src")}

	res, diags := pluginhost.Resolve(t.Context(), []pluginhost.Requirement{need("one", "~> 0.1")}, first.Lock, w.opts)
	if diags.HasErrors() || len(diags) != 1 || diags[0].Extra != pluginhost.CodeOverridden || !strings.Contains(diags[0].Detail, "config.hcl") {
		t.Fatalf("diagnostics are %v", diags)
	}
	if diff := cmp.Diff(string(first.Lock.Bytes()), string(res.Lock.Bytes())); diff != "" {
		t.Errorf("the lock file differs (-before +after):\n%s", diff)
	}
	if err := res.Save(path, state); err != nil {
		t.Fatal(err)
	}
	lock, diags := pluginhost.LoadLock(path, state, w.places.Settings)
	if p := lock.Plugin("runner/one"); len(diags) != 1 || len(lock.Plugins) != 1 || p.Version != "9.0.0-dev" {
		t.Errorf("with the override %v is locked, diagnostics %v", p, diags)
	}
	// Once the override is gone so is what was locked for it.
	w.places.Settings.DevOverrides = nil
	lock, diags = pluginhost.LoadLock(path, state, w.places.Settings)
	noDiags(t, diags)
	if p := lock.Plugin("runner/one"); p.Version != "0.1.0" {
		t.Errorf("without the override %v is locked", p)
	}
	if err := w.resolve(t, lock, need("one", "~> 0.1")).Save(path, state); err != nil {
		t.Fatal(err)
	}
	if f, _ := lockfile.Load(filepath.Join(state, pluginhost.DevLockName)); len(f.Plugins) != 0 {
		t.Errorf("still locked for overriding: %v", f.Plugins)
	}
}

func TestOutdatedAsksForInit(t *testing.T) {
	lock := &lockfile.File{Plugins: []*lockfile.Plugin{{Source: "runner/one", Version: "1.2.3"}}}
	for name, tc := range map[string]struct {
		req  pluginhost.Requirement
		code string
		says string
	}{
		"fits":                   {need("one", "~> 1.2"), "", ""},
		"no constraint":          {need("one", ""), "", ""},
		"not locked":             {need("two", ""), pluginhost.CodeNotInitialized, "\n\n  runner init"},
		"outside the constraint": {need("one", "~> 2.0"), pluginhost.CodeLockedVersion, `asks for "~> 2.0"`},
		"invalid":                {need("one", "??"), pluginhost.CodeConstraint, "is not a version constraint"},
	} {
		diags := pluginhost.Outdated([]pluginhost.Requirement{tc.req}, lock)
		if tc.code == "" {
			if diags != nil {
				t.Errorf("%s: %v", name, diags)
			}
			continue
		}
		wantError(t, diags, tc.code, tc.says)
	}
}
