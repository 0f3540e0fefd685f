//go:build unix

package host

import "os"

// socketBase is a directory for sockets whose path is short enough: the system
// takes about a hundred bytes, and the names below it need half of them.
func socketBase() string {
	const longest = 48
	if dir := os.TempDir(); len(dir) <= longest {
		return dir
	}
	return "/tmp"
}
