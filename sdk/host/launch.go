package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/internal/coredump"
	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// launched is one started program, in the form that go-plugin drives. The
// process leads a group of its own, is given no input, and is reaped at once,
// whoever else may hold its output open.
type launched struct {
	log *slog.Logger
	cmd *exec.Cmd
	// lifeline is the end that this process holds open.
	lifeline *os.File

	// The greeting is the first line of the program's output. It is read here and
	// handed to go-plugin when it is what it should be.
	toHandshake   *io.PipeReader
	fromProcess   *io.PipeWriter
	mu            sync.Mutex
	greeting      string
	greeted       bool
	spoken        int // protocol version in the greeting
	tail          tail
	ending        bool // end was called
	reaped        bool
	started, done chan struct{}
	exit          error
}

// greetingLimit is more than any greeting has.
const greetingLimit = 16 << 10

// drainTime is how long output is still read after the process has ended.
const drainTime = 200 * time.Millisecond

func newLaunched(cfg Config) *launched {
	l := &launched{log: cfg.Log, started: make(chan struct{}), done: make(chan struct{})}
	l.toHandshake, l.fromProcess = io.Pipe()
	l.cmd = exec.Command(cfg.Command[0], cfg.Command[1:]...)
	l.cmd.Dir = cfg.Dir
	l.cmd.Env = append(slices.Clone(cfg.Env), handshake.EnvCertificate+"="+string(cfg.Certificate.pem))
	if allowed := os.Getenv(coredump.Env); allowed != "" {
		l.cmd.Env = append(l.cmd.Env, coredump.Env+"="+allowed)
	}
	if cfg.Alive != nil {
		l.cmd.ExtraFiles = []*os.File{nil, cfg.Alive}
	}
	return l
}

// Start starts the program. It is called once.
func (l *launched) Start(context.Context) (err error) {
	var parents, children []*os.File
	pipe := func() (r, w *os.File) {
		if err == nil {
			r, w, err = os.Pipe()
		}
		return r, w
	}
	lifeIn, lifeOut := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
	parents, children = []*os.File{lifeOut, outR, errR}, []*os.File{lifeIn, outW, errW}
	defer func() {
		closeAll(children)
		if err != nil {
			closeAll(parents)
			_ = l.fromProcess.CloseWithError(io.EOF)
		}
	}()
	if err != nil {
		return err
	}
	l.cmd.Stdout, l.cmd.Stderr = outW, errW
	passLifeline(l.cmd, lifeIn)
	if err = l.launch(); err != nil {
		return err
	}
	l.lifeline = lifeOut
	var reading sync.WaitGroup
	reading.Go(func() { l.readOutput(outR) })
	reading.Go(func() { l.readLog(errR) })
	go l.reap(&reading, outR, errR)
	return nil
}

func (l *launched) launch() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ending {
		return context.Canceled
	}
	if err := l.cmd.Start(); err != nil {
		return err
	}
	close(l.started)
	return nil
}

// reap waits for the end and then sees that nothing is left.
func (l *launched) reap(reading *sync.WaitGroup, pipes ...*os.File) {
	l.exit = l.cmd.Wait()
	l.mu.Lock()
	l.killGroup()
	l.reaped = true
	l.mu.Unlock()
	for _, p := range pipes {
		if err := p.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
			// Without deadlines a pipe that somebody else holds open cannot be left.
			_ = p.Close()
		}
	}
	reading.Wait()
	closeAll(pipes)
	_ = l.lifeline.Close()
	_ = l.fromProcess.Close()
	close(l.done)
}

// readOutput finds the greeting; all that follows is noise and is logged.
func (l *launched) readOutput(r io.Reader) {
	in := bufio.NewReaderSize(r, greetingLimit)
	first, err := in.ReadSlice('\n')
	if len(first) > 0 {
		l.greet(first, errors.Is(err, bufio.ErrBufferFull))
	}
	_ = l.fromProcess.Close()
	out := newLines(l.log)
	scan(in, func(line []byte, cut bool) { out.log(slog.LevelDebug, lineText(line, cut), "stream", "stdout") })
	out.flush()
}

func (l *launched) greet(line []byte, endless bool) {
	text := strings.TrimRight(string(line), "\r\n")
	l.mu.Lock()
	l.greeting, l.greeted = text, true
	l.mu.Unlock()
	version, rest, ok := parseGreeting(text)
	if endless || !ok {
		return
	}
	l.mu.Lock()
	l.spoken = version
	l.mu.Unlock()
	// Whatever it speaks, it can describe itself; see Start.
	_, _ = io.WriteString(l.fromProcess, fmt.Sprintf("1|%d|%s\n", handshake.Protocol, rest))
}

// parseGreeting reads 1|version|network|address|grpc|certificate.
func parseGreeting(line string) (version int, rest string, ok bool) {
	fields := strings.Split(line, "|")
	if len(fields) < 5 || fields[0] != "1" {
		return 0, "", false
	}
	version, err := strconv.Atoi(fields[1])
	return version, strings.Join(fields[2:], "|"), err == nil && version > 0
}

// said is the greeting as far as it has come.
func (l *launched) said() (greeting string, version int, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.greeting, l.spoken, l.greeted
}

// readLog reads what the process writes to its standard error.
func (l *launched) readLog(r io.Reader) {
	out := newLines(l.log)
	scan(bufio.NewReaderSize(r, 4<<10), func(line []byte, cut bool) {
		if entry, ok := parseEntry(line); ok && !cut {
			l.tail.add(entry.text())
			out.entry(entry)
			return
		}
		text := lineText(line, cut)
		l.tail.add(text)
		level := slog.LevelDebug
		if l.tail.inPanic() {
			level = slog.LevelError
		}
		out.log(level, text, "stream", "stderr")
	})
	out.flush()
}

// Wait returns when the process has ended.
func (l *launched) Wait(context.Context) error {
	<-l.done
	return l.exit
}

// Kill does nothing: go-plugin asks for it too early. Process.Stop decides.
func (l *launched) Kill(context.Context) error { return nil }

// end kills the whole group. It may be called at any time, also before Start;
// once the process was reaped its number may belong to somebody else.
func (l *launched) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending = true
	if l.ID() != "" && !l.reaped {
		l.killGroup()
	}
}

func (l *launched) Stdout() io.ReadCloser { return l.toHandshake }

// Stderr is empty for go-plugin; it is read here.
func (l *launched) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

func (l *launched) Name() string { return l.cmd.Path }

func (l *launched) ID() string {
	select {
	case <-l.started:
		return strconv.Itoa(l.cmd.Process.Pid)
	default:
		return ""
	}
}

func (l *launched) Diagnose(context.Context) string { return "" }

func (l *launched) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

func (l *launched) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
