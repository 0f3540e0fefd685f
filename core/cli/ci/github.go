package ci

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// GitHub is the service of GitHub Actions.
// Source: GitHub's reference of workflow commands.
type GitHub struct {
	// SummaryFile is where the page of the step is kept; empty for none.
	SummaryFile string
}

// Fold implements Service. What stages print may look like a command to the
// service: commands are switched off around it.
func (g GitHub) Fold(w io.Writer, title string, _ time.Time, lines []string) {
	off := rand.Text()
	fmt.Fprintf(w, "::group::%s\n::stop-commands::%s\n", escapeData(title), off)
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "::%s::\n::endgroup::\n", off)
}

// Problem implements Service.
func (g GitHub) Problem(w io.Writer, p Problem) {
	level := "error"
	if p.Warning {
		level = "warning"
	}
	props := []string{"title=" + escapeProperty(p.Title)}
	if p.File != "" {
		props = append([]string{"file=" + escapeProperty(p.File), fmt.Sprintf("line=%d", p.Line), fmt.Sprintf("col=%d", p.Column)}, props...)
	}
	text := p.Text
	if text == "" {
		text = p.Title
	}
	fmt.Fprintf(w, "::%s %s::%s\n", level, strings.Join(props, ","), escapeData(text))
}

// Summary implements Service.
func (g GitHub) Summary(p Page) error {
	if g.SummaryFile == "" {
		return nil
	}
	f, err := os.OpenFile(g.SummaryFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, p.Markdown())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func escapeData(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func escapeProperty(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
