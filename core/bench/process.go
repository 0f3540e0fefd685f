package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
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
}

// run waits for the process to end. One that fails is an error with what it said.
func (p program) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, processTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	started := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(started)}
	if code := cmd.ProcessState.ExitCode(); p.exit != 0 && code == p.exit {
		err = nil
	} else if err == nil && code != p.exit {
		err = fmt.Errorf("exit status %d, want %d", code, p.exit)
	}
	if err != nil {
		return s, fmt.Errorf("%s %s: %w\n%s", p.path, strings.Join(p.args, " "), err, stderr.Bytes())
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	s.peak = peak(cmd.ProcessState)
	return s, nil
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
