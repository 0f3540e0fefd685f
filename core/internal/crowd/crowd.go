// Package crowd lets many processes of a test binary work at the same time, kills
// and pauses them at random, and collects what each did and when: a history that
// a linearizability checker can judge.
//
// The parent calls Run. The test binary's TestMain calls Member in the processes
// that Run starts, which record their operations with Recorder.
package crowd

import (
	"bufio"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// Env names the variable that tells a process its part.
const Env = "CROWD_MEMBER"

// Part is what a process is told.
type Part struct {
	// Client counts from 1; a process that replaces a killed one has a new number.
	Client int
	// Role and Place are the caller's.
	Role, Place string
}

// Member is the part of this process, if Run has started it.
func Member() (Part, bool) {
	text, ok := os.LookupEnv(Env)
	var p Part
	return p, ok && json.Unmarshal([]byte(text), &p) == nil
}

// event is one line that a process writes: a call, or a return.
type event struct {
	ID     int64           `json:"id"`
	At     int64           `json:"at"`
	Input  json.RawMessage `json:"in,omitempty"`
	Output json.RawMessage `json:"out,omitempty"`
}

// Recorder writes what a process does. Its methods may be called at the same time.
type Recorder struct {
	out  io.Writer
	mu   sync.Mutex
	last int64
}

// NewRecorder records to the parent.
func NewRecorder() *Recorder { return &Recorder{out: os.Stdout} }

// Call records that an operation begins; call the result when it has ended.
func (r *Recorder) Call(input any) (returned func(output any)) {
	r.mu.Lock()
	r.last++
	id := r.last
	r.mu.Unlock()
	r.write(event{ID: id, Input: raw(input)})
	return func(output any) { r.write(event{ID: id, Output: raw(output)}) }
}

// write takes the time under the lock, so that lines are in its order, and writes
// in one piece, so that a killed process leaves whole lines.
func (r *Recorder) write(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.At = now()
	_, _ = r.out.Write(append(raw(e), '\n'))
}

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// UntilTold returns a channel that is closed when the parent wants the process to end.
func UntilTold() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	return done
}

// Config of a crowd.
type Config struct {
	Role, Place string
	// Processes at a time, and for how long they work.
	Processes int
	For       time.Duration
	// Kill and Pause are how long it takes on average until the next process is
	// killed or paused; 0 for never. Paused ones stand still for up to PauseFor.
	Kill, Pause time.Duration
	PauseFor    time.Duration
	Seed        uint64
}

// Operation is what a process did. Times are of one clock for all processes.
type Operation struct {
	Client       int
	Call, Return int64
	Input        json.RawMessage
	// Output is nil when the process was killed before it could say: the
	// operation may have taken effect until Return, or not at all.
	Output json.RawMessage
}

// Death is the end of a process that was killed: it lived at From, and was gone at To.
type Death struct {
	Client   int
	From, To int64
}

// History is what a crowd did.
type History struct {
	Operations []Operation
	Deaths     []Death
	// Processes that took part, and how often one was paused.
	Processes, Pauses int
	// End is when all had ended.
	End int64
}

type member struct {
	client int
	cmd    *exec.Cmd
	in     io.Closer
	out    chan []Operation
	errs   *tail
}

// Run lets a crowd work and collects its history. It fails the test when a process
// fails that was not killed.
func Run(t *testing.T, cfg Config) History {
	t.Helper()
	rnd := rand.New(rand.NewPCG(cfg.Seed, 1))
	var h History
	var members []*member
	join := func() {
		h.Processes++
		members = append(members, start(t, Part{Client: h.Processes, Role: cfg.Role, Place: cfg.Place}))
	}
	for range cfg.Processes {
		join()
	}
	end := time.After(cfg.For)
	kill, pause := next(rnd, cfg.Kill), next(rnd, cfg.Pause)
	var resumed sync.WaitGroup
	for going := true; going; {
		select {
		case <-end:
			going = false
		case <-kill:
			i := rnd.IntN(len(members))
			m := members[i]
			members = slices.Delete(members, i, i+1)
			h.Deaths = append(h.Deaths, m.kill(t, &h))
			join()
			kill = next(rnd, cfg.Kill)
		case <-pause:
			m, long := members[rnd.IntN(len(members))], time.Duration(rnd.Int64N(int64(cfg.PauseFor)))
			h.Pauses++
			if err := suspend(m.cmd.Process); err != nil {
				t.Errorf("pause process %d: %v", m.client, err)
			}
			resumed.Add(1)
			time.AfterFunc(long, func() {
				defer resumed.Done()
				_ = wake(m.cmd.Process) // it may have been killed meanwhile
			})
			pause = next(rnd, cfg.Pause)
		}
	}
	resumed.Wait()
	for _, m := range members {
		_ = m.in.Close()
	}
	for _, m := range members {
		m.finish(t, &h, now)
		if err := m.cmd.Wait(); err != nil {
			t.Errorf("process %d failed: %v\n%s", m.client, err, m.errs)
		}
	}
	h.End = now()
	return h
}

// next is the moment of the next misfortune.
func next(rnd *rand.Rand, mean time.Duration) <-chan time.Time {
	if mean <= 0 {
		return nil
	}
	return time.After(time.Duration(rnd.ExpFloat64() * float64(mean)))
}

func start(t *testing.T, p Part) *member {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), Env+"="+string(raw(p)), "GORACE=atexit_sleep_ms=0")
	m := &member{client: p.Client, cmd: cmd, out: make(chan []Operation, 1), errs: &tail{}}
	cmd.Stderr = m.errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.in = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { m.out <- read(p.Client, out) }()
	return m
}

// read pairs calls with returns; what has no return has neither Return nor Output.
func read(client int, out io.Reader) []Operation {
	var ops []Operation
	open := map[int64]int{}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return ops
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if e.Output == nil {
			open[e.ID] = len(ops)
			ops = append(ops, Operation{Client: client, Call: e.At, Input: e.Input})
			continue
		}
		if i, ok := open[e.ID]; ok {
			ops[i].Return, ops[i].Output = e.At, e.Output
		}
	}
}

// kill ends the process at once.
func (m *member) kill(t *testing.T, h *History) Death {
	t.Helper()
	d := Death{Client: m.client, From: now()}
	if err := m.cmd.Process.Kill(); err != nil {
		t.Errorf("kill process %d: %v", m.client, err)
	}
	m.finish(t, h, func() int64 {
		_ = m.cmd.Wait() // it was killed
		d.To = now()
		return d.To
	})
	return d
}

// finish takes over what the process did. What it left open ended with it.
func (m *member) finish(t *testing.T, h *History, dead func() int64) {
	t.Helper()
	ops := <-m.out
	end := dead()
	for i := range ops {
		if ops[i].Output == nil {
			ops[i].Return = end
		}
	}
	h.Operations = append(h.Operations, ops...)
}

// tail keeps what a process has said last.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 16<<10; n > 0 {
		t.b = t.b[n:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
