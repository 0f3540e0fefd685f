package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// TestReadmeNamesEverything compares the reference with what the plugin serves:
// each attribute with its type, in the section of its component.
func TestReadmeNamesEverything(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(b), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	p := plugin()
	all := map[string]any{}
	for name, make := range p.Actions {
		all[name] = make()
	}
	for name, make := range p.Targets {
		all[name] = make()
	}
	for name, make := range p.Metrics {
		all[name] = make()
	}
	if len(all) != len(sections) {
		t.Errorf("%d components, %d sections", len(all), len(sections))
	}
	for name, component := range all {
		s, err := schema.Of(component)
		if err != nil {
			t.Fatal(err)
		}
		text, ok := sections[name]
		if !ok {
			t.Errorf("there is no section %s", name)
		}
		for _, a := range s.Attributes {
			inTable(t, name, text, a)
		}
		for _, block := range s.Blocks {
			if !strings.Contains(text, "Block `"+block.Name+"`") {
				t.Errorf("%s: the block %s is not described", name, block.Name)
			}
			for _, a := range block.Schema.Attributes {
				inTable(t, name, text, a)
			}
		}
	}
}

func inTable(t *testing.T, component, text string, a schema.Attribute) {
	t.Helper()
	if component == "local_noop" {
		if !strings.Contains(text, fmt.Sprintf("`%s` (%s", a.Name, a.Type)) {
			t.Errorf("%s: the attribute %s is not described", component, a.Name)
		}
		return
	}
	row := fmt.Sprintf("| `%s` | %s | ", a.Name, a.Type)
	_, rest, ok := strings.Cut(text, row)
	if !ok {
		t.Errorf("%s: there is no row %s…", component, row)
		return
	}
	cell, _, _ := strings.Cut(rest, " |")
	if a.Required != (cell == "required") {
		t.Errorf("%s: %s is required: %v, the table says %q", component, a.Name, a.Required, cell)
	}
	if def := string(a.Default); strings.HasPrefix(cell, "`") && strings.Trim(cell, "`") != def {
		t.Errorf("%s: the default of %s is %s, the table says %s", component, a.Name, def, cell)
	}
	if def := string(a.Default); def != "" && def != `""` && def != `"0s"` && cell == "" {
		t.Errorf("%s: the default of %s is %s, the table has none", component, a.Name, def)
	}
}
