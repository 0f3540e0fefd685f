package live

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/runner-pipelines/runner/core/cli/board"
)

// model is the terminal's side: its size and its keys.
type model struct {
	live          *Live
	style         board.Style
	width, height int
	help          bool
}

type tick struct{}

func again() tea.Cmd { return tea.Tick(frames, func(time.Time) tea.Msg { return tick{} }) }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return again() }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tick:
		return m, again()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		m.key(msg.String())
	}
	return m, nil
}

func (m *model) key(key string) {
	switch key {
	case "ctrl+c":
		if m.live.opts.Interrupt != nil {
			m.live.opts.Interrupt()
		}
	case "up", "k":
		m.live.touch(func(b *board.Board) { b.Move(-1) })
	case "down", "j", "tab":
		m.live.touch(func(b *board.Board) { b.Move(1) })
	case "enter", "space", "l":
		m.live.touch((*board.Board).Toggle)
	case "?", "h":
		m.help = !m.help
	}
}

const (
	hint = "? keys"
	help = "↑ ↓ choose a stage · enter its log · ctrl+c stop after what is under way, twice: now · ? close"
)

// View implements tea.Model.
func (m *model) View() tea.View {
	if m.width == 0 || m.height == 0 {
		return tea.NewView("")
	}
	// The last line of the screen stays free for the cursor.
	lines := m.live.lines(m.width, m.height-2, m.style)
	if lines == nil {
		return tea.NewView("")
	}
	keys := hint
	if m.help {
		keys = help
	}
	if m.style.ASCII {
		keys = strings.NewReplacer("↑", "up", "↓", "down", "·", "-").Replace(keys)
	}
	view := tea.NewView(strings.Join(append(lines, m.style.Dim.Render(keys)), "\n"))
	// A terminal that gets narrower folds lines above the cursor, and nobody can say
	// how many rows they became. Nothing of the board is above its first character.
	view.Cursor = tea.NewCursor(0, 0)
	view.Cursor.Blink = false
	return view
}
