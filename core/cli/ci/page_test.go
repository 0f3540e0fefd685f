package ci_test

import (
	"bytes"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/runner-pipelines/runner/core/cli/ci"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
)

// rendered is what a service makes of the page: the cells of its table, what
// stands in its blocks of code by language, and the whole. Names of stages and
// errors are any text, so none may end a cell or draw anything.
func rendered(t *testing.T, markdown string) (rows [][]string, blocks map[string]string, page string) {
	t.Helper()
	var b bytes.Buffer
	// Raw HTML stays out but for code, which a page has for names.
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(markdown), &b); err != nil {
		t.Fatal(err)
	}
	page = strings.ReplaceAll(b.String(), "<!-- raw HTML omitted -->", "")
	text := func(s string) string {
		return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(s, ""))
	}
	for _, row := range regexp.MustCompile(`(?s)<tr>(.*?)</tr>`).FindAllStringSubmatch(page, -1) {
		var cells []string
		for _, c := range regexp.MustCompile(`(?s)<t[hd][^>]*>(.*?)</t[hd]>`).FindAllStringSubmatch(row[1], -1) {
			cells = append(cells, text(c[1]))
		}
		rows = append(rows, cells)
	}
	blocks = map[string]string{}
	for _, c := range regexp.MustCompile(`(?s)<pre><code class="language-(\w+)">(.*?)</code></pre>`).FindAllStringSubmatch(page, -1) {
		blocks[c[1]] = text(c[2])
	}
	return rows, blocks, page
}

// flowchart checks each line of a drawing as Mermaid reads it, and gives how many
// nodes and edges it has.
func flowchart(t *testing.T, drawing string) (nodes, edges int) {
	t.Helper()
	lines := strings.Split(strings.TrimRight(drawing, "\n"), "\n")
	if lines[0] != "flowchart LR" {
		t.Fatalf("a drawing begins with %q", lines[0])
	}
	node := regexp.MustCompile(`^  (n\d+)(\("[^"]*"\)|\{"[^"]*"\})$`)
	edge := regexp.MustCompile(`^  (n\d+) --> (n\d+)$`)
	define := regexp.MustCompile(`^  classDef (\w+) fill:#\w+,stroke:#\w+,color:#\w+$`)
	class := regexp.MustCompile(`^  class ((?:n\d+,?)+) (\w+)$`)
	known := map[string]bool{}
	for _, line := range lines[1:] {
		var uses []string
		switch {
		case node.MatchString(line):
			known[node.FindStringSubmatch(line)[1]] = true
			nodes++
		case edge.MatchString(line):
			uses = edge.FindStringSubmatch(line)[1:]
			edges++
		case define.MatchString(line):
			known[define.FindStringSubmatch(line)[1]] = true
		case class.MatchString(line):
			m := class.FindStringSubmatch(line)
			uses = append(strings.Split(m[1], ","), m[2])
		default:
			t.Errorf("not a line of a drawing: %q", line)
		}
		for _, name := range uses {
			if !known[name] {
				t.Errorf("%q speaks of %s before it is there", line, name)
			}
		}
	}
	return nodes, edges
}

func TestThePageOfARunIsRendered(t *testing.T) {
	p, events := recording(t)
	state := kernel.New(&p.Graph)
	for _, e := range events {
		if err := state.Evolve(e); err != nil {
			t.Fatal(err)
		}
	}
	page := ci.Page{Run: "r1", Pipeline: "shop", Graph: &p.Graph, Summary: view.Summary{
		Run: "r1", Outcome: "failed", Elapsed: 16 * time.Second, Nodes: state.Nodes(), Next: []string{"runner logs r1"},
	}}
	rows, blocks, html := rendered(t, page.Markdown())
	if len(rows) != len(p.Graph.Nodes)+1 {
		t.Errorf("%d rows for %d stages", len(rows), len(p.Graph.Nodes))
	}
	for _, row := range rows {
		if len(row) != 4 {
			t.Errorf("a row has the cells %q", row)
		}
	}
	if nodes, _ := flowchart(t, blocks["mermaid"]); nodes != len(p.Graph.Nodes) {
		t.Errorf("%d nodes are drawn of %d", nodes, len(p.Graph.Nodes))
	}
	if blocks["sh"] != "runner logs r1\n" {
		t.Errorf("what to do next is %q", blocks["sh"])
	}
	if !strings.Contains(html, "<h2") {
		t.Errorf("no heading in\n%s", html)
	}
}

func TestNoTextLeavesItsCell(t *testing.T) {
	texts := []string{
		"plain", "a|b", `a\|b`, `ends with \`, "`tick`", "``two`` |", "*bold* _it_ ~~gone~~", "[x](y) ![z](w)", "<b>bold</b> &lt;", "two\nlines", "a & b &amp; c", "# head", "| --- |",
	}
	var nodes []kernel.NodeView
	g := &kernel.Graph{}
	want := [][]string{{"stage", "outcome", "time", ""}}
	for _, text := range texts {
		id := `stage.a["` + text + `"]`
		nodes = append(nodes, kernel.NodeView{ID: id, Outcome: kernel.Failed, Why: text})
		g.Nodes = append(g.Nodes, kernel.Node{ID: id})
		oneLine := strings.ReplaceAll(text, "\n", " ")
		want = append(want, []string{`stage.a["` + oneLine + `"]`, "❌ failed", "", oneLine})
	}
	page := ci.Page{Run: "r1", Pipeline: "a|b_c", Graph: g, Summary: view.Summary{Outcome: "failed", Nodes: nodes}}
	rows, blocks, html := rendered(t, page.Markdown())
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if got, _ := flowchart(t, blocks["mermaid"]); got != len(texts) {
		t.Errorf("%d nodes are drawn of %d", got, len(texts))
	}
	for _, tag := range []string{"<b>", "<em>", "<strong>", "<del>", "<a ", "<img"} {
		if strings.Contains(html, tag) {
			t.Errorf("text draws %s:\n%s", tag, html)
		}
	}
}
