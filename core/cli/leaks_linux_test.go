package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/redact"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store"
	"github.com/runner-pipelines/runner/core/store/sqlite"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
)

// known is one secret of the corpus; After says whose leak it was made after.
type known struct{ Name, After, Secret string }

func corpus(t *testing.T) []known {
	t.Helper()
	b, err := os.ReadFile("testdata/secrets.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []known
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if len(out) < 9 {
		t.Fatalf("the corpus has only %d secrets", len(out))
	}
	return out
}

// A place is somewhere that a secret could turn up. Whoever adds an output to the
// program adds it here.
type place struct {
	name string
	// look gives what is there after the commands of a leak have ended.
	look func(t *testing.T, l *leaking) []byte
}

var places = []place{
	{"the files of the pipeline's folder", func(t *testing.T, l *leaking) []byte { return files(t, l.dir) }},
	{"the log chunks", func(t *testing.T, l *leaking) []byte { return l.logs }},
	{"the records of the state", func(t *testing.T, l *leaking) []byte { return l.records }},
	{"the plan file", keptPlan},
	{"runner show", said("show")},
	{"runner show -json", said("show", "-json")},
	{"runner show PLAN", said("show", "kept.plan")},
	{"runner show -json PLAN", said("show", "-json", "kept.plan")},
	{"runner status", said("status")},
	{"runner status -json", said("status", "-json")},
	{"runner history", said("history")},
	{"runner history -json", said("history", "-json")},
	{"runner logs", said("logs")},
	{"runner logs -json", said("logs", "-json")},
	{"runner explain", said("explain")},
	{"runner explain -json", said("explain", "-json")},
	{"runner graph -format=svg", said("graph", "-format=svg")},
	{"runner output -json", said("output", "-json")},
	{"runner report", said("report", "-out=-")},
	{"runner show -against PLAN", said("show", "-against=latest", "kept.plan")},
	{"runner validate", said("validate")},
	{"runner validate -json", said("validate", "-json")},
}

// leaks are pipelines that tell their secrets, each with the commands that are run
// and what must be in their output, so that nobody takes silence for safety.
var leaks = []struct {
	name     string
	pipeline func(secrets []known) string
	commands [][]string
	exits    []int
	want     []string
}{
	{
		"success", actions(""), [][]string{{"plan", "-out=kept.plan"}, {"apply", "kept.plan"}, {"apply", "-auto-approve", "-json"}}, []int{0, 0, 0},
		[]string{"it is (sensitive)", "with (sensitive)", "printed (sensitive)", "TOKEN=(sensitive)", "(sensitive): to (sensitive)", "Warning: Invalid configuration", "is not shown, because it holds a sensitive value", `"(sensitive)":"as a key"`},
	},
	{"diagnostic", actions("diagnostic"), [][]string{{"plan", "-out=kept.plan"}, {"apply", "kept.plan"}, {"apply", "-auto-approve", "-json"}}, []int{0, 1, 1}, []string{"Failed with (sensitive)"}},
	{"invalid", actions("invalid"), [][]string{{"plan"}, {"plan", "-json"}, {"apply", "-auto-approve"}}, []int{1, 1, 1}, []string{"Error: Invalid configuration", "The plugin's reason is not shown, because it holds a sensitive value."}},
	{"panic", actions("panic"), [][]string{{"plan", "-out=kept.plan"}, {"apply", "kept.plan"}}, []int{0, 1}, []string{"panic", "(sensitive)"}},
	{"crash", actions("goroutine"), [][]string{{"plan", "-out=kept.plan"}, {"apply", "kept.plan"}, {"apply", "-auto-approve", "-json"}}, []int{0, either, either}, []string{"panic: ", "its process was lost"}},
	{
		"rollout", rollouts, [][]string{{"plan", "-out=kept.plan"}, {"apply", "kept.plan"}, {"apply", "-auto-approve", "-json", "-var", "again=2"}}, []int{0, 0, 4},
		[]string{"http://(sensitive).invalid", "because of (sensitive)", "next step (sensitive)", "hidden:pbkdf2-sha256"},
	},
}

// either: all stages lose their process when one crashes it, and whether the plugin
// can tell what became of each depends on who is next.
const either = -1

// actions has a stage for every secret.
func actions(end string) func([]known) string {
	return func(secrets []known) string {
		var b strings.Builder
		for i := range secrets {
			fmt.Fprintf(&b, "variable \"s%d\" {\n  type      = string\n  sensitive = true\n}\n\nstage \"a%d\" {\n  use \"fake_leak\" {\n    secret = var.s%d\n    end    = %q\n  }\n}\n", i, i, i, end)
		}
		return b.String()
	}
}

// rollouts has one for every secret that fits into an address.
func rollouts(secrets []known) string {
	var b strings.Builder
	b.WriteString("variable \"again\" {\n  type    = string\n  default = \"1\"\n}\n")
	for i := range secrets {
		fmt.Fprintf(&b, `
variable "s%[1]d" {
  type      = string
  sensitive = true
}

stage "a%[1]d" {
  use "fake_target" {
    file    = "web-%[1]d.json"
    address = "http://${var.again}.invalid"
    leak    = var.s%[1]d
  }
  strategy "fake_strategy" {
    bake = var.again == "1" ? "0s" : "10s"
    leak = var.s%[1]d
  }
  analysis {
    interval        = "50ms"
    deadline        = var.again == "1" ? "10m" : "300ms"
    on_inconclusive = "abort"
    metric "errors" {
      use "fake_metrics" {
        file = "none"
        leak = var.s%[1]d
      }
      max = 0.01
    }
  }
}
`, i)
	}
	return b.String()
}

// leaking is a folder in which secrets were told.
type leaking struct {
	dir           string
	env           []string
	logs, records []byte
}

// run gives the output of a command, also when it fails.
func (l *leaking) run(t *testing.T, args ...string) (out []byte, code int) {
	t.Helper()
	cmd := runnerIn(t, l.dir, args...)
	cmd.Env = append(cmd.Env, l.env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out, cmd.ProcessState.ExitCode()
}

func said(args ...string) func(*testing.T, *leaking) []byte {
	return func(t *testing.T, l *leaking) []byte {
		out, _ := l.run(t, args...)
		return out
	}
}

// files are those that the program wrote: all but the target's own state, which
// tells where it is.
func files(t *testing.T, dir string) []byte {
	t.Helper()
	var out bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), "web-") {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(&out, "%s:\n%s\n", path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func keptPlan(t *testing.T, l *leaking) []byte {
	b, err := os.ReadFile(filepath.Join(l.dir, "kept.plan"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// read unpacks what the state holds compressed: it is no good to search that as it lies.
func (l *leaking) read(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, filepath.Join(l.dir, ".runner", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for it, err := range store.Scan(ctx, s, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		l.records = fmt.Appendf(l.records, "%s: %s\n", it.Key, it.Value)
	}
	index := runs.New(s)
	for r, err := range index.List(ctx, runs.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := index.Plan(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Decode(encoded)
		if err != nil {
			t.Fatal(err)
		}
		kept, _ := json.Marshal(p)
		l.records = append(l.records, kept...)
		commands, err := logs.Commands(ctx, s, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands {
			for line, err := range logs.Read(ctx, s, r.ID, c) {
				if err != nil {
					t.Fatal(err)
				}
				b, _ := json.Marshal(line)
				l.logs = append(append(l.logs, b...), '\n')
			}
		}
	}
}

// None of the corpus's secrets, in any form, is in anything that the program
// says or keeps, however a plugin tells it.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	secrets := corpus(t)
	if raceEnabled { // many times slower: some of each kind are enough to look for races
		secrets = secrets[:3]
	}
	searched := 0
	t.Run("leaks", func(t *testing.T) {
		for _, tt := range leaks {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				l := leakingDir(t, secrets, tt.pipeline(secrets))
				var out []byte
				for i, args := range tt.commands {
					b, code := l.run(t, args...)
					if code != tt.exits[i] && (tt.exits[i] != either || code != command.Failed && code != command.Waiting) {
						t.Errorf("runner %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, tt.exits[i], b[:min(len(b), 4000)])
					}
					out = append(out, b...)
				}
				l.read(t)
				hidden(t, secrets, "the output of the commands", out)
				out = append(append(out, l.records...), l.logs...)
				for _, want := range tt.want {
					if !bytes.Contains(out, []byte(want)) {
						t.Errorf("%q is nowhere: was anything told?\n%s", want, out[:min(len(out), 2000)])
					}
				}
				for _, p := range places {
					hidden(t, secrets, p.name, p.look(t, l))
				}
			})
		}
	})
	for _, s := range secrets {
		searched += len(fake.Forms(s.Secret))
	}
	const topic = "Secrets"
	figures.Record(t, topic, "secrets of the corpus, and forms of them that are searched for", "%d, %d", len(secrets), searched)
	figures.Record(t, topic, "ways of telling them, and places that are searched after each", "%d, %d", len(leaks), len(places)+1)
	figures.Record(t, topic, "forms found", "0")
}

func leakingDir(t *testing.T, secrets []known, stages string) *leaking {
	t.Helper()
	ready, err := initialised()
	if err != nil {
		t.Fatal(err)
	}
	l := &leaking{dir: t.TempDir(), env: []string{"RUNNER_LOG=trace"}}
	for i, s := range secrets {
		l.env = append(l.env, fmt.Sprintf("RUNNER_VAR_s%d=%s", i, s.Secret))
	}
	text := "pipeline \"shop\" {}\n\n" + stages
	if err := errors.Join(os.CopyFS(l.dir, os.DirFS(ready)), os.WriteFile(filepath.Join(l.dir, "pipeline.hcl"), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return l
}

// hidden fails when any form of a secret is in a text, or the half of it that stands
// before the place where a line that is too long is cut. Of a short secret that half
// is like any other text.
func hidden(t *testing.T, secrets []known, where string, text []byte) {
	t.Helper()
	for _, s := range secrets {
		half := s.Secret[:len(s.Secret)/2]
		if len(half) >= redact.MinLength && bytes.Contains(text, []byte("xxxx"+half)) {
			t.Errorf("%s has the first half of the secret %q", where, s.Name)
		}
		for name, form := range fake.Forms(s.Secret) {
			if strings.HasPrefix(name, "base64 after") {
				form = form[4 : len(form)-4] // the ends also depend on what stands around
			}
			if at := bytes.Index(text, []byte(form)); at >= 0 {
				t.Errorf("%s has the secret %q (%s): …%q…", where, s.Name, name, text[max(0, at-120):min(len(text), at+len(form)+60)])
			}
		}
	}
}

// A secret too short to be told from other text is refused where it stands.
func TestAShortSecretIsRefused(t *testing.T) {
	t.Parallel()
	l := leakingDir(t, nil, actions("")([]known{{}}))
	l.env = append(l.env, "RUNNER_VAR_s0=abc")
	for _, name := range []string{"plan", "validate"} {
		out, code := l.run(t, name)
		want := regexp.MustCompile(`(?m)^Error: Secret too short\n  on pipeline\.hcl line 3\b`)
		if code != command.Failed || !want.Match(out) {
			t.Errorf("runner %s: exit code %d, want %d and %s:\n%s", name, code, command.Failed, want, out)
		}
	}
}

// What the corpus calls forms are forms to the redactor too, by themselves and
// inside of other text.
func TestEveryFormOfTheCorpusIsRedacted(t *testing.T) {
	for _, s := range corpus(t) {
		r := redact.New()
		if err := r.Add(s.Secret); err != nil {
			t.Fatal(err)
		}
		forms := fake.Forms(s.Secret)
		var left []string
		for name, form := range forms {
			if strings.HasPrefix(name, "base64 after") {
				form = form[4 : len(form)-4]
			}
			if strings.Contains(r.Redact("a "+forms[name]+" b"), form) {
				left = append(left, name)
			}
		}
		slices.Sort(left)
		if diff := cmp.Diff([]string(nil), left); diff != "" {
			t.Errorf("%s: these forms are not found (-want +got):\n%s", s.Name, diff)
		}
	}
}
