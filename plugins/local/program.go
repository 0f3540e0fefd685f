package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/value"
)

// program is a command that was found, ready to be started here or elsewhere.
type program struct {
	// path is absolute.
	path string
	args []string
	// dir is absolute.
	dir string
	env []string
}

// findProgram looks the command up as a shell standing in dir with that
// environment would. Nothing was changed when it fails, and the error says so.
func findProgram(command []string, dir string, extra map[string]string) (program, error) {
	p := program{env: childEnv(os.Environ(), extra)}
	var err error
	if p.dir, err = filepath.Abs(dir); err != nil {
		return p, atNone("dir", "Invalid directory", err)
	}
	if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
		return p, atNone("dir", "Directory not found", fmt.Errorf("there is no directory %q; the command would run in it", p.dir))
	}
	if len(command) == 0 {
		return p, atNone("command", "Empty command", errors.New("the list must name a program"))
	}
	p.args = command
	if p.path, err = lookPath(command[0], p.dir, p.env); err != nil {
		return p, atNone("command", "Program not found", err)
	}
	return p, nil
}

func lookPath(name, dir string, env []string) (string, error) {
	if filepath.IsAbs(name) || strings.ContainsRune(name, '/') || strings.ContainsRune(name, filepath.Separator) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%q cannot be run: %w", path, reason(err))
		}
		return found, nil
	}
	search := lookup(env, "PATH")
	for _, folder := range filepath.SplitList(search) {
		if !filepath.IsAbs(folder) {
			folder = filepath.Join(dir, folder)
		}
		if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("no program %q in PATH (%s). Install it, or give its path", name, search)
}

// reason is what lies at the bottom of an error of the exec package.
func reason(err error) error {
	if wrapped := (*exec.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// childEnv is the environment of a child: ours, which the host gave us by
// consent, and then extra. It is sorted by name.
func childEnv(own []string, extra map[string]string) []string {
	merged := map[string]string{}
	for _, entry := range own {
		name, val, ok := strings.Cut(entry, "=")
		if ok && name != "" {
			merged[name] = val
		}
	}
	maps.Copy(merged, extra)
	env := make([]string, 0, len(merged))
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		env = append(env, name+"="+merged[name])
	}
	return env
}

func lookup(env []string, name string) string {
	for _, entry := range env {
		if n, val, _ := strings.Cut(entry, "="); n == name {
			return val
		}
	}
	return ""
}

// checkEnv blames the entries of an environment that no program can be given.
func checkEnv(env map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00"):
			errs = append(errs, diag.AtPath(value.Names("env", name), "Invalid variable name",
				fmt.Errorf("%q cannot be the name of an environment variable", name)))
		case strings.ContainsRune(env[name], 0):
			errs = append(errs, diag.AtPath(value.Names("env", name), "Invalid variable value",
				errors.New("the value of an environment variable cannot hold a zero byte")))
		}
	}
	return errors.Join(errs...)
}

// checkCommand blames a command that names no program or cannot be passed on.
func checkCommand(command []string) error {
	if len(command) == 0 || command[0] == "" {
		return diag.AtAttr("command", "Empty command", errors.New("the first element must name a program"))
	}
	for i, arg := range command {
		if strings.ContainsRune(arg, 0) {
			return diag.AtPath(value.Path{value.Name("command"), value.Index(i)}, "Invalid argument",
				errors.New("an argument cannot hold a zero byte"))
		}
	}
	return nil
}

// atNone blames an attribute for a failure that changed nothing.
func atNone(attr, summary string, cause error) error {
	return diag.WithEffect(diag.None, diag.AtAttr(attr, summary, cause))
}
