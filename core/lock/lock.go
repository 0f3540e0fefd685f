// Package lock keeps two runs from acting on the same environment, and proves
// that a run's earlier processes are gone.
//
// An environment's lock lives in the store and belongs to a run, not to a
// process: Take it when the first stage of the environment starts. Each Take gives
// a larger fence; Check with the fence before acting. The liveness lock is a file
// on this machine; see AcquireAlive.
package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

// ErrLost means that the lock has been freed or taken by another since.
var ErrLost = errors.New("environment lock lost")

// Holder says who has a lock, for people.
type Holder struct {
	Run       string    `json:"run"`
	Host      string    `json:"host"`
	PID       int       `json:"pid"`
	Initiator string    `json:"initiator"`
	Since     time.Time `json:"since"`
}

// HeldError means that another run has the lock.
type HeldError struct {
	Environment string
	Holder      Holder
	Fence       int64
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("environment %q is locked by run %s (%s on %s, process %d) since %s",
		e.Environment, e.Holder.Run, e.Holder.Initiator, e.Holder.Host, e.Holder.PID, e.Holder.Since.UTC().Format(time.RFC3339))
}

// Take takes the lock of an environment for a run and returns its fence, which is
// larger than every one before. The run that has it may take it again: earlier
// fences are then lost. Another run gets a *HeldError.
func Take(ctx context.Context, s store.Store, environment string, h Holder) (fence int64, err error) {
	panic("")
}

// Check returns ErrLost unless the fence is the newest and still held.
func Check(ctx context.Context, s store.Store, environment string, fence int64) error { panic("") }

// Free gives the lock back. When the fence is no longer the newest it does
// nothing and returns ErrLost; a lock that is free already is no error.
func Free(ctx context.Context, s store.Store, environment string, fence int64) error { panic("") }

// Held lists the locks that are held, by environment.
func Held(ctx context.Context, s store.Store) ([]HeldError, error) { panic("") }

// AliveError means that processes of an earlier incarnation of the run are
// still there.
type AliveError struct {
	Run  string
	Path string
	// Holders are the processes that said they hold the file, where known.
	Holders []AliveHolder
}

// AliveHolder is one process that may hold a liveness lock.
type AliveHolder struct {
	PID  int
	Name string
	// Running says whether a process with that number exists now.
	Running bool
}

func (e *AliveError) Error() string {
	return fmt.Sprintf("processes of run %s are still running (lock file %s)", e.Run, e.Path)
}

// Alive is a held liveness lock.
type Alive struct{}

// AcquireAlive takes the liveness lock of a run: a file dir/<run>.lock. The
// lock is shared with every process that inherits File, and is free only once all
// of them have ended; so who acquires it knows that nobody of an earlier
// incarnation still acts. It waits up to wait, then returns an *AliveError.
func AcquireAlive(ctx context.Context, dir, run string, wait time.Duration) (*Alive, error) {
	panic("")
}

// File is the open, locked file; give it to host.Config.Alive.
func (a *Alive) File() *os.File { panic("") }

// Note records a process that inherited the file, for AliveError.
func (a *Alive) Note(name string, pid int) error { panic("") }

// Release removes the file and frees the lock. Processes that inherited it must
// have ended.
func (a *Alive) Release() error { panic("") }
