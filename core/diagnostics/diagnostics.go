// Package diagnostics shows diagnostics to people and to programs. Start with
// Write for text and View for JSON; Tidy first, where several rooms reported.
package diagnostics

import (
	"io"

	"github.com/hashicorp/hcl/v2"
)

// Extra is carried in hcl.Diagnostic.Extra.
type Extra struct {
	// Code is stable and names a page of the documentation; may be empty.
	Code string
	// Hidden says that the source line holds something that must not be shown: the
	// place is named and the line is left out.
	Hidden bool
}

// Write writes the diagnostics as text without colour, each followed by an
// empty line, with the line of source they speak of. Files is keyed as the
// ranges' Filename; see config.Pipeline.Files.
func Write(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	panic("skeleton")
}

// Diagnostic is the JSON form.
type Diagnostic struct {
	Severity string   `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	Code     string   `json:"code,omitempty"`
	Range    *Range   `json:"range,omitempty"`
	Snippet  *Snippet `json:"snippet,omitempty"`
}

// Range is a place in a file; End is exclusive.
type Range struct {
	Filename string `json:"filename"`
	Start    Pos    `json:"start"`
	End      Pos    `json:"end"`
}

// Pos counts lines and columns from 1, bytes from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the source around the place.
type Snippet struct {
	// Context is the enclosing block, such as stage "web"; may be empty.
	Context string `json:"context,omitempty"`
	Code    string `json:"code"`
	// StartLine is that of Code's first line.
	StartLine int `json:"start_line"`
	// HighlightStart and HighlightEnd are byte offsets into Code.
	HighlightStart int `json:"highlight_start"`
	HighlightEnd   int `json:"highlight_end"`
}

// View is the JSON form of the diagnostics.
func View(diags hcl.Diagnostics, files map[string]*hcl.File) []Diagnostic { panic("skeleton") }

// Tidy drops repeated diagnostics (instances of one stage repeat each other's)
// and sorts the rest: by file and place, those without a place first.
func Tidy(diags hcl.Diagnostics) hcl.Diagnostics { panic("skeleton") }

// Suggest is ` Did you mean "x"?` with a leading space when one of the
// candidates is close to the name, else empty.
func Suggest(name string, candidates []string) string { panic("skeleton") }
