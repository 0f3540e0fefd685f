package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/creack/pty"
)

// sample is one measurement.
type sample struct {
	wall time.Duration
	// cpu is user and system time of the process and of those it waited for;
	// 0 when it was not a process that was measured.
	cpu time.Duration
	// peak is the largest resident size in bytes; 0 when the system does not tell.
	peak int64
}

// processTimeout bounds one process: what takes longer is not worth waiting for.
const processTimeout = 10 * time.Minute

// program is how a process is started.
type program struct {
	dir  string
	path string
	args []string
	env  []string
	// exit is the code that it ends with when it has done its work.
	exit int
	// terminal: its streams are a terminal that somebody might look at.
	terminal bool
}

// run waits for the process to end. One that fails is an error with what it said.
func (p program) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, processTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	said := &bytes.Buffer{}
	started := time.Now()
	var err error
	if p.terminal {
		said, err = drawnBy(cmd)
	} else {
		cmd.Stderr = said
		err = cmd.Run()
	}
	s := sample{wall: time.Since(started)}
	if cmd.ProcessState == nil {
		return s, fmt.Errorf("%s %s: %w", p.path, strings.Join(p.args, " "), err)
	}
	if code := cmd.ProcessState.ExitCode(); p.exit != 0 && code == p.exit {
		err = nil
	} else if err == nil && code != p.exit {
		err = fmt.Errorf("exit status %d, want %d", code, p.exit)
	}
	if err != nil {
		return s, fmt.Errorf("%s %s: %w\n%s", p.path, strings.Join(p.args, " "), err, said.Bytes())
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	s.peak = peak(cmd.ProcessState)
	return s, nil
}

// drawnBy runs a program on a terminal of its own, of the usual size, and
// gives all that it drew.
func drawnBy(cmd *exec.Cmd) (*bytes.Buffer, error) {
	drawn := &bytes.Buffer{}
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=", "CI=", "GITHUB_ACTIONS=", "GITLAB_CI=")
	screen, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return drawn, err
	}
	all := make(chan struct{})
	go func() {
		defer close(all)
		// It ends with an error when nobody holds the terminal any more.
		_, _ = io.Copy(drawn, screen)
	}()
	err = cmd.Wait()
	<-all
	return drawn, errors.Join(err, screen.Close())
}

// output is what a program that is asked about itself says.
func output(ctx context.Context, env []string, path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", path, strings.Join(args, " "), err)
	}
	return string(out), nil
}
