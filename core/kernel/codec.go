package kernel

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
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

// UnmarshalJSON reads what MarshalJSON wrote. A type it does not know is an
// error: the journal was written by a newer runner.
func (e *Event) UnmarshalJSON(b []byte) error {
	var env envelope
	if err := json.Unmarshal(b, &env); err != nil {
		return err
	}
	typ, ok := factTypes[env.Type]
	if !ok {
		return fmt.Errorf("fact type %q is not known to this runner; the journal was written by a newer one", env.Type)
	}
	v := reflect.New(typ)
	if err := json.Unmarshal(env.Data, v.Interface()); err != nil {
		return fmt.Errorf("fact %s: %w", env.Type, err)
	}
	*e = Event{At: env.At, Fact: v.Elem().Interface().(Fact)}
	return nil
}
