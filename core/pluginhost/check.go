package pluginhost

import (
	"fmt"
	"log/slog"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// CheckProgram finds the program of a locked plugin and compares its hash, as a run
// would, and starts nothing.
func CheckProgram(lock *lockfile.File, places discover.Places, source string) error {
	ps := programs{lock: lock, places: places, log: slog.New(slog.DiscardHandler)}
	_, err := ps.find(source)
	return err
}

// Pinned makes sure that the programs of the named plugins are those that the lock file
// of the pool has, before any of them is started. The error is a *diag.Problem that
// says what a run needs that was opened with them.
func (p *Pool) Pinned(sources []string) error {
	var wrong diag.List
	for _, source := range sources {
		_, err := p.programs.find(source)
		if err == nil {
			continue
		}
		found := diag.Of(err)
		if found == nil {
			return err
		}
		for _, d := range found.Diagnostics {
			if d.Code == CodeChanged {
				locked := p.cfg.Lock.Plugin(source)
				d.Detail = fmt.Sprintf("The run keeps the programs that it was planned with for all of its life, and the program of the plugin %s is another one now. It needs version %s with the hash %s. Nothing was done. Put the program that it was planned with into a folder, and name that:\n\n  RUNNER_PLUGIN_DIR=FOLDER",
					source, locked.Version, locked.Hash(p.cfg.Places.Platform))
			}
			wrong = append(wrong, d)
		}
	}
	return wrong.Err()
}
