// Package proc starts programs that outlive the one that started them, names
// processes so that a number used again is noticed, and ends them with all they
// started.
//
// A program that must die with the plugin is started with package child of the
// SDK instead.
package proc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// ID names one process for as long as the machine runs: process numbers are
// used again, pairs of number and start are not.
type ID struct {
	PID int `json:"pid"`
	// Started is an opaque mark of the moment the process began.
	Started string `json:"started"`
}

// ErrGone means that there is no such process.
var ErrGone = errors.New("no such process")

// Identify names a running process. It fails with ErrGone when there is none.
func Identify(pid int) (ID, error) {
	started, err := startOf(pid)
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Started: started}, nil
}

// Me names this process.
func Me() ID {
	id, err := Identify(os.Getpid())
	if err != nil {
		return ID{PID: os.Getpid()}
	}
	return id
}

// Alive reports whether the process still runs. One that has ended and was not
// yet collected by its parent does not.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	started, err := startOf(id.PID)
	return err == nil && started == id.Started
}

// WaitGone waits until the process does not run any more. It reports whether
// that was so within the limit.
func (id ID) WaitGone(limit time.Duration) bool {
	return waitUntil(limit, func() bool { return !id.Alive() })
}

// Stop ends the whole group that the process leads or led: politely first,
// by force after the grace period. It returns when nothing of it runs any more,
// at once when that is so already. A stranger with the same number is left alone.
func Stop(id ID, grace time.Duration) {
	if !id.ownsGroup() {
		return
	}
	if grace > 0 && terminateGroup(id.PID) && waitUntil(grace, func() bool { return !groupRuns(id.PID) }) {
		return
	}
	killGroup(id.PID)
	waitUntil(5*time.Second, func() bool { return !groupRuns(id.PID) })
}

// ownsGroup is false when the number now belongs to somebody else. While the
// group has members its number is not given to another process.
func (id ID) ownsGroup() bool {
	if id.PID <= 1 {
		return false
	}
	started, err := startOf(id.PID)
	return err != nil || started == id.Started
}

func waitUntil(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(pause)
	}
}

// Self is a command that runs this very program again, even when its file was
// replaced or removed since it started.
func Self(args ...string) *exec.Cmd {
	cmd := exec.Command(selfPath(), args...)
	cmd.Args[0] = filepath.Base(os.Args[0])
	return cmd
}

// StartGroup starts the command as the leader of its own process group.
func StartGroup(cmd *exec.Cmd) error {
	setGroup(cmd)
	return cmd.Start()
}

// StartDetached starts the command in a session of its own, with nothing
// inherited but what the command names, so that it outlives this program and
// whoever started it.
func StartDetached(cmd *exec.Cmd) error {
	setSession(cmd)
	keepFilesHere()
	return cmd.Start()
}
