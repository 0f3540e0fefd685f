//go:build unix && !linux

package proc

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func groupRuns(pgid int) bool {
	return unix.Kill(-pgid, 0) != unix.ESRCH
}

func selfPath() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}

// startBound has nothing to add: there is no parent-death signal here, so the
// guard alone looks after the group.
func startBound(cmd *exec.Cmd) error { return cmd.Start() }

// keepFilesHere marks the files to be closed that whoever started us left open.
func keepFilesHere() {
	for fd := 3; fd < 256; fd++ {
		unix.CloseOnExec(fd)
	}
}
