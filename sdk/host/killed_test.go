//go:build unix

package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/value"
)

const envKill = "HOST_TEST_KILL"

func init() { roles["host"] = hostThatIsKilled }

// order is what the host that is killed runs.
type order struct {
	Config map[string]any
	Alive  string
	PIDs   string
}

// hostThatIsKilled runs one action and waits for its end.
func hostThatIsKilled() {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	var o order
	must(json.Unmarshal([]byte(os.Getenv(envKill)), &o))
	exe, err := os.Executable()
	must(err)
	cert, err := host.NewCertificate()
	must(err)
	alive, err := os.OpenFile(o.Alive, os.O_CREATE|os.O_RDWR, 0o600)
	must(err)
	must(syscall.Flock(int(alive.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	p, err := host.Start(context.Background(), host.Config{
		Name: "fake", Command: []string{exe}, Env: []string{envRole + "=plugin", "GORACE=atexit_sleep_ms=0"}, Certificate: cert, Alive: alive, Log: slog.New(slog.DiscardHandler),
	})
	must(err)
	must(p.Configure(context.Background(), call.Call{}, value.Empty()))
	must(os.WriteFile(o.PIDs, []byte(strconv.Itoa(p.PID())+"\n"), 0o600))
	cfg, err := json.Marshal(o.Config)
	must(err)
	_, err = p.RunAction(context.Background(), call.Call{Key: "k"}, "fake_run", value.Value{JSON: cfg}, nil, nil)
	must(err)
	select {}
}

// tree is what a child of a plugin may be: a shell whose own child ignores
// polite signals, in the same group.
var tree = []string{"/bin/sh", "-c", `trap "" TERM; sleep 300 & echo $! >> "$0"; wait`}

func withTree(path string) []string { return append(append([]string(nil), tree...), path) }

func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err == nil {
		_, rest, _ := strings.Cut(string(b), ") ")
		return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
	}
	n, err := strconv.Atoi(pid)
	return err == nil && syscall.Kill(n, 0) == nil
}

func aliveOf(pids []string) (out []string) {
	for _, p := range pids {
		if alive(p) {
			out = append(out, p)
		}
	}
	return out
}

// locked reports whether somebody holds the lock.
func locked(t *testing.T, path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// Nothing survives the death of the host: not the plugin, though it is busy,
// nor the children of its children. The lock tells a successor when it is over.
func TestNothingOutlivesAHostThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	o := order{Alive: filepath.Join(dir, "alive"), PIDs: pids, Config: map[string]any{"children": withTree(pids), "pids": pids}}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"=host", envKill+"="+string(text), "TMPDIR="+tmp)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "plugin, child and grandchild run", func() bool { return len(readLines(pids)) == 3 })
	all := readLines(pids)
	if n := len(aliveOf(all)); n != 3 || !locked(t, o.Alive) {
		t.Fatalf("%d of %v alive, locked %v", n, all, locked(t, o.Alive))
	}
	killed := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, time.Second, "all are gone", func() bool { return len(aliveOf(all)) == 0 })
	t.Logf("all gone %s after the kill", time.Since(killed).Round(time.Millisecond))
	eventually(t, time.Second, "the lock is free", func() bool { return !locked(t, o.Alive) })
	if entries, err := os.ReadDir(tmp); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestNothingOutlivesAPlugin(t *testing.T) {
	for name, end := range map[string]func(*host.Process){
		"stopped":            func(p *host.Process) { p.Stop(time.Second) },
		"stopped at once":    func(p *host.Process) { p.Stop(0) },
		"killed from beside": func(p *host.Process) { _ = syscall.Kill(p.PID(), syscall.SIGKILL) },
		"frozen and stopped": func(p *host.Process) {
			_ = syscall.Kill(p.PID(), syscall.SIGSTOP)
			p.Stop(100 * time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t)
			pids := filepath.Join(t.TempDir(), "pids")
			done := make(chan error, 1)
			go func() {
				_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"children": withTree(pids), "pids": pids}), nil, nil)
				done <- err
			}()
			eventually(t, 10*time.Second, "child and grandchild run", func() bool { return len(readLines(pids)) == 2 })
			all := append(readLines(pids), strconv.Itoa(p.PID()))
			began := time.Now()
			end(p)
			<-p.Done()
			eventually(t, time.Second, "all are gone", func() bool { return len(aliveOf(all)) == 0 })
			if took := time.Since(began); took > 7*time.Second {
				t.Errorf("it took %s", took)
			}
			if err := <-done; err == nil {
				t.Error("the call succeeded")
			}
		})
	}
}

// An orphan that a plugin leaves in its own group, holding its output open, is
// gone with it and holds nobody up.
func TestAnOrphanIsGoneWithThePlugin(t *testing.T) {
	p := start(t)
	pids := filepath.Join(t.TempDir(), "pids")
	_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"orphan": []string{"/bin/sleep", "300"}, "pids": pids}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := readLines(pids)
	if len(aliveOf(all)) != 1 {
		t.Fatalf("the orphan does not run: %v", all)
	}
	began := time.Now()
	p.Stop(time.Second)
	if took := time.Since(began); took > 900*time.Millisecond {
		t.Errorf("Stop took %s", took)
	}
	eventually(t, time.Second, "the orphan is gone", func() bool { return len(aliveOf(all)) == 0 })
}

// A child must not hold what belongs to the plugin: the lifeline, the lock, the
// connection.
func TestChildrenInheritNoFiles(t *testing.T) {
	p := start(t, func(c *host.Config) {
		f, err := os.Create(filepath.Join(t.TempDir(), "alive"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		c.Alive = f
	})
	list := filepath.Join(t.TempDir(), "files")
	script := `for f in /proc/self/fd/*; do echo "$f $(readlink "$f")"; done > "$0"`
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skipf("open files cannot be listed here: %v", err)
	}
	_, err := p.RunAction(context.Background(), key(), "fake_run", object(t, map[string]any{"children": []string{"/bin/sh", "-c", script, list}}), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range readLines(list) {
		fd, _, _ := strings.Cut(strings.TrimPrefix(line, "/proc/self/fd/"), " ")
		if n, err := strconv.Atoi(fd); err == nil && n <= 2 {
			continue
		}
		if strings.Contains(line, "socket:") || strings.Contains(line, "alive") || strings.Contains(line, "pipe:") {
			t.Errorf("a child has %s", line)
		}
	}
	if len(readLines(list)) == 0 {
		t.Error("the child listed nothing")
	}
}
