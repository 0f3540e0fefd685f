// Package inbox is how other processes speak to a run: approve, cancel and pause
// are posted here, and the process that owns the run takes them.
//
// The owner records what a message says, with its ID, in the journal and only
// then calls Ack; a message seen again after a crash is known by its ID.
package inbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/internal/frame"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

// MaxBody is the largest body of a message, in bytes.
const MaxBody = 256 << 10

const format = 1

// Message is one post.
type Message struct {
	// ID is unique within the run; IDs sort by the time of posting.
	ID   string
	At   time.Time
	Body json.RawMessage
	// Damage is set, and Body empty, when the message cannot be read.
	Damage *journal.DamageError
}

// stored is a message in its frame.
type stored struct {
	Format int             `json:"format"`
	Run    string          `json:"run"`
	ID     string          `json:"id"`
	At     time.Time       `json:"at"`
	Body   json.RawMessage `json:"body"`
}

func prefix(run string) string { return "runs/" + run + "/inbox/" }

// Post leaves a message and returns its ID.
func Post(ctx context.Context, s store.Store, run string, at time.Time, body json.RawMessage) (id string, err error) {
	if len(body) > MaxBody {
		return "", fmt.Errorf("message to run %s has %d bytes, the limit is %d", run, len(body), MaxBody)
	}
	id = fmt.Sprintf("%019d-%s", max(at.UnixNano(), 0), strings.ToLower(rand.Text()[:8]))
	b, err := frame.Marshal(stored{Format: format, Run: run, ID: id, At: at.UTC(), Body: body})
	if err != nil {
		return "", fmt.Errorf("message to run %s: %w", run, err)
	}
	if _, err := s.PutAbsent(ctx, prefix(run)+id, b); err != nil {
		return "", fmt.Errorf("post message to run %s: %w", run, err)
	}
	return id, nil
}

// Take lists what waits in the inbox, oldest first. Messages stay until Ack.
func Take(ctx context.Context, s store.Store, run string) ([]Message, error) {
	var out []Message
	for it, err := range store.Scan(ctx, s, prefix(run), "") {
		if err != nil {
			return nil, fmt.Errorf("read inbox of run %s: %w", run, err)
		}
		m := Message{ID: strings.TrimPrefix(it.Key, prefix(run))}
		if what := m.open(run, it.Value); what != "" {
			m = Message{ID: m.ID, Damage: &journal.DamageError{Run: run, Key: it.Key, What: what}}
		}
		out = append(out, m)
	}
	return out, nil
}

// open reads a stored message and says what is wrong with it, if anything.
func (m *Message) open(run string, value []byte) (what string) {
	var st stored
	if err := frame.Unmarshal(value, "a message", &st); err != nil {
		return err.Error()
	}
	switch {
	case st.Format > format:
		return "was " + journal.ErrNewer.Error()
	case st.Run != run || st.ID != m.ID:
		return fmt.Sprintf("is message %s to run %s", st.ID, st.Run)
	}
	m.At, m.Body = st.At, st.Body
	return ""
}

// Ack removes a message. To remove one that is gone is no error.
func Ack(ctx context.Context, s store.Store, run, id string) error {
	it, err := s.Get(ctx, prefix(run)+id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = s.Delete(ctx, it.Key, it.Version)
	}
	if err != nil {
		return fmt.Errorf("remove message %s from the inbox of run %s: %w", id, run, err)
	}
	return nil
}
