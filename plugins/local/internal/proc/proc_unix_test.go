//go:build unix

package proc

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// family is a shell that starts another process in its group and tells its number.
func family(extra string) *exec.Cmd {
	return exec.Command("/bin/sh", "-c", extra+`sleep 300 & echo $!; wait`)
}

func identify(t *testing.T, pid int) ID {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	return id
}

// startFamily returns the ids of parent and child.
func startFamily(t *testing.T, extra string) (*exec.Cmd, ID, ID) {
	t.Helper()
	cmd := family(extra)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := StartGroup(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { killGroup(cmd.Process.Pid); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return cmd, identify(t, cmd.Process.Pid), identify(t, child)
}

func TestIdentity(t *testing.T) {
	me := Me()
	if me.PID != os.Getpid() || me.Started == "" || !me.Alive() {
		t.Errorf("this process is %+v, alive: %v", me, me.Alive())
	}
	if me != Me() {
		t.Error("the identity changes")
	}
	if (ID{PID: me.PID, Started: "earlier"}).Alive() {
		t.Error("an earlier process with the same number passes for this one")
	}
	if (ID{}).Alive() {
		t.Error("nobody is alive")
	}
	cmd := exec.Command("/bin/sh", "-c", "exit 0")
	if err := StartGroup(cmd); err != nil {
		t.Fatal(err)
	}
	id := ID{PID: cmd.Process.Pid}
	if named, err := Identify(cmd.Process.Pid); err == nil {
		id = named
	}
	// It is not collected yet, and dead all the same.
	if !waitUntil(10*time.Second, func() bool { return !id.Alive() }) {
		t.Error("a process that has ended counts as alive until it is collected")
	}
	_ = cmd.Wait()
	if _, err := Identify(id.PID); !errors.Is(err, ErrGone) {
		t.Errorf("Identify of a process that is gone: %v", err)
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	for name, extra := range map[string]string{
		"polite": "",
		"deaf":   "trap '' TERM; ",
	} {
		t.Run(name, func(t *testing.T) {
			_, parent, child := startFamily(t, extra)
			began := time.Now()
			Stop(parent, 200*time.Millisecond)
			if took := time.Since(began); name == "deaf" && took < 200*time.Millisecond || took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
			if parent.Alive() || child.Alive() {
				t.Errorf("parent alive: %v, child alive: %v", parent.Alive(), child.Alive())
			}
			Stop(parent, time.Hour) // again, at once
		})
	}
}

func TestStopFindsTheGroupWithoutItsLeader(t *testing.T) {
	cmd, parent, child := startFamily(t, "")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !child.Alive() {
		t.Fatal("the child went with its parent; there is nothing to test")
	}
	Stop(parent, 0)
	if child.Alive() {
		t.Error("the rest of the group is still there")
	}
}

func TestStopLeavesStrangersAlone(t *testing.T) {
	_, parent, child := startFamily(t, "")
	Stop(ID{PID: parent.PID, Started: "earlier"}, 0)
	if !parent.Alive() || !child.Alive() {
		t.Error("a process was ended that only has the number of the one that was meant")
	}
	// Nothing sensible can be meant by these.
	Stop(ID{PID: 0}, 0)
	Stop(ID{PID: 1}, 0)
	Stop(ID{PID: -1}, 0)
}
