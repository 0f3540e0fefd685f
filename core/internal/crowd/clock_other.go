//go:build !linux

package crowd

import "time"

// now is a moment on the machine's clock in nanoseconds; the clock must not be set
// while a crowd works.
func now() int64 { return time.Now().UnixNano() }
