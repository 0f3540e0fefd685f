package pluginhost

import (
	"log/slog"

	"github.com/runner-pipelines/runner/core/lockfile"
	"github.com/runner-pipelines/runner/core/pluginhost/discover"
)

// CheckProgram finds the program of a locked plugin and compares its hash, as a run
// would, and starts nothing.
func CheckProgram(lock *lockfile.File, places discover.Places, source string) error {
	ps := programs{lock: lock, places: places, log: slog.New(slog.DiscardHandler)}
	_, err := ps.find(source)
	return err
}
