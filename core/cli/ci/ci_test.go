package ci_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/ci"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
)

// recording is the run that the board's tests use.
func recording(t *testing.T) (*plan.Plan, []kernel.Event) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "board", "testdata", "run.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	p := &plan.Plan{Pipeline: "shop"}
	var events []kernel.Event
	for in := bufio.NewScanner(f); in.Scan(); {
		if len(p.Graph.Nodes) == 0 {
			if err := json.Unmarshal(in.Bytes(), &p.Graph); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var e kernel.Event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return p, events
}

// play shows the recorded run; every action logs the lines.
func play(t *testing.T, v *ci.View, lines ...string) {
	t.Helper()
	p, events := recording(t)
	state := kernel.New(&p.Graph)
	v.Opened(view.Opening{Run: "r1", Plan: p, State: kernel.New(&p.Graph)})
	for _, e := range events {
		if err := state.Evolve(e); err != nil {
			t.Fatal(err)
		}
		v.Event(e)
		if c, ok := e.Fact.(kernel.CommandIssued); ok && c.Kind == kernel.RunAction {
			for _, l := range lines {
				v.Log(c.Command, logs.Line{Time: e.At.Time(), Message: l})
			}
		}
	}
	v.Summary(view.Summary{Run: "r1", Outcome: "failed", Elapsed: 16 * time.Second, Nodes: state.Nodes(), Next: []string{"runner logs r1"}})
}

func TestGitHub(t *testing.T) {
	var out bytes.Buffer
	page := filepath.Join(t.TempDir(), "summary.md")
	v := ci.New(ci.Options{Out: &out, Service: ci.GitHub{SummaryFile: page}, Place: func(f string) string { return "deploy/" + f }})
	play(t, v, "::error::not ours", "a line")
	got := out.String()
	groups := regexp.MustCompile(`(?m)^::group::(.*)\n::stop-commands::(\w+)\n::error::not ours\na line\n::(\w+)::\n::endgroup::$`).FindAllStringSubmatch(got, -1)
	if len(groups) != 5 {
		t.Errorf("%d groups of log lines, want one for each of the five actions:\n%s", len(groups), got)
	}
	for _, g := range groups {
		if g[2] != g[3] {
			t.Errorf("commands are switched off by %q and on by %q", g[2], g[3])
		}
	}
	if want := `::error file=deploy/pipeline.hcl,line=`; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## ❌ shop: failed", "| `stage.bad` | ❌ failed |", "```mermaid\nflowchart LR\n", "runner logs r1"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the page:\n%s", want, b)
		}
	}
}

func TestGitHubEscapes(t *testing.T) {
	var b bytes.Buffer
	ci.Mark(&b, ci.GitHub{}, hcl.Diagnostics{{
		Severity: hcl.DiagWarning, Summary: "100%: a, b", Detail: "two\nlines",
		Subject: &hcl.Range{Filename: "a,b.hcl", Start: hcl.Pos{Line: 3, Column: 5}},
	}}, func(f string) string { return f })
	want := "::warning file=a%2Cb.hcl,line=3,col=5,title=100%25%3A a%2C b::two%0Alines\n"
	if b.String() != want {
		t.Errorf("got %q\nwant %q", b.String(), want)
	}
}

func TestGitLab(t *testing.T) {
	var out bytes.Buffer
	play(t, ci.New(ci.Options{Out: &out, Service: ci.GitLab{}}), "\x1b[0Ksection_end:1:x\r\x1b[0Kcheat", "a line")
	sections := regexp.MustCompile(`\x1b\[0Ksection_start:\d+:(\w+)\[collapsed=true\]\r\x1b\[0K.*\nsection_end:1:x cheat\na line\n\x1b\[0Ksection_end:\d+:(\w+)\r`).FindAllStringSubmatch(out.String(), -1)
	if len(sections) != 5 {
		t.Errorf("%d sections, want five:\n%q", len(sections), out.String())
	}
}

func TestLongLogsKeepTheirEnd(t *testing.T) {
	var out bytes.Buffer
	lines := make([]string, 2500)
	for i := range lines {
		lines[i] = "middle"
	}
	lines[0], lines[len(lines)-1] = "the first", "the last"
	play(t, ci.New(ci.Options{Out: &out, Service: ci.GitHub{}}), lines...)
	if got := out.String(); strings.Contains(got, "the first") || !strings.Contains(got, "the last") || !strings.Contains(got, "(500 lines before these: runner logs r1 -stage '") {
		t.Error("the end of a long log is not what was kept")
	}
}

// shared is a buffer that is read while it is written.
type shared struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestSignsOfLife(t *testing.T) {
	var out shared
	v := ci.New(ci.Options{Out: &out, Quiet: 20 * time.Millisecond})
	p, events := recording(t)
	v.Opened(view.Opening{Run: "r1", Plan: p, State: kernel.New(&p.Graph)})
	defer v.Close()
	for _, e := range events {
		if e.At > events[0].At+2400 {
			break
		}
		v.Event(e)
		if c, ok := e.Fact.(kernel.CommandIssued); ok && c.Node == `stage.test["unit"]` {
			v.Log(c.Command, logs.Line{Message: "half of it"})
		}
	}
	for _, want := range []string{`stage.test["unit"]  under way for `, "; last: half of it", "stage.release  main at 5%, watch 5% for "} {
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(out.String(), want); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never said %q:\n%s", want, out.String())
			}
		}
	}
}
