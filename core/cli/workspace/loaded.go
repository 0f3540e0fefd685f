package workspace

import (
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/pluginhost"
	"github.com/runner-pipelines/runner/core/pluginhost/catalog"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/core/scope"
)

// Loaded turns a plan back into the program that it was made of, with a pool of
// the plugins that it was made with. The caller stops the pool. Errors were shown
// already.
func (w *Workspace) Loaded(p *plan.Plan, pluginDir string, vars, files []string, alive *lock.Alive) (*program.Program, *pluginhost.Pool, error) {
	locked, diags := lockfile.Parse(lockfile.Name, p.Lock)
	if diags.HasErrors() {
		return nil, nil, w.Show(w.Env.Stderr, diags)
	}
	values, err := w.Values(vars, files)
	if err != nil {
		return nil, nil, err
	}
	prog, diags := p.Load(w.loading(locked, values, false))
	if prog != nil {
		w.Pipeline = prog.Pipeline
	}
	if diags.HasErrors() {
		return nil, nil, w.Show(w.Env.Stderr, diags)
	}
	return prog, w.Pool(pluginDir, locked, alive), nil
}

func (w *Workspace) loading(locked *lockfile.File, values scope.Values, blind bool) plan.LoadOptions {
	return plan.LoadOptions{
		Dir: w.Dir, Key: w.Key, Redactor: w.Redactor, Values: values, Blind: blind,
		Catalog: func(required map[string]string) *catalog.Catalog { return catalog.New(w.SchemaDir(), locked, required) },
	}
}

// Seen is the program that a plan was made of, to be looked at: sensitive
// variables are not known. The error says why it cannot be read any more.
func (w *Workspace) Seen(p *plan.Plan) (*program.Program, error) {
	locked, diags := lockfile.Parse(lockfile.Name, p.Lock)
	if diags.HasErrors() {
		return nil, diags
	}
	prog, diags := p.Load(w.loading(locked, scope.Values{}, true))
	if diags.HasErrors() {
		return nil, diags
	}
	return prog, nil
}
