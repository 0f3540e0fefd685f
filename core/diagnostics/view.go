package diagnostics

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// Diagnostic is the JSON form.
type Diagnostic struct {
	// Severity is "error" or "warning".
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

// Snippet is the source around the place, in whole lines.
type Snippet struct {
	// Context is the enclosing block, such as stage "web"; may be empty.
	Context string `json:"context,omitempty"`
	// Code is empty when it must not be shown.
	Code string `json:"code"`
	// StartLine is that of Code's first line.
	StartLine int `json:"start_line"`
	// HighlightStart and HighlightEnd are byte offsets into Code.
	HighlightStart int `json:"highlight_start"`
	HighlightEnd   int `json:"highlight_end"`
}

// View is the JSON form of the diagnostics; never nil. Of very many it has only the
// first, and one that says so.
func View(diags hcl.Diagnostics, files map[string]*hcl.File) []Diagnostic {
	if rest := len(diags) - maxViewed; rest > 0 {
		diags = append(slices.Clone(diags[:maxViewed]),
			Error(hcl.Range{}, "Too many mistakes", "%d more are not listed. Mend these first.", rest))
	}
	out := make([]Diagnostic, 0, len(diags))
	for _, d := range diags {
		v := Diagnostic{Severity: "error", Summary: d.Summary, Detail: shorten(d.Detail, maxText)}
		if d.Severity == hcl.DiagWarning {
			v.Severity = "warning"
		}
		v.Code = CodeOf(d)
		if d.Subject != nil {
			v.Range = &Range{Filename: d.Subject.Filename, Start: pos(d.Subject.Start), End: pos(d.Subject.End)}
			v.Snippet = snippetOf(d, files)
		}
		out = append(out, v)
	}
	return out
}

func pos(p hcl.Pos) Pos { return Pos{Line: p.Line, Column: p.Column, Byte: p.Byte} }
