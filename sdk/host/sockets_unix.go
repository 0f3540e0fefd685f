//go:build unix

package host

import "os"

// socketBase is a directory for sockets whose path is short enough: the system
// takes 103 bytes at the least, and the names below it need 63 of them.
func socketBase() string {
	const longest = 40
	if dir := os.TempDir(); len(dir) <= longest {
		return dir
	}
	return "/tmp"
}
