package command

import (
	"fmt"
	"os"
	"path/filepath"
)

// Chdir makes another folder the working directory, as -chdir does.
func (e *Env) Chdir(dir string) error {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(e.Dir, dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("-chdir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("-chdir: %s is not a folder", dir)
	}
	e.Dir = dir
	return nil
}
