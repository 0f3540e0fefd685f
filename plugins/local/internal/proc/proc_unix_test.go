//go:build unix

package proc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the guard, and the owner that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case GuardCommand:
			RunGuard(os.Stdin)
			return
		case "owner":
			owner()
			return
		}
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(m.Run())
}

// family is a shell that starts another process in its group and tells its number.
func family(extra string) *exec.Cmd {
	return exec.Command("/bin/sh", "-c", extra+`sleep 300 & echo $!; wait`)
}

// owner starts two families the way an action does, tells who they are, and hangs.
func owner() {
	for range 2 {
		cmd := family("")
		out, err := cmd.StdoutPipe()
		if err != nil {
			panic(err)
		}
		if _, err := Start(cmd); err != nil {
			panic(err)
		}
		child, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			panic(err)
		}
		fmt.Println(cmd.Process.Pid, strings.TrimSpace(child))
	}
	fmt.Println("ready")
	select {}
}

func identify(t *testing.T, pid int) ID {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	return id
}

func waitGone(t *testing.T, ids ...ID) {
	t.Helper()
	began := time.Now()
	for _, id := range ids {
		if !waitUntil(10*time.Second, func() bool { return !id.Alive() }) {
			t.Errorf("process %d is still there", id.PID)
		}
	}
	t.Logf("gone after %v", time.Since(began).Round(time.Millisecond))
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

// TestBoundGroupsDieWithTheirOwner kills the process that started groups: they go
// too, with those of their members that the system would not take along.
func TestBoundGroupsDieWithTheirOwner(t *testing.T) {
	cmd := Self("owner")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := StartGroup(cmd); err != nil {
		t.Fatal(err)
	}
	var ids []ID
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		var parent, child int
		if _, err := fmt.Sscan(lines.Text(), &parent, &child); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		ids = append(ids, identify(t, parent), identify(t, child))
	}
	if len(ids) != 4 {
		t.Fatalf("%d processes were started, want 4", len(ids))
	}
	// As the host does: the whole group, which the guard must not be in.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitGone(t, ids...)
}

// TestStartFromDyingThreads starts children from goroutines whose threads end
// with them: the kernel takes that for the parent's death unless care is taken.
func TestStartFromDyingThreads(t *testing.T) {
	var started []*exec.Cmd
	for range 20 {
		cmd := exec.Command("/bin/sh", "-c", "read x; exit 3")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked
			release, err := Start(cmd)
			if err == nil {
				defer release()
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		started = append(started, cmd)
		if _, err := io.WriteString(in, "go\n"); err != nil {
			t.Errorf("the child is gone: %v", err)
		}
	}
	for _, cmd := range started {
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("the child ended with %v", err)
		}
	}
}

// TestReleasedGroupsAreForgotten: a number that is used again must not be killed
// by a guard that still remembers it.
func TestReleasedGroupsAreForgotten(t *testing.T) {
	in, write := io.Pipe()
	done := make(chan struct{})
	go func() {
		RunGuard(in)
		close(done)
	}()
	_, kept, keptChild := startFamily(t, "")
	_, left, leftChild := startFamily(t, "")
	fmt.Fprintf(write, "+ %d %s\n+ %d %s\n", kept.PID, kept.Started, left.PID, left.Started)
	fmt.Fprintf(write, "- %d %s\nnonsense\n", kept.PID, kept.Started)
	write.Close()
	<-done
	if !kept.Alive() || !keptChild.Alive() {
		t.Error("a group that was released was killed")
	}
	if left.Alive() || leftChild.Alive() {
		t.Error("a group that was left behind still runs")
	}
}
