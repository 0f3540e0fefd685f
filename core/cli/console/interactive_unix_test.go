//go:build unix

package console

import (
	"bufio"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/runner-pipelines/runner/core/cli/command"
)

// person types at a terminal that a console runs on.
type person struct {
	t      *testing.T
	master *os.File
	shown  *bufio.Reader
	ended  chan int
}

func sit(t *testing.T, interrupts <-chan os.Signal) *person {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, master: master, shown: bufio.NewReader(master), ended: make(chan int, 1)}
	env := &command.Env{Stdin: tty, Stdout: tty, Terminal: tty, Stderr: tty, Dir: t.TempDir(), Interrupts: interrupts}
	go func() {
		p.ended <- command.Dispatch(t.Context(), env, []*command.Command{New(env, nil)}, []string{"console"})
	}()
	t.Cleanup(func() { _, _ = tty.Close(), master.Close() })
	if err := master.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := io.WriteString(p.master, keys); err != nil {
		p.t.Fatal(err)
	}
}

// sees reads the screen up to a text.
func (p *person) sees(text string) {
	p.t.Helper()
	var all strings.Builder
	for !strings.HasSuffix(all.String(), text) {
		b, err := p.shown.ReadByte()
		if err != nil {
			p.t.Fatalf("%q does not come, but %q (%v)", text, &all, err)
		}
		all.WriteByte(b)
	}
}

func (p *person) leaves(code int) {
	p.t.Helper()
	if got := <-p.ended; got != code {
		p.t.Errorf("exit code %d, want %d", got, code)
	}
}

func TestAPersonAtTheTerminal(t *testing.T) {
	p := sit(t, nil)
	p.sees("> ")
	p.types("upper(\"a\")\r")
	p.sees("\"A\"\r\n")
	p.sees("> ")
	// Over several lines.
	p.types("[1,\r")
	p.sees(". ")
	p.types("2]\r")
	p.sees("[\r\n  1,\r\n  2,\r\n]\r\n")
	// A mistake is told, and the next expression is asked for.
	p.types("uper(\"a\")\r")
	p.sees("Did you mean \"upper\"?")
	p.sees("> ")
	// Tab completes, the arrow brings back what was before.
	p.types("startsw\t\"ab\", \"a\")\r")
	p.sees("true\r\n")
	p.types("\x1b[A\r")
	p.sees("true\r\n")
	p.types("exit\r")
	p.leaves(command.OK)
}

func TestCtrlDLeaves(t *testing.T) {
	p := sit(t, nil)
	p.sees("> ")
	p.types("\x04")
	p.leaves(command.OK)
}

func TestASignalLeaves(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	p := sit(t, interrupts)
	p.sees("> ")
	interrupts <- os.Interrupt
	p.leaves(command.Interrupted)
}

func TestComplete(t *testing.T) {
	names := []string{"local.a", "local.abc", "lower(", "upper("}
	for _, c := range []struct {
		line string
		pos  int
		want string
		at   int
	}{
		{"up", 2, "upper(", 6},
		{"lo", 2, "lo", 2},
		{"loc", 3, "local.a", 7},
		{"1 + loc + 2", 7, "1 + local.a + 2", 11},
		{"nothing", 7, "nothing", 7},
		{"", 0, "", 0},
	} {
		if line, at, ok := complete(names, c.line, c.pos); line != c.want || at != c.at || !ok {
			t.Errorf("%q at %d: %q at %d (%v), want %q at %d", c.line, c.pos, line, at, ok, c.want, c.at)
		}
	}
}
