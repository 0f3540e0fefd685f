//go:build unix

package host

import (
	"os"
	"os/exec"
	"syscall"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// passLifeline hands over the reading end as descriptor 3; the file that proves
// the process alive, if any, is 4. The plugin leads a session of its own: signals
// of the terminal reach the host only, and what the plugin starts can be told
// from all other processes.
func passLifeline(cmd *exec.Cmd, r *os.File) {
	if len(cmd.ExtraFiles) > 0 {
		cmd.ExtraFiles[0] = r
		cmd.Env = append(cmd.Env, handshake.EnvAlive+"=4")
	} else {
		cmd.ExtraFiles = []*os.File{r}
	}
	cmd.Env = append(cmd.Env, handshake.EnvLifeline+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}

// killGroup also ends what the process has left behind in its group. The number
// of a group is not given away while it has members.
func (l *launched) killGroup() { _ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL) }
