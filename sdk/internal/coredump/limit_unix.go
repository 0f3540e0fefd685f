//go:build unix

package coredump

import "syscall"

// limit keeps the hard limit, so that a program that is started may dump again.
func limit() {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &l) == nil {
		l.Cur = 0
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &l)
	}
}
