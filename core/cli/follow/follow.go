// Package follow reads a run bit by bit while another process writes it.
package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Every is how often a run is looked at.
const Every = 250 * time.Millisecond

// Run is a run that is followed.
type Run struct {
	w     *workspace.Workspace
	rec   runs.Record
	state *kernel.State
	head  journal.Head
	open  []command
}

type command struct {
	kernel.Command
	cursor *logs.Cursor
	over   bool
}

// From follows a run from where its history ends; of the commands that are
// under way then, the whole log is told.
func From(w *workspace.Workspace, rec runs.Record, past *drive.History) *Run {
	r := &Run{w: w, rec: rec, state: past.State, head: past.Head}
	for _, c := range past.State.InFlight() {
		r.issued(c.Command)
	}
	return r
}

// State is where the run stands after the last Poll.
func (r *Run) State() *kernel.State { return r.state }

func (r *Run) issued(c kernel.Command) {
	r.open = append(r.open, command{Command: c, cursor: logs.NewCursor(r.rec.ID, strconv.FormatInt(c.ID, 10))})
}

// Poll tells what is new: events in the order of the journal, then log lines.
func (r *Run) Poll(ctx context.Context, event func(kernel.Event), line func(kernel.Command, logs.Line)) error {
	for seg, err := range journal.Read(ctx, r.w.Store, r.rec.ID, r.head) {
		if err != nil {
			return err
		}
		for i, raw := range seg.Records {
			var ev kernel.Event
			err := json.Unmarshal(raw, &ev)
			if err == nil {
				err = r.state.Evolve(ev)
			}
			if err != nil {
				return fmt.Errorf("journal of run %s: segment %d, record %d: %w", r.rec.ID, seg.Number, i, err)
			}
			r.note(ev.Fact)
			event(ev)
		}
		r.head = seg.Head
	}
	for i := range r.open {
		for l, err := range r.open[i].cursor.Next(ctx, r.w.Store) {
			if err != nil {
				return err
			}
			line(r.open[i].Command, l)
		}
	}
	r.open = slices.DeleteFunc(r.open, func(c command) bool { return c.over })
	return nil
}

func (r *Run) note(f kernel.Fact) {
	switch f := f.(type) {
	case kernel.CommandIssued:
		r.issued(f.Command)
	case kernel.CommandSucceeded:
		r.over(f.Command)
	case kernel.CommandFailed:
		r.over(f.Command)
	case kernel.CommandLost:
		r.over(f.Command)
	case kernel.Verified:
		r.over(f.Command)
	case kernel.Judged:
		r.over(f.Command)
	}
}

func (r *Run) over(id int64) {
	for i := range r.open {
		r.open[i].over = r.open[i].over || r.open[i].ID == id
	}
}

// End is why a run is followed no further.
type End int

const (
	// Closed: the run has ended.
	Closed End = iota
	// Left: nobody drives the run any more.
	Left
	// Interrupted: the person who watches has seen enough.
	Interrupted
)

// Watch polls until the run is closed, its process has left, or somebody interrupts.
func (r *Run) Watch(ctx context.Context, interrupts <-chan os.Signal, event func(kernel.Event), line func(kernel.Command, logs.Line)) (End, error) {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	for {
		// Who has left before the last look wrote nothing after it.
		driven, err := drive.Live(ctx, r.w, r.rec)
		if err != nil {
			return 0, err
		}
		if err := r.Poll(ctx, event, line); err != nil {
			return 0, err
		}
		switch {
		case r.state.Outcome() != "":
			return Closed, nil
		case !driven:
			return Left, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-interrupts:
			return Interrupted, nil
		case <-tick.C:
		}
	}
}
