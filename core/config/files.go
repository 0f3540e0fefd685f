package config

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/internal/regular"
)

const (
	// rootFile and moduleFile are the one file that a pipeline or module must have;
	// both also in the JSON syntax, and with any name before the last dot but one.
	rootFile   = "pipeline.hcl"
	moduleFile = "module.hcl"
	jsonSuffix = ".json"
	// MaxFile is the largest source file, in bytes.
	MaxFile = 16 << 20
)

// belongs reports whether a file is part of a pipeline or module: FILE,
// FILE.json, x.FILE or x.FILE.json.
func belongs(name, file string) bool {
	name = strings.TrimSuffix(name, jsonSuffix)
	return name == file || strings.HasSuffix(name, "."+file) && !strings.HasPrefix(name, ".")
}

// find goes up from dir to the directory of the pipeline.
func find(dir string) (string, *hcl.Diagnostic) {
	for at := dir; ; at = filepath.Dir(at) {
		for _, name := range []string{rootFile, rootFile + jsonSuffix} {
			info, err := os.Stat(filepath.Join(at, name))
			if err == nil && !info.IsDir() {
				return at, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", diagnostics.Error(hcl.Range{}, "No pipeline here",
				"There is no %s in %s or in any directory above it. Change to the directory of your pipeline, or write a first one with:\n\n  runner new", rootFile, dir)
		}
	}
}

// sources is where files come from. Paths have slashes and are relative to the
// directory of the root.
type sources interface {
	// list names the files of a directory, in order; fs.ErrNotExist when there is none.
	list(dir string) ([]string, error)
	read(file string) ([]byte, error)
}

type disk struct{ root string }

func (d disk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(dir)))
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (d disk) read(file string) ([]byte, error) {
	return regular.Read(filepath.Join(d.root, filepath.FromSlash(file)), MaxFile)
}

type memory map[string][]byte

func (m memory) list(dir string) ([]string, error) {
	var names []string
	for file := range m {
		if path.Dir(file) == dir {
			names = append(names, path.Base(file))
		}
	}
	if names == nil {
		return nil, fs.ErrNotExist
	}
	slices.Sort(names)
	return names, nil
}

func (m memory) read(file string) ([]byte, error) {
	if content, ok := m[file]; ok {
		return content, nil
	}
	return nil, fs.ErrNotExist
}
