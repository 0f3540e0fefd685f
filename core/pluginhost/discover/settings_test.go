package discover_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "my.hcl"), `
plugin_installation {
  dev_overrides = {
    "runner/local" = "bin/runner-plugin-local"
    "acme/bot"     = "~/src/bot"
  }
  filesystem_mirror {
    path    = "/srv/plugins"
    include = ["runner/*", "acme/bot"]
  }
  filesystem_mirror {
    path    = "mirror"
    exclude = ["*/*"]
  }
}
`)
	got, diags := discover.LoadSettings(env(map[string]string{"RUNNER_CLI_CONFIG_FILE": path, "HOME": "/home/ada"}))
	if diags != nil {
		t.Fatal(diags)
	}
	want := &discover.Settings{
		File: path,
		DevOverrides: map[discover.Source]string{
			local:                            filepath.Join(dir, "bin", "runner-plugin-local"),
			{Namespace: "acme", Name: "bot"}: filepath.FromSlash("/home/ada/src/bot"),
		},
		Mirrors: []discover.Mirror{
			{Path: "/srv/plugins", Include: []string{"runner/*", "acme/bot"}},
			{Path: filepath.Join(dir, "mirror"), Exclude: []string{"*/*"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings differ (-want +got):\n%s", diff)
	}
}

func TestWhereSettingsAreLookedFor(t *testing.T) {
	dir := t.TempDir()
	one := write(t, filepath.Join(dir, "xdg", "runner", "config.hcl"), "")
	two := write(t, filepath.Join(dir, "home", ".config", "runner", "config.hcl"), "")
	for name, tc := range map[string]struct {
		vars map[string]string
		want string
	}{
		"nowhere":           {nil, ""},
		"XDG_CONFIG_HOME":   {map[string]string{"XDG_CONFIG_HOME": filepath.Join(dir, "xdg"), "HOME": filepath.Join(dir, "home")}, one},
		"the home folder":   {map[string]string{"HOME": filepath.Join(dir, "home")}, two},
		"no file":           {map[string]string{"HOME": dir}, ""},
		"empty variables":   {map[string]string{"RUNNER_CLI_CONFIG_FILE": "", "XDG_CONFIG_HOME": "", "HOME": filepath.Join(dir, "home")}, two},
		"named by variable": {map[string]string{"RUNNER_CLI_CONFIG_FILE": one, "HOME": filepath.Join(dir, "home")}, one},
	} {
		got, diags := discover.LoadSettings(env(tc.vars))
		if diags != nil || got.File != tc.want {
			t.Errorf("%s: read %q, want %q; %v", name, got.File, tc.want, diags)
		}
	}
}

func TestWrongSettingsAreExplained(t *testing.T) {
	for name, tc := range map[string]struct {
		src  string
		line int
		says string
	}{
		"not HCL":            {"plugin_installation {", 1, ""},
		"another block":      {"\nplugins {}", 2, "plugins"},
		"another attribute":  {"plugin_installation {\n x = 1\n}", 2, `"x"`},
		"overrides as block": {"plugin_installation {\n dev_overrides {\n  \"runner/local\" = \"x\"\n }\n}", 3, `dev_overrides = { "runner/local" = "…" }`},
		"overrides as list":  {"plugin_installation {\n dev_overrides = [1]\n}", 2, ""},
		"not a source":       {"plugin_installation {\n dev_overrides = { local = \"x\" }\n}", 2, "namespace/name"},
		"not a path":         {"plugin_installation {\n dev_overrides = { \"a/b\" = [] }\n}", 2, ""},
		"mirror without":     {"plugin_installation {\n filesystem_mirror {}\n}", 2, `"path"`},
		"pattern":            {"plugin_installation {\n filesystem_mirror {\n path = \"x\"\n include = [\"local\"]\n }\n}", 2, `"local" does not say which plugins`},
		"a variable":         {"plugin_installation {\n filesystem_mirror {\n path = var.x\n }\n}", 3, ""},
	} {
		path := write(t, filepath.Join(t.TempDir(), "c.hcl"), tc.src)
		_, diags := discover.LoadSettings(env(map[string]string{"RUNNER_CLI_CONFIG_FILE": path}))
		ok := false
		for _, d := range diags {
			ok = ok || d.Subject != nil && d.Subject.Filename == path && d.Subject.Start.Line == tc.line && strings.Contains(d.Detail, tc.says)
		}
		if !ok {
			t.Errorf("%s: %v, want line %d: %s", name, diags, tc.line, tc.says)
		}
	}
	_, diags := discover.LoadSettings(env(map[string]string{"RUNNER_CLI_CONFIG_FILE": "/nowhere/c.hcl"}))
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "/nowhere/c.hcl: does not exist") {
		t.Errorf("a named file that is missing: %v", diags)
	}
}
