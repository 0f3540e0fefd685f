package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/runner-pipelines/runner/core/journal/inbox"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/store"
)

// Post is what another process asks of a run. Exactly one field is set.
type Post struct {
	Answer *kernel.GateAnswered `json:"answer,omitempty"`
	Unwind *kernel.RunUnwinding `json:"unwind,omitempty"`
	Note   *kernel.Noted        `json:"note,omitempty"`
}

// Send leaves a post for the process that drives the run, now or later.
func Send(ctx context.Context, s store.Store, run string, at time.Time, p Post) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = inbox.Post(ctx, s, run, at, body)
	return err
}

type inboxFact struct {
	id   string
	fact kernel.Fact
	// at is when it was posted, as the poster's clock says.
	at      time.Time
	durable chan error
}

// watchInbox brings posts to the owner of the state and removes them once they
// are in the journal. One that comes again after a crash changes nothing: a person
// counts once, and a run is taken back once.
func (e *Engine) watchInbox(ctx context.Context) {
	tick := time.NewTicker(e.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		posted, err := e.readInbox(ctx)
		if err != nil {
			if ctx.Err() == nil {
				e.Slog.Warn("inbox not read", "error", err)
			}
			continue
		}
		for _, p := range posted {
			p.durable = make(chan error, 1)
			select {
			case e.inbox <- []inboxFact{p}:
			case <-ctx.Done():
				return
			}
			select {
			case err := <-p.durable:
				if err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
			e.ack(ctx, []inboxFact{p})
		}
	}
}

// readInbox reads what waits; what cannot be understood becomes a remark.
func (e *Engine) readInbox(ctx context.Context) ([]inboxFact, error) {
	messages, err := inbox.Take(ctx, e.Store, e.Config.Run.ID)
	if err != nil {
		return nil, err
	}
	var out []inboxFact
	for _, m := range messages {
		fact, err := e.factOf(m)
		if err != nil {
			fact = kernel.Noted{By: "runner", Text: fmt.Sprintf("a message in the inbox was not understood: %s", err)}
		}
		out = append(out, inboxFact{id: m.ID, fact: fact, at: m.At})
	}
	return out, nil
}

// ack removes messages that are in the journal.
func (e *Engine) ack(ctx context.Context, posted []inboxFact) {
	for _, p := range posted {
		if err := inbox.Ack(ctx, e.Store, e.Config.Run.ID, p.id); err != nil {
			e.Slog.Warn("inbox not cleared", "error", err)
		}
	}
}

func (e *Engine) factOf(m inbox.Message) (kernel.Fact, error) {
	if m.Damage != nil {
		return nil, m.Damage
	}
	var p Post
	if err := json.Unmarshal(m.Body, &p); err != nil {
		return nil, err
	}
	switch {
	case p.Answer != nil:
		if _, ok := e.Program.Node(p.Answer.Node); !ok {
			return nil, fmt.Errorf("no stage %s in this run", p.Answer.Node)
		}
		return *p.Answer, nil
	case p.Unwind != nil:
		return *p.Unwind, nil
	case p.Note != nil:
		return kernel.Noted{By: p.Note.By, Text: e.redact(p.Note.Text)}, nil
	}
	return nil, fmt.Errorf("it asks for nothing")
}
