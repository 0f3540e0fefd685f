// Package artifact keeps what stages produce on this machine, by digest: put a file
// or folder in, get a path out that always has that content.
package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/sdk/call"
)

// Media types of what Put makes.
const (
	MediaFile = "application/octet-stream"
	MediaTree = "application/vnd.runner.tree.v1"
)

// contentName is the file or folder inside an artifact's own folder.
const contentName = "content"

// staleAfter is the age at which what a killed Put left behind is removed.
const staleAfter = 24 * time.Hour

var (
	// ErrMissing means that this machine has no copy.
	ErrMissing = errors.New("artifact is not on this machine")
	// ErrNoSource means that there is nothing at the path that should be kept.
	ErrNoSource = errors.New("nothing was produced")
)

// DamageError means that a stored artifact is not what its digest says.
type DamageError struct {
	Digest string
	// Path of the copy.
	Path string
	// What is wrong, as the end of a sentence.
	What string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("artifact %s is damaged: %s %s", e.Digest, e.Path, e.What)
}

// Store is a folder of artifacts. Several processes may use the same one.
type Store struct {
	dir      string
	verified sync.Map // digest → path
	clean    sync.Once
}

// Open uses dir, made when first needed.
func Open(dir string) *Store { return &Store{dir: dir} }

// Put copies the file or folder at path and returns it with Digest, MediaType, Size
// and Path set. The same content has the same digest on every machine: a file's is the
// SHA-256 of its bytes; a folder's is over names, executable bits, symbolic links and
// contents, and not over times and owners. Links are kept, and refused when they lead
// out of the folder. Nothing at path is ErrNoSource.
func (s *Store) Put(ctx context.Context, path string) (call.Artifact, error) {
	a, err := s.put(ctx, path)
	if err != nil {
		return call.Artifact{}, fmt.Errorf("keep artifact %s: %w", path, err)
	}
	return a, nil
}

func (s *Store) put(ctx context.Context, path string) (call.Artifact, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return call.Artifact{}, ErrNoSource
	}
	if err != nil {
		return call.Artifact{}, err
	}
	temp, err := s.temp()
	if err != nil {
		return call.Artifact{}, err
	}
	defer os.RemoveAll(temp)
	own, err := os.Stat(s.dir)
	if err != nil {
		return call.Artifact{}, err
	}
	w := walker{to: filepath.Join(temp, contentName), avoid: own}
	if err := w.walk(ctx, path, info); err != nil {
		return call.Artifact{}, err
	}
	if err := flush(w.to, w.tree); err != nil {
		return call.Artifact{}, err
	}
	final := s.place(w.digest())
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		return call.Artifact{}, err
	}
	if err := s.install(ctx, temp, final, w.tree); err != nil {
		return call.Artifact{}, err
	}
	if err := flushOne(filepath.Dir(final)); err != nil {
		return call.Artifact{}, err
	}
	copied := filepath.Join(final, contentName)
	s.verified.Store(w.digest(), copied)
	return call.Artifact{Digest: w.digest(), MediaType: w.mediaType(), Size: w.size, Path: copied}, nil
}

// install moves a new copy to its place, unless a good one is there already.
func (s *Store) install(ctx context.Context, temp, final string, t tree) error {
	err := os.Rename(temp, final)
	if err == nil {
		return nil
	}
	if _, statErr := os.Stat(final); statErr != nil {
		return err
	}
	if s.Verify(ctx, t.digest()) == nil {
		return keepExecutable(final, t)
	}
	if err := os.Rename(final, temp+".damaged"); err != nil {
		return err
	}
	return errors.Join(os.Rename(temp, final), os.RemoveAll(temp+".damaged"))
}

// keepExecutable gives a copy that is there already the executable bit, which the
// digest of a lone file does not cover.
func keepExecutable(final string, t tree) error {
	if t.folder || !t.entries[0].executable {
		return nil
	}
	return os.Chmod(filepath.Join(final, contentName), 0o555)
}

// Path of the local copy; ErrMissing when there is none. The first time in a process
// the content is verified.
func (s *Store) Path(ctx context.Context, digest string) (string, error) {
	if p, ok := s.verified.Load(digest); ok {
		return p.(string), nil
	}
	if err := s.Verify(ctx, digest); err != nil {
		return "", err
	}
	p := filepath.Join(s.place(digest), contentName)
	s.verified.Store(digest, p)
	return p, nil
}

var digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Verify reads the copy again; damage is a *DamageError, no copy ErrMissing.
func (s *Store) Verify(ctx context.Context, digest string) error {
	if !digestForm.MatchString(digest) {
		return fmt.Errorf("%q is not the digest of a local artifact", digest)
	}
	path := filepath.Join(s.place(digest), contentName)
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w (looked for %s)", digest, ErrMissing, path)
	}
	if err != nil {
		return err
	}
	var w walker
	err = w.walk(ctx, path, info)
	if errors.As(err, new(*oddEntryError)) {
		return &DamageError{Digest: digest, Path: path, What: "holds what is never kept: " + err.Error()}
	}
	if err != nil {
		return fmt.Errorf("verify artifact %s: %w", digest, err)
	}
	if got := w.digest(); got != digest {
		return &DamageError{Digest: digest, Path: path, What: "now has the digest " + got}
	}
	return nil
}

// place is the folder of one artifact.
func (s *Store) place(digest string) string {
	algorithm, sum, _ := strings.Cut(digest, ":")
	return filepath.Join(s.dir, algorithm, sum)
}

// temp makes a folder on the same file system, and removes what killed processes left.
func (s *Store) temp() (string, error) {
	parent := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	s.clean.Do(func() {
		entries, _ := os.ReadDir(parent)
		for _, e := range entries {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
				_ = os.RemoveAll(filepath.Join(parent, e.Name()))
			}
		}
	})
	return os.MkdirTemp(parent, "put-")
}
