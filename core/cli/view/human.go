package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/runner-pipelines/runner/core/cli/paint"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// Human writes plain lines, fit for a terminal and for a CI log.
type Human struct {
	mu       sync.Mutex
	out      io.Writer
	started  map[string]kernel.Time
	commands map[int64]kernel.Command
	verdicts map[string]strategy.VerdictValue
	aborted  map[string]kernel.Time
	zone     *time.Location
	style    paint.Style
}

// NewHuman writes to out, with times in the local zone.
func NewHuman(out io.Writer) *Human {
	return &Human{
		out: out, started: map[string]kernel.Time{}, commands: map[int64]kernel.Command{},
		verdicts: map[string]strategy.VerdictValue{}, aborted: map[string]kernel.Time{}, zone: time.Local,
	}
}

// Paint gives the plan its colours.
func (h *Human) Paint(s paint.Style) *Human {
	h.style = s
	return h
}

// Plan implements View.
func (h *Human) Plan(p *plan.Plan) {
	h.mu.Lock()
	defer h.mu.Unlock()
	WritePlan(h.out, p, h.style)
}

// Opened implements View.
func (h *Human) Opened(o Opening) { h.printf("\nRun %s\n", o.Run) }

// Close implements View.
func (h *Human) Close() {}

// Note implements View.
func (h *Human) Note(text string) { h.printf("%s\n", text) }

// Diagnostics implements View.
func (h *Human) Diagnostics(d hcl.Diagnostics, files map[string]*hcl.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = diagnostics.Write(h.out, diagnostics.Tidy(d), files)
	_ = diagnostics.WriteMore(h.out, diagnostics.Tidy(d))
}

func (h *Human) printf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, _ = fmt.Fprintf(h.out, format, args...)
}

// say writes one line about a node.
func (h *Human) say(at kernel.Time, node, format string, args ...any) {
	_, _ = fmt.Fprintf(h.out, "%s  %s  %s\n", at.Time().In(h.zone).Format("15:04:05"), node, fmt.Sprintf(format, args...))
}

// Log implements View.
func (h *Human) Log(c kernel.Command, l logs.Line) {
	if l.Level < 0 {
		return
	}
	name := c.Node
	if c.Target != "" && c.Target != "main" {
		name += " " + c.Target
	}
	h.printf("          %s | %s\n", name, l.Message)
}

// Event implements View.
func (h *Human) Event(e kernel.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer delete(h.commands, kernel.EndOf(e.Fact))
	switch f := e.Fact.(type) {
	case kernel.RunResumed:
		h.say(e.At, "run", "resumed by %s", f.Initiator)
	case kernel.RunUnwatched:
		h.say(e.At, "run", "nobody watched for %s: the machine slept, the process was stopped, or the clock was set forward", Span(time.Duration(f.Span)*time.Millisecond))
	case kernel.RunStopping:
		switch {
		case f.By != "signal":
		case f.Mode == kernel.StopNow:
			h.say(e.At, "run", "stopping now")
		default:
			h.say(e.At, "run", "stopping after what is under way; interrupt again to stop now")
		}
	case kernel.RunUnwinding:
		h.say(e.At, "run", "taken back by %s%s", f.By, because(f.Why))
	case kernel.LockTaken:
		h.say(e.At, "environment."+f.Env, "locked%s", because(f.Over))
	case kernel.NodeStarted:
		if _, again := h.started[f.Node]; !again {
			h.started[f.Node] = e.At
			h.say(e.At, f.Node, "started")
		}
	case kernel.NodeSettled:
		h.settled(e.At, f)
	case kernel.NodeUndoing:
		h.say(e.At, f.Node, "taking it back%s", because(f.Why))
	case kernel.NodeUndone:
		if f.OK {
			h.say(e.At, f.Node, "taken back")
		} else {
			h.say(e.At, f.Node, "could not be taken back%s", because(f.Why))
		}
	case kernel.GateOpened:
		h.say(e.At, f.Node, "waits for %s %q%s", f.Kind, f.Gate, because(f.Why))
	case kernel.GateClosed:
		h.say(e.At, f.Node, "%s", f.Why)
	case kernel.TargetLeft:
		h.say(e.At, f.Node, "%s", f.Why)
	case kernel.Noted:
		h.say(e.At, orRun(f.Node), "%s", f.Text)
	case kernel.CommandIssued:
		h.commands[f.ID] = f.Command
	case kernel.CommandSucceeded, kernel.CommandFailed, kernel.CommandLost, kernel.Verified:
		h.command(e.At, f)
	default:
		h.rollout(e.At, f)
	}
}

func orRun(node string) string {
	if node == "" {
		return "run"
	}
	return node
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (h *Human) settled(at kernel.Time, f kernel.NodeSettled) {
	took := ""
	if start, ok := h.started[f.Node]; ok {
		took = " in " + Span(time.Duration(at-start)*time.Millisecond)
	}
	words := map[kernel.Outcome]string{
		kernel.Succeeded: "done", kernel.Failed: "FAILED", kernel.Skipped: "skipped", kernel.NotRun: "not run",
		kernel.Rejected: "REJECTED", kernel.RolledBack: "ROLLED BACK", kernel.RollbackFailed: "ROLLBACK FAILED", kernel.Cancelled: "cancelled",
	}[f.Outcome]
	if f.Outcome == kernel.Skipped || f.Outcome == kernel.NotRun {
		took = ""
	}
	if strings.HasPrefix(f.Node, "environment.") {
		return
	}
	h.say(at, f.Node, "%s%s%s", words, took, because(f.Why))
}

func (h *Human) command(at kernel.Time, fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.CommandSucceeded:
		c := h.commands[f.Command]
		switch c.Kind {
		case kernel.Install:
			h.say(at, c.Node, "%s: release %s is ready%s", c.Target, c.Release, reachedAt(f.Address))
		case kernel.SetWeight:
			if c.Back {
				h.say(at, c.Node, "%s: all traffic is with the stable release again%s", c.Target, h.sinceAbort(at, c.Node))
			} else {
				h.say(at, c.Node, "%s: %s of the traffic is with %s", c.Target, c.Weight, c.Release)
			}
		case kernel.Settle:
			h.say(at, c.Node, "%s: %s is the stable release", c.Target, c.Release)
		case kernel.Retire:
			h.say(at, c.Node, "%s: %s retired", c.Target, c.Release)
		}
	case kernel.CommandFailed:
		c := h.commands[f.Command]
		if !f.Failure.Cancelled {
			h.say(at, orRun(c.Node+c.Env), "%s failed: %s%s", c.Kind, f.Failure.Summary, because(f.Failure.Detail))
		}
	case kernel.CommandLost:
		c := h.commands[f.Command]
		h.say(at, orRun(c.Node+c.Env), "%s: its process was lost%s", c.Kind, because(f.Why))
	case kernel.Verified:
		if f.OK {
			h.say(at, f.Node, "%s: verified %s", f.Target, f.Name)
		} else {
			h.say(at, f.Node, "%s: %s does not hold%s", f.Target, f.Name, because(f.Why))
		}
	}
}

func (h *Human) sinceAbort(at kernel.Time, node string) string {
	if t, ok := h.aborted[node]; ok {
		return fmt.Sprintf(" (%s after the decision)", Span(time.Duration(at-t)*time.Millisecond))
	}
	return ""
}

func reachedAt(address string) string {
	if address == "" {
		return ""
	}
	return " at " + address
}

func (h *Human) rollout(at kernel.Time, fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.NodePlanned:
		if f.Moved != "" {
			h.say(at, f.Node, "planned again: %s", f.Moved)
		}
		for _, t := range f.Targets {
			switch {
			case t.Stable == "":
				h.say(at, f.Node, "%s: first release %s", t.Name, t.Candidate)
			case t.Stable != t.Candidate:
				h.say(at, f.Node, "%s: %s → %s", t.Name, t.Stable, t.Candidate)
			}
		}
	case kernel.WaveEntered:
		h.say(at, f.Node, "wave %d", f.Wave+1)
	case kernel.Decided:
		if f.StepID != "" {
			h.say(at, f.Node, "step %s", f.StepTitle)
		}
	case kernel.Judged:
		h.judged(at, f)
	case kernel.RolloutParked:
		if f.On {
			h.say(at, f.Node, "all traffic waits with the stable release")
		}
	case kernel.RolloutAborting:
		h.aborted[f.Node] = at
		h.say(at, f.Node, "ABORT: %s", f.Why)
	case kernel.RolloutHalted:
		h.say(at, f.Node, "HALTED: %s", f.Why)
	case kernel.RolloutClosed:
		if f.Result == "promoted" {
			h.say(at, f.Node, "promoted")
		}
	}
}

// judged tells a verdict when it changes.
func (h *Human) judged(at kernel.Time, f kernel.Judged) {
	if f.Harm.Value == strategy.Fail {
		h.say(at, f.Node, "verdict: harm%s", because(f.Harm.Why))
		return
	}
	if h.verdicts[f.Node] != f.Step.Value {
		h.verdicts[f.Node] = f.Step.Value
		word := map[strategy.VerdictValue]string{strategy.Pass: "pass", strategy.Fail: "fail", strategy.Inconclusive: "not enough evidence yet"}[f.Step.Value]
		h.say(at, f.Node, "verdict: %s%s", word, because(f.Step.Why))
	}
}

// Summary implements View.
func (h *Human) Summary(s Summary) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.out
	// What follows from the ending is said behind how long it took.
	how, more := Ending(s), ""
	if i := strings.IndexAny(how, ";,"); i >= 0 {
		how, more = how[:i], how[i:]
	}
	_, _ = fmt.Fprintf(out, "\nRun %s: %s after %s%s\n", s.Run, how, Span(s.Elapsed), more)
	writeNodes(out, s.Nodes)
	for _, name := range slices.Sorted(maps.Keys(s.Outputs)) {
		_, _ = fmt.Fprintf(out, "  %s = %s\n", name, s.Outputs[name])
	}
	if len(s.Next) > 0 {
		_, _ = fmt.Fprintln(out, "\nNext:")
		for _, n := range s.Next {
			_, _ = fmt.Fprintf(out, "  %s\n", n)
		}
	}
}

// manyNodes is from how many stages on those that went well are only counted.
const manyNodes = 40

func writeNodes(out io.Writer, nodes []kernel.NodeView) {
	well := 0
	for _, n := range nodes {
		switch {
		case n.Kind == kernel.BarrierNode:
		case n.Outcome == kernel.Succeeded && len(nodes) > manyNodes:
			well++
		default:
			WriteNode(out, n)
		}
	}
	if well > 0 {
		_, _ = fmt.Fprintf(out, "  %d stages succeeded\n", well)
	}
}

// Ending says how a run left.
func Ending(s Summary) string {
	switch s.Idle {
	case string(kernel.WaitingForPeople):
		return "waits for people"
	case string(kernel.Halted):
		return "halted"
	case string(kernel.Stopped):
		return "interrupted; it can be resumed"
	case "abandoned":
		return "open, and nobody drives it"
	}
	return Words(s.Outcome)
}

// Words says an outcome for people.
func Words(outcome string) string {
	switch kernel.Outcome(outcome) {
	case kernel.RolledBack:
		return "rolled back"
	case kernel.RollbackFailed:
		return "ROLLBACK FAILED, people are needed"
	case kernel.NotRun:
		return "not run"
	case "":
		return "open"
	}
	return outcome
}

// WriteNode writes where one stage stands.
func WriteNode(out io.Writer, n kernel.NodeView) {
	state := n.Status
	if n.Outcome != "" {
		state = Words(string(n.Outcome))
	}
	_, _ = fmt.Fprintf(out, "  %-32s %s%s\n", n.ID, state, because(n.Why))
	for _, g := range n.Gates {
		if g.Open {
			_, _ = fmt.Fprintf(out, "      waits for %s %q: %d of %d%s\n", g.Kind, g.Name, g.Given, g.Required, from(g))
		}
	}
	if r := n.Rollout; r != nil && n.Outcome == "" {
		for _, t := range r.Targets {
			rest := ""
			if t.Stable != "" {
				rest = fmt.Sprintf(", %s with %s", target.Full-t.Weight, t.Stable)
			}
			_, _ = fmt.Fprintf(out, "      %s: %s of the traffic with %s%s\n", t.Name, t.Weight, t.Candidate, rest)
		}
	}
}

func from(g kernel.GateView) string {
	if len(g.From) == 0 {
		return ""
	}
	return fmt.Sprintf(" from %v", g.From)
}

// Span writes a duration as people read it.
func Span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
