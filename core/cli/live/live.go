// Package live shows a run on a terminal while it happens: the board, redrawn
// in place, with keys to choose a stage and to open its log. When the run
// leaves, the board goes and the summary stays.
package live

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/board"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// frames are drawn so often; what happens in between is seen in the next.
const frames = 100 * time.Millisecond

// patience is how long the board may take to leave the terminal.
const patience = 2 * time.Second

// Options of a live view.
type Options struct {
	In io.Reader
	// Lines takes what stays, Terminal is drawn on; both are the same screen.
	Lines    io.Writer
	Terminal *os.File
	Environ  []string
	// NoColor draws without colours, ASCII with letters only.
	NoColor, ASCII bool
	// Interrupt is called for every Ctrl-C: the terminal makes no signal of it
	// while the board is up.
	Interrupt func()
}

// Live is a view.View for terminals. Before a run is opened and after it has
// left it writes what the plain view writes.
type Live struct {
	*view.Human
	opts Options

	mu      sync.Mutex
	board   *board.Board
	broken  error
	program *tea.Program
	ended   chan struct{}
}

var _ view.View = (*Live)(nil)

// New makes a view for a terminal.
func New(opts Options) *Live {
	human := view.NewHuman(opts.Lines)
	if !opts.NoColor {
		human.Paint(board.Colours())
	}
	return &Live{Human: human, opts: opts}
}

// Opened implements view.View.
func (l *Live) Opened(o view.Opening) {
	b, err := boardOf(o)
	if err != nil {
		l.Human.Opened(o)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.board, l.ended = b, make(chan struct{})
	style := board.Style{ASCII: l.opts.ASCII}
	options := []tea.ProgramOption{
		tea.WithInput(l.opts.In), tea.WithOutput(l.opts.Terminal), tea.WithEnvironment(l.opts.Environ),
		tea.WithoutSignalHandler(), tea.WithFPS(int(time.Second / frames)),
	}
	if l.opts.NoColor {
		options = append(options, tea.WithColorProfile(colorprofile.NoTTY))
	} else {
		style = board.Colours()
		style.ASCII = l.opts.ASCII
	}
	l.program = tea.NewProgram(&model{live: l, style: style}, options...)
	go l.show(l.program, l.ended)
}

func boardOf(o view.Opening) (*board.Board, error) {
	saved, err := o.State.Save()
	if err != nil {
		return nil, err
	}
	state, err := kernel.Restore(&o.Plan.Graph, saved)
	if err != nil {
		return nil, err
	}
	return board.New(o.Run, o.Plan.Pipeline, &o.Plan.Graph, state), nil
}

// show runs until the board goes. A terminal that cannot be drawn on ends the
// board, not the run: what follows is plain lines.
func (l *Live) show(p *tea.Program, ended chan<- struct{}) {
	defer close(ended)
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		l.mu.Lock()
		l.broken = err
		l.mu.Unlock()
	}
}

// up reports whether a board is shown.
func (l *Live) up() bool { return l.board != nil && l.broken == nil }

// Event implements view.View.
func (l *Live) Event(e kernel.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up() {
		if l.broken = l.board.Event(e); l.broken == nil {
			return
		}
	}
	l.Human.Event(e)
}

// Log implements view.View.
func (l *Live) Log(c kernel.Command, line logs.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up() {
		l.board.Log(c, line)
		return
	}
	l.Human.Log(c, line)
}

// Note implements view.View.
func (l *Live) Note(text string) { l.above(func(h *view.Human) { h.Note(text) }) }

// Plan implements view.View.
func (l *Live) Plan(p *plan.Plan) { l.above(func(h *view.Human) { h.Plan(p) }) }

// Diagnostics implements view.View.
func (l *Live) Diagnostics(d hcl.Diagnostics, files map[string]*hcl.File) {
	l.above(func(h *view.Human) { h.Diagnostics(d, files) })
}

// above writes what stays, over the board where there is one.
func (l *Live) above(write func(*view.Human)) {
	l.mu.Lock()
	p := l.program
	if !l.up() {
		p = nil
	}
	l.mu.Unlock()
	if p == nil {
		write(l.Human)
		return
	}
	var text bytes.Buffer
	write(view.NewHuman(&text))
	p.Send(tea.Println(strings.TrimRight(text.String(), "\n"))())
}

// Summary implements view.View.
func (l *Live) Summary(s view.Summary) {
	l.Close()
	l.Human.Summary(s)
}

// Close implements view.View.
func (l *Live) Close() {
	l.mu.Lock()
	p, ended := l.program, l.ended
	l.program, l.board = nil, nil
	l.mu.Unlock()
	if p != nil {
		p.Quit()
		if !within(ended, patience) {
			// A terminal that takes nothing any more must hold nobody up.
			p.Kill()
			within(ended, patience)
		}
	}
}

func within(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// lines are the board's as it stands.
func (l *Live) lines(width, height int, s board.Style) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.board == nil {
		return nil
	}
	return l.board.Lines(time.Now(), width, height, s)
}

func (l *Live) touch(f func(*board.Board)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.board != nil {
		f(l.board)
	}
}
