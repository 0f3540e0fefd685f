package ci

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// GitLab is the service of GitLab CI.
// Source: GitLab's description of custom collapsible sections.
type GitLab struct{}

// Fold implements Service. What would move the cursor is taken out of the lines,
// since sections are made of such signs.
func (GitLab) Fold(w io.Writer, title string, at time.Time, lines []string) {
	name := "runner_" + strings.ToLower(rand.Text()[:12])
	fmt.Fprintf(w, "\x1b[0Ksection_start:%d:%s[collapsed=true]\r\x1b[0K%s\n", at.Unix(), name, title)
	for _, line := range lines {
		fmt.Fprintln(w, strings.ReplaceAll(ansi.Strip(line), "\r", " "))
	}
	fmt.Fprintf(w, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", time.Now().Unix(), name)
}

// Problem implements Service: GitLab shows none in files, the line is in the log.
func (GitLab) Problem(io.Writer, Problem) {}

// Summary implements Service: GitLab has no place for one.
func (GitLab) Summary(Page) error { return nil }
