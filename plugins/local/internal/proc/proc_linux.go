package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bootID tells this run of the machine from every other.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(b) < 8 {
		return "boot"
	}
	return string(b[:8])
})

// stat is what /proc says of one process.
type stat struct {
	state string
	pgrp  int
	start string
}

func readStat(pid string) (stat, error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return stat{}, ErrGone
	}
	// The name, in parentheses, may hold anything.
	_, rest, ok := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(" "))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 20 {
		return stat{}, fmt.Errorf("unreadable /proc/%s/stat", pid)
	}
	pgrp, err := strconv.Atoi(fields[2])
	return stat{state: fields[0], pgrp: pgrp, start: fields[19]}, err
}

func (s stat) ended() bool { return s.state == "Z" || s.state == "X" }

func startOf(pid int) (string, error) {
	s, err := readStat(strconv.Itoa(pid))
	if err != nil {
		return "", err
	}
	if s.ended() {
		return "", ErrGone
	}
	return bootID() + "-" + s.start, nil
}

// Find is a process whose environment has the entry, such as NAME=value, and
// that leads its group; the zero ID when there is none that we may look at.
func Find(entry string) ID {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ID{}
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		if s, err := readStat(e.Name()); err == nil && s.pgrp == pid && !s.ended() {
			if id, err := Identify(pid); err == nil {
				return id
			}
		}
	}
	return ID{}
}

// groupRuns looks past members that have ended and wait to be collected: in a
// container whose first process collects nobody they stay for ever.
func groupRuns(pgid int) bool {
	if unix.Kill(-pgid, 0) == unix.ESRCH {
		return false
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, e := range entries {
		if name := e.Name(); name[0] >= '0' && name[0] <= '9' {
			if s, err := readStat(name); err == nil && s.pgrp == pgid && !s.ended() {
				return true
			}
		}
	}
	return false
}

// selfPath follows the program itself, not its name.
func selfPath() string {
	const link = "/proc/self/exe"
	if _, err := os.Stat(link); err == nil {
		return link
	}
	if path, err := os.Executable(); err == nil {
		return path
	}
	return os.Args[0]
}
