package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/bind"
	"github.com/runner-pipelines/runner/core/journal"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/diag"
	"github.com/runner-pipelines/runner/sdk/host"
	"github.com/runner-pipelines/runner/sdk/strategy"
)

// How long the plugin may take. A target says for itself how long an install
// takes; these bound calls that hang.
const (
	askTimeout     = 5 * time.Second
	observeTimeout = 2 * time.Minute
	measureTimeout = time.Minute
	weightTimeout  = 10 * time.Minute
	installTimeout = time.Hour
	// cancelGrace is how long a cancelled call may take to end by itself.
	cancelGrace = 10 * time.Second
)

// job is a command with what of the state it needs, taken when it was issued.
type job struct {
	kernel.Command
	node     *program.Node
	snapshot strategy.Snapshot
	judging  judging
	planned  *kernel.NodePlanned
	of       kernel.InFlight
	result   []byte
	// candidate and stable are the releases that Verify speaks of.
	candidate, stable []byte
	// now is by the clock of those who measure, for PlanNode.
	now time.Time
}

// dispatch hands a durable command to a goroutine of its own.
func (e *Engine) dispatch(ctx context.Context, c kernel.Command) {
	if c.Kind == kernel.Cancel {
		if cancel := e.cancels[c.Of]; cancel != nil {
			cancel(errCancelled)
		}
		return
	}
	j := job{Command: c}
	j.node, _ = e.Program.Node(c.Node)
	j.planned = e.State.Planned(c.Node)
	switch c.Kind {
	case kernel.PlanNode:
		j.now = e.time().Time().Add(-e.clock.Ahead())
	case kernel.AskStrategy:
		j.snapshot, _ = e.State.Snapshot(c.Node)
	case kernel.Measure:
		j.judging = e.judging(c)
	case kernel.Reconcile:
		j.of, j.result = e.handles[c.Of], e.State.Result(c.Node)
	case kernel.UndoAction:
		j.result = e.State.Result(c.Node)
	case kernel.Verify:
		j.candidate, j.stable = e.State.Releases(c.Node, c.Target)
	}
	if c.Kind == kernel.RunAction || c.Kind == kernel.UndoAction {
		e.handles[c.ID] = kernel.InFlight{Command: c}
	}
	callCtx, cancel := context.WithCancelCause(ctx)
	e.cancels[c.ID] = cancel
	e.pending++
	go func() {
		fact := e.fit(j, e.carryOut(callCtx, j))
		cancel(nil)
		e.results <- message{fact: fact, ends: j.ID}
	}()
}

// errCancelled is the cause of a context that a Cancel command ended.
var errCancelled = errors.New("cancelled")

// carryOut does one command and returns the fact that ends it. A panic of ours
// must not take the run down: it is a failure like any other.
func (e *Engine) carryOut(ctx context.Context, j job) (fact kernel.Fact) {
	defer func() {
		if r := recover(); r != nil {
			e.Slog.Error("panic", "command", j.ID, "kind", j.Kind, "value", r)
			fact = kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Internal error", Detail: e.redact(fmt.Sprint(r))}}
		}
	}()
	switch j.Kind {
	case kernel.PlanNode:
		return e.planNode(ctx, j)
	case kernel.RunAction:
		return e.runAction(ctx, j)
	case kernel.UndoAction:
		return e.undoAction(ctx, j)
	case kernel.Reconcile:
		return e.reconcile(ctx, j)
	case kernel.AskStrategy:
		return e.askStrategy(ctx, j)
	case kernel.Measure:
		return e.measure(ctx, j)
	case kernel.Verify:
		return e.verify(ctx, j)
	case kernel.Observe, kernel.Install, kernel.Scale, kernel.SetWeight, kernel.Settle, kernel.Retire:
		return e.targetCommand(ctx, j)
	case kernel.TakeLock, kernel.FreeLock:
		return e.lockCommand(ctx, j)
	}
	return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{Summary: "Unknown command", Detail: string(j.Kind)}}
}

// failed is the fact for an error of a call: lost when nobody knows what became
// of it, else a failure with what the plugin said.
func (e *Engine) failed(ctx context.Context, j job, plugin host.Plugin, err error, where hcl.Range, logs string) kernel.Fact {
	var p *diag.Problem
	cancelled := ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)
	fault := host.Explain(err, componentOf(j))
	switch {
	case errors.As(err, &p):
		f := kernel.CommandFailed{Command: j.ID, Logs: logs, Failure: e.failure(p, where)}
		if cancelled && !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			f.Failure.Cancelled = true
		}
		return f
	case errors.Is(err, host.ErrProtocol):
		return kernel.CommandFailed{Command: j.ID, Logs: logs, Failure: e.failure(fault, where)}
	case cancelled, errors.Is(err, host.ErrLost):
		e.seeOff(plugin)
		if cause := context.Cause(ctx); errors.Is(cause, errCancelled) || errors.Is(cause, errNow) {
			return kernel.CommandFailed{Command: j.ID, Logs: logs, Failure: kernel.Failure{
				Summary: "Cancelled", Detail: "The operation did not end in time and its process was ended.", Cancelled: true,
			}}
		}
		return kernel.CommandLost{Command: j.ID, Why: e.redact(lostWhy(ctx, fault))}
	}
	return kernel.CommandFailed{Command: j.ID, Logs: logs, Failure: kernel.Failure{
		Summary: "Operation failed", Detail: e.redact(err.Error()), Where: where.String(),
	}}
}

// lostWhy is what is known of a loss, for people.
func lostWhy(ctx context.Context, fault *diag.Problem) string {
	if fault != nil {
		return fault.Diagnostics[0].Detail
	}
	if cause := context.Cause(ctx); cause == nil || errors.Is(cause, context.DeadlineExceeded) {
		return "it did not answer in time"
	}
	return ""
}

// componentOf is what a command was asked of.
func componentOf(j job) string {
	if j.node == nil {
		return string(j.Kind)
	}
	switch j.Kind {
	case kernel.AskStrategy:
		return j.node.Strategy.Entry.Name
	case kernel.Verify:
		return slotNamed(j.node.Verifies, j.Command.Verify).Entry.Name
	case kernel.Observe, kernel.Install, kernel.Scale, kernel.SetWeight, kernel.Settle, kernel.Retire:
		return slotNamed(j.node.Targets, j.Target).Entry.Name
	case kernel.Measure:
		return "the metrics"
	case kernel.UndoAction:
		if j.node.Rollback != nil {
			return j.node.Rollback.Entry.Name
		}
	}
	if j.node.Action != nil {
		return j.node.Action.Entry.Name
	}
	return "the stage's targets"
}

// fit refuses what is too large for the journal: an answer of a plugin must not
// end the run.
func (e *Engine) fit(j job, fact kernel.Fact) kernel.Fact {
	b, err := kernel.Event{At: 1, Fact: fact}.Encode()
	switch {
	case err != nil:
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{
			Summary: "Answer cannot be kept", Detail: e.redact(fmt.Sprintf("What %s answered cannot be written down: %v.", componentOf(j), err)),
		}}
	case len(b) > journal.MaxRecord-recordMargin:
		return kernel.CommandFailed{Command: j.ID, Failure: kernel.Failure{
			Summary: "Answer too large", Detail: fmt.Sprintf("What %s answered has %d bytes in the journal; at most %d are kept. Hand larger things on as an artifact (produces).", componentOf(j), len(b), journal.MaxRecord-recordMargin),
		}}
	}
	return fact
}

// recordMargin is for what stands around a fact.
const recordMargin = 1 << 10

// seeOff makes sure that a process is gone before anything is built on its
// absence. One that hangs is taken out of use first; its other calls get a grace.
func (e *Engine) seeOff(p host.Plugin) {
	if p == nil {
		return
	}
	select {
	case <-p.Done():
		return
	default:
	}
	e.Plugins.Quarantine(p, cancelGrace)
	select {
	case <-p.Done():
	case <-time.After(2 * cancelGrace):
		p.Stop(0)
		<-p.Done()
	}
}

// failure turns a plugin's words into what the journal keeps.
func (e *Engine) failure(p *diag.Problem, where hcl.Range) kernel.Failure {
	f := kernel.Failure{Where: where.String(), After: kernel.Time(p.After.Milliseconds())}
	for _, d := range p.Diagnostics {
		if d.Severity == diag.Warning {
			continue
		}
		if f.Summary == "" {
			f.Summary, f.Detail, f.Code = e.redact(d.Summary), e.redact(d.Detail), e.redact(d.Code)
		} else {
			f.Detail += "\n" + e.redact(d.Summary+": "+d.Detail)
		}
	}
	if f.Summary == "" {
		f.Summary = "Operation failed"
	}
	switch p.Retry {
	case diag.Safe:
		f.Retry = "safe"
	case diag.Later:
		f.Retry = "after"
	}
	switch p.Effect {
	case diag.None:
		f.Effect = "none"
	case diag.Done:
		f.Effect = "done"
	}
	return f
}

// startAgain marks the diagnostic of a process that may start at another try.
type startAgain struct{}

// notStarted places the error of a process that did not start.
func notStarted(err error, bound *bind.Bound, at hcl.Range) hcl.Diagnostics {
	diags := plan.Problem(err, bound, at)
	var p *diag.Problem
	if len(diags) > 0 && (!errors.As(err, &p) || p.Retry != diag.Never) {
		diags[0].Extra = startAgain{}
	}
	return diags
}

// misconfigured is the fact for configuration that cannot be bound.
func (e *Engine) misconfigured(j job, diags hcl.Diagnostics) kernel.Fact {
	f := kernel.Failure{Summary: "Configuration cannot be evaluated", Effect: "none"}
	for i, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		if f.Where == "" && d.Subject != nil {
			f.Where = d.Subject.String()
		}
		if _, again := d.Extra.(startAgain); again {
			f.Retry = "safe"
		}
		if i == 0 || f.Detail == "" {
			f.Summary, f.Detail = e.redact(d.Summary), e.redact(d.Detail)
		}
	}
	return kernel.CommandFailed{Command: j.ID, Failure: f}
}

func (e *Engine) redact(s string) string { return e.Redactor.Redact(s) }
