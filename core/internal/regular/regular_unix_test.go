//go:build unix

package regular_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runner-pipelines/runner/core/internal/regular"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "text")
	write("full", strings.Repeat("x", 10))
	write("larger", strings.Repeat("x", 11))
	write("empty", "")
	must(os.Symlink("plain", in("link")))
	must(os.Symlink("loop", in("loop")))
	must(os.Symlink("nowhere", in("broken")))
	must(syscall.Mkfifo(in("fifo"), 0o600))
	must(os.Mkdir(in("dir"), 0o700))
	must(os.Symlink("/dev/zero", in("device")))
	sparse, err := os.Create(in("sparse"))
	must(err)
	must(sparse.Truncate(1 << 40))
	must(sparse.Close())
	tests := map[string]struct{ want, err string }{
		in("plain"):                      {want: "text"},
		in("full"):                       {want: "xxxxxxxxxx"},
		in("empty"):                      {},
		in("link"):                       {want: "text"},
		in("larger"):                     {err: "it is larger than 10 bytes"},
		in("sparse"):                     {err: "it is larger than 10 bytes"},
		in("loop"):                       {err: "too many levels of symbolic links"},
		in("broken"):                     {err: "no such file or directory"},
		in("fifo"):                       {err: "it is not a regular file"},
		in("device"):                     {err: "it is not a regular file"},
		in("dir"):                        {err: "it is a directory"},
		in("plain/below"):                {err: "not a directory"},
		in("nul\x00byte"):                {err: "invalid argument"},
		in(strings.Repeat("long", 1000)): {err: "file name too long"},
		"/proc/version":                  {err: "it is larger than 10 bytes"},
	}
	if _, err := os.Stat("/proc/version"); err != nil {
		t.Logf("this system has no /proc/version, a file that grows while it is read: %v", err)
		delete(tests, "/proc/version")
	}
	for path, test := range tests {
		start := time.Now()
		got, err := regular.Read(path, 10)
		switch {
		case time.Since(start) > 10*time.Second:
			t.Errorf("%s took %s", path, time.Since(start))
		case test.err == "" && (err != nil || string(got) != test.want):
			t.Errorf("%s: %q, %v, want %q", path, got, err, test.want)
		case test.err != "" && (err == nil || err.Error() != test.err):
			t.Errorf("%s: error %v, want %s", path, err, test.err)
		}
	}
}
