//go:build unix

package display_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// recording is the first seconds of the run that the board's tests use.
func recording(t *testing.T) (*plan.Plan, []kernel.Event) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "board", "testdata", "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Pipeline: "shop"}
	graph, rest, _ := strings.Cut(string(text), "\n")
	if err := json.Unmarshal([]byte(graph), &p.Graph); err != nil {
		t.Fatal(err)
	}
	var events []kernel.Event
	for line := range strings.Lines(rest) {
		var e kernel.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		const shown = 2400 // the canary is watched at 5%, and a stage has failed
		if len(events) > 0 && e.At > events[0].At+shown {
			break
		}
		events = append(events, e)
	}
	return p, events
}

// drawn is all that a terminal gets in an environment, up to the line "the end".
func drawn(t *testing.T, o display.Options, vars ...string) string {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = tty.Close(), master.Close() })
	env := &command.Env{Stdin: tty, Stdout: tty, Stderr: tty, Terminal: tty, Interactive: true, Environ: vars, Dir: t.TempDir()}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for in := bufio.NewReader(master); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			lines <- line
		}
	}()
	var all strings.Builder
	until := func(text string) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case line := <-lines:
				all.WriteString(line)
				if strings.Contains(line, text) {
					return
				}
			case <-deadline:
				t.Fatalf("%q was not shown:\n%q", text, &all)
			}
		}
	}
	v := display.New(env, env.Dir, o)
	p, events := recording(t)
	v.Opened(view.Opening{Run: "r1", Plan: p, State: kernel.New(&p.Graph)})
	for _, e := range events {
		v.Event(e)
	}
	if o.JSON {
		until("node.settled")
	} else {
		until("5%")
	}
	v.Close()
	v.Note("the end")
	until("the end")
	return all.String()
}

func TestEachTerminalGetsWhatItCanShow(t *testing.T) {
	var (
		escape  = regexp.MustCompile(`\x1b`)
		move    = regexp.MustCompile(`\x1b\[\d*[AHJK]`)
		colour  = regexp.MustCompile(`\x1b\[(?:[\d;]*;)?(?:3[0-8]|4[0-8]|9\d)(?:;[\d;]*)?m`)
		special = regexp.MustCompile(`[^\x00-\x7f]`)
	)
	const xterm, utf8 = "TERM=xterm-256color", "LANG=C.UTF-8"
	for _, tt := range []struct {
		name string
		opts display.Options
		env  []string
		has  []*regexp.Regexp
		not  []*regexp.Regexp
	}{
		{"a terminal", display.Options{}, []string{xterm, utf8}, []*regexp.Regexp{move, colour, special}, nil},
		{"NO_COLOR", display.Options{}, []string{xterm, utf8, "NO_COLOR=1"}, []*regexp.Regexp{move, special}, []*regexp.Regexp{colour}},
		{"an empty NO_COLOR", display.Options{}, []string{xterm, utf8, "NO_COLOR="}, []*regexp.Regexp{move, colour}, nil},
		{"-no-color", display.Options{NoColor: true}, []string{xterm, utf8}, []*regexp.Regexp{move, special}, []*regexp.Regexp{colour}},
		{"letters only", display.Options{}, []string{xterm, "LANG=C"}, []*regexp.Regexp{move, colour}, []*regexp.Regexp{special}},
		{"a terminal that cannot move its cursor", display.Options{}, []string{"TERM=dumb", utf8}, nil, []*regexp.Regexp{escape}},
		{"an unknown terminal", display.Options{}, []string{utf8}, nil, []*regexp.Regexp{escape}},
		{"a CI job with a terminal", display.Options{}, []string{xterm, utf8, "CI=true"}, nil, []*regexp.Regexp{escape}},
		{"JSON", display.Options{JSON: true}, []string{xterm, utf8}, nil, []*regexp.Regexp{escape}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := drawn(t, tt.opts, tt.env...)
			for _, re := range tt.has {
				if !re.MatchString(got) {
					t.Errorf("nothing like %s is drawn:\n%q", re, got)
				}
			}
			for _, re := range tt.not {
				if m := re.FindString(got); m != "" {
					t.Errorf("%q is drawn:\n%q", m, got)
				}
			}
		})
	}
}

// What is written once, such as a plan, is coloured by the same rules.
func TestTextIsColouredWhereItCanBe(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = tty.Close(), master.Close() }()
	for _, tt := range []struct {
		name     string
		noColor  bool
		terminal *os.File
		env      []string
		coloured bool
	}{
		{"a terminal", false, tty, []string{"TERM=xterm"}, true},
		{"a file", false, nil, []string{"TERM=xterm"}, false},
		{"NO_COLOR", false, tty, []string{"TERM=xterm", "NO_COLOR=1"}, false},
		{"-no-color", true, tty, []string{"TERM=xterm"}, false},
		{"a dumb terminal", false, tty, []string{"TERM=dumb"}, false},
	} {
		style := display.Paint(&command.Env{Terminal: tt.terminal, Environ: tt.env}, tt.noColor)
		if got := style.Bad.Render("x"); (got != "x") != tt.coloured {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}
