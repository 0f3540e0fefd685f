// Package paint is the colours of what people read on a terminal. It knows no
// command: who has something to say takes a Style and renders with it.
package paint

import "charm.land/lipgloss/v2"

// Style is how text looks. The zero value is plain text.
type Style struct {
	Bold, Dim, Good, Bad, Warn, Info, Chosen lipgloss.Style
	// ASCII draws with letters only, for terminals that know no others.
	ASCII bool
}

// Colours is the style for a terminal with colours: those of the terminal's own
// palette, so that they fit light and dark ones.
func Colours() Style {
	colour := func(c string) lipgloss.Style { return lipgloss.NewStyle().Foreground(lipgloss.Color(c)) }
	return Style{
		Bold: lipgloss.NewStyle().Bold(true), Dim: lipgloss.NewStyle().Faint(true),
		Good: colour("2"), Bad: colour("1"), Warn: colour("3"), Info: colour("6"),
		Chosen: lipgloss.NewStyle().Reverse(true),
	}
}
