package drive

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/journal/witness"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// NewerError means that a run was written by a runner that knows more than this
// one. Nothing of it is left out to read the rest.
type NewerError struct {
	Run             string
	Segment, Record int
	// Writer is the version that wrote the record; empty when it is not known.
	Writer string
	Err    error
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("run %s was written by a newer runner: in segment %d, record %d, %s", e.Run, e.Segment, e.Record, e.Err)
}

// Unwrap implements errors.
func (e *NewerError) Unwrap() error { return e.Err }

// Advice is the way out, for people.
func (e *NewerError) Advice() string {
	if e.Writer == "" {
		return "Nothing was changed. Use the version of runner that wrote it, or a later one."
	}
	return fmt.Sprintf("Nothing was changed. It was written by runner %s; use that version or a later one for this run.", e.Writer)
}

// samePlan makes sure that the plan is the one that opened the run.
func samePlan(rec runs.Record, p *plan.Plan) error {
	if p.Digest() == rec.PlanDigest {
		return nil
	}
	return &journal.DamageError{Run: rec.ID, Key: "its plan", What: fmt.Sprintf("is %s, and the run was opened with %s", p.Digest(), rec.PlanDigest)}
}

// Fold reads a record and folds it.
func Fold(s *kernel.State, raw json.RawMessage) (kernel.Event, error) {
	var ev kernel.Event
	if err := json.Unmarshal(raw, &ev); err != nil {
		return ev, err
	}
	return ev, s.Evolve(ev)
}

// Ends compares the end of a journal with those who saw it: the record of a run that
// is closed, and this machine. Tell it of every segment that was read, then Check.
type Ends struct {
	rec    runs.Record
	writer string
	seen   journal.Head // the zero Head when nothing is known
	// same is set once the segment that was seen has been passed.
	same bool
	last journal.Head
}

// NewEnds looks into dir for what this machine saw.
func NewEnds(dir string, rec runs.Record) *Ends {
	e := &Ends{rec: rec, writer: rec.Versions["runner"]}
	if !rec.Closed.IsZero() {
		e.seen = rec.Journal
	} else if seen, err := witness.Read(dir, rec.ID); err == nil {
		// A witness that cannot be read knows nothing; runner doctor tells of it.
		e.seen = seen
	}
	return e
}

// Begin is where reading begins: a snapshot behind what was seen vouches for it.
func (e *Ends) Begin(h journal.Head) {
	e.last = h
	e.same = h == e.seen || h.Number > e.seen.Number
}

// Pass is the next segment.
func (e *Ends) Pass(h journal.Head) {
	e.last = h
	e.same = e.same || h == e.seen
}

// Check says what is wrong once all segments were passed: a *journal.DamageError.
func (e *Ends) Check() error {
	damaged := func(n int, format string, args ...any) error {
		return &journal.DamageError{Run: e.rec.ID, Segment: n, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case e.seen.Number > e.last.Number:
		return damaged(e.last.Number+1, "is missing, though it was written: the journal had %d segments", e.seen.Number)
	case e.seen.Number > 0 && !e.same:
		return damaged(e.seen.Number, "is another than the one that was written")
	case !e.rec.Closed.IsZero() && e.seen.Number > 0 && e.last.Number > e.seen.Number:
		return damaged(e.seen.Number+1, "was written after the run had ended")
	}
	return nil
}

// Explain says which record is at fault, and notes who wrote it.
func (e *Ends) Explain(segment, record int, err error) error {
	if newer, ok := errors.AsType[*kernel.NewerError](err); ok {
		return &NewerError{Run: e.rec.ID, Segment: segment, Record: record, Writer: e.writer, Err: newer}
	}
	return &journal.DamageError{Run: e.rec.ID, Segment: segment, What: fmt.Sprintf("has the record %d that cannot follow what came before: %s", record, err)}
}

// Wrote notes the version that a run was opened or resumed with, also where the rest
// of the fact is not understood.
func (e *Ends) Wrote(raw json.RawMessage) {
	if !strings.HasPrefix(string(raw), `{"t":"run.`) {
		return
	}
	var fact struct {
		D struct{ Runner string }
	}
	if json.Unmarshal(raw, &fact) == nil && fact.D.Runner != "" {
		e.writer = fact.D.Runner
	}
}
