package child

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// spawner is a thread that lives as long as the process. The kernel sends the
// parent-death signal when the thread that started the child ends, and ordinary
// threads may end at any time.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start has the kernel kill the child when the plugin dies; the rest of its
// group is the guard's.
func start(cmd *exec.Cmd) error {
	a := attr(cmd)
	a.Setpgid, a.Pdeathsig = true, syscall.SIGKILL
	done := make(chan error, 1)
	spawner() <- func() { done <- cmd.Start() }
	return <-done
}
