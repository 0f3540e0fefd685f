package coredump_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runner-pipelines/runner/sdk/internal/coredump"
)

const envRole = "COREDUMP_TEST"

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "parent":
		coredump.Forbid(os.Getenv)
		tell()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), envRole+"=child")
		cmd.Stdout = os.Stdout
		if err := cmd.Run(); err != nil {
			fmt.Println(err)
		}
	case "child":
		tell()
	default:
		os.Exit(m.Run())
	}
}

func tell() {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l)
	dumpable, _, _ := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_DUMPABLE, 0, 0)
	fmt.Println(os.Getenv(envRole), "limited:", l.Cur == 0, "dumpable:", dumpable, err)
}

func TestForbid(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"usually":   {nil, "parent limited: true dumpable: 0 <nil>\nchild limited: true dumpable: 1 <nil>\n"},
		"debugging": {[]string{coredump.Env + "=1"}, fmt.Sprintf("parent limited: %[1]t dumpable: 1 <nil>\nchild limited: %[1]t dumpable: 1 <nil>\n", before.Cur == 0)},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append([]string{envRole + "=parent", "GORACE=atexit_sleep_ms=0"}, tt.env...)
			var out strings.Builder
			cmd.Stdout = &out
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
