//go:build unix

package child_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/child"
	"github.com/runner-pipelines/runner/sdk/internal/guard"
)

// The test binary is also a program with children.
const (
	envParent = "CHILD_TEST_PARENT"
	careful   = "careful"
	hasty     = "hasty"
)

func TestMain(m *testing.M) {
	guard.RunIfAsked()
	if role := os.Getenv(envParent); role != "" {
		parent(role)
	}
	os.Exit(m.Run())
}

// parent starts a child with a child of its own, and one that is over; the child
// prints the first two. It waits to be killed. The hasty one is killed before it
// could tell the guard.
func parent(role string) {
	guard.Enable()
	if err := child.Run(exec.Command("/bin/true")); err != nil {
		panic(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "sleep 300 & echo $$ $!; wait")
	cmd.Stdout = os.Stdout
	run := child.Run
	if role == hasty {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		run = (*exec.Cmd).Run
	}
	if err := run(cmd); err != nil {
		panic(err)
	}
}

func gone(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil {
		_, rest, _ := strings.Cut(string(b), ") ")
		return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
	}
	return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestChildrenDieWithTheirParent(t *testing.T) {
	for _, role := range []string{careful, hasty} {
		t.Run(role, func(t *testing.T) { killParent(t, role) })
	}
}

func killParent(t *testing.T, role string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envParent+"="+role)
	cmd.Stderr = os.Stderr
	// As the host starts a plugin.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	var leader, member int
	if _, scanErr := fmt.Sscan(line, &leader, &member); err != nil || scanErr != nil {
		t.Fatalf("%q, %v, %v", line, err, scanErr)
	}
	if gone(leader) || gone(member) {
		t.Fatalf("%d and %d do not run", leader, member)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the child is gone", func() bool { return gone(leader) })
	eventually(t, "the child of the child is gone", func() bool { return gone(member) })
}

func TestCancelEndsTheWholeGroup(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		delay  time.Duration
	}{
		"that listens":   {`sleep 300 & echo $!; wait`, 5 * time.Second},
		"that does not":  {`trap "" TERM; sleep 300 & echo $!; wait`, 200 * time.Millisecond},
		"that left some": {`sleep 300 & echo $!`, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			cmd := exec.CommandContext(ctx, "/bin/sh", "-c", tt.script)
			cmd.WaitDelay = tt.delay
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = w
			c, err := child.Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Close()
			line, err := bufio.NewReader(r).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			member, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			cancel()
			_ = c.Wait()
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			eventually(t, "the member is gone", func() bool { return gone(member) })
			c.Kill() // does nothing any more
		})
	}
}

func TestRun(t *testing.T) {
	if err := child.Run(exec.Command("/bin/true")); err != nil {
		t.Errorf("true: %v", err)
	}
	var exit *exec.ExitError
	if err := child.Run(exec.Command("/bin/sh", "-c", "exit 3")); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit 3: %v", err)
	}
	if err := child.Run(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that does not exist was run")
	}
	// Somebody left behind holds the output open.
	cmd := exec.Command("/bin/sh", "-c", "sleep 300 & echo done")
	var out strings.Builder
	cmd.Stdout, cmd.WaitDelay = &out, 100*time.Millisecond
	began := time.Now()
	if err := child.Run(cmd); err != nil || out.String() != "done\n" || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %q, %v", time.Since(began), out.String(), err)
	}
}
