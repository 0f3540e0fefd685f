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
	for _, must := range []string{"writing-a-pipeline.md", "../README.md", "../plugins/canary/README.md"} {
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
    local  = { source = "runner/local", version = "~> 0.1" }
    canary = { source = "runner/canary", version = "~> 0.1" }
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
