//go:build unix

// Package crash stops the program at an exact place of its work: before or after
// a write to its state, before or after a call to a plugin, or inside one. Its
// tests go through all places of whole runs and compare how each run ends.
//
// Nothing but tests is built with it. Hook makes a process obey the order in its
// environment; Watch does the same in the process of the fake plugin.
package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

// Env names the variable that holds an Order as JSON.
const Env = "RUNNER_CRASH_ORDER"

// Victim is what is killed.
type Victim string

const (
	// Runner is the process that passes the boundary, or the host of the plugin
	// that is inside an operation.
	Runner Victim = "runner"
	// Plugin is the process that serves the call; at a write, one of those that run.
	Plugin Victim = "plugin"
	// Keeper, Front and Proxy (both at once) belong to the services of local_service.
	Keeper Victim = "keeper"
	Front  Victim = "front"
	Proxy  Victim = "proxy"
)

// Order says what happens where. Without At everything goes well.
type Order struct {
	// Dir takes the files that tell what happened.
	Dir string
	// Place is the boundary, as it stands in the trace, and At which of those that
	// are called so, from 1. Names hold where numbers of all boundaries would not:
	// calls at the same time pass in any order.
	Place  string
	At     int
	Victim Victim
	// When is set for a place inside the operation that is called at the boundary.
	When fake.Moment
	// Linger is a program, with an argument, of which the plugin leaves a process
	// behind when its host is killed from inside. Its number is in LingerFile.
	Linger []string
	// Services is the folder of local_service, for its victims.
	Services string
}

// The files in Dir.
const (
	// TraceFile has a line for every boundary that was passed.
	TraceFile = "trace"
	// StruckFile tells that the order was carried out.
	StruckFile = "struck"
	// ComplaintsFile has a line for every operation that began while an earlier
	// process of the same plugin still lived.
	ComplaintsFile = "complaints"
	// LingerFile has the number of the process that was left behind.
	LingerFile = "linger"
	armedFile  = "armed"
	livingFile = "living"
)

// Hook makes the program obey the order in the process's environment.
func Hook(env *command.Env) {
	text := os.Getenv(Env)
	if text == "" {
		return
	}
	p := &points{}
	if err := json.Unmarshal([]byte(text), &p.order); err != nil {
		panic(err)
	}
	trace, err := os.OpenFile(filepath.Join(p.order.Dir, TraceFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	p.trace = trace
	env.WrapStore, env.Launch = p.store, p.launch
}

// points counts the boundaries of one process.
type points struct {
	order Order
	trace *os.File

	mu sync.Mutex
	// n counts the boundaries, here those that the order names.
	n, here int
	plugins []*plugin
}

// pass is called at every boundary, with the plugin that serves a call.
func (p *points) pass(what string, serving *plugin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	fmt.Fprintln(p.trace, what)
	if what != p.order.Place {
		return
	}
	if p.here++; p.here != p.order.At {
		return
	}
	if p.order.When != "" {
		p.must(os.WriteFile(filepath.Join(p.order.Dir, armedFile), nil, 0o600))
		return
	}
	p.must(os.WriteFile(filepath.Join(p.order.Dir, StruckFile), []byte(what), 0o600))
	switch p.order.Victim {
	case Runner:
		die()
	case Plugin:
		if serving == nil && len(p.plugins) > 0 {
			serving = p.plugins[p.n/2%len(p.plugins)]
		}
		if serving != nil {
			_ = syscall.Kill(serving.PID(), syscall.SIGKILL)
		}
	default:
		p.must(killServices(p.order.Services, p.order.Victim))
	}
}

func (p *points) must(err error) {
	if err != nil {
		panic(err)
	}
}

// die ends this process as kill -9 does.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// killServices kills the processes of every service below root, those of one
// service in the same instant: stopped ones cannot answer each other's death.
func killServices(root string, who Victim) error {
	states, err := filepath.Glob(filepath.Join(root, "*", "state.json"))
	if err != nil {
		return err
	}
	for _, path := range states {
		s, err := ReadService(path)
		if err != nil {
			return err
		}
		var pids []int
		if who != Front {
			pids = append(pids, s.Keeper.PID)
		}
		if who != Keeper {
			pids = append(pids, s.Front.PID)
		}
		for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range pids {
				if pid <= 1 {
					continue
				}
				if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
					return err
				}
			}
		}
	}
	return nil
}

// Service is what the record of a local service says of its processes.
type Service struct {
	Port          int
	Keeper, Front struct{ PID int }
}

// ReadService reads the record.
func ReadService(path string) (Service, error) {
	var s Service
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// EnvWatch names the variable that tells the fake plugin the order.
const EnvWatch = "RUNNER_CRASH_WATCH"

// Watch is for fake.Watch: it carries out what the host has armed, and complains
// when two processes of the plugin act in the same world at the same time.
func Watch() func(fake.Moment, string) {
	text := os.Getenv(EnvWatch)
	if text == "" {
		return nil
	}
	var order Order
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		panic(err)
	}
	w := &watch{order: order, alive: -1}
	if fd, err := strconv.Atoi(os.Getenv("RUNNER_ALIVE_FD")); err == nil {
		w.alive = fd
	}
	return w.reached
}

type watch struct {
	order Order
	// alive is the descriptor that proves to the host that this process lives.
	alive  int
	mu     sync.Mutex
	living *os.File
}

func (w *watch) reached(m fake.Moment, operation string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.living == nil {
		w.alone(operation)
	}
	if m != w.order.When {
		return
	}
	// Whoever removes the file is the one who acts.
	err := os.Remove(filepath.Join(w.order.Dir, armedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(w.order.Dir, StruckFile), fmt.Appendf(nil, "%s %s", m, operation), 0o600)
	}
	if err != nil {
		panic(err)
	}
	if w.order.Victim == Plugin {
		die()
	}
	if len(w.order.Linger) > 0 {
		w.linger()
	}
	_ = syscall.Kill(os.Getppid(), syscall.SIGKILL)
}

// linger starts a program that is part of this incarnation: it holds all files
// that tell of its life.
func (w *watch) linger() {
	cmd := exec.Command(w.order.Linger[0], w.order.Linger[1:]...)
	cmd.ExtraFiles = []*os.File{w.living}
	if fd, err := syscall.Dup(w.alive); err == nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(fd), "alive"))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	if err := os.WriteFile(filepath.Join(w.order.Dir, LingerFile), fmt.Append(nil, cmd.Process.Pid), 0o600); err != nil {
		panic(err)
	}
}

// alone holds a lock that ends with this process, as nothing else would tell the
// end of its predecessor for certain.
func (w *watch) alone(operation string) {
	f, err := os.OpenFile(filepath.Join(w.order.Dir, livingFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		panic(err)
	}
	w.living = f
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return
	}
	c, err := os.OpenFile(filepath.Join(w.order.Dir, ComplaintsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(c, "%s began in process %d while an earlier one lived\n", operation, os.Getpid())
	_ = c.Close()
}
