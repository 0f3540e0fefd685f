package config_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/scope"
)

const small = "pipeline \"shop\" {}\n\nstage \"a\" {\n  use \"noop\" {}\n}\n"

// tree writes files into a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func render(diags hcl.Diagnostics, p *config.Pipeline) string {
	var b strings.Builder
	_ = diagnostics.Write(&b, diags, p.Files)
	return b.String()
}

func stageNames(m *config.Module) []string {
	var names []string
	for _, s := range m.Stages {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

func TestLoadGoesUp(t *testing.T) {
	dir := tree(t, map[string]string{
		"pipeline.hcl":          small,
		"db.pipeline.hcl":       "stage \"b\" {\n  use \"noop\" {}\n}\n",
		"web.pipeline.hcl.json": `{"stage": {"c": {"use": {"noop": {}}}}}`,
		".hidden.pipeline.hcl":  "nonsense",
		"other.hcl":             "nonsense",
		"pipeline.hcl.bak":      "nonsense",
		"sub/deeper/file":       "",
		"sub/module.hcl":        "nonsense",
	})
	for _, from := range []string{".", "sub", "sub/deeper"} {
		p, diags := config.Load(filepath.Join(dir, from), config.Options{})
		if len(diags) > 0 {
			t.Fatal(render(diags, p))
		}
		if diff := cmp.Diff([]string{"a", "b", "c"}, stageNames(p.Root)); diff != "" {
			t.Errorf("from %s: stages (-want +got):\n%s", from, diff)
		}
		if p.Dir != dir || p.Name != "shop" || p.Incomplete {
			t.Errorf("from %s: Dir = %s, Name = %s, Incomplete = %v", from, p.Dir, p.Name, p.Incomplete)
		}
	}
}

func TestLoadSaysWhereItLooked(t *testing.T) {
	dir := tree(t, map[string]string{"x.pipeline.hcl": small, "sub/file": ""})
	p, diags := config.Load(filepath.Join(dir, "sub"), config.Options{})
	if got := render(diags, p); !strings.Contains(got, "No pipeline here") || !strings.Contains(got, filepath.Join(dir, "sub")) {
		t.Errorf("got:\n%s", got)
	}
	if !p.Incomplete || p.Root == nil {
		t.Errorf("pipeline: %+v", p)
	}
}

// What was read from the disk reads the same from memory.
func TestSourcesAreComplete(t *testing.T) {
	dir := tree(t, map[string]string{
		"app/pipeline.hcl":             "\xef\xbb\xbf" + strings.ReplaceAll(small, "\n", "\r\n") + "module \"m\" {\n  source = \"../shared/m\"\n}\n",
		"app/values.json":              "{}",
		"shared/m/module.hcl":          "module \"n\" {\n  source = \"./n\"\n}\n",
		"shared/m/n/module.hcl.json":   `{"stage": {"s": {"use": {"noop": {}}}}}`,
		"shared/m/n/more.module.hcl":   "output \"o\" {\n  value = 1\n}\n",
		"shared/m/n/unrelated.txt":     "x",
		"shared/m/n/deeper/module.hcl": "nonsense",
	})
	p, diags := config.Load(filepath.Join(dir, "app"), config.Options{})
	if len(diags) > 0 {
		t.Fatal(render(diags, p))
	}
	var names []string
	for name := range p.Sources {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"../shared/m/module.hcl", "../shared/m/n/module.hcl.json", "../shared/m/n/more.module.hcl", "pipeline.hcl"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	again, diags := config.LoadSources(p.Sources, config.Options{})
	if len(diags) > 0 {
		t.Fatal(render(diags, again))
	}
	if diff := cmp.Diff(p.Sources, again.Sources); diff != "" {
		t.Errorf("sources read again (-want +got):\n%s", diff)
	}
	for path, m := range p.Modules {
		if diff := cmp.Diff(stageNames(m), stageNames(again.Modules[path])); diff != "" {
			t.Errorf("module %s (-disk +memory):\n%s", path, diff)
		}
	}
	if at := p.Root.Stages[0].Range; at.Start.Line != 3 || at.Filename != "pipeline.hcl" {
		t.Errorf("the stage stands at %v", at)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := tree(t, map[string]string{"pipeline.hcl": small, "big.pipeline.hcl": strings.Repeat("#", 16<<20+1)})
	want := map[string]string{"big.pipeline.hcl": "larger than 16 MiB"}
	if runtime.GOOS != "windows" {
		for name, target := range map[string]string{"loop": "loop.pipeline.hcl", "gone": "nowhere", "null": os.DevNull} {
			if err := os.Symlink(target, filepath.Join(dir, name+".pipeline.hcl")); err != nil {
				t.Fatal(err)
			}
		}
		want["null.pipeline.hcl"] = "not a regular file"
		want["gone.pipeline.hcl"] = "no such file"
		want["loop.pipeline.hcl"] = "too many"
	}
	p, diags := config.Load(dir, config.Options{})
	got := render(diags, p)
	for name, why := range want {
		if !strings.Contains(got, "Reading "+name) || !strings.Contains(got, why) {
			t.Errorf("nothing about %s (%s) in:\n%s", name, why, got)
		}
	}
	if !p.Incomplete || len(p.Root.Stages) != 1 {
		t.Errorf("Incomplete = %v, %d stages", p.Incomplete, len(p.Root.Stages))
	}
}

func TestTextThatIsNoText(t *testing.T) {
	for name, src := range map[string]string{
		"NUL": small + "\x00", "not UTF-8": small + "# \xff\nx = \"\xff\"\n", "UTF-16": "\xff\xfep\x00i\x00", "binary": "\x7fELF\x02\x01",
	} {
		p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(src)}, config.Options{})
		if !diags.HasErrors() || !p.Incomplete {
			t.Errorf("%s: %v", name, diags)
		}
		if got := render(diags, p); strings.ContainsAny(got, "\x00\x7f") {
			t.Errorf("%s: control characters in %q", name, got)
		}
	}
}

func TestVersions(t *testing.T) {
	for constraint, versions := range map[string]map[string]bool{
		"~> 0.1":          {"0.1.0": true, "0.9.0": true, "1.0.0": false, "0.1.0-dev": true, "": true, "not a version": true},
		">= 0.2, < 0.4":   {"0.1.9": false, "0.2.0": true, "0.4.0": false},
		"= 0.2.1, != 0.3": {"0.2.1": true},
	} {
		for v, fits := range versions {
			src := fmt.Sprintf("runner {\n  required_version = %q\n}\n%s", constraint, small)
			p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(src)}, config.Options{Version: v})
			if diags.HasErrors() == fits {
				t.Errorf("%s for version %q: %v", constraint, v, diags)
			}
			if fits && len(p.Runner.RequiredVersion) != 1+strings.Count(constraint, ",") {
				t.Errorf("RequiredVersion = %s, want %s", p.Runner.RequiredVersion, constraint)
			}
		}
	}
}

func TestRequiredPlugins(t *testing.T) {
	src := "runner {\n  required_plugins {\n    b = { source = \"acme/b\", version = \">= 1.0\" }\n    a = { source = \"runner/a\" }\n  }\n}\n" + small
	p, diags := config.LoadSources(map[string][]byte{"pipeline.hcl": []byte(src)}, config.Options{})
	if len(diags) > 0 {
		t.Fatal(render(diags, p))
	}
	var got []string
	for _, q := range p.Runner.RequiredPlugins {
		got = append(got, fmt.Sprintf("%s %s %q %v", q.Name, q.Source, q.VersionText, q.Version))
	}
	if diff := cmp.Diff([]string{`a runner/a "" `, `b acme/b ">= 1.0" >= 1.0`}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A file large enough to be parsed in pieces means the same, and messages have
// the same places.
func TestLargeFiles(t *testing.T) {
	sources := chain(2000)
	p, diags := config.LoadSources(sources, config.Options{})
	if len(diags) > 0 {
		t.Fatal(render(diags, p))
	}
	whole, _ := hclsyntax.ParseConfig(sources["pipeline.hcl"], "pipeline.hcl", hcl.InitialPos)
	blocks := whole.Body.(*hclsyntax.Body).Blocks
	stages := blocks[len(blocks)-2000:]
	for i, s := range p.Root.Stages {
		if s.Range != stages[i].DefRange() || s.Name != stages[i].Labels[0] {
			t.Fatalf("stage %d is %s at %v, want %s at %v", i, s.Name, s.Range, stages[i].Labels[0], stages[i].DefRange())
		}
	}
	broken := bytes.Replace(sources["pipeline.hcl"], []byte("  use \"noop\" {\n    name = \"x-${local.tag}-1500\"\n"), []byte("  use \"noop\" {\n    naem = 1\n"), 1)
	c := &goldenCase{sources: map[string][]byte{"pipeline.hcl": broken}}
	got, files := c.check(scope.Options{})
	if len(got) != 1 || got[0].Summary != "Unknown attribute" {
		t.Fatalf("diagnostics: %v", got)
	}
	var b strings.Builder
	_ = diagnostics.Write(&b, got, files)
	want := fmt.Sprintf("line %d, in stage \"s1500\":\n%d:     naem = 1\n", got[0].Subject.Start.Line, got[0].Subject.Start.Line)
	if !strings.Contains(b.String(), want) {
		t.Errorf("want %q in:\n%s", want, b.String())
	}
}

func FuzzLoad(f *testing.F) {
	for _, file := range append(archives(f, "testdata/good"), archives(f, "testdata/bad")...) {
		_, c := readCase(f, file)
		if strings.Contains(c.want, "Value too large") {
			continue // the fuzzer would spend its time in long loops
		}
		f.Add(c.sources["pipeline.hcl"], c.sources["pipeline.hcl.json"])
	}
	f.Fuzz(func(t *testing.T, native, json []byte) {
		c := &goldenCase{sources: map[string][]byte{"pipeline.hcl": native, "m/module.hcl": native}, world: fakeWorld{}}
		if len(json) > 0 {
			c.sources["x.pipeline.hcl.json"] = json
		}
		diags, files := c.check(scope.Options{AllowMissing: true})
		var first, again bytes.Buffer
		if err := diagnostics.Write(&first, diags, files); err != nil {
			t.Fatal(err)
		}
		for _, d := range diags {
			if d.Severity == hcl.DiagInvalid || d.Summary == "" || d.Summary == "Evaluation failed" {
				t.Fatalf("%+v", d)
			}
		}
		diags, files = c.check(scope.Options{AllowMissing: true})
		if err := diagnostics.Write(&again, diags, files); err != nil || !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Fatalf("read twice, the messages differ:\n%s\n%s", first.String(), again.String())
		}
	})
}
