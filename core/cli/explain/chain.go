package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

const full = target.Full

// teller turns facts into links.
type teller struct {
	links []Link
	// commands are those under way, lost those of which nobody knows the end.
	commands, lost map[int64]kernel.Command
	verdicts       map[string]strategy.VerdictValue
	kinds          map[string]kernel.GateKind
	started        map[string]bool
	rollouts       map[string]*kernel.Rollout
	at             time.Time
}

// chain tells all that matters, in the order in which it happened.
func chain(in Input) *teller {
	t := &teller{
		commands: map[int64]kernel.Command{}, lost: map[int64]kernel.Command{}, verdicts: map[string]strategy.VerdictValue{}, kinds: map[string]kernel.GateKind{},
		started: map[string]bool{}, rollouts: map[string]*kernel.Rollout{},
	}
	for i := range in.Graph.Nodes {
		t.rollouts[in.Graph.Nodes[i].ID] = in.Graph.Nodes[i].Rollout
	}
	for _, ev := range in.Events {
		t.at = ev.At.Time()
		t.fact(ev.Fact)
		if end := kernel.EndOf(ev.Fact); end != 0 {
			// What was lost may still be asked after.
			if _, lost := ev.Fact.(kernel.CommandLost); lost {
				t.lost[end] = t.commands[end]
			}
			delete(t.commands, end)
		}
	}
	return t
}

func (t *teller) add(role Role, node, format string, args ...any) {
	t.links = append(t.links, Link{At: t.at, Node: node, Role: role, Text: fmt.Sprintf(format, args...)})
}

// because adds a reason of which no link about the node has told the end already.
func (t *teller) because(node, why string) string {
	if why == "" {
		return ""
	}
	for tail := strings.TrimSuffix(why, "."); ; {
		for _, l := range t.links {
			if l.Node == node && l.Role != Event && strings.Contains(l.Text, tail) {
				return ""
			}
		}
		_, rest, more := strings.Cut(tail, ": ")
		if !more {
			return ": " + why
		}
		tail = rest
	}
}

func span(ms kernel.Time) string { return view.Span(time.Duration(ms) * time.Millisecond) }

func words(outcome string) string { return view.Words(outcome) }

func (t *teller) fact(fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.RunOpened:
		t.add(Event, "", "%s began the run", f.Initiator)
	case kernel.RunResumed:
		alone := ""
		if f.Unwatched > 0 {
			alone = fmt.Sprintf(", after %s in which nobody drove it", span(f.Unwatched))
		}
		t.add(Event, "", "%s resumed it on %s%s", f.Initiator, f.Host, alone)
	case kernel.RunUnwatched:
		t.add(Fault, "", "nobody watched for %s: the machine slept, the process was stopped, or the clock was set forward", span(f.Span))
	case kernel.RunStopping:
		t.stopping(f)
	case kernel.RunUnwinding:
		t.add(Answer, "", "%s had it taken back%s", f.By, t.because("", f.Why))
	case kernel.LockTaken:
		if f.Over != "" {
			t.add(Event, "", "it took environment %s: %s", f.Env, f.Over)
		}
	case kernel.CommandIssued:
		t.issued(f.Command)
	case kernel.CommandFailed, kernel.CommandLost, kernel.CommandReconciled, kernel.CommandSucceeded, kernel.Verified, kernel.Judged:
		t.result(f)
	case kernel.GateOpened, kernel.GateAnswered, kernel.GateClosed:
		t.gate(f)
	case kernel.Noted:
		if f.By == "runner" {
			t.add(Fault, f.Node, "%s", f.Text)
		} else {
			t.add(Event, f.Node, "%s%s", f.Text, by(f.By))
		}
	default:
		t.node(f)
	}
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return ", by " + who
}

func (t *teller) stopping(f kernel.RunStopping) {
	switch {
	case f.By == string(kernel.WaitingForPeople):
		t.add(Event, "", "its process left, as only people can make it go on")
	case f.By == string(kernel.Halted):
		t.add(Event, "", "its process left, as a rollout was halted")
	case f.By == "runner":
		t.add(Answer, "", "so its process stopped")
	case f.Mode == kernel.StopNow:
		t.add(Fault, "", "Ctrl-C or a signal stopped it at once")
	default:
		t.add(Fault, "", "Ctrl-C or a signal stopped it, once what was under way had ended")
	}
}

func (t *teller) node(fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.NodeStarted:
		if !t.started[f.Node] {
			t.started[f.Node] = true
			t.add(Event, f.Node, "its turn came")
		}
	case kernel.NodePlanned:
		if f.Moved != "" {
			t.add(Event, f.Node, "it was planned again: %s", f.Moved)
		}
		for _, tg := range f.Targets {
			if tg.Stable != "" && tg.Stable != tg.Candidate {
				t.add(Event, f.Node, "%s: %s is to take over from %s", tg.Name, tg.Candidate, tg.Stable)
			}
		}
	case kernel.NodeSettled:
		switch {
		case bad(f.Outcome):
			t.add(Answer, f.Node, "it ended %s%s", words(string(f.Outcome)), t.because(f.Node, f.Why))
		case f.Outcome == kernel.Succeeded:
			t.add(Event, f.Node, "it succeeded")
		default:
			t.add(Event, f.Node, "%s%s", words(string(f.Outcome)), t.because(f.Node, f.Why))
		}
	case kernel.NodeUndoing:
		t.add(Answer, f.Node, "it was taken back%s", t.because(f.Node, f.Why))
	case kernel.NodeUndone:
		if f.OK {
			t.add(Answer, f.Node, "it is undone")
		} else {
			t.add(Fault, f.Node, "it could not be undone: %s", f.Why)
		}
	case kernel.WaveEntered:
		if r := t.rollouts[f.Node]; r != nil && len(r.Waves) > 1 {
			t.add(Event, f.Node, "wave %d of %d began", f.Wave+1, len(r.Waves))
		}
	case kernel.Decided:
		if f.Abort != "" {
			t.add(Fault, f.Node, "its strategy gave up: %s", f.Abort)
		}
	case kernel.RolloutAborting:
		t.add(Answer, f.Node, "so the rollout was given up, and the way back began%s", t.because(f.Node, f.Why))
	case kernel.RolloutHalted:
		t.add(Answer, f.Node, "so the rollout was halted as it stood, as on_failure says%s", t.because(f.Node, f.Why))
	case kernel.RolloutParked:
		if f.On {
			t.add(Event, f.Node, "while people were waited for, all traffic went back to the stable release")
		}
	case kernel.TargetLeft:
		role := Event
		if f.Failed {
			role = Fault
		}
		t.add(role, f.Node, "%s: %s", f.Target, f.Why)
	case kernel.RolloutClosed:
		switch f.Result {
		case "promoted":
			t.add(Event, f.Node, "the new release was promoted")
		case "failed":
			t.add(Fault, f.Node, "the way back failed: people are needed%s", t.because(f.Node, f.Why))
		}
	}
}

// what says a command in the words of people.
func what(c kernel.Command) string {
	verb := map[kernel.CommandKind]string{
		kernel.PlanNode: "planning it", kernel.RunAction: "running it", kernel.UndoAction: "undoing it", kernel.Observe: "looking at the target",
		kernel.Install: "installing " + c.Release, kernel.Scale: "giving " + c.Release + " its capacity", kernel.SetWeight: fmt.Sprintf("giving %s to %s", c.Weight, c.Release),
		kernel.Settle: "making " + c.Release + " the stable release", kernel.Retire: "removing " + c.Release, kernel.AskStrategy: "asking the strategy",
		kernel.Measure: "measuring", kernel.Verify: fmt.Sprintf("verifying %q", c.Verify), kernel.TakeLock: "taking environment " + c.Env,
		kernel.FreeLock: "freeing environment " + c.Env, kernel.Reconcile: "asking what became of it",
	}[c.Kind]
	if verb == "" {
		verb = string(c.Kind)
	}
	if c.Target != "" && c.Target != "main" {
		verb = c.Target + ": " + verb
	}
	return verb
}

func (t *teller) issued(c kernel.Command) {
	t.commands[c.ID] = c
	if c.Attempt > 1 && c.Kind != kernel.Reconcile && c.Kind != kernel.Measure && c.Kind != kernel.AskStrategy {
		t.add(Answer, c.Node, "it was tried again, attempt %d", c.Attempt)
	}
}

func (t *teller) result(fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.CommandSucceeded:
		c := t.commands[f.Command]
		switch {
		case c.Kind == kernel.SetWeight && c.Back:
			t.add(Answer, c.Node, "%s: all traffic went back to the stable release", c.Target)
		case c.Kind == kernel.SetWeight:
			t.add(Event, c.Node, "%s: %s of the traffic went to %s", c.Target, c.Weight, c.Release)
		case c.Kind == kernel.Retire && c.Back:
			t.add(Answer, c.Node, "%s: %s was removed", c.Target, c.Release)
		}
	case kernel.CommandFailed:
		c := t.commands[f.Command]
		if f.Failure.Cancelled {
			t.add(Event, c.Node, "%s was cancelled", what(c))
			return
		}
		text := f.Failure.Summary
		if f.Failure.Where != "" {
			text += " (" + f.Failure.Where + ")"
		}
		if f.Failure.Detail != "" {
			text += ": " + strings.TrimSuffix(f.Failure.Detail, ".")
		}
		t.add(Fault, c.Node, "%s failed: %s", what(c), text)
	case kernel.CommandLost:
		c := t.commands[f.Command]
		t.add(Fault, c.Node, "%s: the process that did it was lost, and with it the answer%s", what(c), because(f.Why))
	case kernel.CommandReconciled:
		c := t.lost[f.Of]
		text := map[string]string{
			"not_started": "it had not happened", "running": "it was still going on", "done": "it had been done", "unknown": "it cannot tell",
		}[f.State]
		t.add(Answer, c.Node, "the plugin was asked what became of it: %s", text)
	case kernel.Verified:
		if !f.OK {
			t.add(Fault, f.Node, "%s: %q does not hold%s", f.Target, f.Name, because(f.Why))
		}
	case kernel.Judged:
		t.judged(f)
	}
}

// underWay are the commands that have not ended, oldest first.
func (t *teller) underWay(stage string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(t.commands)) {
		if c := t.commands[id]; c.Node != "" && (stage == "" || stage == c.Node) {
			out = append(out, c.Node+": "+what(c))
		}
	}
	return out
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func (t *teller) judged(f kernel.Judged) {
	if f.Harm.Value == strategy.Fail {
		if t.verdicts[f.Node] != strategy.Fail {
			t.add(Fault, f.Node, "the analysis found harm%s", because(f.Harm.Why))
		}
		t.verdicts[f.Node] = strategy.Fail
		return
	}
	if t.verdicts[f.Node] == f.Step.Value {
		return
	}
	t.verdicts[f.Node] = f.Step.Value
	switch f.Step.Value {
	case strategy.Pass:
		t.add(Event, f.Node, "the analysis found nothing against it")
	case strategy.Fail:
		t.add(Fault, f.Node, "the analysis speaks against the step%s", because(f.Step.Why))
	}
}

func (t *teller) gate(fact kernel.Fact) {
	switch f := fact.(type) {
	case kernel.GateOpened:
		t.kinds[f.Node+"\x00"+f.Gate] = f.Kind
		switch f.Kind {
		case kernel.DoubtGate:
			t.add(Answer, f.Node, "so people are asked%s", t.because(f.Node, f.Why))
		case kernel.EvidenceGate:
			t.add(Answer, f.Node, "so people are asked whether to go on without enough evidence%s", t.because(f.Node, f.Why))
		case kernel.BudgetGate:
			t.add(Answer, f.Node, "so people are asked whether it may start although an error budget is spent%s", t.because(f.Node, f.Why))
		default:
			t.add(Event, f.Node, "approval %q was asked for%s", f.Gate, t.because(f.Node, f.Why))
		}
	case kernel.GateAnswered:
		said, role := "said yes to", Event
		if !f.Yes {
			said, role = "said no to", Fault
		}
		comment := ""
		if f.Comment != "" {
			comment = fmt.Sprintf(", with the words %q", f.Comment)
		}
		t.add(role, f.Node, "%s %s %q%s", f.Who, said, f.Gate, comment)
	case kernel.GateClosed:
		role := Event
		if !f.Yes {
			role = Fault
		}
		if f.Yes || !strings.HasPrefix(f.Why, "rejected by ") {
			t.add(role, f.Node, "%s", f.Why)
		}
	}
}
