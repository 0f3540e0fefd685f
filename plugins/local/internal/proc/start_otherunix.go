//go:build unix && !linux && !darwin

package proc

import "golang.org/x/sys/unix"

// startOf cannot tell when a process began on this system: numbers alone count.
func startOf(pid int) (string, error) {
	if err := unix.Kill(pid, 0); err == unix.ESRCH {
		return "", ErrGone
	}
	return "-", nil
}
