package artifact

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// flushAll makes everything on the file system of a folder durable.
func flushAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
