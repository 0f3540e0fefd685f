package man_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/man"
)

// odd is a command whose texts have all that Markdown and roff read otherwise.
func odd() *command.Command {
	c := &command.Command{
		Name: "odd-one", Args: "[A_B|*C*...]", Short: "Take 5 % of <it>", Flags: command.NewFlags("odd-one"),
		Long: `Takes *.hcl and _names_, # no heading, \back and 100 %.

- no list: .TH is no macro
'neither is this

To do it:
  runner odd-one -x '*' | grep "[a-z]\+"

After the code.`,
	}
	c.Flags.String("x_y", "", "give a *value*, as `name=value`")
	return c
}

func TestPagesSayWhatTheTextsSay(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	env := &command.Env{Stdout: &out, Stderr: &out, Dir: dir, Version: "1.2.3"}
	all := []*command.Command{odd(), {Name: "__hidden", Flags: command.NewFlags("__hidden")}}
	c := man.New(env, func() []*command.Command { return all }, nil)
	if code := command.Dispatch(t.Context(), env, []*command.Command{c}, []string{"man", "below/man1"}); code != command.OK {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "below", "man1", "*"))
	if err != nil || len(pages) != 2 {
		t.Fatalf("pages: %v, %v", pages, err)
	}
	page := filepath.Join(dir, "below", "man1", "runner-odd-one.1")
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("groff is not here: it is what reads the pages")
	}
	for _, p := range pages {
		if said, err := exec.Command("groff", "-man", "-Tutf8", "-ww", "-z", p).CombinedOutput(); err != nil || len(said) > 0 {
			t.Errorf("groff says of %s: %s %v", filepath.Base(p), said, err)
		}
	}
	text := rendered(t, page)
	for _, want := range []string{
		"runner-odd-one - take 5 % of <it>",
		"runner odd-one [options] [A_B|*C*...]",
		"Takes *.hcl and _names_, # no heading, \\back and 100 %.",
		"- no list: .TH is no macro 'neither is this",
		"runner odd-one -x '*' | grep \"[a-z]\\+\"",
		"After the code.",
		"-x_y=name=value",
		"give a *value*, as name=value.",
		"130 interrupted; the run can be resumed.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}

// rendered is a page as people read it, with single spaces.
func rendered(t *testing.T, page string) string {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("groff", "-man", "-Tascii", "-P-cbou", "-rLL=200n")
	cmd.Stdin = bytes.NewReader(src)
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
