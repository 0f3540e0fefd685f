// Package child starts programs for a plugin that must not outlive it.
//
// A program started here leads a process group of its own. The whole group is
// killed when the plugin ends, in whatever way: stopped, crashed, killed, or
// because the host is gone. So is whoever left the group, unless it made itself
// a session of its own.
package child

import (
	"errors"
	"os/exec"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/internal/guard"
)

// Grace is how long a program that was cancelled may take to end by itself,
// unless its Cmd.WaitDelay says otherwise.
const Grace = 5 * time.Second

// Child is a program that was started, with all that it started itself.
type Child struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	ended bool
}

// Start starts the command in a process group of its own. If it was made with
// a context, the end of the context asks the whole group to end, and kills it
// after Cmd.WaitDelay. Wait must be called.
func Start(cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = Grace
	}
	if cmd.Cancel != nil {
		cmd.Cancel = func() error {
			time.AfterFunc(cmd.WaitDelay, c.Kill)
			return terminate(cmd)
		}
	}
	guard.Prepare()
	if err := start(cmd); err != nil {
		return nil, err
	}
	guard.Add(cmd.Process.Pid)
	return c, nil
}

// Run is Start and Wait.
func Run(cmd *exec.Cmd) error {
	c, err := Start(cmd)
	if err != nil {
		return err
	}
	return c.Wait()
}

// Wait waits for the command and then kills what it left behind in its group.
// Its error is that of Cmd.Wait; somebody left behind who holds the command's
// output open is waited for at most Cmd.WaitDelay and is no error.
func (c *Child) Wait() error {
	err := c.cmd.Wait()
	c.Kill()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	guard.Drop(c.cmd.Process.Pid)
	if errors.Is(err, exec.ErrWaitDelay) && c.cmd.ProcessState.Success() {
		return nil
	}
	return err
}

// PID is the process id of the command, and of its group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Kill kills the whole group at once. After Wait it does nothing: the number
// may then belong to somebody else.
func (c *Child) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		kill(c.cmd)
	}
}
