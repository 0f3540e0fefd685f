package proc

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
)

// GuardCommand is the first argument with which this program must call
// RunGuard.
const GuardCommand = "guard"

// Start starts the command as the leader of its own process group and binds
// the group to the life of this program: if this program dies, however that
// happens, the group is killed. Call release when the command has ended.
func Start(cmd *exec.Cmd) (release func(), err error) {
	setGroup(cmd)
	if err := startBound(cmd); err != nil {
		return nil, err
	}
	id, err := Identify(cmd.Process.Pid)
	if err != nil {
		// It has ended already; what it left behind is found by its number.
		id = ID{PID: cmd.Process.Pid}
	}
	watch.tell("+", id)
	return func() { watch.tell("-", id) }, nil
}

// guard is a process that outlives this one by a moment and kills the groups
// that it left behind.
type guard struct {
	mu    sync.Mutex
	pipe  io.WriteCloser
	alive map[ID]bool
}

var watch = guard{alive: map[ID]bool{}}

// tell adds or removes a group. A guard that cannot be reached is replaced once
// and told everything; without one the system's own ways still hold (see startBound).
func (g *guard) tell(sign string, id ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if sign == "+" {
		g.alive[id] = true
	} else {
		delete(g.alive, id)
	}
	if g.pipe != nil {
		if _, err := fmt.Fprintf(g.pipe, "%s %d %s\n", sign, id.PID, id.Started); err == nil {
			return
		}
		g.pipe.Close()
		g.pipe = nil
	}
	if len(g.alive) > 0 {
		g.start()
	}
}

func (g *guard) start() {
	if !guardNeeded {
		return
	}
	cmd := Self(GuardCommand)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	if err := StartDetached(cmd); err != nil {
		pipe.Close()
		return
	}
	go func() { _ = cmd.Wait() }()
	for id := range g.alive {
		if _, err := fmt.Fprintf(pipe, "+ %d %s\n", id.PID, id.Started); err != nil {
			pipe.Close()
			return
		}
	}
	g.pipe = pipe
}

// RunGuard is the guard's whole life: it reads which groups to watch until
// its owner is gone, then kills those that are left.
func RunGuard(in io.Reader) {
	left := map[ID]bool{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var sign string
		var id ID
		// The start mark is absent when the process had ended before it was named.
		if n, _ := fmt.Sscan(lines.Text(), &sign, &id.PID, &id.Started); n < 2 {
			continue
		}
		id.Started = strings.TrimSpace(id.Started)
		if sign == "+" {
			left[id] = true
		} else {
			delete(left, id)
		}
	}
	for id := range left {
		Stop(id, 0)
	}
}
