// Package format is runner fmt: it puts pipeline files into the canonical form.
package format

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/rogpeppe/go-internal/diff"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/internal/regular"
)

// Options of the command.
type Options struct {
	Env       *command.Env
	Paths     []string
	Check     bool
	Diff      bool
	Recursive bool
	Write     bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "fmt", Args: "[FILE|DIR...]", Short: "Format pipeline files", Flags: command.NewFlags("fmt"),
		Long: `Puts *.hcl and *.runnervars files into the canonical form and lists those it changed.
Without an argument it takes this folder; - reads standard input and writes the result.`,
	}
	c.Flags.BoolVar(&opts.Check, "check", false, "change nothing; end with 1 when a file is not formatted")
	c.Flags.BoolVar(&opts.Diff, "diff", false, "show what changes")
	c.Flags.BoolVar(&opts.Recursive, "recursive", false, "go into folders below")
	c.Flags.BoolVar(&opts.Write, "write", true, "write files; -write=false only lists them")
	c.Run = func(ctx context.Context, args []string) error {
		opts.Paths = args
		return runF(ctx, opts)
	}
	return c
}

func run(_ context.Context, opts *Options) error {
	if slices.Equal(opts.Paths, []string{"-"}) {
		return stdin(opts)
	}
	paths := opts.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	changed := false
	for _, p := range paths {
		files, err := find(opts, p)
		if err != nil {
			return err
		}
		for _, f := range files {
			c, err := file(opts, f)
			if err != nil {
				return err
			}
			changed = changed || c
		}
	}
	if opts.Check && changed {
		return &command.ExitError{Code: command.Failed}
	}
	return nil
}

func stdin(opts *Options) error {
	src, err := io.ReadAll(io.LimitReader(opts.Env.Stdin, config.MaxFile+1))
	if err != nil {
		return err
	}
	if len(src) > config.MaxFile {
		return &regular.TooLargeError{Max: config.MaxFile}
	}
	out, err := formatted(opts, "<stdin>", src)
	if err != nil {
		return err
	}
	if opts.Check {
		if !bytes.Equal(src, out) {
			return &command.ExitError{Code: command.Failed}
		}
		return nil
	}
	_, err = opts.Env.Stdout.Write(out)
	return err
}

// find lists the files that a path stands for.
func find(opts *Options, path string) ([]string, error) {
	root := opts.Env.Path(path)
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("fmt: %w", err)
	}
	if strings.HasSuffix(path, ".json") && !info.IsDir() {
		return nil, command.Failure("File is JSON", "runner fmt writes HCL's own syntax, and %s is JSON, which has no canonical form here. Leave it out.", path)
	}
	if !info.IsDir() {
		return []string{root}, nil
	}
	var files []string
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != root && (!opts.Recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && ours(d.Name()):
			files = append(files, p)
		}
		return nil
	})
	return files, err
}

func ours(name string) bool {
	return !strings.HasPrefix(name, ".") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".runnervars"))
}

func formatted(opts *Options, name string, src []byte) ([]byte, error) {
	f, diags := config.Parse(name, src)
	if diags.HasErrors() {
		if err := diagnostics.Write(opts.Env.Stderr, diags, map[string]*hcl.File{name: f}); err != nil {
			return nil, err
		}
		if err := diagnostics.WriteMore(opts.Env.Stderr, diags); err != nil {
			return nil, err
		}
		return nil, &command.ExitError{Code: command.Failed}
	}
	return hclwrite.Format(src), nil
}

// file formats one file and reports whether it was not formatted.
func file(opts *Options, path string) (changed bool, err error) {
	name := path
	if rel, err := filepath.Rel(opts.Env.Dir, path); err == nil {
		name = filepath.ToSlash(rel)
	}
	src, err := regular.Read(path, config.MaxFile)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	out, err := formatted(opts, name, src)
	if err != nil || bytes.Equal(src, out) {
		return false, err
	}
	fmt.Fprintln(opts.Env.Stdout, name)
	if opts.Diff {
		_, _ = opts.Env.Stdout.Write(diff.Diff("a/"+name, src, "b/"+name, out))
	}
	if opts.Check || !opts.Write {
		return true, nil
	}
	return true, replace(path, out)
}

// replace writes the file whole or not at all, with the permissions it had.
func replace(path string, content []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(content); err == nil {
		err = tmp.Chmod(info.Mode().Perm())
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
