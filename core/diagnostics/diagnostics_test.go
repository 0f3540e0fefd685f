package diagnostics_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

const source = "stage \"web\" {\n  use \"maxsise\" {\n    a = 1\n  }\n}\r\nbad\ttab \x1b[31m \u202eevil\n"

func at(line, from, to int) hcl.Range {
	return hcl.Range{Filename: "pipeline.hcl", Start: hcl.Pos{Line: line, Column: 1, Byte: from}, End: hcl.Pos{Line: line, Column: 1, Byte: to}}
}

func files(t *testing.T) map[string]*hcl.File {
	t.Helper()
	f, _ := hclsyntax.ParseConfig([]byte(source), "pipeline.hcl", hcl.InitialPos)
	return map[string]*hcl.File{"pipeline.hcl": f, "empty": {}}
}

func TestWrite(t *testing.T) {
	long := "x = \"" + strings.Repeat("ü", 500) + "\""
	fs := files(t)
	fs["long"] = &hcl.File{Bytes: []byte(long)}
	hidden := diagnostics.Error(at(2, 18, 27), "Hidden", "It is secret.")
	hidden.Extra = diagnostics.Extra{Hidden: true}
	tests := map[string]struct {
		diag *hcl.Diagnostic
		want string
	}{
		"as in the style guide": {
			diagnostics.Error(at(2, 18, 27), "Unknown component", "No declared plugin offers a component named %q.%s", "maxsise", diagnostics.Suggest("maxsise", []string{"maxsize"})),
			"Error: Unknown component\n  on pipeline.hcl line 2, in stage \"web\":\n   2:   use \"maxsise\" {\n\nNo declared plugin offers a component named \"maxsise\". Did you mean \"maxsize\"?\n\n",
		},
		"warning without a place": {diagnostics.Warning(hcl.Range{}, "Careful", "Really:\n\n  runner init\n"), "Warning: Careful\n\nReally:\n\n  runner init\n\n"},
		"no detail":               {diagnostics.Error(at(1, 0, 5), "Short", ""), "Error: Short\n  on pipeline.hcl line 1, in stage \"web\":\n   1: stage \"web\" {\n\n"},
		"hidden line":             {hidden, "Error: Hidden\n  on pipeline.hcl line 2, in stage \"web\"\n\nIt is secret.\n\n"},
		"several lines": {
			diagnostics.Error(at(1, 0, 46), "Long", ""),
			"Error: Long\n  on pipeline.hcl line 1, in stage \"web\":\n   1: stage \"web\" {\n   2:   use \"maxsise\" {\n   3:     a = 1\n      …\n\n",
		},
		"what confuses a terminal": {
			diagnostics.Error(at(6, 50, 53), "Bad\x1b[2J", "x\x00y"),
			"Error: Bad�[2J\n  on pipeline.hcl line 6, in bad \"tab\":\n   6: bad tab �[31m �evil\n\nx�y\n\n",
		},
		"unknown file":        {diagnostics.Error(hcl.Range{Filename: "other", Start: hcl.Pos{Line: 3}}, "Other", ""), "Error: Other\n  on other line 3\n\n"},
		"beyond the end":      {diagnostics.Error(hcl.Range{Filename: "empty", Start: hcl.Pos{Line: 9, Byte: 99}, End: hcl.Pos{Byte: 9}}, "Far", ""), "Error: Far\n  on empty line 9\n\n"},
		"a very long line":    {diagnostics.Error(hcl.Range{Filename: "long", Start: hcl.Pos{Line: 1}, End: hcl.Pos{Line: 1, Byte: 1}}, "Long", ""), "Error: Long\n  on long line 1:\n   1: x = \"" + strings.Repeat("ü", 195) + " …\n\n"},
		"per cent in a name":  {diagnostics.Error(hcl.Range{}, "Class", "named %q", "100%d"), "Error: Class\n\nnamed \"100%d\"\n\n"},
		"range to a new line": {diagnostics.Error(at(1, 0, 14), "Line", ""), "Error: Line\n  on pipeline.hcl line 1, in stage \"web\":\n   1: stage \"web\" {\n\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := diagnostics.Write(&b, hcl.Diagnostics{test.diag}, fs); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteSaysNothingTwice(t *testing.T) {
	var b strings.Builder
	same := diagnostics.Error(at(2, 18, 20), "Same", "x")
	other := diagnostics.Error(at(2, 21, 22), "Same", "x")
	if err := diagnostics.Write(&b, hcl.Diagnostics{same, other}, files(t)); err != nil || strings.Count(b.String(), "Same") != 1 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestView(t *testing.T) {
	d := diagnostics.Warning(at(2, 18, 27), "Unknown component", "Detail.")
	d.Extra = diagnostics.Extra{Code: "unknown-component"}
	hidden := diagnostics.Error(at(2, 18, 27), "Hidden", "")
	hidden.Extra = diagnostics.Extra{Hidden: true}
	got := diagnostics.View(hcl.Diagnostics{d, diagnostics.Error(hcl.Range{}, "Nowhere", ""), hidden}, files(t))
	place := &diagnostics.Range{Filename: "pipeline.hcl", Start: diagnostics.Pos{Line: 2, Column: 1, Byte: 18}, End: diagnostics.Pos{Line: 2, Column: 1, Byte: 27}}
	want := []diagnostics.Diagnostic{
		{
			Severity: "warning", Summary: "Unknown component", Detail: "Detail.", Code: "unknown-component", Range: place,
			Snippet: &diagnostics.Snippet{Context: `stage "web"`, Code: `  use "maxsise" {`, StartLine: 2, HighlightStart: 4, HighlightEnd: 13},
		},
		{Severity: "error", Summary: "Nowhere"},
		{Severity: "error", Summary: "Hidden", Range: place, Snippet: &diagnostics.Snippet{Context: `stage "web"`, StartLine: 2}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b, err := json.Marshal(diagnostics.View(nil, nil))
	if err != nil || string(b) != "[]" {
		t.Errorf("nothing to show is %s, %v", b, err)
	}
}

func TestTidy(t *testing.T) {
	a, b := at(1, 0, 1), at(2, 20, 21)
	other := hcl.Range{Filename: "a.hcl", Start: hcl.Pos{Line: 9, Byte: 900}}
	got := diagnostics.Tidy(hcl.Diagnostics{
		diagnostics.Error(b, "B", ""), diagnostics.Error(a, "A", ""), diagnostics.Error(b, "B", ""), diagnostics.Error(b, "B", "else"),
		diagnostics.Error(hcl.Range{}, "N", ""), diagnostics.Error(other, "O", ""), diagnostics.Warning(a, "A", ""),
	})
	var order []string
	for _, d := range got {
		order = append(order, d.Summary+d.Detail)
	}
	if diff := cmp.Diff([]string{"N", "O", "A", "A", "B", "Belse"}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"timeout", "strategy", "verify", "var", "url", "max_delay", "on", "id", "stage", "path"}
	for name, want := range map[string]string{
		"tmeout": "timeout", "Timeout": "timeout", "max-delay": "max_delay", "stratgey": "strategy", "vra": "var", "ulr": "url",
		"data": "", "colour": "", "no": "on", "x": "", "": "", "verfiy": "verify", "satge": "stage", "pth": "path", "identifier": "",
	} {
		if got := diagnostics.Nearest(name, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
	if got := diagnostics.Nearest("ab1", []string{"ab3", "ab2"}); got != "ab2" {
		t.Errorf("of equally near names %q was chosen", got)
	}
}

// A plugin that is missing is one cause, however many places need it.
func TestOneCauseIsToldOnce(t *testing.T) {
	at := func(line int, code string) *hcl.Diagnostic {
		d := diagnostics.Error(hcl.Range{Filename: "pipeline.hcl", Start: hcl.Pos{Line: line, Byte: 10 * line}}, "Plugin not found", "It is not here.")
		d.Extra = diagnostics.Extra{Code: code}
		return d
	}
	var got []string
	for _, d := range diagnostics.Tidy(hcl.Diagnostics{at(9, "x"), at(3, "x"), at(5, "x"), at(4, ""), at(6, ""), at(7, "y")}) {
		got = append(got, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Detail))
	}
	want := []string{"3: It is not here.\n\nThe same is so on lines 5 and 9.", "4: It is not here.", "6: It is not here.", "7: It is not here."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
