package sdk

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"

	"github.com/runner-pipelines/runner/sdk/internal/handshake"
)

// holdOn watches the host's lifeline: gone is called when the host is. Without
// a lifeline, under another host than ours, nothing is watched. It returns the
// files that the host wants held open until everything is over.
func holdOn(getenv func(string) string, gone func()) ([]*os.File, error) {
	keepFilesHere()
	var held []*os.File
	if alive, err := inherited(getenv, handshake.EnvAlive); err != nil {
		return nil, err
	} else if alive != nil {
		held = append(held, alive)
	}
	line, err := inherited(getenv, handshake.EnvLifeline)
	if err != nil || line == nil {
		return held, err
	}
	sockets := getenv(plugin.EnvUnixSocketDir)
	go func() {
		// Nothing is ever written: Read returns when the last writer has closed.
		_, _ = line.Read(make([]byte, 1))
		removeSockets(sockets)
		gone()
	}()
	return held, nil
}

// inherited opens the descriptor that a variable names; nil when it is not set.
func inherited(getenv func(string) string, name string) (*os.File, error) {
	text := getenv(name)
	if text == "" {
		return nil, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 0 {
		return nil, fmt.Errorf("the environment variable %s names no descriptor: %q", name, text)
	}
	f := os.NewFile(uintptr(fd), strings.ToLower(name))
	if _, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("the environment variable %s names a descriptor that is not open: %w", name, err)
	}
	return f, nil
}

// removeSockets cleans up for a host that could not.
func removeSockets(dir string) {
	if dir == "" {
		return
	}
	_ = os.RemoveAll(dir)
	if parent := filepath.Dir(dir); strings.HasPrefix(filepath.Base(parent), handshake.SocketPrefix) {
		_ = os.Remove(parent)
	}
}
