package drive

import (
	"context"
	"errors"
	"fmt"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/engine"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/spool"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
	"github.com/runner-pipelines/runner/core/store/sqlite"
)

// errDriven means that the run's spool belongs to the process that drives it now.
var errDriven = errors.New("another process drives the run")

// recovered opens the spool of a run and brings what an earlier process left in it
// to the store. Where that cannot be done now, away says why, and the spool has
// what the store lacks. Mine says that the caller holds the run's liveness lock.
func recovered(ctx context.Context, w *workspace.Workspace, rec runs.Record, mine bool) (s *spool.Spool, away, err error) {
	s, err = spool.Open(w.SpoolDir(), rec.ID)
	if err != nil || len(s.Items()) == 0 {
		return s, nil, err
	}
	if s.Torn() {
		fmt.Fprintf(w.Env.Stderr, "The last record in %s was cut off while it was written; it is left out.\n", s.Path())
	}
	if !mine {
		alive, err := AcquireAlive(ctx, w, rec.Alive, 0)
		if err != nil {
			return s, errDriven, nil
		}
		defer func() { _ = alive.Release() }()
	}
	_, err = journal.Join(ctx, w.Store, rec.ID, s.Items())
	var fork *journal.ForkError
	var damage *journal.DamageError
	switch {
	case errors.As(err, &fork), errors.As(err, &damage):
		return s, nil, err
	case err != nil:
		return s, err, nil
	}
	return s, nil, s.Remove()
}

// forked explains a spool that the journal has gone on without, or that is damaged.
func forked(err error, path string) error {
	var damage *journal.DamageError
	if errors.As(err, &damage) {
		return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
			"Error: Record is damaged\n\n%s. It has what the process did last, while the state could not be written. To go on from the journal, which ends before it, put the file aside; the targets are looked at again:\n  mv %s %s.kept\n  runner resume %s",
			command.Sentence(damage.Error()), path, path, damage.Run)}
	}
	var fork *journal.ForkError
	if !errors.As(err, &fork) {
		return err
	}
	return &command.ExitError{Code: command.Failed, Message: fmt.Sprintf(
		"Error: Run went on elsewhere\n\n%s. Nothing is lost: %s has what the process did that could not reach the state, the journal what was done since. Look at both; to go on from the journal, put the file aside first:\n  mv %s %s.kept\n  runner resume %s",
		command.Sentence(fork.Error()), path, path, path, fork.Run)}
}

// reserve makes room for the way back of a run that may need one.
func (d *driver) reserve() {
	for i := range d.plan.Graph.Nodes {
		if d.plan.Graph.Nodes[i].Kind == kernel.RolloutNode {
			if err := d.spool.Reserve(); err != nil {
				d.w.Slog().Warn("no room reserved for the way back", "error", err)
			}
			return
		}
	}
}

// letGo closes the spool; it stays while it has what the store lacks.
func (d *driver) letGo() {
	if len(d.spool.Items()) > 0 {
		_ = d.spool.Close()
		return
	}
	if err := d.spool.Remove(); err != nil {
		d.w.Slog().Warn("spool not removed", "error", err)
	}
}

// away tells of a run whose state could not be written.
func (d *driver) away(err *engine.AwayError, state *kernel.State) error {
	code := command.Failed
	for _, n := range state.Nodes() {
		if n.Outcome == kernel.RollbackFailed {
			code = command.RollbackFailed
		}
	}
	text := fmt.Sprintf("Error: State cannot be written\n\n%s. Nothing new was begun since%s.%s ", command.Sentence(err.Cause.Error()), wentBack(state), remedy(err.Cause))
	id := d.rec.ID
	switch {
	case err.Joined && state.Outcome() != "":
		return &command.ExitError{Code: code, Message: text + "Meanwhile it could be written again, and the journal has everything."}
	case err.Joined:
		text += fmt.Sprintf("Meanwhile it could be written again, and the journal has everything. Go on with:\n  runner resume %s", id)
	case err.Lost == nil:
		text += fmt.Sprintf("What was done is recorded in %s. Once the state can be written, go on with:\n  runner resume %s", err.Path, id)
	default:
		text += fmt.Sprintf("What was done is recorded nowhere (%s): the journal ends before it, and to resume would go forward from there. Once the state can be written, end the run with:\n  runner cancel %s", err.Lost, id)
	}
	return &command.ExitError{Code: code, Message: text}
}

func wentBack(state *kernel.State) string {
	for _, n := range state.Nodes() {
		switch {
		case n.Outcome == kernel.RollbackFailed:
			return ", and a way back failed: people are needed"
		case n.Rollout != nil && n.Outcome == kernel.RolledBack:
			return "; rollouts under way gave all traffic back to the stable release"
		}
	}
	return ""
}

func remedy(cause error) string {
	switch {
	case errors.Is(cause, sqlite.ErrFull):
		return " Make room on the disk."
	case errors.Is(cause, sqlite.ErrReadOnly):
		return " Make the folder writable."
	case errors.Is(cause, sqlite.ErrBusy):
		return " End the process that keeps it locked."
	}
	return ""
}
