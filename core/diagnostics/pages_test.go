package diagnostics_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
)

// summaries are those that the source of the program can give, with the place
// of each. What counts is a literal, or a constant, given for a parameter or a
// field that is called summary, and the first line of a message "Error: …".
func summaries(t *testing.T) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	var files []*ast.File
	for _, root := range []string{"..", "../../sdk/host", "../../sdk/internal"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bench"):
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			files = append(files, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c := &collector{set: set, at: map[string]int{}, constants: map[string]string{}, found: map[string]string{}}
	for _, f := range files {
		ast.Inspect(f, c.declarations)
	}
	for _, f := range files {
		ast.Inspect(f, c.uses)
	}
	return c.found
}

type collector struct {
	set *token.FileSet
	// at is the index of the parameter named summary, by the function's name.
	at        map[string]int
	constants map[string]string
	found     map[string]string
}

func (c *collector) function(name string, kind *ast.FuncType) {
	i := 0
	for _, field := range kind.Params.List {
		for _, n := range field.Names {
			if n.Name == "summary" {
				c.at[name] = i
			}
			i++
		}
	}
}

func (c *collector) declarations(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		c.function(n.Name.Name, n.Type)
	case *ast.AssignStmt:
		for i, right := range n.Rhs {
			name := nameOf(n.Lhs[i%len(n.Lhs)])
			if lit, ok := right.(*ast.FuncLit); ok {
				c.function(name, lit.Type)
			}
			if strings.EqualFold(name, "summary") {
				c.add(right)
			}
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if i < len(n.Values) {
				if text, ok := literal(n.Values[i]); ok {
					c.constants[name.Name] = text
				}
			}
		}
	}
	return true
}

var (
	classOfProblem = regexp.MustCompile(`^[A-Z][^%]* [^%]*$`)
	message        = regexp.MustCompile(`^(?:Error|Warning): ([A-Z][^\n%]*)(?:\n|$)`)
)

func (c *collector) uses(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		if i, ok := c.at[nameOf(n.Fun)]; ok && i < len(n.Args) {
			c.add(n.Args[i])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Summary" {
			c.add(n.Value)
		}
	case *ast.BasicLit:
		if text, ok := literal(n); ok {
			if m := message.FindStringSubmatch(text); m != nil {
				c.found[m[1]] = c.set.Position(n.Pos()).String()
			}
		}
	}
	return true
}

func (c *collector) add(e ast.Expr) {
	text, ok := literal(e)
	if name := nameOf(e); name != "" {
		text, ok = c.constants[name]
	}
	// A class of problem is several words, the first with a capital letter.
	if ok && classOfProblem.MatchString(text) {
		c.found[text] = c.set.Position(e.Pos()).String()
	}
}

// nameOf is the last name of an expression that is one; else empty.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// Every problem that the program reports has a code with a page, and a page speaks
// of nothing that does not exist.
func TestEveryProblemHasAPage(t *testing.T) {
	found := summaries(t)
	if len(found) < 150 {
		t.Fatalf("%d summaries in the source; were the parameters renamed?", len(found))
	}
	messages := goldens(t)
	for summary, at := range found {
		if diagnostics.Code(summary) == "" {
			t.Errorf("%s: no page of core/diagnostics/pages speaks of %q: write one, or add it to a page's line Also", at, summary)
		}
	}
	owner := map[string]string{}
	for _, code := range diagnostics.Codes() {
		page, _ := diagnostics.Page(code)
		titles := diagnostics.Titles(page)
		if want := slug(titles[0]); code != want {
			t.Errorf("the page %q is on %q, so it should be named %q", code, titles[0], want)
		}
		for i, title := range titles {
			if owner[title] != "" {
				t.Errorf("%s and %s both speak of %q", owner[title], code, title)
			}
			owner[title] = code
			// A page that gathers several has a title of its own.
			if found[title] == "" && !strings.Contains(messages, ": "+strings.TrimSuffix(title, "…")) && (i > 0 || len(titles) == 1) {
				t.Errorf("%s speaks of %q, which nothing in the program says", code, title)
			}
		}
		if !strings.Contains(page, "\n## What to do\n") {
			t.Errorf("%s does not say what to do", code)
		}
	}
}

var example = regexp.MustCompile(`(?s)\n## Example\n\n(.*?)\n## `)

// Examples are what the program says, since they stand so in a golden file.
func TestExamplesAreWhatTheProgramSays(t *testing.T) {
	messages, examples := goldens(t), 0
	for _, code := range diagnostics.Codes() {
		page, _ := diagnostics.Page(code)
		m := example.FindStringSubmatch(page)
		if m == nil {
			continue
		}
		examples++
		text := strings.TrimSpace(regexp.MustCompile(`(?m)^    `).ReplaceAllString(m[1], ""))
		first, _, _ := strings.Cut(text, "\n")
		_, summary, _ := strings.Cut(first, ": ")
		if !strings.Contains(messages, "\n"+text+"\n") {
			t.Errorf("%s: no golden file has the example\n%s", code, text)
		}
		if got := diagnostics.Code(summary); got != code {
			t.Errorf("%s: the example is of %q", code, got)
		}
	}
	if examples < 60 {
		t.Errorf("%d pages have an example", examples)
	}
}

// goldens are what people see of all wrong pipelines.
func goldens(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../config/testdata/bad/*.txtar", "../cli/testdata/wrong/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 50 {
			t.Fatalf("%d files %s: %v", len(files), pattern, err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(string(b), "-- want --\n")
			all.WriteString("\n" + want)
		}
	}
	return all.String()
}

func slug(title string) string {
	return strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(title), "-"), "-")
}

func TestMore(t *testing.T) {
	var b strings.Builder
	at := hcl.Range{}
	err := diagnostics.WriteMore(&b, hcl.Diagnostics{
		diagnostics.Error(at, "Wrong type", ""), diagnostics.Error(at, "Wrong type", "again"), diagnostics.Warning(at, "Deprecated attribute", ""),
		diagnostics.Error(at, "What a plugin says", ""), diagnostics.Error(at, "Misplaced retry", ""), diagnostics.Error(at, "Invalid index", ""),
		diagnostics.Error(at, "Unknown stage", ""),
	})
	want := "To read more:\n  runner help wrong-type\n  runner help misplaced-block\n  runner help unknown-instance\n"
	if diff := cmp.Diff(want, b.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for message, want := range map[string]string{
		"Error: Run has ended\n\nRun x is over.": "To read more:\n  runner help run-has-ended\n",
		"Error: The disk is on fire.":            "",
		"Run has ended":                          "",
		"":                                       "",
	} {
		if got := diagnostics.MoreOf(message); got != want {
			t.Errorf("MoreOf(%q) = %q, want %q", message, got, want)
		}
	}
}
