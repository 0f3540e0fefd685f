//go:build unix

package regular

import "syscall"

// openFlags let a pipe without a writer be opened, to be refused.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY
