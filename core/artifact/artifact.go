// Package artifact keeps what stages produce on this machine, by digest: put a
// file or folder in, get a path out that always has that content.
package artifact

import (
	"context"
	"errors"
	"fmt"

	"github.com/runner-pipelines/runner/sdk/call"
)

// Media types of what Put makes.
const (
	MediaFile = "application/octet-stream"
	MediaTree = "application/vnd.runner.tree.v1"
)

var (
	// ErrMissing means that this machine has no copy.
	ErrMissing = errors.New("artifact is not on this machine")
	// ErrNoSource means that there is nothing at the path that should be kept.
	ErrNoSource = errors.New("nothing was produced")
)

// DamageError means that a stored artifact is not what its digest says.
type DamageError struct {
	Digest string
	// File inside the artifact that differs; empty when it is not known.
	File string
	What string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("artifact %s is damaged: %s %s", e.Digest, e.File, e.What)
}

// Store is a folder of artifacts. Several processes may use the same one.
type Store struct{}

// Open uses dir, made when first needed.
func Open(dir string) *Store { return &Store{} }

// Put copies the file or folder at path and returns it with Digest, MediaType,
// Size and Path set. The same content has the same digest on every machine:
// a file's is the SHA-256 of its bytes; a folder's is over names, executable bits,
// symbolic links and contents, and not over times and owners. Links are kept, and
// refused when they lead out of the folder. Nothing at path is ErrNoSource.
func (s *Store) Put(ctx context.Context, path string) (call.Artifact, error) { panic("") }

// Path of the local copy; ErrMissing when there is none. The first time in a
// process the content is verified.
func (s *Store) Path(ctx context.Context, digest string) (string, error) { panic("") }

// Verify reads the copy again; damage is a *DamageError, no copy ErrMissing.
func (s *Store) Verify(ctx context.Context, digest string) error { panic("") }
