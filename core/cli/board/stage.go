package board

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// block draws one stage.
func (b *Board) block(p painter, id string) block {
	n, _ := b.state.Node(id)
	bl := block{node: id, title: b.title(p, n)}
	lines := peek
	if b.open[id] {
		lines = kept
	}
	if n.Outcome == "" && b.busy[id] > 0 || b.open[id] {
		for _, line := range b.logs[id].last(lines) {
			bl.logs = append(bl.logs, "    "+p.Dim.Render(p.bar()+" "+clean(line)))
		}
	}
	if n.Outcome != "" {
		return bl
	}
	for _, g := range n.Gates {
		if g.Open {
			bl.detail = append(bl.detail, b.gate(p, n, g)...)
		}
	}
	if n.Rollout != nil {
		bl.detail = append(bl.detail, rollout(p, n.Rollout)...)
		bl.metrics = rowsOf(p, b.judged.Stage(id))
	}
	return bl
}

func (b *Board) title(p painter, n kernel.NodeView) string {
	state, mark := words(n), p.mark(markOf(n))
	left := mark + " "
	if name := short(n.ID); n.ID == b.chosen {
		left += p.Chosen.Render(name)
	} else {
		left += name
	}
	if state != "" {
		left += "  " + p.Dim.Render(state)
	}
	end := n.Ended
	if n.Outcome == "" {
		end = p.now
	}
	right := ""
	if n.Started != 0 && n.Outcome != kernel.Skipped && n.Outcome != kernel.NotRun {
		right = span(end - n.Started)
	}
	return p.spread(left, right)
}

// phases are those of a rollout in the words of people.
var phases = map[string]string{
	"forward": "rolling out", "back": "on its way back", "settling": "making it the stable release", "halted": "HALTED", "closed": "",
}

// words say the state of a stage where its mark does not.
func words(n kernel.NodeView) string {
	switch {
	case n.Outcome == kernel.Succeeded:
		return ""
	case n.Outcome != "":
		text := view.Words(string(n.Outcome))
		if n.Why != "" {
			text += ": " + n.Why
		}
		return text
	case n.Rollout != nil && n.Rollout.Phase != "" && n.Status == "running":
		text := phases[n.Rollout.Phase]
		if n.Rollout.Waves > 1 {
			text += fmt.Sprintf(", wave %d of %d", n.Rollout.Wave+1, n.Rollout.Waves)
		}
		if n.Rollout.Why != "" {
			text += ": " + n.Rollout.Why
		}
		return text
	case n.Status == "running":
		return ""
	}
	return n.Status
}

func markOf(n kernel.NodeView) mark {
	switch {
	case n.Outcome == "" && waits(n):
		return asks
	case n.Outcome == "":
		return works
	case n.Outcome == kernel.Succeeded:
		return done
	case bad(n.Outcome):
		return failed
	}
	return left
}

func waits(n kernel.NodeView) bool {
	for _, g := range n.Gates {
		if g.Open {
			return true
		}
	}
	return n.Rollout != nil && n.Rollout.Phase == "halted"
}

// gate says who is waited for and what to type.
func (b *Board) gate(p painter, n kernel.NodeView, g kernel.GateView) []string {
	text := fmt.Sprintf("waits for %s %q", g.Kind, g.Name)
	if g.Required > 1 {
		text += fmt.Sprintf(", %d of %d", g.Given, g.Required)
	}
	if len(g.From) > 0 {
		text += " from " + strings.Join(g.From, ", ")
	}
	if g.Since != 0 {
		text += ", for " + span(p.now-g.Since)
	}
	out := []string{"    " + p.Warn.Render(text)}
	if g.Why != "" {
		out = append(out, "    "+p.Dim.Render(clean(g.Why)))
	}
	return append(out, "    "+p.Dim.Render("runner approve "+b.run+" "+n.ID))
}

// rollout draws where the traffic is, how long the step is watched, and what
// the judge says.
func rollout(p painter, r *kernel.RolloutView) []string {
	var out []string
	names := 0
	for _, t := range r.Targets {
		names = max(names, len(t.Name))
	}
	for _, t := range r.Targets {
		text := fmt.Sprintf("    %-*s %s %6s  ", names, t.Name, p.meter(float64(t.Weight)/float64(target.Full), p.Good), t.Weight)
		switch {
		case t.Stable == "" || t.Stable == t.Candidate:
			text += t.Candidate
		default:
			text += t.Candidate + p.Dim.Render(" for "+t.Stable)
		}
		out = append(out, text)
	}
	if r.Step != "" {
		out = append(out, "    "+step(p, r))
	}
	if r.Harm.Value == strategy.Fail {
		return append(out, "    "+p.Bad.Render("verdict: harm")+because(r.Harm.Why))
	}
	if r.Verdict.N > 0 || r.Verdict.Why != "" {
		paint, word := p.Dim, "not enough evidence yet"
		switch r.Verdict.Value {
		case strategy.Pass:
			paint, word = p.Good, "pass"
		case strategy.Fail:
			paint, word = p.Bad, "fail"
		}
		out = append(out, "    verdict: "+paint.Render(word)+because(r.Verdict.Why))
	}
	return out
}

// step shows how far a watched step is, or what it waits for.
func step(p painter, r *kernel.RolloutView) string {
	text := r.Step
	switch {
	case r.Until > r.Since && r.Since != 0:
		gone, all := p.now-r.Since, r.Until-r.Since
		share := min(1, max(0, float64(gone)/float64(all)))
		if gone < all {
			return text + "  " + p.meter(share, p.Info) + "  " + span(all-gone) + " left"
		}
		return text + "  " + p.meter(share, p.Info)
	case r.Waits != "" && r.Waits != "ready":
		return text + "  " + p.Dim.Render("waits for "+r.Waits)
	}
	return text
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + clean(why)
}

// clean makes one line of a text, without what would move the cursor or colour
// the rest.
func clean(text string) string {
	text = ansi.Strip(text)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, text)
}
