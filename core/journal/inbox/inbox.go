// Package inbox is how other processes speak to a run: approve, cancel and pause
// are posted here, and the process that owns the run takes them.
//
// The owner records what a message says, with its ID, in the journal and only
// then calls Ack; a message seen again after a crash is known by its ID.
package inbox

import (
	"context"
	"encoding/json"
	"time"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/store"
)

// Message is one post.
type Message struct {
	// ID is unique within the run; IDs sort by the time of posting.
	ID   string
	At   time.Time
	Body json.RawMessage
	// Damage is set, and Body empty, when the message cannot be read.
	Damage *journal.DamageError
}

// Post leaves a message and returns its ID.
func Post(ctx context.Context, s store.Store, run string, at time.Time, body json.RawMessage) (id string, err error) {
	panic("")
}

// Take lists what waits in the inbox, oldest first. Messages stay until Ack.
func Take(ctx context.Context, s store.Store, run string) ([]Message, error) { panic("") }

// Ack removes a message. To remove one that is gone is no error.
func Ack(ctx context.Context, s store.Store, run, id string) error { panic("") }
