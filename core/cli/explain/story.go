package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Input is a run as its journal tells it.
type Input struct {
	Record runs.Record
	Graph  *kernel.Graph
	Events []kernel.Event
	Nodes  []kernel.NodeView
	// Idle is why an open run stands still; Live: a process drives it.
	Idle kernel.Idle
	Live bool
	// Stage is the address of the only stage to explain; empty for the run.
	Stage string
}

// Explanation is what happened, why, what that led to, and what can be done.
type Explanation struct {
	Run   string `json:"run"`
	Stage string `json:"stage,omitempty"`
	// Standing says in words how it ended, or where it stands.
	Standing string `json:"standing"`
	// Why is the cause in one sentence; empty when nothing went wrong.
	Why string `json:"why,omitempty"`
	// Chain is what happened, oldest first.
	Chain []Link `json:"chain"`
	// Judged are the verdicts of the analyses: the last one of each stage that is told, or
	// all of the stage that was asked for.
	Judged []Judged `json:"judged,omitempty"`
	// Led is what followed for others, and Stands how things are now.
	Led    []string  `json:"led,omitempty"`
	Stands []string  `json:"stands,omitempty"`
	Next   []Command `json:"next"`
}

// Role is what a link is in the chain.
type Role string

const (
	// Event happened as planned.
	Event Role = "event"
	// Fault is what went wrong or was said against it.
	Fault Role = "fault"
	// Answer is what runner did about it.
	Answer Role = "answer"
)

// Link is one thing that happened.
type Link struct {
	At   time.Time `json:"at"`
	Node string    `json:"node,omitempty"`
	Role Role      `json:"role"`
	Text string    `json:"text"`
}

// Command is what can be typed next, and what it does.
type Command struct {
	Line string `json:"line"`
	Does string `json:"does"`
}

// culprits is how many stages are told; the others are counted.
const culprits = 3

// Of explains a run or one of its stages.
func Of(in Input) *Explanation {
	x := &Explanation{Run: in.Record.ID, Stage: in.Stage, Chain: []Link{}}
	told, tell := toldNodes(in), chain(in)
	all := tell.links
	left := 0
	if len(told) > culprits {
		left = len(told) - culprits
	}
	if len(told) == 0 {
		// What went well in the end, but not at once.
		for _, l := range all {
			if l.Node != "" && l.Role == Fault && !slices.Contains(told, l.Node) {
				told = append(told, l.Node)
			}
		}
	}
	told = told[:min(culprits, len(told))]
	for _, l := range all {
		if l.Node == "" || slices.Contains(told, l.Node) {
			x.Chain = append(x.Chain, l)
		}
	}
	x.Judged = judged(in, told)
	x.Standing = standing(in)
	x.Why = why(in, told, x.Chain, tell)
	if left > 0 {
		x.Led = append(x.Led, fmt.Sprintf("%d more stages did not succeed either", left))
	}
	x.Led = append(x.Led, led(in)...)
	if in.Live {
		x.Stands = append(x.Stands, tell.underWay(in.Stage)...)
	}
	x.Stands = append(x.Stands, stands(in, told)...)
	x.Next = next(in, told)
	return x
}

func bad(o kernel.Outcome) bool {
	switch o {
	case kernel.Failed, kernel.Rejected, kernel.RolledBack, kernel.RollbackFailed, kernel.Cancelled:
		return true
	}
	return false
}

// asks reports whether people are waited for.
func asks(n kernel.NodeView) bool {
	return n.Outcome == "" && slices.ContainsFunc(n.Gates, func(g kernel.GateView) bool { return g.Open })
}

// halted reports whether a rollout failed and stays as it was.
func halted(n kernel.NodeView) bool {
	return n.Outcome == "" && n.Rollout != nil && n.Rollout.Phase == "halted"
}

// toldNodes are the stages that the explanation is about, those whose end came
// first before the others: a stage that was not run is explained by those that
// it waited for.
func toldNodes(in Input) []string {
	var out []kernel.NodeView
	wanted := func(n kernel.NodeView) bool { return bad(n.Outcome) || n.Outcome == "" && n.Started != 0 }
	if in.Stage != "" {
		before := ancestors(in.Graph, in.Stage)
		self := nodeOf(in, in.Stage)
		wanted = func(n kernel.NodeView) bool {
			return n.ID == in.Stage || self.Outcome == kernel.NotRun && before[n.ID] && bad(n.Outcome)
		}
	}
	for _, n := range in.Nodes {
		if n.Kind != kernel.BarrierNode && wanted(n) {
			out = append(out, n)
		}
	}
	slices.SortStableFunc(out, func(a, b kernel.NodeView) int { return int(ended(a) - ended(b)) })
	ids := make([]string, len(out))
	for i, n := range out {
		ids[i] = n.ID
	}
	return ids
}

// ended puts open stages last.
func ended(n kernel.NodeView) kernel.Time {
	if n.Outcome == "" {
		return 1 << 60
	}
	return n.Ended
}

func nodeOf(in Input, id string) kernel.NodeView {
	for _, n := range in.Nodes {
		if n.ID == id {
			return n
		}
	}
	return kernel.NodeView{}
}

// ancestors are all nodes that a node waits for, at any distance.
func ancestors(g *kernel.Graph, id string) map[string]bool {
	out := map[string]bool{}
	at := slices.IndexFunc(g.Nodes, func(n kernel.Node) bool { return n.ID == id })
	if at < 0 {
		return out
	}
	wanted := make([]bool, len(g.Nodes))
	wanted[at] = true
	for i := at; i >= 0; i-- {
		if !wanted[i] {
			continue
		}
		for _, a := range g.Nodes[i].After {
			wanted[a], out[g.Nodes[a].ID] = true, true
		}
	}
	return out
}

// standing says how it ended, or where it stands.
func standing(in Input) string {
	if in.Stage != "" {
		n := nodeOf(in, in.Stage)
		switch {
		case n.Outcome != "":
			return words(string(n.Outcome))
		case asks(n):
			return "waits for people"
		case n.Started == 0:
			return "has not begun"
		case in.Live:
			return "under way"
		}
		return "open, and nobody drives it"
	}
	switch {
	case !in.Record.Closed.IsZero():
		return words(in.Record.Outcome)
	case in.Live:
		return "under way"
	case in.Idle == kernel.WaitingForPeople:
		return "waits for people"
	case in.Idle == kernel.Halted, slices.ContainsFunc(in.Nodes, halted):
		return "halted"
	case in.Idle == kernel.Stopped:
		return "interrupted; it can be resumed"
	}
	return "open, and nobody drives it"
}

// why is the last thing that went wrong before runner did something about it.
func why(in Input, told []string, links []Link, tell *teller) string {
	if in.Record.Outcome == string(kernel.Succeeded) && in.Stage == "" {
		return ""
	}
	if in.Record.Outcome == string(kernel.Cancelled) && in.Stage == "" {
		for _, l := range links {
			if l.Node == "" && l.Role == Answer {
				return l.Text
			}
		}
	}
	for _, id := range told {
		n, last := nodeOf(in, id), ""
		for _, l := range links {
			if l.Node != id {
				continue
			}
			if l.Role == Answer && last != "" {
				break
			}
			if l.Role == Fault {
				last = l.Text
			}
		}
		switch {
		case last != "":
			return id + ": " + last
		case asks(n):
			return id + " waits for an answer"
		case n.Why != "":
			return id + ": " + n.Why
		}
	}
	if in.Stage != "" {
		return nodeOf(in, in.Stage).Why
	}
	if open := in.Record.Closed.IsZero(); open && !in.Live {
		for _, l := range slices.Backward(links) {
			if l.Node == "" && l.Role == Fault {
				return l.Text
			}
		}
		if work := tell.underWay(in.Stage); len(work) > 0 {
			return "its process has gone without a word while this was under way: " + strings.Join(work[:min(culprits, len(work))], "; ")
		}
	}
	return ""
}

// led is what followed for the stages that waited for those that did not succeed.
func led(in Input) []string {
	if in.Stage != "" {
		return nil
	}
	var notRun []string
	for _, n := range in.Nodes {
		if n.Kind != kernel.BarrierNode && n.Outcome == kernel.NotRun {
			notRun = append(notRun, n.ID)
		}
	}
	switch n := len(notRun); {
	case n == 0:
		return nil
	case n == 1:
		return []string{notRun[0] + " was not run"}
	case n > 4:
		return []string{fmt.Sprintf("%s and %d more stages were not run", strings.Join(notRun[:3], ", "), n-3)}
	}
	return []string{strings.Join(notRun, ", ") + " were not run"}
}

// stands says where traffic is now.
func stands(in Input, told []string) []string {
	var out []string
	for _, id := range told {
		n := nodeOf(in, id)
		if n.Rollout == nil {
			continue
		}
		for _, t := range n.Rollout.Targets {
			name := id + " " + t.Name
			switch {
			case t.Candidate == "":
			case t.Weight == 0 && t.Stable != "":
				out = append(out, fmt.Sprintf("%s: all traffic is with %s", name, t.Stable))
			case t.Weight == 0:
				out = append(out, fmt.Sprintf("%s: %s has no traffic, and there is no earlier release", name, t.Candidate))
			case t.Weight == full:
				out = append(out, fmt.Sprintf("%s: all traffic is with %s", name, t.Candidate))
			default:
				out = append(out, fmt.Sprintf("%s: %s of the traffic is with %s, %s with %s", name, t.Weight, t.Candidate, full-t.Weight, t.Stable))
			}
		}
	}
	return out
}

// next are the commands that are safe now, the one to begin with first.
func next(in Input, told []string) []Command {
	run := in.Record.ID
	var out []Command
	add := func(does, format string, args ...any) {
		out = append(out, Command{Line: "runner " + fmt.Sprintf(format, args...), Does: does})
	}
	for _, id := range told {
		n := nodeOf(in, id)
		for _, g := range n.Gates {
			if !g.Open || n.Outcome != "" {
				continue
			}
			switch g.Kind {
			case kernel.DoubtGate:
				add("say that it did happen", "approve -input outcome=happened %s %s %s", run, shell(id), shell(g.Name))
				add("say that it did not, and have it run again", "approve -input outcome=again %s %s %s", run, shell(id), shell(g.Name))
			default:
				add("let it go on", "approve %s %s %s", run, shell(id), shell(g.Name))
			}
			add("refuse", "reject %s %s %s", run, shell(id), shell(g.Name))
		}
	}
	open := in.Record.Closed.IsZero()
	switch {
	case open && in.Live:
		add("see it go on", "watch %s", run)
		add("stop it and give all traffic back to the stable releases", "cancel %s", run)
	case open:
		add("go on where it stopped", "resume %s", run)
		add("take back all that it did", "rollback %s", run)
	case in.Record.Outcome == string(kernel.Succeeded):
		add("see all of it as a page", "report %s", run)
	case in.Record.Outcome == string(kernel.RollbackFailed):
		add("look at the targets as they are; it changes nothing", "plan")
		add("go back to the releases from before the run", "rollback %s", run)
	}
	if len(told) > 0 && !(open && in.Live) {
		add("read what it wrote", "logs -stage %s %s", shell(told[0]), run)
	}
	if !open && in.Record.Outcome != string(kernel.Succeeded) && in.Record.Outcome != string(kernel.RollbackFailed) {
		add("see what a new run would do, once it is mended", "plan")
	}
	return out
}

// shell quotes an argument where a shell would take it apart.
func shell(arg string) string {
	if strings.ContainsAny(arg, "[]\"' $") {
		return "'" + arg + "'"
	}
	return arg
}
