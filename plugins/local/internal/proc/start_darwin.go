package proc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of the system's proc.h.
const zombie = 5

func startOf(pid int) (string, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(k.Proc.P_pid) != pid || k.Proc.P_stat == zombie {
		return "", ErrGone
	}
	t := k.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
