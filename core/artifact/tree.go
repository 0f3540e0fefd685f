package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// tree is what a digest speaks about.
type tree struct {
	folder  bool
	entries []entry
	size    int64
}

// entry is one file, link or folder; name is relative, with slashes, and empty for
// a lone file.
type entry struct {
	name       string
	kind       byte // 'f', 'l' or 'd'
	executable bool
	sum        string // of a file, in hex
	link       string // where a link leads, with slashes
}

// oddEntryError means that something cannot be part of an artifact.
type oddEntryError struct{ name, why string }

func (e *oddEntryError) Error() string { return fmt.Sprintf("%s %s", e.name, e.why) }

// digest of a lone file is that of its bytes; of a folder that of a list with one line
// for each entry, in the order of the bytes of their names.
func (t tree) digest() string {
	if !t.folder {
		return "sha256:" + t.entries[0].sum
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	h := sha256.New()
	_, _ = io.WriteString(h, "runner tree 1\n") // a hash cannot fail
	for _, e := range t.entries {
		var line string
		switch e.kind {
		case 'f':
			mode := "-"
			if e.executable {
				mode = "x"
			}
			line = fmt.Sprintf("file %s %s %s", mode, e.sum, strconv.Quote(e.name))
		case 'l':
			line = fmt.Sprintf("link %s %s", strconv.Quote(e.link), strconv.Quote(e.name))
		case 'd':
			line = fmt.Sprintf("folder %s", strconv.Quote(e.name))
		}
		_, _ = io.WriteString(h, line+"\n")
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func (t tree) mediaType() string {
	if t.folder {
		return MediaTree
	}
	return MediaFile
}

// walker reads a file or folder, and copies it on the way.
type walker struct {
	tree
	// to is where the copy goes; empty for none.
	to string
	// avoid is a folder that must not be met; nil for none.
	avoid fs.FileInfo
}

// walk reads what is at path, whose info is given.
func (w *walker) walk(ctx context.Context, path string, info fs.FileInfo) error {
	w.folder = info.IsDir()
	if !w.folder {
		if !info.Mode().IsRegular() {
			return &oddEntryError{filepath.Base(path), "is neither a file nor a folder"}
		}
		return w.file(ctx, path, "", info)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved // WalkDir does not follow a link to the folder itself
	}
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name, err := filepath.Rel(path, p)
		if err != nil {
			return err
		}
		return w.add(ctx, p, filepath.ToSlash(name), d)
	})
}

// add takes one entry of a folder.
func (w *walker) add(ctx context.Context, path, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch {
	case d.IsDir():
		if w.avoid != nil && os.SameFile(w.avoid, info) {
			return &oddEntryError{name, "is where artifacts are kept; name a folder that does not hold it"}
		}
		if name != "." {
			w.entries = append(w.entries, entry{name: name, kind: 'd'})
		}
		if w.to == "" {
			return nil
		}
		return os.Mkdir(w.copyOf(name), 0o755)
	case d.Type()&fs.ModeSymlink != 0:
		return w.link(path, name)
	case d.Type().IsRegular():
		return w.file(ctx, path, name, info)
	}
	return &oddEntryError{name, "is neither a file, nor a folder, nor a link"}
}

func (w *walker) copyOf(name string) string { return filepath.Join(w.to, filepath.FromSlash(name)) }

func (w *walker) link(path, name string) error {
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	link := filepath.ToSlash(target)
	if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(filepath.FromSlash(name)), target)) {
		return &oddEntryError{name, fmt.Sprintf("is a link out of the folder, to %s; it would lead elsewhere on another machine", link)}
	}
	w.entries = append(w.entries, entry{name: name, kind: 'l', link: link})
	if w.to == "" {
		return nil
	}
	return os.Symlink(target, w.copyOf(name))
}

var copyBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// file hashes the bytes that it copies, so that the digest is that of the copy.
func (w *walker) file(ctx context.Context, path, name string, info fs.FileInfo) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	out := io.Writer(h)
	e := entry{name: name, kind: 'f', executable: info.Mode()&0o111 != 0}
	if w.to != "" {
		mode := fs.FileMode(0o444)
		if e.executable {
			mode = 0o555
		}
		f, err := os.OpenFile(w.copyOf(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		defer func() {
			// The umask may have taken bits away.
			err = errors.Join(err, f.Chmod(mode))
			if syncWhenWritten {
				err = errors.Join(err, f.Sync())
			}
			err = errors.Join(err, f.Close())
		}()
		out = io.MultiWriter(h, f)
	}
	buf := copyBuffers.Get().(*[128 << 10]byte)
	defer copyBuffers.Put(buf)
	n, err := io.CopyBuffer(out, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return in.Read(p)
	}), buf[:])
	if err != nil {
		return err
	}
	e.sum = hex.EncodeToString(h.Sum(nil))
	w.entries = append(w.entries, e)
	w.size += n
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
