package ask_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/runner-pipelines/runner/core/cli/ask"
	"github.com/runner-pipelines/runner/core/cli/command"
)

// A secret does not show on the terminal that it is typed at, and a line does.
func TestASecretIsNotEchoed(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	screen := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(master) // ends with an error when the terminal is gone
		screen <- b
	}()
	env := &command.Env{Stdin: tty, Stderr: tty, Interactive: true}
	answers := make(chan string, 2)
	go func() {
		for _, read := range []func(*command.Env, string) (string, error){ask.Secret, ask.Line} {
			text, err := read(env, "Enter: ")
			if err != nil {
				text = err.Error()
			}
			answers <- text
		}
	}()
	echo(t, int(tty.Fd()), false)
	typed(t, master, answers, "swordfish")
	echo(t, int(tty.Fd()), true)
	typed(t, master, answers, "plain")
	_ = tty.Close()
	_ = master.Close()
	if shown := <-screen; bytes.Contains(shown, []byte("swordfish")) || !bytes.Contains(shown, []byte("plain")) {
		t.Errorf("on the screen: %q", shown)
	}
}

func typed(t *testing.T, master io.Writer, answers <-chan string, text string) {
	t.Helper()
	if _, err := io.WriteString(master, text+"\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got != text {
		t.Fatalf("answer %q, want %q", got, text)
	}
}

// echo waits until the terminal shows what is typed, or does not.
func echo(t *testing.T, fd int, on bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == on {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("echo is not %v", on)
		}
	}
}
