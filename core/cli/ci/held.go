package ci

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/target"
)

// heldLines is how many lines of a command's log are folded, the last ones.
const heldLines = 2000

// held is the log of a command under way.
type held struct {
	command kernel.Command
	since   time.Time
	lines   []string
	// n counts all lines; lines is a ring.
	n int
}

func (h *held) add(line string) {
	if len(h.lines) < heldLines {
		h.lines = append(h.lines, line)
	} else {
		h.lines[h.n%heldLines] = line
	}
	h.n++
}

func (h *held) title() string {
	title := h.command.Node
	if t := h.command.Target; t != "" && t != "main" {
		title += " " + t
	}
	if h.command.Kind != kernel.RunAction {
		title += ": " + strings.ReplaceAll(string(h.command.Kind), "_", " ")
	}
	return title
}

func (h *held) all(run string) []string {
	if h.n <= heldLines {
		return h.lines
	}
	first := h.n % heldLines
	out := []string{fmt.Sprintf("(%d lines before these: runner logs %s -stage '%s')", h.n-heldLines, run, h.command.Node)}
	out = append(out, h.lines[first:]...)
	return append(out, h.lines[:first]...)
}

// alive is a sign of life: what is under way, since when, and the last line of
// its log.
func alive(s *kernel.State, now time.Time, last map[string]string) string {
	if s == nil {
		return ""
	}
	var b strings.Builder
	for _, n := range s.Nodes() {
		if n.Outcome != "" || n.Started == 0 || n.Kind == kernel.BarrierNode {
			continue
		}
		what := "under way"
		if text := waits(n); text != "" {
			what = text
		}
		fmt.Fprintf(&b, "%s  %s  %s for %s", now.Format("15:04:05"), n.ID, what, view.Span(now.Sub(n.Started.Time()).Truncate(time.Second)))
		if line := last[n.ID]; line != "" && n.Rollout == nil {
			fmt.Fprintf(&b, "; last: %s", line)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func waits(n kernel.NodeView) string {
	for _, g := range n.Gates {
		if g.Open {
			return fmt.Sprintf("waits for %s %q", g.Kind, g.Name)
		}
	}
	if n.Rollout == nil {
		return ""
	}
	var parts []string
	for _, t := range n.Rollout.Targets {
		if t.Weight > 0 && t.Weight < target.Full {
			parts = append(parts, fmt.Sprintf("%s at %s", t.Name, t.Weight))
		}
	}
	if n.Rollout.Step != "" {
		parts = append(parts, n.Rollout.Step)
	}
	return strings.Join(parts, ", ")
}

// A place is written as hcl.Range writes it: file:line,column-…
var where = regexp.MustCompile(`^(.+):(\d+),(\d+)-`)

// position reads a place of a failure.
func position(text string) (file string, line, column int) {
	m := where.FindStringSubmatch(text)
	if m == nil {
		return "", 0, 0
	}
	line, _ = strconv.Atoi(m[2])
	column, _ = strconv.Atoi(m[3])
	return m[1], line, column
}
