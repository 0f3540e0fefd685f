package board_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/board"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
)

var update = flag.Bool("update", false, "write the golden frames")

// recorded is a run as its journal has it: a canary, three tests beside it, one
// stage that fails and one that waits for the tests.
type recorded struct {
	graph  kernel.Graph
	events []kernel.Event
}

func load(t testing.TB) recorded {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var r recorded
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	in.Scan()
	if err := json.Unmarshal(in.Bytes(), &r.graph); err != nil {
		t.Fatal(err)
	}
	for in.Scan() {
		var e kernel.Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		r.events = append(r.events, e)
	}
	if err := in.Err(); err != nil || len(r.events) == 0 {
		t.Fatalf("%d events, %v", len(r.events), err)
	}
	return r
}

// at is the board so many milliseconds after the run was opened.
func (r recorded) at(t testing.TB, ms kernel.Time) (*board.Board, time.Time) {
	t.Helper()
	b := board.New("20261123-045059-7bx9", "shop", &r.graph, kernel.New(&r.graph))
	for _, e := range r.events {
		if e.At > r.events[0].At+ms {
			break
		}
		if err := b.Event(e); err != nil {
			t.Fatal(err)
		}
		if c, ok := e.Fact.(kernel.CommandIssued); ok && (c.Kind == kernel.RunAction || c.Kind == kernel.Install) {
			for i := range 20 {
				b.Log(c.Command, logs.Line{Message: fmt.Sprintf("line %d of %s\x1b[2J\tand on", i+1, c.Node)})
			}
		}
	}
	return b, (r.events[0].At + ms).Time()
}

func TestFrames(t *testing.T) {
	r := load(t)
	for _, tt := range []struct {
		name          string
		ms            kernel.Time
		width, height int
		style         board.Style
		keys          func(*board.Board)
	}{
		{name: "installing", ms: 60, width: 80, height: 24},
		{name: "first-step", ms: 900, width: 80, height: 24},
		{name: "failed-beside", ms: 2400, width: 80, height: 24},
		{name: "narrow", ms: 2400, width: 40, height: 10},
		{name: "ascii", ms: 2400, width: 60, height: 16, style: board.Style{ASCII: true}},
		{name: "wide", ms: 5400, width: 200, height: 50},
		{name: "colours", ms: 5400, width: 80, height: 24, style: board.Colours()},
		{name: "log-open", ms: 2400, width: 80, height: 40, keys: func(b *board.Board) { b.Move(-1); b.Toggle() }},
		{name: "over", ms: 20000, width: 80, height: 24},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, now := r.at(t, tt.ms)
			if tt.keys != nil {
				tt.keys(b)
			}
			got := strings.Join(b.Lines(now, tt.width, tt.height, tt.style), "\n") + "\n"
			golden(t, tt.name, got)
		})
	}
}

// golden compares a frame with the one that was kept.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", file, diff)
	}
}

// Whatever the size, the board fits.
func TestEverySizeFits(t *testing.T) {
	r := load(t)
	for _, ms := range []kernel.Time{0, 900, 5400, 20000} {
		b, now := r.at(t, ms)
		for height := 1; height < 40; height++ {
			for width := 1; width < 120; width += 7 {
				lines := b.Lines(now, width, height, board.Colours())
				if len(lines) > max(height, 3) {
					t.Fatalf("%d lines at height %d", len(lines), height)
				}
				for _, line := range lines {
					if w := ansi.StringWidth(line); w > max(width, 20) {
						t.Fatalf("%d cells at width %d: %q", w, width, line)
					}
				}
			}
		}
	}
}

// A board that starts in the middle, from a state, goes on as one that saw all.
func TestStartsFromAState(t *testing.T) {
	r := load(t)
	state := kernel.New(&r.graph)
	half := len(r.events) / 2
	for _, e := range r.events[:half] {
		if err := state.Evolve(e); err != nil {
			t.Fatal(err)
		}
	}
	late := board.New("20261123-045059-7bx9", "shop", &r.graph, state)
	early := board.New("20261123-045059-7bx9", "shop", &r.graph, kernel.New(&r.graph))
	for i, e := range r.events {
		if err := early.Event(e); err != nil {
			t.Fatal(err)
		}
		if i < half {
			continue
		}
		if err := late.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	now := r.events[len(r.events)-1].At.Time()
	// The order of stages that were over before it started is the plan's.
	want, got := early.Lines(now, 100, 30, board.Style{}), late.Lines(now, 100, 30, board.Style{})
	if len(want) != len(got) {
		t.Errorf("%d lines, %d when started late", len(want), len(got))
	}
	seen := map[string]bool{}
	for _, line := range got[1:] {
		seen[line] = true
	}
	for _, line := range want[1:] {
		if !seen[line] {
			t.Errorf("the late board lacks %q", line)
		}
	}
}

func BenchmarkLines(b *testing.B) {
	g := kernel.Graph{}
	for i := range 10_000 {
		g.Nodes = append(g.Nodes, kernel.Node{ID: fmt.Sprintf("stage.s%d", i), Kind: kernel.ActionNode, Action: &kernel.Action{}})
	}
	bd := board.New("r", "p", &g, kernel.New(&g))
	at := kernel.TimeOf(time.Now())
	if err := bd.Event(kernel.Event{At: at, Fact: kernel.RunOpened{Run: "r", Nonce: "8a537c30-be0e-4006-99d0-22ceb47d2f2c", Parallelism: 10}}); err != nil {
		b.Fatal(err)
	}
	for i := range 5_000 {
		if err := bd.Event(kernel.Event{At: at, Fact: kernel.NodeStarted{Node: g.Nodes[i].ID}}); err != nil {
			b.Fatal(err)
		}
		if i < 4_900 {
			if err := bd.Event(kernel.Event{At: at, Fact: kernel.NodeSettled{Node: g.Nodes[i].ID, Outcome: kernel.Succeeded}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		bd.Lines(at.Time(), 80, 24, board.Style{})
	}
}
