package host

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// passLifeline hands over the reading end as standard input, which a plugin
// does not use: further descriptors are not inherited here.
func passLifeline(cmd *exec.Cmd, r *os.File) {
	cmd.ExtraFiles = nil
	cmd.Stdin = r
	cmd.Env = append(cmd.Env, handshake.EnvLifeline+"=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func (l *launched) killGroup() { _ = l.cmd.Process.Kill() }
