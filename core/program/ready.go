package program

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/settings"
	"github.com/runner-pipelines/runner/sdk/schema"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Of reports whether the slot has to do with a target.
func (s *Slot) Of(target string) bool { return len(s.Only) == 0 || slices.Contains(s.Only, target) }

// ready finds how each target measures a metric that has no use block. Targets of
// one kind share a slot.
func (p *Program) ready(n *Node, m *config.Metric, set *settings.Metric) ([]*Slot, hcl.Diagnostics) {
	var out []*Slot
	var diags hcl.Diagnostics
	slots := map[string]*Slot{}
	for _, t := range n.Targets {
		declared := t.Entry.Target.Metrics
		found, ok := declared[m.Name]
		if !ok {
			diags = append(diags, diagnostics.Error(m.Range, "Unknown ready-made metric",
				"A metric without a use block is one that its target knows how to measure. %s%s", unready(t, m.Name), otherwise(declared, m.Name)))
			continue
		}
		if s := slots[t.Entry.Source+"/"+t.Entry.Name]; s != nil {
			s.Only = append(s.Only, t.Name)
			continue
		}
		if set.Better != "" && set.Better != found.Better && m.Better != nil {
			diags = append(diags, diagnostics.Error(m.Better.Range(), "Conflicting attribute",
				"Of the %s of component %q %s values are better. Remove the attribute.", m.Name, t.Entry.Name, found.Better))
		}
		set.Better = found.Better
		slot, more := p.readySlot(n, m, t, found)
		diags = append(diags, more...)
		if slot != nil {
			slots[t.Entry.Source+"/"+t.Entry.Name] = slot
			out = append(out, slot)
		}
	}
	return out, diags
}

func unready(t *Slot, name string) string {
	return "The component \"" + t.Entry.Name + "\" of target \"" + t.Name + "\" has none that is called \"" + name + "\""
}

func otherwise(declared map[string]target.ReadyMetric, name string) string {
	if len(declared) == 0 {
		return `, and no other. Say what measures it: use "COMPONENT" { … }.`
	}
	names := slices.Sorted(maps.Keys(declared))
	return "; it has " + strings.Join(names, ", ") + "." + diagnostics.Suggest(name, names) + ` Or say what measures it: use "COMPONENT" { … }.`
}

// readySlot is the slot that the user would have written.
func (p *Program) readySlot(n *Node, m *config.Metric, t *Slot, found target.ReadyMetric) (*Slot, hcl.Diagnostics) {
	file := hclwrite.NewEmptyFile()
	for _, name := range slices.Sorted(maps.Keys(found.Config)) {
		file.Body().SetAttributeValue(name, cty.StringVal(found.Config[name]))
	}
	parsed, diags := hclsyntax.ParseConfig(file.Bytes(), t.Entry.Name+"."+m.Name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	use := &config.Use{Component: t.Entry.Plugin + "/" + found.Component, Body: parsed.Body, ComponentRange: m.NameRange, Range: m.Range}
	slot, _ := p.slot(n.Stage, m.Name, MetricRole, use, schema.KindMetrics)
	if slot == nil {
		use.Component = found.Component
		if slot, diags = p.slot(n.Stage, m.Name, MetricRole, use, schema.KindMetrics); slot == nil {
			return nil, diags
		}
	}
	slot.Only = []string{t.Name}
	return slot, nil
}
