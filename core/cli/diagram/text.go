package diagram

import (
	"fmt"
	"strings"
)

// DOT is the diagram in the language of Graphviz.
func (d *Diagram) DOT() string {
	var b strings.Builder
	b.WriteString("digraph pipeline {\n  rankdir = LR\n  node [shape = box, style = \"rounded,filled\", fontname = \"sans-serif\"]\n")
	for _, n := range d.Nodes {
		c := colours[n.State]
		shape := ""
		if n.Barrier {
			shape = ", shape = diamond"
		}
		text := n.Label
		if n.Note != "" {
			text += "\n" + n.Note
		}
		fmt.Fprintf(&b, "  %s [label = %s, fillcolor = %q, color = %q%s]\n", quoteDOT(n.ID), quoteDOT(text), c[0], c[1], shape)
	}
	for _, e := range d.Edges {
		fmt.Fprintf(&b, "  %s -> %s\n", quoteDOT(d.Nodes[e[0]].ID), quoteDOT(d.Nodes[e[1]].ID))
	}
	b.WriteString("}\n")
	return b.String()
}

// quoteDOT writes a string of DOT, which knows no escapes but these.
func quoteDOT(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// Mermaid is the diagram as a Mermaid flowchart, which GitHub and GitLab draw.
func (d *Diagram) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	used := map[State][]string{}
	for i, n := range d.Nodes {
		id := fmt.Sprintf("n%d", i)
		text := escapeMermaid(n.Label)
		if n.Note != "" {
			text += "<br/>" + escapeMermaid(n.Note)
		}
		if n.Barrier {
			fmt.Fprintf(&b, "  %s{\"%s\"}\n", id, text)
		} else {
			fmt.Fprintf(&b, "  %s(\"%s\")\n", id, text)
		}
		used[n.State] = append(used[n.State], id)
	}
	for _, e := range d.Edges {
		fmt.Fprintf(&b, "  n%d --> n%d\n", e[0], e[1])
	}
	for _, s := range states {
		if len(used[s]) > 0 {
			fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#1f2328\n  class %s %s\n", s, colours[s][0], colours[s][1], strings.Join(used[s], ","), s)
		}
	}
	return b.String()
}

// escapeMermaid writes text for a quoted label, where only entities escape.
func escapeMermaid(s string) string {
	return strings.NewReplacer("&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "#", "#35;", "\n", " ").Replace(s)
}
