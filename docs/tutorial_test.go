package docs

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// tutorialPort is the port in the text; the test takes a free one instead.
const tutorialPort = "8090"

// step is a piece of the tutorial that is carried out: a file, or a command.
type step struct {
	line int
	// file is what the text says to write, and appended how.
	file     string
	appended bool
	command  string
	// text is what stands in the file, or what the command prints.
	text string
}

var (
	intoFile = regexp.MustCompile("(Put this into|Append this to) `([^`]+)`:$")
	fence    = regexp.MustCompile("^```(.*)$")
)

// tutorialSteps are the steps of the page, in order.
func tutorialSteps(t *testing.T, page string) (steps []step) {
	t.Helper()
	var language, before string
	var body []string
	inside := false
	for i, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m != nil && !inside:
			inside, language, body = true, m[1], nil
		case m != nil:
			inside = false
			steps = append(steps, stepsOf(t, i-len(body)+1, language, before, body)...)
		case inside:
			body = append(body, line)
		case strings.TrimSpace(line) != "":
			before = line
		}
	}
	return steps
}

func stepsOf(t *testing.T, line int, language, before string, body []string) (out []step) {
	t.Helper()
	switch language {
	case "hcl":
		m := intoFile.FindStringSubmatch(before)
		if m == nil {
			t.Fatalf("line %d: the text before a file does not say which it is", line)
		}
		return []step{{line: line, file: m[2], appended: strings.HasPrefix(m[1], "Append"), text: strings.Join(body, "\n") + "\n"}}
	case "console":
		for i, l := range body {
			if command, ok := strings.CutPrefix(l, "$ "); ok {
				out = append(out, step{line: line + i, command: command})
			} else {
				out[len(out)-1].text += l + "\n"
			}
		}
	}
	return out
}

// TestRealTutorial does what docs/tutorial.md says, word for word, and compares
// what it shows; only the port is another.
func TestRealTutorial(t *testing.T) {
	bin := os.Getenv("RUNNER_TEST_REAL")
	if bin == "" {
		t.Skip("does the tutorial with the built programs; run it with: make test-real")
	}
	port := freePort(t)
	page := strings.ReplaceAll(read(t, "tutorial.md"), tutorialPort, port)
	steps := tutorialSteps(t, page)
	dir := t.TempDir()
	sh := startShell(t, dir, bin)
	commands := 0
	for _, s := range steps {
		if s.file != "" {
			writeStep(t, filepath.Join(dir, s.file), s)
			continue
		}
		commands++
		got := sh.run(t, s.command)
		if problem := differs(mask(s.text, port), mask(got, port)); problem != "" {
			t.Fatalf("tutorial.md:%d: %s\n%s\nIt printed:\n%s", s.line, s.command, problem, got)
		}
	}
	if commands < 12 {
		t.Errorf("the tutorial has %d commands; was its form changed?", commands)
	}
}

func writeStep(t *testing.T, path string, s step) {
	t.Helper()
	text := s.text
	if s.appended {
		text = read(t, path) + "\n" + text
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// shell is one bash for all commands, so that jobs and variables last.
type shell struct {
	in  io.Writer
	out *bufio.Reader
}

// sentinel ends the output of a command.
const sentinel = "--end-of-output--"

func startShell(t *testing.T, dir, bin string) *shell {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	cmd := exec.CommandContext(ctx, "bash", "--norc", "--noprofile")
	cmd.Dir = dir
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8"}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Whatever step failed, no shop and no customer stays.
		_, _ = fmt.Fprint(in, "kill $(jobs -p) 2>/dev/null; runner-plugin-local stop -all >/dev/null 2>&1; exit\n")
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		cancel()
	})
	return &shell{in: in, out: bufio.NewReader(out)}
}

func (s *shell) run(t *testing.T, command string) string {
	t.Helper()
	if _, err := fmt.Fprintf(s.in, "%s\necho; echo %s\n", command, sentinel); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: the shell ended: %v\n%s", command, err, b.String())
		}
		if strings.TrimSpace(line) == sentinel {
			return strings.TrimSuffix(b.String(), "\n")
		}
		b.WriteString(line)
	}
}

// masks are what differs from run to run.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{8}-\d{6}-[0-9a-z]{4}`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`), "DAY TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`r-[0-9a-f]{12}`), "RELEASE"},
	{regexp.MustCompile(`(tutorial-release)-[0-9a-f]{6}`), "$1"},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "DIGEST"},
	{regexp.MustCompile(`(in|after|\() ?\d+(\.\d+)? (ms|s)\b`), "$1 SPAN"},
	{regexp.MustCompile(`errors is [0-9.]+% \(\d+ of \d+\)`), "errors is RATE"},
	{regexp.MustCompile(`(1/1 +)\d+ `), "$1 PID "},
	{regexp.MustCompile(`(DAY TIME +)\S+ +\d+(\.\d+)? (ms|s) `), "$1 WHO SPAN "},
	{regexp.MustCompile(` +`), " "},
}

func mask(text, port string) []string {
	text = strings.ReplaceAll(text, port, "PORT")
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.by)
	}
	text = strings.Trim(text, "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// leftOut stands for any number of lines.
const leftOut = "…"

// differs says where the output is not what is shown; empty when it is.
func differs(want, got []string) string {
	free := false
	for i, line := range want {
		if line == leftOut {
			free = true
			continue
		}
		at := 0
		for free && at < len(got) && got[at] != line {
			at++
		}
		if at >= len(got) || got[at] != line {
			near := "the end"
			if at < len(got) {
				near = strconv.Quote(got[at])
			}
			return fmt.Sprintf("line %d of the output should be\n  %s\nand is %s", i+1, line, near)
		}
		got, free = got[at+1:], false
	}
	if len(got) > 0 && !free {
		return "more is printed than shown: " + got[0]
	}
	return ""
}

func TestDiffers(t *testing.T) {
	for _, test := range []struct {
		want, got string
		same      bool
	}{
		{"a b", "a b", true},
		{"a … c", "a b b c", true},
		{"a …", "a", true},
		{"… c", "a b", false},
		{"a", "a b", false},
		{"a b", "a", false},
		{"… b … d", "a b c d", true},
		{"… b … d", "a b c d e", false},
		{"", "", true},
		{"", "a", false},
	} {
		if got := differs(strings.Fields(test.want), strings.Fields(test.got)); (got == "") != test.same {
			t.Errorf("shown %q, printed %q: %q", test.want, test.got, got)
		}
	}
}
