// Package board draws a run as it stands at one moment, on a screen of any
// size: which stages are under way and for how long, where the traffic of each
// rollout is, what is waited for, and the last lines that were logged.
//
// A board is told everything and asked for its lines. It has no clock and no
// screen of its own: the same events, moment and size give the same lines.
package board

import (
	"slices"

	"github.com/runner-pipelines/runner/core/cli/series"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
)

// Board is a run as far as it was told.
type Board struct {
	run, pipeline string
	graph         *kernel.Graph
	state         *kernel.State
	began         kernel.Time

	// active are the nodes under way in the order of their start, ended those
	// that are over, the latest last; failed are those of them that people look at.
	active, ended, failed []string
	settled               map[string]bool
	total                 int
	logs                  map[string]*tail
	// busy counts the commands under way of a node, which commands maps to it.
	busy     map[string]int
	commands map[int64]string

	// judged is what the analyses saw since the board was made.
	judged *series.Set

	chosen string
	open   map[string]bool
}

// New is the board of a run that stands where the state says. The board folds
// the events that follow into the state by itself: nobody else may.
func New(run, pipeline string, g *kernel.Graph, state *kernel.State) *Board {
	b := &Board{
		run: run, pipeline: pipeline, graph: g, state: state,
		settled: map[string]bool{}, logs: map[string]*tail{}, open: map[string]bool{},
		busy: map[string]int{}, commands: map[int64]string{}, judged: series.New(),
	}
	for _, c := range state.InFlight() {
		b.issued(c.Command)
	}
	for _, n := range state.Nodes() {
		if n.Kind == kernel.BarrierNode {
			continue
		}
		b.total++
		if n.Started != 0 && (b.began == 0 || n.Started < b.began) {
			b.began = n.Started
		}
		switch {
		case n.Outcome != "":
			b.end(n.ID, n.Outcome)
		case n.Started != 0:
			b.active = append(b.active, n.ID)
		}
	}
	return b
}

// Event tells what happened. An event that does not follow from what the board
// was told before is an error, and the board stays as it was.
func (b *Board) Event(e kernel.Event) error {
	if err := b.state.Evolve(e); err != nil {
		return err
	}
	if b.began == 0 {
		b.began = e.At
	}
	b.judged.Event(e)
	b.over(kernel.EndOf(e.Fact))
	switch f := e.Fact.(type) {
	case kernel.CommandIssued:
		b.issued(f.Command)
	case kernel.NodeStarted:
		b.begin(f.Node)
	case kernel.NodeUndoing:
		b.begin(f.Node)
	case kernel.NodeSettled:
		b.end(f.Node, f.Outcome)
	case kernel.NodeUndone:
		b.end(f.Node, "")
	}
	return nil
}

// issued and over follow the commands whose log is worth a look.
func (b *Board) issued(c kernel.Command) {
	switch c.Kind {
	case kernel.AskStrategy, kernel.Measure, kernel.PlanNode, kernel.Observe:
	default:
		if c.Node != "" {
			b.commands[c.ID] = c.Node
			b.busy[c.Node]++
		}
	}
}

func (b *Board) over(command int64) {
	if node, ok := b.commands[command]; ok {
		delete(b.commands, command)
		b.busy[node]--
	}
}

func (b *Board) begin(node string) {
	if b.barrier(node) {
		return
	}
	if !slices.Contains(b.active, node) {
		b.active = append(b.active, node)
	}
}

func (b *Board) end(node string, o kernel.Outcome) {
	if b.barrier(node) {
		return
	}
	if i := slices.Index(b.active, node); i >= 0 {
		b.active = slices.Delete(b.active, i, i+1)
	}
	if !b.settled[node] {
		b.settled[node] = true
		b.ended = append(b.ended, node)
		if bad(o) {
			b.failed = append(b.failed, node)
		}
	}
}

func (b *Board) barrier(node string) bool {
	n, ok := b.state.Node(node)
	return ok && n.Kind == kernel.BarrierNode
}

// Log tells one line of a command's log.
func (b *Board) Log(c kernel.Command, l logs.Line) {
	if l.Level < 0 || c.Node == "" {
		return
	}
	t := b.logs[c.Node]
	if t == nil {
		t = &tail{}
		b.logs[c.Node] = t
	}
	text := l.Message
	if c.Target != "" && c.Target != "main" {
		text = c.Target + ": " + text
	}
	t.add(text)
}

// Move moves the choice among the stages that are shown.
func (b *Board) Move(by int) {
	all := b.choices()
	if len(all) == 0 {
		return
	}
	at := slices.Index(all, b.chosen)
	switch {
	case at < 0 && by < 0:
		at = len(all) - 1
	case at < 0:
		at = 0
	default:
		at = min(max(at+by, 0), len(all)-1)
	}
	b.chosen = all[at]
}

// Toggle opens or closes the log of the chosen stage.
func (b *Board) Toggle() {
	if b.chosen != "" {
		b.open[b.chosen] = !b.open[b.chosen]
	}
}

// choices are the stages with something to open, as they are shown.
func (b *Board) choices() []string {
	shown, _ := b.shown(recent)
	return append(slices.Clone(shown), b.active...)
}

// tail keeps the last lines of a log.
type tail struct {
	lines [kept]string
	n     int
}

// kept is how many lines of a stage's log can be seen when it is opened.
const kept = 12

func (t *tail) add(line string) {
	t.lines[t.n%kept] = line
	t.n++
}

// last are the last n lines, oldest first.
func (t *tail) last(n int) []string {
	if t == nil {
		return nil
	}
	n = min(n, t.n, kept)
	out := make([]string, n)
	for i := range out {
		out[i] = t.lines[(t.n-n+i)%kept]
	}
	return out
}
