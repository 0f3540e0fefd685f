package command

import (
	"fmt"
	"os"
	"path/filepath"
)

func (e *Env) chdir(dir string) error {
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
