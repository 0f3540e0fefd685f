package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/internal/figures"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/target"
)

// actionDir is a folder whose pipeline has one stage with a body of its own.
func actionDir(t *testing.T, body string) string {
	t.Helper()
	dir := killedDir(t)
	pipeline := "pipeline \"shop\" {}\nstage \"work\" {\n  use \"fake_convergent\" {\n    effects = \"effects\"\n" + body + "  }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "pipeline.hcl"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// underWay starts the run and waits until the action is.
func underWay(t *testing.T, dir string) (*exec.Cmd, *saying) {
	t.Helper()
	cmd := runnerIn(t, dir, "apply", "-auto-approve")
	out := follow(t, cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	out.await(t, "stage.work  started")
	waitFor(t, "the journal says that the action runs", func() bool {
		b, err := runnerIn(t, dir, "show", "-json").Output()
		return err == nil && bytes.Contains(b, []byte(`"run_action"`))
	})
	return cmd, out
}

// saying is what a process says, while it says it.
type saying struct {
	r *os.File
	c chan string
}

func follow(t *testing.T, cmd *exec.Cmd) *saying {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	l := &saying{r, make(chan string, 10_000)}
	t.Cleanup(func() { _ = r.Close() })
	go func() {
		defer close(l.c)
		for s := bufio.NewScanner(r); s.Scan(); {
			l.c <- s.Text()
		}
	}()
	t.Cleanup(func() { _ = w.Close() })
	return l
}

func (l *saying) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(awaitDeadline)
	var seen []string
	for {
		select {
		case line, ok := <-l.c:
			if seen = append(seen, line); strings.Contains(line, text) {
				return
			}
			if !ok {
				t.Fatalf("it ended without saying %q:\n%s", text, strings.Join(seen, "\n"))
			}
		case <-deadline:
			t.Fatalf("it does not say %q:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

func sendTo(t *testing.T, cmd *exec.Cmd, sig os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func wantExit(t *testing.T, cmd *exec.Cmd, code int, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	kill := time.AfterFunc(within, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
	took := time.Since(began)
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit code %d after %s, want %d within %s", got, took.Round(time.Millisecond), code, within)
	}
	return took
}

// A system that ends a process sends SIGTERM, and SIGKILL some seconds later: by
// then the run has left, whether the plugin heeds a cancellation or not.
func TestSIGTERMEndsInTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		code int
	}{
		"a plugin that heeds it":        {"    hang = true\n", command.Interrupted},
		"a plugin that does not":        {"    stubborn = \"10m\"\n", command.Interrupted},
		"a plugin with a child":         {"    children = [\"/bin/sleep\", \"600\"]\n", command.Interrupted},
		"a plugin that is done in time": {"    sleep = \"1s\"\n", command.OK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := actionDir(t, tc.body)
			cmd, _ := underWay(t, dir)
			sendTo(t, cmd, syscall.SIGTERM)
			took := wantExit(t, cmd, tc.code, 10*time.Second)
			figures.Record(t, "Signals", "SIGTERM to the end, "+name, "%.1f s", took.Seconds())
			if tc.code == command.Interrupted {
				inDir(t, dir, "cancel")
			}
			if status := string(inDir(t, dir, "status")); strings.Contains(status, "runner resume") {
				t.Errorf("the run is not closed:\n%s", status)
			}
		})
	}
}

// The first interrupt lets what is under way end, the second cancels it.
func TestFirstAndSecondInterrupt(t *testing.T) {
	t.Parallel()
	dir := actionDir(t, "    children = [\"/bin/sh\", \"-c\", \"while ! test -e go; do /bin/sleep 0.01; done\"]\n")
	for interrupts := 1; interrupts <= 2; interrupts++ {
		cmd, out := underWay(t, dir)
		sendTo(t, cmd, os.Interrupt)
		out.await(t, "stopping after what is under way")
		if interrupts == 1 {
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			sendTo(t, cmd, os.Interrupt)
			out.await(t, "stopping now")
		}
		if interrupts == 1 {
			wantExit(t, cmd, command.OK, awaitDeadline)
		} else {
			wantExit(t, cmd, command.Interrupted, awaitDeadline)
			inDir(t, dir, "cancel")
		}
		_, err := os.Stat(filepath.Join(dir, "effects"))
		if had := err == nil; had != (interrupts == 1) {
			t.Errorf("after %d interrupts the action had its effect: %v", interrupts, had)
		}
		for _, f := range []string{"go", "effects"} {
			_ = os.Remove(filepath.Join(dir, f))
		}
	}
}

// Ctrl-C before a run drives anything ends the command.
func TestInterruptBeforeTheRun(t *testing.T) {
	t.Parallel()
	dir := killedDir(t)
	master, terminal := pty(t)
	cmd := runnerIn(t, dir, "apply", "-var", "version=one")
	attach(cmd, terminal)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = terminal.Close()
	awaitTerminal(t, master, "Only yes is accepted")
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	wantExit(t, cmd, command.Interrupted, awaitDeadline)
	if _, err := os.Stat(filepath.Join(dir, "web.json")); err == nil {
		t.Error("the target was touched")
	}
}

// The terminal is closed in the middle of a rollout: that is the first interrupt.
func TestTheTerminalIsGone(t *testing.T) {
	t.Parallel()
	dir := killedDir(t)
	inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	master, terminal := pty(t)
	cmd := runnerIn(t, dir, "apply", "-auto-approve", "-var", "version=two")
	attach(cmd, terminal)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = terminal.Close()
	go func() { _, _ = io.Copy(io.Discard, master) }()
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
	if err := master.Close(); err != nil {
		t.Fatal(err)
	}
	wantExit(t, cmd, command.Interrupted, awaitDeadline)
	inDir(t, dir, "resume")
	if got := endOf(t, dir); got.Outcome != kernel.Succeeded || got.Weights[got.Stable] != target.Full {
		t.Errorf("it ended as %+v", got)
	}
}

// Started by nohup, a run has nothing to do with its terminal.
func TestAnIgnoredSignalStaysIgnored(t *testing.T) {
	t.Parallel()
	dir := killedDir(t)
	inDir(t, dir, "apply", "-auto-approve", "-var", "version=one")
	cmd := runnerIn(t, dir)
	program, err := exec.LookPath("runner")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `trap "" HUP; exec "$0" apply -auto-approve -var version=two`, program}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	waitFor(t, "half of the traffic is with the candidate", func() bool { return halfway(dir) })
	sendTo(t, cmd, syscall.SIGHUP)
	wantExit(t, cmd, command.OK, awaitDeadline)
}

// Nobody reads the output, or not any more: the run goes on to its end.
func TestTheOutputHasNoReader(t *testing.T) {
	t.Parallel()
	for name, stdout := range map[string]func(t *testing.T, cmd *exec.Cmd) (started func()){
		"the reader leaves": func(t *testing.T, cmd *exec.Cmd) func() {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = w
			return func() {
				_ = w.Close()
				for s := bufio.NewScanner(r); s.Scan() && !strings.HasPrefix(s.Text(), "Run "); {
				}
				_ = r.Close()
			}
		},
		"the disk is full": func(t *testing.T, cmd *exec.Cmd) func() {
			f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = f
			return func() { _ = f.Close() }
		},
		"it is closed": func(t *testing.T, cmd *exec.Cmd) func() {
			cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `exec "$0" "$@" >&-`}, cmd.Args...)
			return func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := actionDir(t, "    lines = 2000\n    sleep = \"200ms\"\n")
			cmd := runnerIn(t, dir, "apply", "-auto-approve")
			started := stdout(t, cmd)
			var told bytes.Buffer
			cmd.Stderr = &told
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			started()
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != command.OK {
				t.Errorf("exit code %d, want 0\n%s", code, &told)
			}
			b, err := os.ReadFile(filepath.Join(dir, "effects"))
			if err != nil || bytes.Count(b, []byte("\n")) != 1 {
				t.Errorf("effects %q, error %v", b, err)
			}
			if status := string(inDir(t, dir, "status")); !strings.Contains(status, "succeeded") {
				t.Errorf("the status says\n%s", status)
			}
			if name == "the reader leaves" && strings.Count(told.String(), "the run goes on") != 1 {
				t.Errorf("it says\n%s", &told)
			}
		})
	}
}

// A reader that has stopped reading, as a pager does, holds up nothing but the end
// of the program; then it gets everything.
func TestAPausedReaderHoldsNothingUp(t *testing.T) {
	t.Parallel()
	const logged = 5000 // far more than a pipe holds
	dir := actionDir(t, fmt.Sprintf("    lines = %d\n    line_size = 100\n", logged))
	cmd := runnerIn(t, dir, "apply", "-auto-approve")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = w.Close()
	waitFor(t, "the run has ended although nobody reads", func() bool {
		b, err := runnerIn(t, dir, "history", "-outcome", "succeeded").Output()
		return err == nil && bytes.Contains(b, []byte("succeeded"))
	})
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	wantExit(t, cmd, command.OK, awaitDeadline)
	if n := bytes.Count(out, []byte("| line ")); n != logged || !bytes.Contains(out, []byte("stage.work  ")) {
		t.Errorf("the reader got %d of %d lines", n, logged)
	}
}

// pty opens a terminal and returns both of its ends.
func pty(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// attach makes the terminal the one that controls the process.
func attach(cmd *exec.Cmd, terminal *os.File) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
}

func awaitTerminal(t *testing.T, master *os.File, text string) {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(seen.String(), text) {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatalf("the terminal does not show %q: %v\n%s", text, err, &seen)
		}
		seen.Write(buf[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, master) }()
}
