// Package guard sees to it that the programs which a plugin starts do not
// outlive it, however it ends. sdk.Serve switches it on; sdk/child tells it
// what to look after.
//
// The guard is a second process of the plugin's own program. It reads the
// numbers of process groups from a pipe, and when the pipe ends, because the
// plugin has, it kills those groups, and everything else in the session that
// the plugin leads: a program of whose start the guard was not told in time.
// Where the system can do that by itself no second process is needed.
package guard

import (
	"os"
	"slices"
	"sync"
)

// env tells a program that it was started as the guard.
const env = "RUNNER_GUARD"

var state struct {
	sync.Mutex
	enabled bool
	// keep is held open by the guard too, until its work is done.
	keep   []*os.File
	groups []int
	send   func(line string)
	hooks  []func()
}

// RunIfAsked makes this process the guard if it was started as one, and does
// not return then. It must come first in the program.
func RunIfAsked() {
	if os.Getenv(env) != "" {
		watch(os.Stdin)
		os.Exit(0)
	}
}

// Enable allows a guard to be started. Only a program that calls RunIfAsked
// may do so. The files stay open until the last group is dead.
func Enable(keep ...*os.File) {
	state.Lock()
	defer state.Unlock()
	state.enabled, state.keep = true, keep
}

// Prepare starts the guard. It comes before the start of a program that the
// guard is to look after.
func Prepare() {
	state.Lock()
	defer state.Unlock()
	if state.enabled && state.send == nil {
		state.send = start(state.keep)
	}
}

// Add has the process group killed when this process ends.
func Add(pgid int) {
	state.Lock()
	defer state.Unlock()
	state.groups = append(state.groups, pgid)
	tell("+", pgid)
}

// Drop takes back an Add.
func Drop(pgid int) {
	state.Lock()
	defer state.Unlock()
	if i := slices.Index(state.groups, pgid); i >= 0 {
		state.groups = slices.Delete(state.groups, i, i+1)
		tell("-", pgid)
	}
}

// OnExit has f called by KillAll, the last added first.
func OnExit(f func()) {
	state.Lock()
	defer state.Unlock()
	state.hooks = append(state.hooks, f)
}

// KillAll kills every group, and the rest of the session if this process leads
// one, and then runs the hooks. The process is expected
// to exit right after.
func KillAll() {
	state.Lock()
	groups, hooks := state.groups, state.hooks
	state.groups, state.hooks = nil, nil
	state.Unlock()
	for _, g := range groups {
		kill(g)
	}
	if len(groups) > 0 {
		killSession(ownSession())
	}
	for _, f := range slices.Backward(hooks) {
		f()
	}
}
