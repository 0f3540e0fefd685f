// Package docs holds no program: its tests see to it that these pages, and the
// READMEs, lead somewhere and show pipelines that runner accepts.
package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pages are those for users, by their path from here.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "reference/*.md", "reference/plugins/*.md", "../core/diagnostics/pages/*.md", "../*.md", "../plugins/*/README.md", "../examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	for _, must := range []string{"writing-a-pipeline.md", "../README.md", "../plugins/canary/README.md", "../plugins/prometheus/README.md"} {
		if !slices.Contains(all, must) {
			t.Fatalf("%s is not among the pages; was it renamed?", must)
		}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	link    = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	inHCL   = regexp.MustCompile("(?s)```hcl\n(.*?)```")
)

// anchors are what headings are called in links.
func anchors(page string) (out []string) {
	drop := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		out = append(out, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	return out
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, name := range pages(t) {
		for _, l := range link.FindAllStringSubmatch(read(t, name), -1) {
			file, anchor := l[1], strings.TrimPrefix(l[2], "#")
			if strings.Contains(file, "://") {
				continue
			}
			where := name
			if file != "" {
				where = filepath.Join(filepath.Dir(name), file)
			}
			if _, err := os.Stat(where); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, file)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, where)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", name, where, anchor)
			}
		}
	}
}

// The index leads to every page of this folder.
func TestTheIndexLeadsToAllPages(t *testing.T) {
	index := read(t, "README.md")
	for _, pattern := range []string{"*.md", "reference/*.md", "reference/plugins/*.md", "recordings/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, name := range found {
			if name != "README.md" && !strings.Contains(index, "]("+filepath.ToSlash(name)+")") {
				t.Errorf("docs/README.md does not lead to %s", name)
			}
		}
	}
}

var (
	written = regexp.MustCompile(`(?s)<!-- written by (make [a-z-]+): begin -->\n(.*?)<!-- written by (make [a-z-]+): end -->\n`)
	row     = regexp.MustCompile(`(?m)^\|.*$`)
)

// What a command writes into a page stands between its markers, once, and is made
// of whole tables; and the command is one of the Makefile's.
// TestTheFrontPageLeadsToAllTopics holds the repository's README, where people arrive:
// it leads to each page of docs, and the commands that it shows exist.
func TestTheFrontPageLeadsToAllTopics(t *testing.T) {
	front, reference := read(t, "../README.md"), read(t, "reference/cli.md")
	pages, err := filepath.Glob("*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, name := range pages {
		if !strings.Contains(front, "](docs/"+name+")") {
			t.Errorf("README.md does not lead to docs/%s", name)
		}
	}
	commands := regexp.MustCompile(`(?m)^runner +([a-z-]+)`).FindAllStringSubmatch(front, -1)
	if len(commands) < 8 {
		t.Errorf("README.md shows %d commands; was its form changed?", len(commands))
	}
	for _, c := range commands {
		if !strings.Contains(reference, "[`"+c[1]+"`](#") {
			t.Errorf("README.md shows runner %s, which is no command", c[1])
		}
	}
}

func TestWrittenPartsAreWellFormed(t *testing.T) {
	makefile := read(t, "../Makefile")
	found := map[string]string{}
	for _, name := range pages(t) {
		page := read(t, name)
		parts := written.FindAllStringSubmatch(page, -1)
		if markers := strings.Count(page, "<!-- written by "); markers != 2*len(parts) {
			t.Errorf("%s: %d markers enclose %d parts", name, markers, len(parts))
		}
		for _, p := range parts {
			if p[1] != p[3] || found[p[1]] != "" {
				t.Errorf("%s: the part of %q ends as that of %q; the one before is in %q", name, p[1], p[3], found[p[1]])
			}
			found[p[1]] = name
			if !strings.Contains(makefile, "\n"+strings.TrimPrefix(p[1], "make ")+":") {
				t.Errorf("%s: there is no %q", name, p[1])
			}
			columns := 0
			for line := range strings.Lines(p[2]) {
				if !row.MatchString(line) {
					columns = 0
					continue
				}
				n := strings.Count(line, "|") - strings.Count(line, `\|`)
				if columns != 0 && n != columns {
					t.Errorf("%s: a row with %d columns in a table of %d: %s", name, n-1, columns-1, line)
				}
				columns = n
			}
		}
	}
	want := map[string]string{"make bench": "performance.md", "make reliability": "reliability.md", "make bench-judge": "analysis.md"}
	for command, name := range want {
		if found[command] != name {
			t.Errorf("what %q writes is in %q, want %s", command, found[command], name)
		}
	}
}

// Every promise says how it is tested.
func TestEveryPromiseIsTested(t *testing.T) {
	sections := strings.Split(read(t, "reliability.md"), "\n## ")
	if len(sections) < 9 {
		t.Fatalf("the page has %d sections; were they renamed?", len(sections))
	}
	for _, s := range sections[1:] {
		title, body, _ := strings.Cut(s, "\n")
		if title != "Figures" && (!strings.Contains(body, "\n- **") && !strings.HasPrefix(body, "- **") || !strings.Contains(body, "How it is tested: ")) {
			t.Errorf("%s: a promise or its test is missing", title)
		}
	}
}

// Every pipeline, or piece of one, that a page shows is accepted by runner once
// what the piece leaves out is added.
func TestRealPipelinesAreValid(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("asks the built runner about every pipeline in the pages; run it with: make test-real")
	}
	shown := 0
	for _, name := range pages(t) {
		for i, m := range inHCL.FindAllStringSubmatch(read(t, name), -1) {
			shown++
			t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name)+"/"+strconv.Itoa(i), func(t *testing.T) {
				validate(t, filepath.Join(bin, "runner"), m[1])
			})
		}
	}
	if shown < 10 {
		t.Errorf("the pages show %d pipelines; were they renamed?", shown)
	}
}

func validate(t *testing.T, runner, text string) {
	switch {
	case strings.HasPrefix(text, "notify "):
		t.Skip("no plugin offers a notifier yet, and the page says so")
	case strings.HasPrefix(text, "plugin_installation "):
		t.Skip("these are settings of the user, not a pipeline")
	case strings.Contains(text, `source = "example/`):
		t.Skip("this plugin is the reader's own")
	}
	dir := t.TempDir()
	files := map[string]string{
		"pipeline.hcl":    complete(text),
		"shop/module.hcl": "variable \"country\" {}\nstage \"s\" {\n  use \"local_noop\" {}\n}\n",
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{"init", "validate"} {
		cmd := exec.CommandContext(t.Context(), runner, command)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("runner %s: %v\n%s\nof:\n%s", command, err, out, files["pipeline.hcl"])
		}
	}
}

const plugins = `
runner {
  required_plugins {
    local      = { source = "runner/local", version = "~> 0.1" }
    canary     = { source = "runner/canary", version = "~> 0.1" }
    prometheus = { source = "runner/prometheus", version = "~> 0.1" }
  }
}
`

var (
	inStage  = regexp.MustCompile(`^(strategy|verify|analysis|approval) ?`)
	declares = regexp.MustCompile(`(?m)^(stage|module) `)
	variable = regexp.MustCompile(`var\.(\w+)`)
	stage    = regexp.MustCompile(`stage\.(\w+)`)
)

// complete adds what a piece of a pipeline leaves out because its reader knows it.
func complete(text string) string {
	if strings.HasPrefix(text, "slo ") {
		text = "analysis {\n  deadline = \"1h\"\n  on_inconclusive = \"hold\"\n" + text + "}\n"
	}
	if inStage.MatchString(text) {
		if !strings.Contains(text, "strategy ") {
			text += "strategy \"all_at_once\" {}\n"
		}
		text = "stage \"s\" {\n  use \"local_service\" {\n    command = [\"x\"]\n  }\n" + text + "}\n"
	}
	if !strings.Contains(text, "required_plugins") {
		text = plugins + text
	} else if !strings.Contains(text, `"runner/local"`) {
		text = strings.Replace(text, "required_plugins {", "required_plugins {\n    local = { source = \"runner/local\" }", 1)
	}
	if !declares.MatchString(text) {
		text += "stage \"s\" {\n  use \"local_noop\" {}\n}\n"
	}
	if !strings.Contains(text, "\npipeline ") {
		text += "pipeline \"p\" {}\n"
	}
	for kind, names := range map[string]*regexp.Regexp{"variable": variable, "stage": stage} {
		for _, v := range names.FindAllStringSubmatch(text, -1) {
			head := kind + ` "` + v[1] + `"`
			if strings.Contains(text, head) {
				continue
			}
			body := ""
			if kind == "stage" {
				body = "\n  use \"local_exec\" {\n    command = [\"true\"]\n  }\n"
			}
			text += head + " {" + body + "}\n"
		}
	}
	if strings.Contains(text, "plugin.local.quiet") {
		text += "plugin \"local\" {\n  alias = \"quiet\"\n}\n"
	}
	return text
}
