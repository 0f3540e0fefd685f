//go:build unix

package proc

import (
	"os/exec"
	"syscall"
)

func setGroup(cmd *exec.Cmd) {
	attr(cmd).Setpgid = true
}

func setSession(cmd *exec.Cmd) {
	attr(cmd).Setsid = true
}

func attr(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// terminateGroup reports whether there was anything to ask.
func terminateGroup(pgid int) bool {
	return syscall.Kill(-pgid, syscall.SIGTERM) == nil
}

func killGroup(pgid int) {
	_ = syscall.Kill(-pgid, syscall.SIGKILL)
}

// keepFilesHere marks the files to be closed in programs started from now on
// that whoever started us left open.
func keepFilesHere() {
	for fd := 3; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
}
