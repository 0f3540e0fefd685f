//go:build !windows

package artifact

import (
	"errors"
	"os"
	"path/filepath"
)

// syncWhenWritten: files are flushed together, once all are written.
const syncWhenWritten = false

// manyFiles is the number of files from which on flushing the whole file system is
// cheaper, where that is possible.
const manyFiles = 200

// flush makes a copy durable.
func flush(path string, t tree) error {
	if len(t.entries) >= manyFiles {
		if err := flushAll(path); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	for _, e := range t.entries {
		if e.kind != 'l' {
			if err := flushOne(filepath.Join(path, e.name)); err != nil {
				return err
			}
		}
	}
	if t.folder {
		return flushOne(path)
	}
	return nil
}

// flushOne makes one file, or what was renamed into one folder, durable.
func flushOne(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
