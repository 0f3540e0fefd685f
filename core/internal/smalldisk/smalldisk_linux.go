// Package smalldisk gives tests real file systems that are as small, or as
// read-only, as they wish.
package smalldisk

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const env = "SMALLDISK_INSIDE"

// Inside runs the test again as a process in a user and mount namespace of its
// own, where it may mount, and fails when that fails. Where the machine allows no
// namespaces the test is skipped.
func Inside(t *testing.T, inside func(t *testing.T)) {
	t.Helper()
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

// Mount mounts an empty file system on dir; size is such as "1m".
func Mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// TryReadOnly makes the file system read-only unless somebody has a file open for
// writing.
func TryReadOnly(dir string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// Resize gives the file system another size.
func Resize(t *testing.T, dir, size string) {
	t.Helper()
	remount(t, dir, 0, "size="+size)
}

// ReadOnly makes the file system read-only, for which no file may be open for
// writing, or writable again.
func ReadOnly(t *testing.T, dir string, on bool) {
	t.Helper()
	flags := uintptr(0)
	if on {
		flags = syscall.MS_RDONLY
	}
	remount(t, dir, flags, "")
}

func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags|syscall.MS_REMOUNT, options); err != nil {
		t.Fatalf("remount: %v", err)
	}
}

// Fill takes all the room that is left, in a file of that name, and returns how to
// give it back.
func Fill(t *testing.T, file string) (free func()) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
}
