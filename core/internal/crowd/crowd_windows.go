package crowd

import "os"

// Processes cannot be paused by a signal here: they go on.
func suspend(*os.Process) error { return nil }
func wake(*os.Process) error    { return nil }
