package scan

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestDepth(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, MaxDepth+10) }
	half := func(s string) string { return strings.Repeat(s, MaxDepth/2) }
	tests := map[string]struct {
		src  string
		deep bool
	}{
		"lists":               {"a = " + many("["), true},
		"comments hide none":  {"a = " + many("[ /*]*/ "), true},
		"strings hide none":   {"a = " + many(`["]",`), true},
		"blocks":              {many("b {\n"), true},
		"not":                 {"a = " + many("!") + "true", true},
		"minus":               {"a = " + many("- ") + "1", true},
		"sum over lines":      {"a = (1" + many(" +\n1") + ")", true},
		"conditionals":        {"a = " + many("b ? c : ") + "d", true},
		"index chain":         {"a = b" + many("[c]"), true},
		"strings in strings":  {"a = " + many(`"${`), true},
		"control sequences":   {`a = "` + many(`%{ if b }`), true},
		"calls":               {"a = " + many("f("), true},
		"heredoc":             {"a = <<E\n" + many("%{ if b ~}\n"), true},
		"flat list":           {"a = [" + many("[1], ") + "]", false},
		"flat arithmetic":     {many("a = 1 - 1\n"), false},
		"many blocks":         {many("b {\n  c = [1]\n}\n"), false},
		"many interpolations": {`a = "` + many("${b}") + `"`, false},
		"closed controls":     {`a = "` + many(`%{ if b }x%{ endif }`) + `"`, false},
		"half":                {"a = " + half("[") + half("]"), false},
		"escaped":             {`a = "` + many("$${") + many("%%{") + many(`\"`) + `"`, false},
		"minus in comments":   {many("# --- -- --- ---\n"), false},
		"objects":             {"a = {\n" + many("x-y = 1\n") + "}", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Config([]byte(test.src), 0)
			over, ok := errors.AsType[*LimitError](err)
			if deep := ok && over.Limit == Depth; deep != test.deep || ok != deep {
				t.Errorf("Config: %v, want too deep = %v", err, test.deep)
			}
		})
	}
}

func TestDepthOfJSONAndTemplates(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, MaxDepth+10) }
	for name, err := range map[string]error{
		"json arrays":   JSON([]byte(`{"a": ` + many("["))),
		"json template": JSON([]byte(`{"a": "${` + many("[") + `"}`)),
		"json escapes":  JSON([]byte(`{"a": "${` + many(`[\"]\",`) + `"}`)),
		"template":      Template([]byte(many("%{ for a in b }"))),
	} {
		if over, ok := errors.AsType[*LimitError](err); !ok || over.Limit != Depth {
			t.Errorf("%s: %v, want too deep", name, err)
		}
	}
	for name, err := range map[string]error{
		"json flat":     JSON([]byte(`{"a": [` + many(`"[{", [], {}, `) + `1]}`)),
		"template text": Template([]byte(many("[ - { \" ! ? \n"))),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitErrorNamesTheLine(t *testing.T) {
	_, err := Config([]byte("a = 1\n/*\n*/\nb = <<E\n\nE\nc = "+strings.Repeat("(", 600)), 0)
	if want := "line 7 is nested deeper than 500 levels"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// pieces parses a file cut by cut.
func pieces(t *testing.T, src []byte, minPiece int) (*hclsyntax.Body, bool) {
	cuts, err := Config(src, minPiece)
	if err != nil {
		t.Skip("nested too deeply")
	}
	all := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	from := Cut{Line: 1}
	for _, to := range append(cuts, Cut{Byte: len(src)}) {
		f, diags := hclsyntax.ParseConfig(src[from.Byte:to.Byte], "f", hcl.Pos{Line: from.Line, Column: 1, Byte: from.Byte})
		if diags.HasErrors() {
			return nil, false
		}
		body := f.Body.(*hclsyntax.Body)
		all.Blocks = append(all.Blocks, body.Blocks...)
		for name, a := range body.Attributes {
			all.Attributes[name] = a
		}
		from = to
	}
	return all, true
}

func comparePieces(t *testing.T, src []byte) {
	whole, diags := hclsyntax.ParseConfig(src, "f", hcl.InitialPos)
	if diags.HasErrors() {
		return
	}
	got, ok := pieces(t, src, 1)
	if !ok {
		t.Fatalf("the whole file has no error, a piece of it has:\n%s", src)
	}
	want := whole.Body.(*hclsyntax.Body)
	if !reflect.DeepEqual(want.Blocks, got.Blocks) || !reflect.DeepEqual(want.Attributes, got.Attributes) {
		t.Fatalf("the pieces differ from the whole:\n%s", src)
	}
}

func TestPiecesMakeTheWhole(t *testing.T) {
	for _, src := range []string{
		"a {\n}\nb {\n}\n",
		"a {}\r\nb {\r\n  c = \"}\\n\"\r\n}\r\n",
		"a {\n  b = <<E\n}\n${c}\n}\nE\n}\nc {\n}\n",
		"a = {\n}\nb {\n}\n# }\nc {}\n/* }\n*/ d {}\n",
		"a \"}\" {\n x = \"${\"}\n\"}\"\n}\nb {}\n",
	} {
		comparePieces(t, []byte(src))
	}
}

func TestCuts(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "stage \"s%d\" {\n  x = [\n  ]\n}\n", i)
	}
	cuts, err := Config([]byte(b.String()), 500)
	if err != nil || len(cuts) < 5 {
		t.Fatalf("%d cuts (%v), want a handful", len(cuts), err)
	}
	for _, c := range cuts {
		if want := 1 + strings.Count(b.String()[:c.Byte], "\n"); c.Line != want {
			t.Errorf("cut at %d: line %d, want %d", c.Byte, c.Line, want)
		}
	}
}

func FuzzPieces(f *testing.F) {
	for _, src := range []string{
		"a {\n}\nb {\n}\n", "a = <<-E\n  x ${b}\n  E\n", "a = \"%{ if b }x%{ endif }\"\n", "/* { */ a {\n} // }\n", "a {\n}\"\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) { comparePieces(t, src) })
}
