package ask

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// maxLine is the longest answer, in bytes.
const maxLine = 1 << 20

var (
	errInterrupted = &command.ExitError{Code: command.Interrupted, Message: "\nNothing was done."}
	errTooLong     = errors.New("the answer is too long")
)

func interrupted(err error) bool { return errors.Is(err, errInterrupted) }

// Line asks on standard error and reads one line, without its end. At the end of
// the input it is io.EOF, and after Ctrl-C an error that ends the command.
func Line(env *command.Env, prompt string) (string, error) {
	fmt.Fprint(env.Stderr, prompt)
	return wait(env, func() (string, error) { return readLine(env.Stdin) })
}

// Secret is Line without echo where the input is a terminal.
func Secret(env *command.Env, prompt string) (string, error) {
	f, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Line(env, prompt)
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", err
	}
	fmt.Fprint(env.Stderr, prompt)
	text, err := wait(env, func() (string, error) {
		b, err := term.ReadPassword(int(f.Fd()))
		return string(b), err
	})
	fmt.Fprintln(env.Stderr)
	if interrupted(err) {
		_ = term.Restore(int(f.Fd()), before)
	}
	return text, err
}

// wait reads, unless Ctrl-C comes first. The reader is then left behind: the
// program is about to end.
func wait(env *command.Env, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-env.Interrupts:
		return "", errInterrupted
	}
}

// readLine takes no byte more than the line, as others read on after it.
func readLine(in io.Reader) (string, error) {
	var line strings.Builder
	var b [1]byte
	for line.Len() < maxLine {
		n, err := in.Read(b[:])
		switch {
		case n == 1 && b[0] == '\n':
			return strings.TrimSuffix(line.String(), "\r"), nil
		case n == 1:
			line.WriteByte(b[0])
		case err == io.EOF && line.Len() > 0:
			return line.String(), nil
		case err != nil:
			return "", err
		}
	}
	return "", errTooLong
}
