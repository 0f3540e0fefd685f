package docs

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

var update = flag.Bool("update", false, "write the recordings in place of comparing them")

// patience is how long a moment of a recording may be waited for.
const patience = 40 * time.Second

// TestRealRecordings plays the demo's pipeline on terminals of two sizes, in tmux,
// and compares what is on the screen at some moments with docs/recordings.
func TestRealRecordings(t *testing.T) {
	bin := terminals(t)
	for _, size := range []struct{ columns, lines int }{{80, 24}, {200, 50}} {
		name := fmt.Sprintf("canary-%dx%d.txt", size.columns, size.lines)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := record(t, bin, size.columns, size.lines)
			compareRecording(t, name, got)
		})
	}
}

// terminals is where the built programs are, on a machine that has tmux.
func terminals(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("plays on terminals with the built programs; run it with: make test-real")
	}
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("needs tmux, to have terminals without a person")
	}
	return bin
}

// TestRealGitHubSummary keeps what a job on GitHub shows of two runs, a good release
// and a bad one: the Markdown that it is given, and what that looks like.
func TestRealGitHubSummary(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("plays the demo as a job on GitHub would; run it with: make test-real")
	}
	page := filepath.Join(t.TempDir(), "summary.md")
	shop := open(t, bin)
	shop.env = append(shop.env, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+page, "GITHUB_WORKSPACE="+shop.dir)
	shop.run(t, "runner", "apply", "-auto-approve", "-var", "version=v2")
	const rejected = 4
	shop.exits(t, rejected, "runner", "apply", "-auto-approve", "-var", "version=v3", "-var", "fail_rate=0.4")
	const unlimited = 100_000
	markdown := read(t, page)
	compareRecording(t, "github-summary.md", masked(markdown, unlimited)+"\n")
	compareRecording(t, "github-summary.html", masked(shop.rendered(t, markdown), unlimited)+"\n")
}

var (
	drawing = regexp.MustCompile(`(?s)<pre><code class="language-mermaid">.*?</code></pre>`)
	named   = regexp.MustCompile("(?m)^Run `([^`]+)`")
)

// rendered is the summary as a page. The drawing of each run is our own SVG, since
// Mermaid needs a browser.
func (s *street) rendered(t *testing.T, markdown string) string {
	t.Helper()
	var b bytes.Buffer
	if err := goldmark.New(goldmark.WithExtensions(extension.GFM)).Convert([]byte(markdown), &b); err != nil {
		t.Fatal(err)
	}
	runs := named.FindAllStringSubmatch(markdown, -1)
	if drawn := len(drawing.FindAllString(b.String(), -1)); drawn != len(runs) || drawn != 2 {
		t.Fatalf("%d drawings of %d runs, want two:\n%s", drawn, len(runs), markdown)
	}
	body := drawing.ReplaceAllStringFunc(b.String(), func(string) string {
		run := runs[0][1]
		runs = runs[1:]
		return strings.TrimSpace(s.exits(t, 0, "runner", "graph", "-format=svg", run))
	})
	return summaryHead + body
}

const summaryHead = `<!DOCTYPE html>
<meta charset="utf-8">
<title>The summary of a job</title>
<style>
body { font: 16px/1.5 sans-serif; color: #1f2328; max-width: 60em; margin: 2em auto }
h2 { border-bottom: 1px solid #d1d9e0; padding-bottom: .3em }
table { border-collapse: collapse }
th, td { border: 1px solid #d1d9e0; padding: .4em .8em }
code, pre { background: #f6f8fa; border-radius: 6px; padding: .1em .3em }
</style>
`

func compareRecording(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("recordings", name)
	if *update {
		if err := os.MkdirAll("recordings", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if problem := differs(stable(read(t, path)), stable(got)); problem != "" {
		t.Errorf("%s differs from what is shown; if that is meant, run make recordings\n%s\nIt shows:\n%s", path, problem, got)
	}
}

// street is the demo's shop in a folder of its own, with customers.
type street struct {
	bin, dir, home string
	env            []string
}

// open deploys v1 and lets customers in.
func open(t *testing.T, bin string) *street {
	t.Helper()
	port := freePort(t)
	s := &street{bin: bin, dir: t.TempDir(), home: t.TempDir()}
	s.env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + s.home, "LANG=C.UTF-8",
		"TMPDIR=" + os.TempDir(), "RUNNER_VAR_shop=shop", "RUNNER_VAR_port=" + port,
	}
	if err := os.WriteFile(filepath.Join(s.dir, "pipeline.hcl"), []byte(read(t, "../examples/pipeline.hcl")), 0o644); err != nil {
		t.Fatal(err)
	}
	s.run(t, "runner", "init")
	t.Cleanup(func() { _ = s.command(context.Background(), "runner-plugin-local", "stop", "-all").Run() })
	s.run(t, "runner", "apply", "-auto-approve", "-var", "version=v1")
	customers := s.command(t.Context(), "demo", "-load", "http://127.0.0.1:"+port)
	if err := customers.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = customers.Process.Kill()
		_ = customers.Wait()
	})
	return s
}

func (s *street) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

func (s *street) run(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if out, err := s.command(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// exits runs a command that ends with the code, and gives what it prints.
func (s *street) exits(t *testing.T, code int, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := s.command(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%s %s: %v, want exit code %d\n%s%s", name, strings.Join(args, " "), err, code, out, &stderr)
	}
	return string(out)
}

// record plays v1 → v2 and a bad v3, and gives the moments, masked.
func record(t *testing.T, bin string, columns, lines int) string {
	shop := open(t, bin)
	s := screen{socket: filepath.Join(shop.home, "tmux"), env: shop.env, dir: shop.dir}
	s.open(t, columns, lines)
	var b strings.Builder
	moment := func(what string, wanted ...string) {
		t.Helper()
		fmt.Fprintf(&b, "==== %s\n%s\n", what, masked(s.await(t, wanted...), columns))
	}
	s.keys(t, "runner apply -auto-approve -var version=v2")
	moment("while the candidate has 5% of the traffic", "watch 5%", "verdict: pass")
	moment("while it has 50%", "watch 50%", "verdict: pass")
	moment("when the run has left", "succeeded after", "\n$")
	s.keys(t, "clear; tmux clear-history; runner apply -auto-approve -var version=v3 -var fail_rate=0.4")
	moment("after a bad release", "rolled back after", "\n$")
	return b.String()
}

// TestRealNarrowTerminal makes the terminal narrower and wider while the board is on
// it. A terminal that gets narrower folds what is too long for it.
func TestRealNarrowTerminal(t *testing.T) {
	bin := terminals(t)
	shop := open(t, bin)
	s := screen{socket: filepath.Join(shop.home, "tmux"), env: shop.env, dir: shop.dir}
	s.open(t, 100, 30)
	s.keys(t, "runner apply -auto-approve -var version=v2")
	const head, body = "shop  run ", "● release"
	for _, moment := range []struct {
		columns int
		wanted  string
	}{{60, "watch 5%"}, {40, "watch 25%"}, {120, "watch 50%"}} {
		s.await(t, moment.wanted)
		s.tmux(t, "resize-window", "-x", fmt.Sprint(moment.columns))
	}
	last := s.await(t, "watch 100%")
	for _, line := range []string{head, body} {
		if n := strings.Count(last, line); n != 1 {
			t.Errorf("after it was made narrower and wider the screen has %q %d times:\n%s", line, n, last)
		}
	}
	if last := s.await(t, "succeeded after", "\n$"); strings.Contains(last, body) {
		t.Errorf("the board is still there after the run:\n%s", last)
	}
}

// screen is a terminal that nobody sits at.
type screen struct {
	socket string
	env    []string
	dir    string
}

func (s screen) tmux(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-S", s.socket, "-f", s.socket + ".conf"}, args...)...)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s screen) open(t *testing.T, columns, lines int) {
	t.Helper()
	for name, text := range map[string]string{".conf": "set -g status off\nset -g history-limit 5000\n", ".rc": "PS1='$ '\n"} {
		if err := os.WriteFile(s.socket+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.tmux(t, "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines), "bash --noprofile --rcfile "+s.socket+".rc")
	t.Cleanup(func() { s.tmux(t, "kill-server") })
	s.await(t, "$")
}

func (s screen) keys(t *testing.T, line string) {
	t.Helper()
	s.tmux(t, "send-keys", "-l", line)
	s.tmux(t, "send-keys", "Enter")
}

// await looks until everything that is wanted is on the screen, and gives it with
// what is scrolled away above it, and with folded lines unfolded.
func (s screen) await(t *testing.T, wanted ...string) string {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(30 * time.Millisecond) {
		last = strings.TrimRight(s.tmux(t, "capture-pane", "-p", "-J", "-S", "-"), "\n")
		missing := false
		for _, w := range wanted {
			missing = missing || !strings.Contains(last, w)
		}
		if !missing {
			return last
		}
	}
	t.Fatalf("%q did not come to the screen within %s:\n%s", wanted, patience, last)
	return ""
}

var (
	release = regexp.MustCompile(`r-[0-9a-f]{12}`)
	// bake is how much of the time to watch has passed.
	bake = regexp.MustCompile(`(watch \d+%  )[█░]+`)
	span = regexp.MustCompile(`\d+(\.\d+)? (ms|s)\b`)
	// changing is what differs from run to run.
	changing = []struct {
		what *regexp.Regexp
		by   string
	}{
		{regexp.MustCompile(`\d{8}-\d{6}-[0-9a-z]{4}`), "20260101-120000-aaaa"},
		{regexp.MustCompile(`\d\d:\d\d:\d\d`), "12:00:00"},
		{regexp.MustCompile(`errors is [0-9.]+% \(0 of \d+\)`), "errors is 0% (0 of 99)"},
		{regexp.MustCompile(`errors is [0-9.]+% \([1-9]\d* of \d+\)`), "errors is 40.00% (40 of 99)"},
		{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:8080"},
		{regexp.MustCompile(`shop-release-[0-9a-f]{6}`), "shop-release-000000"},
		{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:" + strings.Repeat("0", 64)},
	}
)

// masked takes away what differs from run to run: times, names of runs, ports,
// digests, counts. Releases become r-aaaaaaaaaaaa and so on. Lines that are longer
// than the screen are folded as it folds them.
func masked(text string, columns int) string {
	for _, c := range changing {
		text = c.what.ReplaceAllString(text, c.by)
	}
	text = bake.ReplaceAllStringFunc(text, func(s string) string {
		m := bake.FindStringSubmatch(s)
		n := len([]rune(s)) - len([]rune(m[1]))
		return m[1] + strings.Repeat("█", n/2) + strings.Repeat("░", n-n/2)
	})
	letters := map[string]string{}
	text = release.ReplaceAllStringFunc(text, func(s string) string {
		if letters[s] == "" {
			letters[s] = "r-" + strings.Repeat(string(rune('a'+len(letters))), len(s)-2)
		}
		return letters[s]
	})
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		// Spans in a plan are what the pipeline says, and stay.
		if !strings.HasPrefix(line, "      ") {
			line = span.ReplaceAllString(line, "1.0 s")
		}
		r := []rune(strings.TrimRight(line, " "))
		for len(r) > columns {
			b.WriteString(string(r[:columns]) + "\n")
			r = r[columns:]
		}
		b.WriteString(string(r) + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

var spaces = regexp.MustCompile(` +`)

// stable is what must be the same in every recording, by line: a number may have
// another width, and then what is aligned with it moves.
func stable(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(spaces.ReplaceAllString(l, " "))
	}
	return lines
}
