// Package journal is the append-only record of a run: numbered segments of
// records over a store, chained by hashes, with snapshots to start from.
//
// Records are opaque JSON. Whoever begins a run calls Create; who resumes
// calls Latest for a snapshot, reads what follows with Read, and goes on with At
// behind the last segment read. Writing a segment is the fence: when somebody
// else wrote one meanwhile, Append returns ErrFenced and this process must stop.
package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/runner-pipelines/runner/core/store"
)

// MaxRecord is the largest record that Append takes, in bytes.
const MaxRecord = 512 << 10

var (
	// ErrFenced means that another process has written the next segment: this one
	// is no longer the run's actor.
	ErrFenced = errors.New("another process has taken over the run")
	// ErrExists means that the run's journal was begun already.
	ErrExists = errors.New("journal exists")
	// ErrNone means that the run has no journal.
	ErrNone = errors.New("run has no journal")
)

// DamageError means that what was stored cannot be what was written.
type DamageError struct {
	Run string
	// Segment is the number of the segment; 0 when it is not a segment.
	Segment int
	// Key of the damaged item in the store.
	Key string
	// What is wrong, as the end of a sentence.
	What string
}

func (e *DamageError) Error() string {
	if e.Segment == 0 {
		return fmt.Sprintf("state of run %s is damaged: %s %s", e.Run, e.Key, e.What)
	}
	return fmt.Sprintf("journal of run %s is damaged: segment %d %s", e.Run, e.Segment, e.What)
}

// Head is a place in a journal: behind segment number Segment, whose hash is
// Hash. The zero Head is the beginning.
type Head struct {
	Segment int    `json:"segment"`
	Hash    string `json:"hash"`
}

// Segment is one batch of records that became durable together.
type Segment struct {
	Head
	Time    time.Time
	Records []json.RawMessage
}

// Journal appends to the journal of one run. Its methods may be called at the
// same time.
type Journal struct{}

// Create begins the journal of a run with its first segment; ErrExists when it
// has one.
func Create(ctx context.Context, s store.Store, run string, at time.Time, records []json.RawMessage) (*Journal, error) {
	panic("")
}

// At continues a journal behind head. It reads nothing; the next Append finds
// out whether head is still the end.
func At(s store.Store, run string, head Head) *Journal { panic("") }

// Open reads and verifies the whole journal, calls each for every segment in
// order, and continues behind the last. ErrNone when there is no journal.
func Open(ctx context.Context, s store.Store, run string, each func(Segment) error) (*Journal, error) {
	panic("")
}

// Append makes a batch of records durable as the next segment: when it returns
// nil they are on disk. ErrFenced means that they are not and never will be.
//
// After any other error nobody knows whether they were written. To find out,
// call Append again with the same records: they are written once.
func (j *Journal) Append(ctx context.Context, at time.Time, records []json.RawMessage) error {
	panic("")
}

// Head is the place behind the last segment known to be written.
func (j *Journal) Head() Head { panic("") }

// Read verifies and yields the segments behind after, in order, and ends after
// the first error. Damage is a *DamageError.
func Read(ctx context.Context, s store.Store, run string, after Head) iter.Seq2[Segment, error] {
	panic("")
}

// Snapshot is a folded state, so that resuming need not read from the beginning.
type Snapshot struct {
	// Head is the last segment that was folded into State.
	Head
	State []byte
}

// WriteSnapshot keeps a state folded up to snap.Head and drops all but the one before.
func WriteSnapshot(ctx context.Context, s store.Store, run string, snap Snapshot) error { panic("") }

// Latest is the newest undamaged snapshot, nil when there is none. Damaged ones
// are listed and passed over: the journal has everything they had.
func Latest(ctx context.Context, s store.Store, run string) (snap *Snapshot, damaged []*DamageError, err error) {
	panic("")
}
