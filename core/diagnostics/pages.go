package diagnostics

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// pages are the documentation: one file per code, which names the summaries that it
// speaks of in its title and in the line that begins with "Also:".
//
//go:embed pages/*.md
var pages embed.FS

type handbook struct {
	text map[string]string
	// codes by summary; prefixes are those summaries that end with a name.
	codes    map[string]string
	prefixes map[string]string
}

const (
	alsoPrefix = "Also: "
	// openEnd stands behind a summary that goes on with a name.
	openEnd = " …"
)

var book = sync.OnceValue(func() handbook {
	b := handbook{map[string]string{}, map[string]string{}, map[string]string{}}
	names, err := fs.Glob(pages, "pages/*.md")
	for _, name := range names {
		var raw []byte
		if raw, err = pages.ReadFile(name); err != nil {
			break
		}
		code := strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".md")
		b.text[code] = string(raw)
		for _, s := range Titles(b.text[code]) {
			if open, ok := strings.CutSuffix(s, openEnd); ok {
				b.prefixes[open] = code
			} else {
				b.codes[s] = code
			}
		}
	}
	if err != nil {
		panic(err) // what is embedded can be read
	}
	return b
})

// Titles are the summaries that a page speaks of, its own first. One that ends
// with " …" stands for all that begin so.
func Titles(page string) []string {
	var out []string
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "# "); ok {
			out = append(out, title)
		}
		if also, ok := strings.CutPrefix(line, alsoPrefix); ok {
			return append(out, strings.Split(strings.TrimSuffix(also, "."), "; ")...)
		}
	}
	return out
}

// Code is the code of diagnostics with this summary; empty when no page speaks of
// it, as with what plugins make up.
func Code(summary string) string {
	b := book()
	if code := b.codes[summary]; code != "" {
		return code
	}
	first, _, ok := strings.Cut(summary, " ")
	if !ok {
		return ""
	}
	return b.prefixes[first]
}

// CodeOf is the code of a diagnostic: that of a page, else the one that a plugin
// gave it; may be empty.
func CodeOf(d *hcl.Diagnostic) string {
	if code := Code(d.Summary); code != "" {
		return code
	}
	extra, _ := hcl.DiagnosticExtra[Extra](d)
	return extra.Code
}

// Page is the page of a code, in Markdown that can be read as it stands.
func Page(code string) (string, bool) {
	text, ok := book().text[code]
	return text, ok
}

// Codes are all that have a page, in order.
func Codes() []string {
	b := book()
	out := make([]string, 0, len(b.text))
	for code := range b.text {
		out = append(out, code)
	}
	slices.Sort(out)
	return out
}

// maxMore is how many pages are named below one output.
const maxMore = 3

// WriteMore names the commands that tell more of these errors, each once.
// Warnings, which come again with every command, are left alone.
func WriteMore(w io.Writer, diags hcl.Diagnostics) error {
	var codes []string
	for _, d := range diags {
		code := Code(d.Summary)
		if d.Severity == hcl.DiagError && code != "" && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	_, err := io.WriteString(w, more(codes))
	return err
}

// MoreOf is what WriteMore writes for a message to people, "Error: SUMMARY" with
// what follows in further lines; empty when no page speaks of it.
func MoreOf(message string) string {
	first, _, _ := strings.Cut(message, "\n")
	summary, ok := strings.CutPrefix(first, "Error: ")
	if !ok || Code(summary) == "" {
		return ""
	}
	return more([]string{Code(summary)})
}

func more(codes []string) string {
	if len(codes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("To read more:\n")
	for _, code := range codes[:min(len(codes), maxMore)] {
		fmt.Fprintf(&b, "  runner help %s\n", code)
	}
	return b.String()
}
