package workspace

import (
	"context"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/pluginhost"
)

// Warm starts the plugins that the root's stages use, as far as they take no
// configuration, so that they are ready when the state is open. Whoever needs one
// waits for it as usual, and hears of what went wrong.
func (w *Workspace) Warm(ctx context.Context, pool *pluginhost.Pool) {
	started := map[string]bool{}
	for _, st := range w.Pipeline.Root.Stages {
		for _, use := range uses(st) {
			entry, err := w.Catalog.Component(use.Component)
			if err != nil || started[entry.Plugin] {
				continue
			}
			started[entry.Plugin] = true
			_, about, err := w.Catalog.Plugin(entry.Plugin)
			if _, configured := w.Pipeline.Plugin(entry.Plugin, ""); err != nil || about.Config != nil || configured {
				continue
			}
			go func() { _, _ = pool.Get(ctx, pluginhost.Spec{Plugin: entry.Plugin}) }()
		}
	}
}

func uses(st *config.Stage) []*config.Use {
	var out []*config.Use
	for _, u := range []*config.Use{st.Use, st.Strategy} {
		if u != nil {
			out = append(out, u)
		}
	}
	for _, t := range st.Targets {
		out = append(out, t.Use)
	}
	return out
}
