// Package journal is the append-only record of a run: numbered segments of
// records over a store, chained by hashes, with snapshots to start from.
//
// Records are opaque JSON. Whoever begins a run calls Create; who resumes calls
// Latest for a snapshot, reads what follows with Read, and goes on with At behind
// the last segment read. Writing a segment is the fence: when somebody else
// wrote one meanwhile, Append returns ErrFenced and this process must stop.
package journal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
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
	// ErrNewer means that a later runner wrote in a form that this one does not know.
	ErrNewer = frame.ErrNewer
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

// Advice is the way out, for people.
func (e *DamageError) Advice() string {
	return "To see what is wrong, and what can be saved:\n  runner " + strings.TrimSpace("doctor "+e.Run)
}

func (e *DamageError) Error() string {
	if e.Segment == 0 {
		return fmt.Sprintf("state of run %s is damaged: %s %s", e.Run, e.Key, e.What)
	}
	return fmt.Sprintf("journal of run %s is damaged: segment %d %s", e.Run, e.Segment, e.What)
}

// Journal appends to the journal of one run. Its methods may be called at the
// same time.
type Journal struct {
	store  store.Store
	run    string
	writer string // tells this process's segments from another's with the same records

	mu     sync.Mutex
	head   Head
	fenced bool
	watch  func(Head)
	// attempts are segments that were to follow head, whose fate is unknown.
	attempts []attempt
	// diversion takes the segments instead of the store; nil for the store.
	diversion Diversion
}

type attempt struct {
	next    Head
	records [sha256.Size]byte
}

// Create begins the journal of a run with its first segment; ErrExists when it
// has one.
func Create(ctx context.Context, s store.Store, run string, at time.Time, records []json.RawMessage) (*Journal, error) {
	if run == "" || strings.Contains(run, "/") {
		return nil, fmt.Errorf("journal: %q cannot be the ID of a run", run)
	}
	j := At(s, run, Head{})
	err := j.Append(ctx, at, records)
	if errors.Is(err, ErrFenced) {
		return nil, fmt.Errorf("run %s: %w", run, ErrExists)
	}
	return j, err
}

// At continues a journal behind head. It reads nothing; the next Append finds
// out whether head is still the end.
func At(s store.Store, run string, head Head) *Journal {
	return &Journal{store: s, run: run, head: head, writer: rand.Text()[:8]}
}

// Open reads and verifies the whole journal, calls each for every segment in
// order, and continues behind the last. ErrNone when there is no journal.
func Open(ctx context.Context, s store.Store, run string, each func(Segment) error) (*Journal, error) {
	var head Head
	for seg, err := range Read(ctx, s, run, Head{}) {
		if err != nil {
			return nil, err
		}
		if err := each(seg); err != nil {
			return nil, err
		}
		head = seg.Head
	}
	if head.Number == 0 {
		return nil, fmt.Errorf("run %s: %w", run, ErrNone)
	}
	return At(s, run, head), nil
}

// Append makes a batch of records durable as the next segment: when it returns
// nil they are on disk. ErrFenced means that they are not and never will be.
//
// After any other error nobody knows whether they were written. To find out,
// call Append again with the same records: they are written once.
func (j *Journal) Append(ctx context.Context, at time.Time, records []json.RawMessage) error {
	if len(records) == 0 {
		return errors.New("journal: a segment needs a record")
	}
	for i, r := range records {
		if len(r) > MaxRecord {
			return fmt.Errorf("journal: record %d has %d bytes, the limit is %d", i, len(r), MaxRecord)
		}
		if !json.Valid(r) {
			return fmt.Errorf("journal: record %d is not JSON", i)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for !j.fenced {
		value, next := encode(j.run, j.writer, j.head, at, records)
		if j.diversion != nil {
			j.diversion.Put(key(j.run, next.Number), value)
			j.head, j.attempts = next, nil // not yet in the store: nobody is told
			return nil
		}
		_, err := j.store.PutAbsent(ctx, key(j.run, next.Number), value)
		if err == nil {
			j.advance(next)
			return nil
		}
		try := attempt{next: next, records: digest(records)}
		if !errors.Is(err, store.ErrConflict) {
			j.attempts = append(j.attempts, try)
			return fmt.Errorf("write segment %d of run %s: %w", next.Number, j.run, err)
		}
		written, err := j.whose(ctx, try)
		if err != nil {
			return err
		}
		if written != nil && written.records == try.records {
			return nil
		}
		// Else an earlier attempt with other records had arrived after all: these
		// come after it.
	}
	return fmt.Errorf("run %s: %w", j.run, ErrFenced)
}

// whose looks at a segment that was there already. It is one of our attempts, of
// which the store had not told us, or somebody else's: then the journal is fenced.
func (j *Journal) whose(ctx context.Context, last attempt) (*attempt, error) {
	it, err := j.store.Get(ctx, key(j.run, last.next.Number))
	if err != nil {
		return nil, fmt.Errorf("read segment %d of run %s: %w", last.next.Number, j.run, err)
	}
	_, hash, err := frame.Open(it.Value)
	for _, try := range append(slices.Clone(j.attempts), last) {
		if err == nil && hash == try.next.Hash {
			j.advance(try.next)
			return &try, nil
		}
	}
	j.fenced = true
	return nil, nil
}

func (j *Journal) advance(to Head) {
	j.head, j.attempts = to, nil
	if j.watch != nil {
		j.watch(to)
	}
}

func digest(records []json.RawMessage) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, r := range records {
		_, _ = fmt.Fprintf(h, "%d:", len(r))
		_, _ = h.Write(r)
	}
	h.Sum(sum[:0])
	return sum
}

// Watch has each called with the place behind every segment that becomes durable
// from now on, before Append returns.
func (j *Journal) Watch(each func(Head)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watch = each
}

// Head is the place behind the last segment known to be written.
func (j *Journal) Head() Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Read verifies and yields the segments behind after, in order, and ends after
// the first error. Damage is a *DamageError.
func Read(ctx context.Context, s store.Store, run string, after Head) iter.Seq2[Segment, error] {
	return func(yield func(Segment, error) bool) {
		start := ""
		if after.Number > 0 {
			if err := checkEnd(ctx, s, run, after); err != nil {
				yield(Segment{}, err)
				return
			}
			start = key(run, after.Number)
		}
		head := after
		for it, err := range store.Scan(ctx, s, prefix(run), start) {
			var seg Segment
			if err == nil {
				seg, err = decode(run, head, it.Key, it.Value)
			}
			if !yield(seg, err) || err != nil {
				return
			}
			head = seg.Head
		}
	}
}

// checkEnd makes sure that the segment that head speaks of is the one stored.
func checkEnd(ctx context.Context, s store.Store, run string, head Head) error {
	k := key(run, head.Number)
	damaged := func(what string) error {
		return &DamageError{Run: run, Segment: head.Number, Key: k, What: what}
	}
	it, err := s.Get(ctx, k)
	if errors.Is(err, store.ErrNotFound) {
		return damaged("is missing, though it was written")
	}
	if err != nil {
		return err
	}
	_, hash, err := frame.Open(it.Value)
	if err != nil {
		return damaged(err.Error())
	}
	if hash != head.Hash {
		return damaged("is another than the one that was written")
	}
	return nil
}
