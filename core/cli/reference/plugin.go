package reference

import (
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Plugin is the page of a plugin, from what it says about itself.
func Plugin(d *host.Description) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s# Plugin %s\n\nWhat the components of `%s` take and give. [Its README](../../../plugins/%s/README.md) explains them.\n", generated, d.Name, d.Name, d.Name)
	table(&b, "component", "kind")
	for _, c := range d.Components {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.Name, c.Name, c.Kind)
	}
	if d.Config != nil {
		fmt.Fprintf(&b, "\n## plugin %q\n", d.Name)
		writeSchema(&b, "", *d.Config)
	}
	if len(d.EnvWanted) > 0 {
		b.WriteString("\n## Environment\nThe variables that it asks to see; `runner init` writes them to the lock file.\n")
		table(&b, "variable", "")
		for _, e := range d.EnvWanted {
			fmt.Fprintf(&b, "| `%s` | %s |\n", e.Name, cell(e.Doc))
		}
	}
	for _, c := range d.Components {
		writeComponent(&b, c)
	}
	return b.String()
}

func writeComponent(b *strings.Builder, c host.Component) {
	fmt.Fprintf(b, "\n## %s\n", c.Name)
	if c.Doc != "" {
		b.WriteString(c.Doc + "\n\n")
	}
	fmt.Fprintf(b, "Kind: %s.", c.Kind)
	if c.Target != nil {
		fmt.Fprintf(b, " It can: %s.", capabilities(*c.Target))
	}
	if c.Strategy != nil {
		fmt.Fprintf(b, " It asks of its targets: %s.", capabilities(target.Capabilities{
			SideBySide: c.Strategy.SideBySide, Weights: c.Strategy.Weights,
			ReleaseAddress: c.Strategy.ReleaseAddress, ReleaseMetrics: c.Strategy.ReleaseMetrics,
		}))
	}
	if c.Kind == schema.KindAction {
		b.WriteString(" Operations: " + operations(c.Operations) + ".")
	}
	b.WriteByte('\n')
	writeSchema(b, "", c.Config)
	if c.Outputs != nil && len(c.Outputs.Attributes) > 0 {
		b.WriteString("\nOutputs:\n")
		table(b, "output", "")
		for _, a := range c.Outputs.Attributes {
			fmt.Fprintf(b, "| `%s` | %s. %s |\n", a.Name, a.Type, cell(a.Doc))
		}
	}
}

func operations(all []schema.Operation) string {
	var out []string
	for _, op := range all {
		text := fmt.Sprintf("%s (%s", op.Name, op.Class)
		if op.Reconcile {
			text += ", can tell what became of it"
		}
		out = append(out, text+")")
	}
	return strings.Join(out, ", ")
}

func capabilities(c target.Capabilities) string {
	var out []string
	say := func(yes bool, text string) {
		if yes {
			out = append(out, text)
		}
	}
	say(c.SideBySide, "two releases side by side")
	switch c.Weights {
	case target.PercentSteps:
		text := "traffic divided by percent"
		if c.Step > 0 {
			text += fmt.Sprintf(" in steps of %s", c.Step)
		}
		out = append(out, text)
	case target.Switch:
		out = append(out, "traffic switched as a whole")
	}
	say(c.ReleaseAddress, "an address of the candidate's own")
	say(c.ReleaseMetrics, "metrics told apart by release")
	say(c.Capacity, "capacity set apart from weight")
	say(c.Sticky, "sticky sessions")
	say(c.Mirror, "mirrored traffic")
	say(c.HeaderRouting, "routing by header")
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// writeSchema writes the attributes of a body and, below it, of its blocks.
func writeSchema(b *strings.Builder, path string, s schema.Schema) {
	if len(s.Attributes) > 0 {
		b.WriteString("\n| attribute | takes | default | |\n|---|---|---|---|\n")
	}
	for _, a := range s.Attributes {
		standard := string(a.Default)
		switch {
		case a.Required:
			standard = "required"
		case standard == "null":
			standard = ""
		case standard != "":
			standard = "`" + standard + "`"
		}
		text := a.Doc
		if a.Deprecated != "" {
			text += " Deprecated: use " + a.Deprecated + "."
		}
		if a.Known {
			text += " Must be known at plan."
		}
		if a.Sensitive {
			text += " Sensitive."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, cell(a.Type.String()), cell(standard), cell(text))
	}
	for _, inner := range s.Blocks {
		at := path + inner.Name
		fmt.Fprintf(b, "\n### %s%s\n%s", at, strings.Repeat(` "…"`, len(inner.Labels)), count(inner))
		if inner.Schema.Doc != "" {
			b.WriteString(" " + inner.Schema.Doc)
		}
		b.WriteByte('\n')
		writeSchema(b, at+".", inner.Schema)
	}
}

func count(b schema.Block) string {
	switch {
	case b.Nesting == schema.Single && b.Min > 0:
		return "One block."
	case b.Nesting == schema.Single:
		return "At most one block."
	case b.Max > 0:
		return fmt.Sprintf("%d to %d blocks.", b.Min, b.Max)
	}
	return fmt.Sprintf("%d or more blocks.", b.Min)
}
