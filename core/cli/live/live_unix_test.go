//go:build unix

package live_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/runner-pipelines/runner/core/cli/live"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// screen is a terminal with the live view on it.
type screen struct {
	t      *testing.T
	master *os.File
	tty    *os.File
	// cooked is how the terminal was before the view took it.
	cooked *term.State
	live   *live.Live
	events []kernel.Event

	mu         sync.Mutex
	seen       strings.Builder
	interrupts chan struct{}
}

// Write is what stays on the screen. Nothing may be written while the board has the
// terminal, which then breaks lines in other places and is drawn over.
func (s *screen) Write(p []byte) (int, error) {
	now, err := term.GetState(int(s.tty.Fd()))
	if err != nil || !reflect.DeepEqual(s.cooked, now) {
		s.t.Errorf("%q is written while the board has the terminal (error %v)", p, err)
	}
	return s.tty.Write(p)
}

// faulty is a keyboard that breaks when it is told to.
type faulty struct{ broken chan struct{} }

func (f faulty) Read([]byte) (int, error) {
	<-f.broken
	return 0, errors.New("input/output error")
}

func open(t *testing.T) *screen { return openWith(t, nil) }

// openWith reads keys from the terminal where no other keyboard is given.
func openWith(t *testing.T, keyboard io.Reader) *screen {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	cooked, err := term.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, master: master, tty: tty, cooked: cooked, interrupts: make(chan struct{}, 4)}
	if keyboard == nil {
		keyboard = tty
	}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			s.mu.Lock()
			s.seen.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		s.live.Close()
		_ = tty.Close()
		_ = master.Close()
		<-reading
	})
	s.live = live.New(live.Options{
		In: keyboard, Lines: s, Terminal: tty, Environ: []string{"TERM=xterm-256color"}, NoColor: true,
		Interrupt: func() { s.interrupts <- struct{}{} },
	})
	p := s.recording()
	s.live.Opened(view.Opening{Run: "20261123-045059-7bx9", Plan: p, State: kernel.New(&p.Graph)})
	return s
}

// recording is the run that the board's own tests use.
func (s *screen) recording() *plan.Plan {
	s.t.Helper()
	f, err := os.Open(filepath.Join("..", "board", "testdata", "run.jsonl"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := &plan.Plan{Pipeline: "shop"}
	for in := bufio.NewScanner(f); in.Scan(); {
		if len(p.Graph.Nodes) == 0 {
			if err := json.Unmarshal(in.Bytes(), &p.Graph); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		var e kernel.Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			s.t.Fatal(err)
		}
		s.events = append(s.events, e)
	}
	return p
}

// play tells the view everything up to so many milliseconds after the start.
func (s *screen) play(ms kernel.Time) {
	for _, e := range s.events {
		if e.At <= s.events[0].At+ms {
			s.live.Event(e)
		}
	}
}

// underWay is an action that is under way so many milliseconds after the start.
func (s *screen) underWay(ms kernel.Time) kernel.Command {
	s.t.Helper()
	open := map[int64]kernel.Command{}
	for _, e := range s.events {
		if e.At > s.events[0].At+ms {
			break
		}
		delete(open, kernel.EndOf(e.Fact))
		if c, ok := e.Fact.(kernel.CommandIssued); ok && c.Kind == kernel.RunAction {
			open[c.ID] = c.Command
		}
	}
	for _, c := range open {
		return c
	}
	s.t.Fatal("nothing is under way")
	return kernel.Command{}
}

func (s *screen) text() string { return ansi.Strip(s.raw()) }

func (s *screen) raw() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

func (s *screen) shows(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(s.text(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the terminal never showed %q; it has:\n%s", text, s.text())
		}
	}
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.master.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

func TestShowsTheRunAndLeavesTheSummary(t *testing.T) {
	s := open(t)
	s.play(2400)
	s.shows("watch 5%")
	s.shows("✗ bad")
	s.live.Note("a remark")
	s.shows("a remark")
	s.live.Summary(view.Summary{Run: "20261123-045059-7bx9", Outcome: "succeeded", Elapsed: time.Minute})
	s.shows("Run 20261123-045059-7bx9: succeeded after 1m00s")
	s.live.Note("after the end")
	s.shows("after the end")
}

func TestCtrlCIsAnInterrupt(t *testing.T) {
	s := open(t)
	s.play(900)
	s.shows("watch 5%")
	s.press("\x03\x03")
	for range 2 {
		select {
		case <-s.interrupts:
		case <-time.After(10 * time.Second):
			t.Fatal("Ctrl-C was not told")
		}
	}
}

func TestKeysOpenALog(t *testing.T) {
	s := open(t)
	s.play(900)
	s.shows("watch 5%")
	s.press("?")
	s.shows("choose a stage")
}

// A view that is closed in the middle gives the terminal back: what follows is
// plain lines.
func TestCloseInTheMiddle(t *testing.T) {
	s := open(t)
	s.play(900)
	s.shows("watch 5%")
	s.live.Close()
	s.live.Close()
	s.live.Event(kernel.Event{At: s.events[0].At, Fact: kernel.Noted{Node: "stage.release", Text: "written as a line"}})
	s.shows("written as a line")
}

// A board that cannot follow the run any more goes, and gives the terminal back
// first. The lines that follow know what was told before.
func TestABoardThatCannotGoOnGivesTheTerminalBack(t *testing.T) {
	s := open(t)
	s.play(900)
	s.shows("watch 5%")
	under := s.underWay(900)
	s.live.Event(kernel.Event{At: s.events[0].At, Fact: kernel.NodeStarted{Node: "stage.nobody"}})
	s.shows("stage.nobody  started")
	s.live.Log(under, logs.Line{Message: "a line of a log"})
	s.shows(under.Node + " | a line of a log")
	s.live.Note("a remark")
	s.shows("a remark")
	// A terminal that is left is told to show its cursor again.
	if drawn := s.raw(); strings.LastIndex(drawn, ansi.ShowCursor) > strings.Index(drawn, "stage.nobody") {
		t.Errorf("the board has left only after the lines that followed it:\n%q", drawn)
	}
	s.live.Event(kernel.Event{At: s.events[0].At, Fact: kernel.CommandFailed{Command: under.ID, Failure: kernel.Failure{Summary: "Refused"}}})
	s.shows(under.Node + "  " + string(under.Kind) + " failed: Refused")
}

// A terminal whose keyboard breaks ends the board, and nothing that follows is lost.
func TestATerminalThatBreaksLeavesPlainLines(t *testing.T) {
	keyboard := faulty{make(chan struct{})}
	s := openWith(t, keyboard)
	s.play(900)
	s.shows("watch 5%")
	close(keyboard.broken)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(s.text(), "written as a line"); {
		if time.Now().After(deadline) {
			t.Fatal("what happens is told to a board that is gone")
		}
		s.live.Event(kernel.Event{At: s.events[0].At, Fact: kernel.Noted{Node: "stage.release", Text: "written as a line"}})
	}
}
