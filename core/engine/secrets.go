package engine

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/seal"
	"github.com/runner-pipelines/runner/sdk/call"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// What a plugin wants given back, and what only it understands, may hold
// anything: handles are always sealed, memory where a secret is in it, and a
// version of the world is then known by its hash.

// handled is the fact for an early handle. Its ID is for people.
func (e *Engine) handled(j job, h call.Handle) kernel.CommandHandled {
	plain, _ := json.Marshal(h) // text and bytes cannot fail
	return kernel.CommandHandled{Command: j.ID, ID: e.redact(h.ID), Opaque: e.Key.Seal(plain, e.place(j.Node, handleName(j.ID)))}
}

// handle is what the plugin gets back; nil when it gave none.
func (e *Engine) handle(of kernel.InFlight) (*call.Handle, error) {
	if of.HandleID == "" && len(of.Handle) == 0 {
		return nil, nil
	}
	h := &call.Handle{ID: of.HandleID, Opaque: of.Handle}
	if !seal.Sealed(of.Handle) {
		return h, nil // written before handles were sealed
	}
	plain, err := e.Key.Open(of.Handle, e.place(of.Node, handleName(of.ID)))
	if err != nil {
		return nil, err
	}
	return h, json.Unmarshal(plain, h)
}

func handleName(command int64) string { return fmt.Sprintf("handle of command %d", command) }

// remember seals a strategy's memory when a secret is in it.
func (e *Engine) remember(j job, memory []byte) []byte {
	if text := string(memory); e.redact(text) == text {
		return memory
	}
	return e.Key.Seal(memory, e.place(j.Node, "memory of the strategy"))
}

// recall is the inverse of remember.
func (e *Engine) recall(j job, memory []byte) ([]byte, error) {
	if !seal.Sealed(memory) {
		return memory, nil
	}
	plain, err := e.Key.Open(memory, e.place(j.Node, "memory of the strategy"))
	if errors.Is(err, seal.ErrDamaged) {
		return memory, nil // the strategy's own bytes, which only begin alike
	}
	return plain, err
}

// decided is what a strategy said, without secrets. Names are among it, too: one
// with a secret in it names nothing.
func (e *Engine) decided(j job, d strategy.Decision) strategy.Decision {
	for _, text := range []*string{&d.Why, &d.Abort, &d.StepTitle, &d.StepID, &d.Wait.Approval, &d.Wait.Verification} {
		*text = e.redact(*text)
	}
	for i := range d.Changes {
		d.Changes[i].Target = e.redact(d.Changes[i].Target)
	}
	d.Memory = e.remember(j, d.Memory)
	return d
}

// world is a version of the world as it may stand in the journal.
func (e *Engine) world(version string) string {
	return plan.WorldVersion(e.Redactor, e.Plan.Lineage, version)
}
