package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// These tests run themselves again inside a user and mount namespace of
// their own, where a file system can be as small, or as read-only, as they wish.
func inNamespace(t *testing.T, inside func(t *testing.T)) {
	t.Helper()
	const env = "SQLITE_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		inside(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"="+t.Name(), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("this machine allows no user namespaces: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("inside the namespace: %v\n%s", err, out)
	}
}

func mount(t *testing.T, dir, options string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, options); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

func TestAFullDiskIsNamedAndTheStoreStaysUsable(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		dir := t.TempDir()
		mount(t, dir, "size=1m", 0)
		st, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		written := 0
		for {
			_, err = st.PutAbsent(t.Context(), fmt.Sprintf("k/%05d", written), make([]byte, 20<<10))
			if err != nil || written > 1000 {
				break
			}
			written++
		}
		if !errors.Is(err, sqlite.ErrFull) {
			t.Fatalf("after %d writes the error is %v, want %v", written, err, sqlite.ErrFull)
		}
		items, err := st.List(t.Context(), "k/", "", 1000)
		if err != nil || len(items) != written {
			t.Fatalf("%d writes returned nil, %d items are there (error %v)", written, len(items), err)
		}
		mountAgain := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=4m")
		if mountAgain != nil {
			t.Fatal(mountAgain)
		}
		if _, err := st.PutAbsent(t.Context(), "after", nil); err != nil {
			t.Fatalf("write with room again: %v", err)
		}
	})
}

func TestAReadOnlyDiskIsNamed(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		dir := t.TempDir()
		mount(t, dir, "size=4m", 0)
		path := filepath.Join(dir, "state.db")
		st, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{path, filepath.Join(dir, "new", "state.db")} {
			st, err := sqlite.Open(t.Context(), path)
			if err == nil {
				_, err = st.PutAbsent(context.Background(), "a", nil)
				_ = st.Close()
			}
			if !errors.Is(err, sqlite.ErrReadOnly) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want %v with the path", err, sqlite.ErrReadOnly)
			}
		}
	})
}
