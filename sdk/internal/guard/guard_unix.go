//go:build unix

package guard

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killTime is how long processes that were killed may take to be gone.
const killTime = 2 * time.Second

func kill(pgid int) {
	if pgid > 1 {
		_ = syscall.Kill(-pgid, syscall.SIGKILL)
	}
}

func tell(sign string, pgid int) {
	if state.send != nil {
		state.send(sign + strconv.Itoa(pgid) + "\n")
	}
}

// ownSession is the session that this process leads, or 0.
func ownSession() int {
	pid := os.Getpid()
	if sid, err := unix.Getsid(0); err != nil || sid != pid {
		return 0
	}
	return pid
}

// killSession kills all processes of the session but this one and sees that
// they are gone: whoever was just starting another is met in a later round.
func killSession(sid int) {
	if sid <= 1 {
		return
	}
	for began := time.Now(); time.Since(began) < killTime; time.Sleep(time.Millisecond) {
		members := session(sid)
		if len(members) == 0 {
			return
		}
		for _, pid := range members {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// watch is the guard's work.
func watch(in io.Reader) {
	var groups []int
	leader, _ := strconv.Atoi(os.Getenv(env))
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := lines.Text()
		if len(line) < 2 {
			continue
		}
		pgid, err := strconv.Atoi(line[1:])
		if err != nil {
			continue
		}
		if i := slices.Index(groups, pgid); line[0] == '-' && i >= 0 {
			groups = slices.Delete(groups, i, i+1)
		} else if line[0] == '+' {
			groups = append(groups, pgid)
		}
	}
	for _, g := range groups {
		kill(g)
	}
	killSession(leader)
}

// start launches the guard. Without one the plugin still works, so a failure is
// only logged.
func start(keep []*os.File) func(string) {
	ignore := func(string) {}
	r, w, err := os.Pipe()
	if err != nil {
		slog.Warn("programs started by this plugin may outlive it", "error", err)
		return ignore
	}
	cmd := exec.Command(program())
	cmd.Env = append(os.Environ(), env+"="+strconv.Itoa(ownSession()))
	cmd.Stdin = r
	cmd.ExtraFiles = keep
	// A session of its own: what ends the plugin must not end its guard.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		_ = w.Close()
		slog.Warn("programs started by this plugin may outlive it", "error", err)
		return ignore
	}
	go func() { _ = cmd.Wait() }()
	return func(line string) {
		if _, err := fmt.Fprint(w, line); err != nil {
			slog.Warn("programs started by this plugin may outlive it", "error", err)
		}
	}
}

// program is this program itself, also when its file was replaced meanwhile.
func program() string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err == nil {
		return self
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
