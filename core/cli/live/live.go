// Package live shows a run on a terminal while it happens: the board, redrawn
// in place, with keys to choose a stage and to open its log. When the run
// leaves, the board goes and the summary stays.
package live

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
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

// Live is a view.View for terminals. Before a run is opened, after it has left,
// and when the board had to go, it writes what the plain view writes.
type Live struct {
	*view.Human
	opts  Options
	plain *muted

	mu sync.Mutex
	// board is nil while none is shown.
	board *board.Board
	// program has the terminal until it has ended; nil before and after.
	program *tea.Program
	ended   chan struct{}
}

var _ view.View = (*Live)(nil)

// New makes a view for a terminal.
func New(opts Options) *Live {
	plain := &muted{to: opts.Lines}
	human := view.NewHuman(plain)
	if !opts.NoColor {
		human.Paint(board.Colours())
	}
	return &Live{Human: human, opts: opts, plain: plain}
}

// muted takes the plain view's lines away while the board tells the same.
type muted struct {
	to io.Writer
	on atomic.Bool
}

func (m *muted) Write(p []byte) (int, error) {
	if m.on.Load() {
		return len(p), nil
	}
	return m.to.Write(p)
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
	l.plain.on.Store(true)
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

// show runs until the board goes. A terminal that cannot be drawn on or read from
// ends the board, not the run: what follows is plain lines.
func (l *Live) show(p *tea.Program, ended chan<- struct{}) {
	defer close(ended)
	_, _ = p.Run()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.board = nil
}

// shown tells the board something and reports whether it took it. Where there is no
// board, or it cannot go on, the terminal is free for plain lines.
func (l *Live) shown(tell func(*board.Board) error) bool {
	l.mu.Lock()
	if l.board != nil {
		if tell(l.board) == nil {
			l.mu.Unlock()
			return true
		}
		l.board = nil
	}
	l.mu.Unlock()
	l.leave()
	return false
}

// Event implements view.View. The plain view follows the run while the board is
// shown, and knows what its lines speak of when it has to go on.
func (l *Live) Event(e kernel.Event) {
	l.shown(func(b *board.Board) error { return b.Event(e) })
	l.Human.Event(e)
}

// Log implements view.View.
func (l *Live) Log(c kernel.Command, line logs.Line) {
	if !l.shown(func(b *board.Board) error { b.Log(c, line); return nil }) {
		l.Human.Log(c, line)
	}
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
	var p *tea.Program
	if !l.shown(func(*board.Board) error { p = l.program; return nil }) {
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
	l.board = nil
	l.mu.Unlock()
	l.leave()
}

// leave gives the terminal back, once there is no board. It may be called by several.
func (l *Live) leave() {
	l.mu.Lock()
	p, ended := l.program, l.ended
	l.mu.Unlock()
	if p == nil {
		return
	}
	// A terminal that takes nothing any more must hold nobody up.
	go p.Quit()
	if !within(ended, patience) {
		go p.Kill()
		within(ended, patience)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.program = nil
	l.plain.on.Store(false)
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
