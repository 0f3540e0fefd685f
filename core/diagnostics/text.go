package diagnostics

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcled"
)

const (
	// maxLines of source are shown of one diagnostic.
	maxLines = 3
	// maxColumns of a line are shown, in characters.
	maxColumns = 200
	// maxText of source or explanation stand in JSON, in bytes.
	maxText = 10_000
	// maxDetail of a line of explanation are shown, in characters.
	maxDetail = 1000
	// maxShown diagnostics are shown as text, and maxViewed in JSON.
	maxShown  = 100
	maxViewed = 1000
)

// Write writes the diagnostics as text without colour, each followed by an
// empty line, with the line of source they speak of. Files is keyed as the
// ranges' Filename; see config.Pipeline.Files. Those that would read the same, as
// for two places in one line, are written once. Of very many only the first are written.
func Write(w io.Writer, diags hcl.Diagnostics, files map[string]*hcl.File) error {
	var b strings.Builder
	seen := map[string]bool{}
	for i, d := range diags {
		if len(seen) == maxShown {
			fmt.Fprintf(&b, "%d more are not shown. Mend these first.\n\n", len(diags)-i)
			break
		}
		var one strings.Builder
		writeOne(&one, d, files)
		if !seen[one.String()] {
			seen[one.String()] = true
			b.WriteString(one.String())
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeOne(b *strings.Builder, d *hcl.Diagnostic, files map[string]*hcl.File) {
	fmt.Fprintf(b, "%s: %s\n", severityTitle(d.Severity), printable(d.Summary))
	if d.Subject != nil {
		fmt.Fprintf(b, "  on %s line %d", printable(d.Subject.Filename), d.Subject.Start.Line)
		s := snippetOf(d, files)
		if s != nil && s.Context != "" {
			fmt.Fprintf(b, ", in %s", shorten(printable(s.Context), maxColumns))
		}
		if s == nil || s.Code == "" {
			b.WriteByte('\n')
		} else {
			writeCode(b, s)
		}
	}
	if d.Detail != "" {
		b.WriteByte('\n')
		for line := range strings.SplitSeq(strings.TrimRight(d.Detail, "\n"), "\n") {
			b.WriteString(shorten(printable(line), maxDetail))
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
}

func writeCode(b *strings.Builder, s *Snippet) {
	b.WriteString(":\n")
	lines := strings.Split(s.Code, "\n")
	for i, line := range lines[:min(len(lines), maxLines)] {
		fmt.Fprintf(b, "%4d: %s\n", s.StartLine+i, shorten(printable(line), maxColumns))
	}
	if len(lines) > maxLines {
		b.WriteString("      …\n")
	}
}

func severityTitle(s hcl.DiagnosticSeverity) string {
	if s == hcl.DiagWarning {
		return "Warning"
	}
	return "Error"
}

// snippetOf is the source of whole lines that the subject touches, without
// code when that must not be shown; nil when the source is not at hand.
func snippetOf(d *hcl.Diagnostic, files map[string]*hcl.File) *Snippet {
	file := files[d.Subject.Filename]
	if file == nil {
		return nil
	}
	src := file.Bytes
	start := min(max(d.Subject.Start.Byte, 0), len(src))
	end := min(max(d.Subject.End.Byte, start), len(src))
	from := bytes.LastIndexByte(src[:start], '\n') + 1
	to := len(src)
	// A range that ends at the beginning of a line does not touch that line.
	last := end
	if last > start && src[last-1] == '\n' {
		last--
	}
	if i := bytes.IndexByte(src[last:], '\n'); i >= 0 {
		to = last + i
	}
	s := &Snippet{StartLine: d.Subject.Start.Line}
	if extra, ok := hcl.DiagnosticExtra[Extra](d); !ok || !extra.Hidden {
		s.Code = strings.TrimSuffix(strings.ToValidUTF8(string(src[from:min(to, from+maxText)]), "�"), "\r")
		s.HighlightStart = min(start-from, len(s.Code))
		s.HighlightEnd = min(end-from, len(s.Code))
	}
	if file.Nav != nil {
		s.Context = hcled.ContextString(file, start)
	}
	return s
}

// printable replaces what could confuse a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, strings.TrimSuffix(s, "\r"))
}

// shorten cuts a line to so many characters.
func shorten(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	n := 0
	for i := range line {
		if n == limit {
			return line[:i] + " …"
		}
		n++
	}
	return line
}
