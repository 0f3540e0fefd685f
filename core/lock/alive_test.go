package lock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/crowd"
	"github.com/runner-pipelines/runner/core/lock"
)

// The test binary plays a runner that holds the lock, and the plugin that it starts.
const envRole = "LOCK_TEST_ROLE"

func TestMain(m *testing.M) {
	if part, ok := crowd.Member(); ok {
		if err := member(part); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	switch role, dir, _ := strings.Cut(os.Getenv(envRole), " "); role {
	case "":
		os.Exit(m.Run())
	case "runner":
		a, err := lock.AcquireAlive(context.Background(), dir, "r1", 0)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		plugin := self("plugin")
		plugin.ExtraFiles = []*os.File{a.File()}
		plugin.Stdout = os.Stdout
		plugin.Stdin = os.Stdin
		if err := plugin.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if err := a.Note("runner-plugin-local", plugin.Process.Pid); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("held", os.Getpid())
		select {}
	case "plugin":
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
	}
}

func self(role string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envRole+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	return cmd
}

func TestAnEarlierIncarnationIsWaitedFor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("handing down a file by ExtraFiles is not possible on Windows")
	}
	dir := filepath.Join(t.TempDir(), "alive")
	runner := self("runner " + dir)
	stdin, err := runner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := runner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = runner.Process.Kill() }()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || !strings.HasPrefix(line, "held ") {
		t.Fatalf("the runner says %q, %v", line, err)
	}
	wantHeld := func(running ...bool) *lock.AliveError {
		t.Helper()
		_, err := lock.AcquireAlive(t.Context(), dir, "r1", 20*time.Millisecond)
		var alive *lock.AliveError
		if !errors.As(err, &alive) || len(alive.Holders) != 2 {
			t.Fatalf("AcquireAlive: %v", err)
		}
		for i, h := range alive.Holders {
			if h.Running != running[i] {
				t.Errorf("holder %+v, want running %v", h, running[i])
			}
		}
		return alive
	}
	alive := wantHeld(true, true)
	if h := alive.Holders[0]; h.Name != "runner" || h.PID != runner.Process.Pid {
		t.Errorf("the first holder is %+v", h)
	}
	// The runner is killed; its plugin lives on and keeps the lock.
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = runner.Process.Wait() // leaves the pipes open
	alive = wantHeld(false, true)
	if want := fmt.Sprintf("run r1 is still being carried out by runner-plugin-local (process %d): they hold", alive.Holders[1].PID); !strings.HasPrefix(alive.Error(), want) {
		t.Errorf("error is %q, want it to begin with %q", alive, want)
	}
	// Waiting ends when the plugin does.
	acquired := make(chan error, 1)
	go func() {
		a, err := lock.AcquireAlive(t.Context(), dir, "r1", time.Minute)
		if err == nil {
			err = a.Release()
		}
		acquired <- err
	}()
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-acquired; err != nil {
		t.Fatal(err)
	}
}

func TestReleaseLetsTheNextOneInAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		a, err := lock.AcquireAlive(t.Context(), dir, "r1", 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.AcquireAlive(t.Context(), dir, "r1", 0); !errors.As(err, new(*lock.AliveError)) {
			t.Fatalf("second AcquireAlive: %v", err)
		}
		other, err := lock.AcquireAlive(t.Context(), dir, "r2", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []*lock.Alive{a, other} {
			if err := a.Release(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || runtime.GOOS != "windows" && len(entries) != 0 {
		t.Errorf("the folder holds %v, error %v", entries, err)
	}
}

func TestAcquireAliveStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	a, err := lock.AcquireAlive(t.Context(), dir, "r1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Release() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock.AcquireAlive(ctx, dir, "r1", time.Hour); !errors.Is(err, context.Canceled) {
		t.Fatalf("AcquireAlive: %v", err)
	}
}

func TestOneOfManyHoldsTheLivenessLock(t *testing.T) {
	dir := t.TempDir()
	const workers, rounds = 8, 20
	inside := make(chan int, 1)
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			for range rounds {
				a, err := lock.AcquireAlive(t.Context(), dir, "r1", time.Minute)
				if err != nil {
					errs <- err
					return
				}
				select {
				case inside <- w:
				default:
					errs <- errors.New("two hold the lock at the same time")
					return
				}
				<-inside
				// Another one may have come between the closing and the removing.
				if err := a.Release(); err != nil && !errors.As(err, new(*lock.AliveError)) {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// Who looks is never in the way of who takes, and never says that a lock is held
// which is not.
func TestLookingTakesNothing(t *testing.T) {
	dir := t.TempDir()
	const lookers, rounds = 4, 200
	stop := make(chan struct{})
	errs := make(chan error, lookers)
	for range lookers {
		go func() {
			for {
				select {
				case <-stop:
					errs <- nil
					return
				default:
				}
				if alive, err := lock.IsAlive(dir, "free"); err != nil || alive {
					errs <- fmt.Errorf("a free lock is said to be held: %v, %w", alive, err)
					return
				}
				if _, err := lock.IsAlive(dir, "r1"); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	if f, err := os.Create(filepath.Join(dir, "free.lock")); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	for range rounds {
		a, err := lock.AcquireAlive(t.Context(), dir, "r1", 0)
		if err != nil {
			t.Fatal(err)
		}
		if alive, err := lock.IsAlive(dir, "r1"); err != nil || !alive {
			t.Fatalf("a held lock is said to be free: %v", err)
		}
		if err := a.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	for range lookers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
