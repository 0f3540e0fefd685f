package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/runner-pipelines/runner/core/internal/strict"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

func (RunOpened) FactType() string         { return "run.opened" }
func (RunResumed) FactType() string        { return "run.resumed" }
func (RunUnwatched) FactType() string      { return "run.unwatched" }
func (RunStopping) FactType() string       { return "run.stopping" }
func (RunUnwinding) FactType() string      { return "run.unwinding" }
func (RunClosed) FactType() string         { return "run.closed" }
func (LockTaken) FactType() string         { return "lock.taken" }
func (LockFreed) FactType() string         { return "lock.freed" }
func (NodeStarted) FactType() string       { return "node.started" }
func (NodePlanned) FactType() string       { return "node.planned" }
func (NodeSettled) FactType() string       { return "node.settled" }
func (NodeUndoing) FactType() string       { return "node.undoing" }
func (NodeUndone) FactType() string        { return "node.undone" }
func (CommandIssued) FactType() string     { return "command.issued" }
func (CommandHandled) FactType() string    { return "command.handled" }
func (CommandSucceeded) FactType() string  { return "command.succeeded" }
func (CommandFailed) FactType() string     { return "command.failed" }
func (CommandLost) FactType() string       { return "command.lost" }
func (CommandReconciled) FactType() string { return "command.reconciled" }
func (TimerSet) FactType() string          { return "timer.set" }
func (TimerDropped) FactType() string      { return "timer.dropped" }
func (TimerFired) FactType() string        { return "timer.fired" }
func (GateOpened) FactType() string        { return "gate.opened" }
func (GateAnswered) FactType() string      { return "gate.answered" }
func (GateClosed) FactType() string        { return "gate.closed" }
func (RolloutOpened) FactType() string     { return "rollout.opened" }
func (WaveEntered) FactType() string       { return "wave.entered" }
func (Decided) FactType() string           { return "decision.made" }
func (Judged) FactType() string            { return "verdict.reached" }
func (Verified) FactType() string          { return "verified" }
func (TargetObserved) FactType() string    { return "target.observed" }
func (RolloutAborting) FactType() string   { return "rollout.aborting" }
func (RolloutHalted) FactType() string     { return "rollout.halted" }
func (RolloutParked) FactType() string     { return "rollout.parked" }
func (RolloutSettling) FactType() string   { return "rollout.settling" }
func (TargetLeft) FactType() string        { return "target.left" }
func (RolloutClosed) FactType() string     { return "rollout.closed" }
func (Noted) FactType() string             { return "noted" }

// Facts is a zero value of every type of fact.
func Facts() []Fact {
	return []Fact{
		RunOpened{}, RunResumed{}, RunUnwatched{}, RunStopping{}, RunUnwinding{}, RunClosed{}, LockTaken{}, LockFreed{},
		NodeStarted{}, NodePlanned{}, NodeSettled{}, NodeUndoing{}, NodeUndone{}, CommandIssued{}, CommandHandled{}, CommandSucceeded{},
		CommandFailed{}, CommandLost{}, CommandReconciled{}, TimerSet{}, TimerDropped{}, TimerFired{},
		GateOpened{}, GateAnswered{}, GateClosed{}, RolloutOpened{}, WaveEntered{}, Decided{}, Judged{},
		Verified{}, TargetObserved{}, RolloutAborting{}, RolloutHalted{}, RolloutParked{}, RolloutSettling{},
		TargetLeft{}, RolloutClosed{}, Noted{},
	}
}

var factTypes = func() map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, f := range Facts() {
		types[f.FactType()] = reflect.TypeOf(f)
	}
	return types
}()

// FactFormat counts the forms that facts have had. It grows whenever a fact gets
// another field or there is another fact: earlier runners then refuse the journal,
// and this one goes on reading all that came before. Runs of every format are kept in
// core/cli/testdata/frozen.
const FactFormat = 2

// FactTypes are the names of all facts, sorted.
func FactTypes() []string { return slices.Sorted(maps.Keys(factTypes)) }

type envelope struct {
	Type string          `json:"t"`
	At   Time            `json:"at"`
	Data json.RawMessage `json:"d"`
}

// Encode writes {"t": type, "at": milliseconds, "d": fact}.
func (e Event) Encode() (json.RawMessage, error) {
	data, err := json.Marshal(e.Fact)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(data)+64)
	b = append(b, `{"t":"`...)
	b = append(b, e.Fact.FactType()...)
	b = append(b, `","at":`...)
	b = strconv.AppendInt(b, int64(e.At), 10)
	b = append(b, `,"d":`...)
	b = append(b, data...)
	return append(b, '}'), nil
}

// MarshalJSON is Encode.
func (e Event) MarshalJSON() ([]byte, error) { return e.Encode() }

// NewerError means that a fact says what this version of the runner does not
// know. It is never dropped: a later version wrote it.
type NewerError struct {
	// What is not known, such as `fact "node.paused"`.
	What string
}

func (e *NewerError) Error() string { return e.What + " is not known to this runner" }

// UnmarshalJSON reads what MarshalJSON wrote. A type, a field or a word that it
// does not know is a *NewerError.
func (e *Event) UnmarshalJSON(b []byte) error {
	var env envelope
	if err := strict.Unmarshal(b, &env); err != nil {
		return newer("event", err)
	}
	typ, ok := factTypes[env.Type]
	if !ok {
		return &NewerError{What: fmt.Sprintf("fact %q", env.Type)}
	}
	v := reflect.New(typ)
	if err := strict.Unmarshal(env.Data, v.Interface()); err != nil {
		return newer("fact "+env.Type, err)
	}
	fact := v.Elem().Interface().(Fact)
	if word := unknownWord(fact); word != "" {
		return &NewerError{What: fmt.Sprintf("the word %q in fact %s", word, env.Type)}
	}
	*e = Event{At: env.At, Fact: fact}
	return nil
}

func newer(what string, err error) error {
	if f, ok := errors.AsType[*strict.FieldError](err); ok {
		return &NewerError{What: fmt.Sprintf("the field %q of %s", f.Field, what)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// unknownWord finds a word, out of a closed list, that stands for something that
// this version cannot do; taking it for something else would be worse than to stop.
func unknownWord(fact Fact) string {
	switch f := fact.(type) {
	case CommandIssued:
		return unlessOneOf(f.Kind, PlanNode, RunAction, UndoAction, Observe, Install, Scale, SetWeight, Settle, Retire,
			AskStrategy, Measure, Verify, TakeLock, FreeLock, Reconcile, Cancel)
	case RunStopping:
		return unlessOneOf(f.Mode, StopAfter, StopNow)
	case RunClosed:
		return unlessOneOf(f.Outcome, outcomes...)
	case NodeSettled:
		return unlessOneOf(f.Outcome, outcomes...)
	case RolloutAborting:
		return unlessOneOf(f.Outcome, outcomes...)
	case GateOpened:
		return unlessOneOf(f.Kind, ApprovalGate, DoubtGate, EvidenceGate, BudgetGate)
	case Decided:
		for _, c := range f.Changes {
			if word := unlessOneOf(c.Kind, strategy.Install, strategy.SetWeight, strategy.Retire); word != "" {
				return word
			}
		}
	}
	return ""
}

var outcomes = []Outcome{Succeeded, Failed, Skipped, NotRun, Rejected, RolledBack, RollbackFailed, Cancelled}

// unlessOneOf is the word, unless it is known.
func unlessOneOf[S ~string](word S, known ...S) string {
	if slices.Contains(known, word) {
		return ""
	}
	return string(word)
}
