package command

import (
	"fmt"
	"os"
	"path/filepath"
)

// Chdir makes another folder the working directory, as -chdir does.
func (e *Env) Chdir(dir string) error {
	dir = e.Path(dir)
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

// Path is where a path leads that was given on the command line.
func (e *Env) Path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(e.Dir, path)
}
