package reference_test

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli"
	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/reference"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/sdk/host"
)

var update = flag.Bool("update", false, "write the pages in place of comparing them")

const pages = "../../../docs/reference"

func TestPagesAreCurrent(t *testing.T) {
	env := &command.Env{Stdin: strings.NewReader("")}
	compare(t, "cli.md", reference.Commands(cli.Commands(env)))
	compare(t, "pipeline.md", reference.Pipeline())
	compare(t, "messages.md", reference.Messages("../../core/diagnostics/pages"))
}

// TestRealPagesOfPluginsAreCurrent asks the built plugins what they serve.
func TestRealPagesOfPluginsAreCurrent(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("asks the built plugins; run it with: make test-real")
	}
	certificate, err := host.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"canary", "local", "prometheus"} {
		t.Run(name, func(t *testing.T) {
			p, err := host.Start(t.Context(), host.Config{
				Name: name, Command: []string{filepath.Join(bin, "runner-plugin-"+name)}, Dir: t.TempDir(),
				Certificate: certificate, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Stop(time.Second)
			d, err := p.Describe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("plugins", name+".md"), reference.Plugin(d))
		})
	}
}

func compare(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join(pages, name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("docs/reference/%s is out of date; run make docs (-want +got):\n%s", name, diff)
	}
}

// Every block and attribute is explained, and nothing else is.
func TestTheWholeLanguageIsExplained(t *testing.T) {
	about := reference.Texts()
	used := map[string]bool{"": true}
	sections := config.Language()
	if len(sections) < 25 {
		t.Fatalf("%d sections of the language", len(sections))
	}
	need := func(path string) {
		used[path] = true
		if about[path] == "" {
			t.Errorf("language.txt has no line for %q", path)
		}
	}
	for _, s := range sections {
		if s.Body == nil {
			t.Errorf("config.Language says nothing of what stands in %q", s.Path)
			continue
		}
		need(s.Path)
		for _, a := range s.Body.Attributes {
			need(s.Path + "." + a.Name)
			if !strings.Contains(about[s.Path+"."+a.Name], " | ") {
				t.Errorf("language.txt does not say what %s.%s takes", s.Path, a.Name)
			}
		}
		used[s.Path+".*"] = true
	}
	for path := range about {
		if !used[path] {
			t.Errorf("language.txt speaks of %q, which the language does not have", path)
		}
	}
}
