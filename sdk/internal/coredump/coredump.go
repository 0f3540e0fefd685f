// Package coredump keeps the memory of runner and of its plugins, which holds
// secrets, out of files.
//
// The limit of the size of a core file is set to 0, which programs that are
// started inherit and may raise for themselves. A limit does not bind a system
// that hands cores to a program, so on Linux the process is made undumpable
// too: then nobody but root can trace it or read its environment either.
package coredump

// Env allows core dumps, for debugging runner or a plugin, when it is not empty.
const Env = "RUNNER_CORE_DUMPS"

// Forbid switches core dumps of this process off, unless the environment, as
// os.Getenv reads it, allows them. Where the system cannot do that it does nothing.
func Forbid(getenv func(string) string) {
	if getenv(Env) == "" {
		forbid()
	}
}
