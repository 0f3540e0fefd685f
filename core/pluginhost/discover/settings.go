package discover

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/internal/regular"
	"github.com/runner-pipelines/runner/core/scan"
)

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
	// Include and Exclude are patterns such as runner/* or */*; no Include means all.
	Include []string
	Exclude []string
}

func (s *Settings) override(src Source) (string, bool) {
	if s == nil {
		return "", false
	}
	path, ok := s.DevOverrides[src]
	return path, ok
}

func (s *Settings) mirrors() []Mirror {
	if s == nil {
		return nil
	}
	return s.Mirrors
}

func (m Mirror) serves(s Source) bool {
	return (m.Include == nil || matchesAny(m.Include, s)) && !matchesAny(m.Exclude, s)
}

func matchesAny(patterns []string, s Source) bool {
	for _, p := range patterns {
		ns, name, _ := strings.Cut(p, "/")
		if (ns == "*" || ns == s.Namespace) && (name == "*" || name == s.Name) {
			return true
		}
	}
	return false
}

// settingsFile is the form of the file:
//
//	plugin_installation {
//	  dev_overrides = {
//	    "runner/local" = "~/src/runner/bin"
//	  }
//	  filesystem_mirror {
//	    path    = "/srv/runner-plugins"
//	    exclude = ["acme/*"]
//	  }
//	}
type settingsFile struct {
	Installation *struct {
		DevOverrides hcl.Expression `hcl:"dev_overrides,optional"`
		Mirrors      []struct {
			Path    string    `hcl:"path"`
			Include []string  `hcl:"include,optional"`
			Exclude []string  `hcl:"exclude,optional"`
			Range   hcl.Range `hcl:",def_range"`
		} `hcl:"filesystem_mirror,block"`
	} `hcl:"plugin_installation,block"`
}

// LoadSettings reads the settings file: the one named by RUNNER_CLI_CONFIG_FILE, else
// runner/config.hcl in XDG_CONFIG_HOME or ~/.config. Without a file the settings are
// empty; a file that is named but missing is an error. Relative paths in it start at
// its folder, ~ is the home folder.
func LoadSettings(lookupEnv func(string) (string, bool)) (*Settings, hcl.Diagnostics) {
	path, named := lookupEnv(EnvSettings)
	named = named && path != ""
	if !named {
		if path = defaultSettings(lookupEnv); path == "" {
			return &Settings{}, nil
		}
	}
	src, err := regular.Read(path, maxSettings)
	if !named && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
		return &Settings{}, nil
	}
	if err != nil {
		return &Settings{}, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "Settings cannot be read",
			Detail:   fmt.Sprintf("The settings of the runner are looked for in %s: %s. %s names that file; correct it or unset it.", path, reason(err), EnvSettings),
		}}
	}
	return parseSettings(path, src, lookupEnv)
}

// maxSettings is the largest settings file, in bytes.
const maxSettings = 1 << 20

func defaultSettings(lookupEnv func(string) (string, bool)) string {
	dir, ok := lookupEnv("XDG_CONFIG_HOME")
	if !ok || dir == "" {
		home := homeDir(lookupEnv)
		if home == "" {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "runner", "config.hcl")
}

func homeDir(lookupEnv func(string) (string, bool)) string {
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if home, ok := lookupEnv(name); ok && home != "" {
			return home
		}
	}
	return ""
}

func parseSettings(path string, src []byte, lookupEnv func(string) (string, bool)) (*Settings, hcl.Diagnostics) {
	out := &Settings{File: path, DevOverrides: map[Source]string{}}
	if _, err := scan.Config(src, 0); err != nil {
		return out, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Settings cannot be read", Detail: fmt.Sprintf("The settings of the runner in %s are not in the form of settings: %v.", path, err)}}
	}
	parsed, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos)
	if diags.HasErrors() {
		for _, d := range diags {
			if d.Summary == "Invalid argument name" {
				d.Detail += ` Sources stand in quotes inside an object: dev_overrides = { "runner/local" = "…" }.`
			}
		}
		return &Settings{File: path}, diags
	}
	var file settingsFile
	if diags = gohcl.DecodeBody(parsed.Body, nil, &file); diags.HasErrors() || file.Installation == nil {
		return &Settings{File: path}, diags
	}
	place := func(p string) string {
		if rest, ok := strings.CutPrefix(p, "~/"); ok {
			return filepath.Join(homeDir(lookupEnv), rest)
		}
		if !filepath.IsAbs(p) {
			return filepath.Join(filepath.Dir(path), p)
		}
		return p
	}
	diags = append(diags, out.readOverrides(file.Installation.DevOverrides, place)...)
	for _, m := range file.Installation.Mirrors {
		for _, p := range append(append([]string{}, m.Include...), m.Exclude...) {
			if !validPattern(p) {
				diags = append(diags, &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Invalid pattern", Subject: m.Range.Ptr(),
					Detail: fmt.Sprintf("%q does not say which plugins: write namespace/name, namespace/* or */*.", p),
				})
			}
		}
		out.Mirrors = append(out.Mirrors, Mirror{Path: place(m.Path), Include: m.Include, Exclude: m.Exclude})
	}
	return out, diags
}

func (s *Settings) readOverrides(expr hcl.Expression, place func(string) string) hcl.Diagnostics {
	var paths map[string]string
	diags := gohcl.DecodeExpression(expr, nil, &paths)
	for text, path := range paths {
		src, err := ParseSource(text)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Invalid source", Subject: expr.Range().Ptr(),
				Detail: fmt.Sprintf("In dev_overrides a program is given by the plugin's source: %v.", err),
			})
			continue
		}
		s.DevOverrides[src] = place(path)
	}
	return diags
}

func validPattern(p string) bool {
	ns, name, ok := strings.Cut(p, "/")
	return ok && (ns == "*" || sourceForm.MatchString(ns+"/x")) && (name == "*" || sourceForm.MatchString("x/"+name))
}
