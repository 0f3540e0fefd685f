package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// All lists the digests of the copies on this machine, sorted.
func (s *Store) All() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "sha256"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list artifacts: %w", err)
	}
	var out []string
	for _, e := range entries {
		if digest := "sha256:" + e.Name(); digestForm.MatchString(digest) {
			out = append(out, digest)
		}
	}
	return out, nil
}

// Remove drops the copy, so that it is made again when it is produced again.
func (s *Store) Remove(digest string) error {
	s.verified.Delete(digest)
	if !digestForm.MatchString(digest) {
		return fmt.Errorf("%q is not the digest of a local artifact", digest)
	}
	return os.RemoveAll(s.place(digest))
}
