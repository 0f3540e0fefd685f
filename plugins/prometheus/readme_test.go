package main

import (
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/sdk/schema"
)

// TestReadmeNamesEverything compares the reference with what the plugin serves.
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
	all := map[string]any{"plugin": p.Config()}
	for name, make := range p.Metrics {
		all[name] = make()
	}
	for name, component := range all {
		s, err := schema.Of(component)
		if err != nil {
			t.Fatal(err)
		}
		rows := map[string]string{}
		for line := range strings.Lines(sections[name]) {
			if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(line, "| `") {
				rows[strings.Trim(cells[1], "` ")] = strings.TrimSpace(cells[2]) + " " + strings.TrimSpace(cells[3])
			}
		}
		want := map[string]string{}
		add(want, s)
		for _, b := range s.Blocks {
			if !strings.Contains(sections[name], "Block `"+b.Name+"`") {
				t.Errorf("%s: the block %s is not described", name, b.Name)
			}
			add(want, b.Schema)
		}
		if !maps.Equal(want, rows) {
			t.Errorf("%s: the README says %v, want %v", name, rows, want)
		}
	}
}

// add adds the rows that a table must have: type and default by name.
func add(rows map[string]string, s schema.Schema) {
	for _, a := range s.Attributes {
		def := string(a.Default)
		switch {
		case a.Required:
			def = "required"
		case def == `""` || def == "":
			def = ""
		default:
			def = "`" + def + "`"
		}
		rows[a.Name] = a.Type.String() + " " + def
	}
}
