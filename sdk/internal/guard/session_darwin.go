package guard

import (
	"os"

	"golang.org/x/sys/unix"
)

// session lists the living processes of the session, this one excepted.
func session(sid int) []int {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	const zombie = 5 // SZOMB of sys/proc.h
	var members []int
	for _, p := range all {
		pid := int(p.Proc.P_pid)
		if pid == os.Getpid() || p.Proc.P_stat == zombie {
			continue
		}
		if of, err := unix.Getsid(pid); err == nil && of == sid {
			members = append(members, pid)
		}
	}
	return members
}
