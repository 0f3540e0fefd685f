// Package pluginhost turns required_plugins into running processes: Resolve chooses
// programs and fills the lock file for runner init, NewPool starts them and keeps
// them for a run. Where programs lie is discover's business, what they serve catalog's.
package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
)

// Codes of the diagnostics of this package.
const (
	CodeSource         = "plugin_source"
	CodeConstraint     = "plugin_constraint"
	CodeNotFound       = "plugin_not_found"
	CodeNoVersion      = "plugin_no_version"
	CodeLockedVersion  = "plugin_locked_version"
	CodeNotAProgram    = "plugin_not_a_program"
	CodeChanged        = "plugin_changed"
	CodeMisnamed       = "plugin_misnamed"
	CodeEnvironment    = "plugin_environment"
	CodeNotInitialized = "not_initialized"
	CodeOverridden     = "plugin_overridden"
	CodeHangs          = "plugin_hangs"
)

// DevLockName is the file in .runner where overridden plugins are locked: they must
// not stand in the lock file that is kept in version control.
const DevLockName = "dev.lock.hcl"

// Requirement is one entry of required_plugins.
type Requirement struct {
	// Name is the local name.
	Name       string
	Source     string
	Constraint string
	// Range of the entry in the pipeline file.
	Range hcl.Range
}

// Launch starts a process; Start is the real one.
type Launch func(ctx context.Context, cfg host.Config) (host.Plugin, error)

// Start is host.Start.
func Start(ctx context.Context, cfg host.Config) (host.Plugin, error) {
	p, err := host.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

var _ Launch = Start

// stopTime is what a process that did nothing yet may take to end by itself.
const stopTime = time.Second

// launch starts a program that was read as prog, and makes sure that it is what was
// started.
func launch(ctx context.Context, start Launch, cfg host.Config, prog discover.Program) (host.Plugin, error) {
	p, err := start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := prog.Unchanged(cfg.Command[0]); err != nil && !sameContent(prog, cfg.Command[0]) {
		p.Stop(0)
		return nil, diag.Retryable(problem(CodeChanged, "Plugin program was changed", "While the plugin %q was started its program was replaced: %v. Nothing was done with it. Try again once nobody installs plugins.", cfg.Name, err))
	}
	return p, nil
}

// sameContent reads a program anew whose file was touched: a link or a backup
// changes its times, and not what it is.
func sameContent(prog discover.Program, path string) bool {
	now, err := discover.ReadProgram(path, discover.Platform())
	return err == nil && now.Hash == prog.Hash
}

// LoadLock reads the lock file at path and, from the state folder, what is locked for
// overridden plugins; each of those is a warning.
func LoadLock(path, stateDir string, settings *discover.Settings) (*lockfile.File, hcl.Diagnostics) {
	f, diags := lockfile.Load(path)
	dev, more := lockfile.Load(filepath.Join(stateDir, DevLockName))
	diags = append(diags, more...)
	out := &lockfile.File{Plugins: slices.Clone(f.Plugins)}
	for _, p := range dev.Plugins {
		src, err := discover.ParseSource(p.Source)
		if err != nil || settings == nil || settings.DevOverrides[src] == "" {
			continue
		}
		out.Plugins = slices.DeleteFunc(out.Plugins, func(q *lockfile.Plugin) bool { return q.Source == p.Source })
		out.Plugins = append(out.Plugins, p)
		diags = append(diags, overridden(src, settings))
	}
	slices.SortFunc(out.Plugins, func(a, b *lockfile.Plugin) int { return strings.Compare(a.Source, b.Source) })
	return out, diags
}

func overridden(src discover.Source, settings *discover.Settings) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagWarning, Summary: "Plugin is overridden", Extra: CodeOverridden,
		Detail: fmt.Sprintf("The settings in %s replace the plugin %s by %s, whatever its version and hash. This is for developing plugins; others who use this pipeline get another program.",
			settings.File, src, settings.DevOverrides[src]),
	}
}

// Outdated says what is wrong between requirements and lock file, such as a plugin
// that is not locked or a version outside the constraint; each asks for runner init.
// It starts nothing and reads no program.
func Outdated(reqs []Requirement, lock *lockfile.File) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, req := range reqs {
		src, constraints, more := req.parse()
		diags = append(diags, more...)
		if more.HasErrors() {
			continue
		}
		p := lock.Plugin(src.String())
		if p == nil {
			diags = append(diags, req.diagnose(problem(CodeNotInitialized, "Plugin not initialized",
				"The lock file does not have the plugin %s yet. Run:\n\n  runner init", src))...)
			continue
		}
		diags = append(diags, req.diagnose(outside(p, constraints, req))...)
	}
	return diags
}

// parse reads source and constraint.
func (req Requirement) parse() (discover.Source, version.Constraints, hcl.Diagnostics) {
	src, err := discover.ParseSource(req.Source)
	if err != nil {
		return src, nil, req.diagnose(problem(CodeSource, "Invalid plugin source", "%v.", err))
	}
	if strings.TrimSpace(req.Constraint) == "" {
		return src, nil, nil
	}
	constraints, err := version.NewConstraint(req.Constraint)
	if err != nil {
		return src, nil, req.diagnose(problem(CodeConstraint, "Invalid version constraint",
			"%q is not a version constraint. Write a version with an operator before it, such as \"~> 0.1\" or \">= 1.2, < 2\".", req.Constraint))
	}
	return src, constraints, nil
}

// diagnose gives an error the place of the requirement; nil gives nothing.
func (req Requirement) diagnose(err error) hcl.Diagnostics {
	if err == nil {
		return nil
	}
	var out hcl.Diagnostics
	for _, d := range diag.Of(err).Diagnostics {
		h := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: d.Summary, Detail: d.Detail, Extra: d.Code}
		if d.Severity == diag.Warning {
			h.Severity = hcl.DiagWarning
		}
		if req.Range != (hcl.Range{}) {
			h.Subject = req.Range.Ptr()
		}
		out = append(out, h)
	}
	return out
}

func satisfies(constraints version.Constraints, v *version.Version) bool {
	return constraints == nil || constraints.Check(v)
}

// outside is an error when the locked version does not satisfy the constraint.
func outside(p *lockfile.Plugin, constraints version.Constraints, req Requirement) error {
	v, err := version.NewSemver(p.Version)
	if err != nil {
		return problem(CodeLockedVersion, "Invalid locked version", "The lock file has version %q for the plugin %s.", p.Version, p.Source)
	}
	if satisfies(constraints, v) {
		return nil
	}
	return problem(CodeLockedVersion, "Locked version outside the constraint",
		"The lock file has version %s of the plugin %s, and the pipeline now asks for %q. To choose another version, run:\n\n  runner init -upgrade", p.Version, p.Source, req.Constraint)
}

func problem(code, summary, format string, args ...any) error {
	return diag.List{{Severity: diag.Error, Code: code, Summary: summary, Detail: fmt.Sprintf(format, args...)}}.Err()
}

var errStopped = errors.New("the pool of plugins is stopped")
