//go:build unix && !linux

package child

import "os/exec"

func start(cmd *exec.Cmd) error {
	attr(cmd).Setpgid = true
	return cmd.Start()
}
