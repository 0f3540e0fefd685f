package ci

import (
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/diagram"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Page is the end of a run as a page.
type Page struct {
	Run, Pipeline string
	// Graph may be nil.
	Graph   *kernel.Graph
	Summary view.Summary
}

// drawnNodes is up to how many stages the page has a drawing; services refuse
// larger ones.
const drawnNodes = 150

// Markdown is the page with its table and its graph.
func (p Page) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s %s: %s\n\n", sign(kernel.Outcome(p.Summary.Outcome)), cell(p.Pipeline), view.Ending(p.Summary))
	fmt.Fprintf(&b, "Run `%s`, %s.\n\n| stage | outcome | time | |\n|---|---|---:|---|\n", p.Run, view.Span(p.Summary.Elapsed))
	for _, n := range p.Summary.Nodes {
		if n.Kind == kernel.BarrierNode {
			continue
		}
		took := ""
		if n.Started != 0 && n.Ended != 0 {
			took = view.Span(time.Duration(n.Ended-n.Started) * time.Millisecond)
		}
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", code(n.ID), sign(n.Outcome), outcome(n), took, cell(n.Why+traffic(n)))
	}
	if len(p.Summary.Next) > 0 {
		b.WriteString("\nNext:\n```sh\n" + strings.Join(p.Summary.Next, "\n") + "\n```\n")
	}
	if p.Graph != nil && len(p.Graph.Nodes) <= drawnNodes {
		b.WriteString("\n```mermaid\n" + diagram.Of(p.Graph, p.Summary.Nodes).Mermaid() + "```\n")
	}
	return b.String()
}

func outcome(n kernel.NodeView) string {
	if n.Outcome == "" {
		return n.Status
	}
	return view.Words(string(n.Outcome))
}

// traffic says where the traffic of an open rollout is.
func traffic(n kernel.NodeView) string {
	if n.Rollout == nil || n.Outcome != "" {
		return ""
	}
	var parts []string
	for _, t := range n.Rollout.Targets {
		if t.Weight > 0 && t.Weight < target.Full {
			parts = append(parts, fmt.Sprintf("%s: %s with %s", t.Name, t.Weight, t.Candidate))
		}
	}
	return strings.Join(parts, ", ")
}

func sign(o kernel.Outcome) string {
	switch o {
	case kernel.Succeeded:
		return "✅"
	case kernel.Skipped, kernel.NotRun:
		return "⏭️"
	case "":
		return "⏳"
	case kernel.RolledBack:
		return "↩️"
	}
	return "❌"
}

// cell is text that stays within a cell of a table and draws nothing by itself.
func cell(text string) string { return inert.Replace(text) }

// code is the name of a stage, whose key may be any text, within a cell.
func code(name string) string {
	if strings.ContainsAny(name, "|`\\\n\r") {
		return "<code>" + inert.Replace(name) + "</code>"
	}
	return "`" + name + "`"
}

var inert = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;", "\\", "&#92;", "\n", " ", "\r", " ",
	"`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "~", "\\~")
