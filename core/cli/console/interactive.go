package console

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/runner-pipelines/runner/core/cli/command"
)

const (
	prompt = "> "
	// goOn is the prompt while a bracket is open.
	goOn = ". "
)

// interactive asks for expressions until the person leaves.
func interactive(s *session, env *command.Env, in *os.File, out io.Writer, names []string) error {
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() { _ = term.Restore(int(in.Fd()), before) }()
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, prompt)
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return complete(names, line, pos)
	}
	s.out, s.errors = t, t
	ended := make(chan error, 1)
	go func() { ended <- ask(s, t, in) }()
	select {
	case err := <-ended:
		return err
	case <-env.Interrupts:
		// Ctrl-C is a key here: this is a signal from elsewhere.
		return &command.ExitError{Code: command.Interrupted}
	}
}

func ask(s *session, t *term.Terminal, in *os.File) error {
	for {
		if width, height, err := term.GetSize(int(in.Fd())); err == nil && width > 0 {
			_ = t.SetSize(width, height)
		}
		t.SetPrompt(prompt)
		if s.waiting() {
			t.SetPrompt(goOn)
		}
		line, err := t.ReadLine()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, term.ErrPasteIndicator) {
			return err
		}
		if end, _ := s.line(line); end {
			return nil
		}
	}
}

// complete puts what all names have in common after the word at the cursor. It is
// always taken, so that Tab never stands in a line.
func complete(names []string, line string, pos int) (string, int, bool) {
	start := strings.LastIndexFunc(line[:pos], func(r rune) bool { return !isNamePart(r) }) + 1
	word := line[start:pos]
	common, found := "", false
	for _, name := range names {
		if word == "" || !strings.HasPrefix(name, word) {
			continue
		}
		if !found {
			common, found = name, true
		}
		for !strings.HasPrefix(name, common) {
			common = common[:len(common)-1]
		}
	}
	if !found {
		return line, pos, true
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

func isNamePart(r rune) bool {
	return r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
