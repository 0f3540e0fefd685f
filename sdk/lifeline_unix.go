//go:build unix

package sdk

import "syscall"

// keepFilesHere marks what was inherited to be closed in programs that this
// one starts.
func keepFilesHere() {
	const most = 256
	for fd := 3; fd < most; fd++ {
		syscall.CloseOnExec(fd)
	}
}
