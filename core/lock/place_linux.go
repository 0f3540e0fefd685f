package lock

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// place names a folder on a machine since its last start, by the folder's number on
// its file system: two containers have different file systems though they share
// machine and path.
func place(dir string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d", strings.TrimSpace(string(boot)), st.Dev, st.Ino)
}
