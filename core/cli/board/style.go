package board

import (
	"math"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/kernel"
)

// Style is how the board looks. The zero value is plain text.
type Style = paint.Style

// Colours is the style for a terminal with colours.
func Colours() Style { return paint.Colours() }

// mark is the sign before a stage.
type mark int

const (
	works mark = iota
	done
	failed
	asks
	left
	comes
)

type painter struct {
	Style
	width int
	now   kernel.Time
}

func (p painter) mark(m mark) string {
	signs, paint := [...]string{"●", "✓", "✗", "?", "-", "○"}, [...]lipgloss.Style{p.Info, p.Good, p.Bad, p.Warn, p.Dim, p.Dim}
	if p.ASCII {
		signs = [...]string{"*", "+", "x", "?", "-", "."}
	}
	return paint[m].Render(signs[m])
}

func (p painter) bar() string {
	if p.ASCII {
		return "|"
	}
	return "│"
}

// meter draws a share of 0 to 1.
func (p painter) meter(share float64, paint lipgloss.Style) string {
	if p.width < 60 {
		return p.gauge(share, 10, paint)
	}
	return p.gauge(share, 24, paint)
}

// gauge is a meter that is so many cells wide.
func (p painter) gauge(share float64, wide int, paint lipgloss.Style) string {
	full, rest := "█", "░"
	if p.ASCII {
		full, rest = "#", "."
	}
	n := int(math.Round(min(1, max(0, share)) * float64(wide)))
	if share > 0 && n == 0 {
		n = 1
	}
	if share < 1 && n == wide {
		n = wide - 1
	}
	return paint.Render(strings.Repeat(full, n)) + p.Dim.Render(strings.Repeat(rest, wide-n))
}

// spread puts one text at each end of the line; the left one gives way.
func (p painter) spread(left, right string) string {
	room := p.width - ansi.StringWidth(right)
	if right != "" {
		room--
	}
	left = p.cut(left, room)
	if right == "" {
		return left
	}
	return left + strings.Repeat(" ", max(1, p.width-ansi.StringWidth(left)-ansi.StringWidth(right))) + right
}

func (p painter) cut(text string, width int) string {
	dots := "…"
	if p.ASCII {
		dots = "~"
	}
	return ansi.Truncate(text, width, dots)
}
