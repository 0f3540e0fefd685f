package board

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/kernel"
)

const (
	// recent is how many stages that are over keep a line of their own.
	recent = 8
	// peek is how many log lines a stage under way shows unasked.
	peek = 2
	// smallest is the least width that lines are made for.
	smallest = 20
)

// block is what is shown of one stage: its own line, and what may be left out
// when the screen is small, the first to go last.
type block struct {
	node    string
	title   string
	detail  []string
	metrics metricRows
	logs    []string
}

// Lines are what the board shows at a moment: at most height lines, none wider
// than width cells.
func (b *Board) Lines(now time.Time, width, height int, s Style) []string {
	width, height = max(width, smallest), max(height, 3)
	at := kernel.TimeOf(now)
	p := painter{Style: s, width: width, now: at}
	head := b.head(p)
	foot := b.foot(p)
	room := height - len(head) - len(foot)
	if room < 1 {
		head, foot, room = head[:1], nil, height-1
	}
	lines := append(head, b.body(p, room)...)
	lines = append(lines, foot...)
	for i := range lines {
		lines[i] = p.cut(lines[i], width)
	}
	return lines
}

func (b *Board) head(p painter) []string {
	elapsed := ""
	if b.began != 0 {
		elapsed = span(p.now - b.began)
	}
	left := p.Bold.Render(b.pipeline) + "  " + p.Dim.Render("run "+b.run)
	right := fmt.Sprintf("%d of %d  %s", len(b.ended), b.total, elapsed)
	return []string{p.spread(left, right)}
}

// foot is what the run as a whole waits for, and the keys.
func (b *Board) foot(p painter) []string {
	var out []string
	if n := b.total - len(b.ended) - len(b.active); n > 0 {
		next := b.next(3)
		text := fmt.Sprintf("%s %d to come", p.mark(comes), n)
		if len(next) > 0 {
			text += p.Dim.Render(": " + strings.Join(next, ", "))
			if n > len(next) {
				text += p.Dim.Render(", …")
			}
		}
		out = append(out, text)
	}
	switch b.state.Stopping() {
	case kernel.StopAfter:
		out = append(out, p.Warn.Render("stopping after what is under way; ctrl+c again stops now"))
	case kernel.StopNow:
		out = append(out, p.Warn.Render("stopping now"))
	}
	return out
}

// next are the first stages that have not begun.
func (b *Board) next(n int) []string {
	var out []string
	for _, def := range b.graph.Nodes {
		if len(out) == n {
			break
		}
		if def.Kind != kernel.BarrierNode && !b.settled[def.ID] && !slices.Contains(b.active, def.ID) {
			out = append(out, short(def.ID))
		}
	}
	return out
}

// body fits the stages into the room: every stage under way has its line; then
// come their details, what the judge sees, the log lines, and the stages that are over, as far as
// there is room.
func (b *Board) body(p painter, room int) []string {
	live := make([]block, 0, len(b.active))
	for _, id := range b.active {
		live = append(live, b.block(p, id))
	}
	hidden := 0
	if len(live) > room {
		hidden = len(live) - room + 1
		live = live[:max(0, room-1)]
	}
	used := len(live)
	if hidden > 0 {
		used++
	}
	take := func(lines *[]string) {
		n := min(len(*lines), max(0, room-used))
		*lines = (*lines)[:n]
		used += n
	}
	for i := range live {
		take(&live[i].detail)
	}
	judged := make([][]string, len(live))
	for i := range live {
		judged[i] = live[i].metrics.lines(p, room-used)
		used += len(judged[i])
	}
	// A stage that failed is not hidden by what others write.
	spare := min(len(b.failed), 2, max(0, room-used))
	used += spare
	for i := range live {
		take(&live[i].logs)
	}
	used -= spare
	lines := b.past(p, room-used)
	for i, bl := range live {
		lines = append(lines, bl.title)
		lines = append(lines, bl.detail...)
		lines = append(lines, judged[i]...)
		lines = append(lines, bl.logs...)
	}
	if hidden > 0 {
		lines = append(lines, p.Dim.Render(fmt.Sprintf("  … and %d more under way", hidden)))
	}
	return lines
}

// shown chooses which of the stages that are over keep a line, and counts the
// others: failures come first, then the latest.
func (b *Board) shown(limit int) (show []string, rest int) {
	if len(b.ended) <= limit {
		return b.ended, 0
	}
	show = slices.Clone(b.failed[:min(len(b.failed), limit-1)])
	for _, id := range slices.Backward(b.ended) {
		if len(show) >= limit-1 {
			break
		}
		if !slices.Contains(show, id) {
			show = append(show, id)
		}
	}
	slices.SortFunc(show, func(x, y string) int { return slices.Index(b.ended, x) - slices.Index(b.ended, y) })
	return show, len(b.ended) - len(show)
}

// past draws the stages that are over.
func (b *Board) past(p painter, room int) []string {
	if room < 1 || len(b.ended) == 0 {
		return nil
	}
	show, rest := b.shown(min(room, recent))
	var lines []string
	if rest > 0 {
		lines = append(lines, p.Dim.Render(fmt.Sprintf("%s %d more are over", p.mark(done), rest)))
	}
	for _, id := range show {
		bl := b.block(p, id)
		lines = append(lines, bl.title)
		if len(lines)+len(bl.logs) <= room {
			lines = append(lines, bl.logs...)
		}
	}
	return lines
}

func bad(o kernel.Outcome) bool { return o != "" && !o.Satisfies() && o != kernel.NotRun }

func short(id string) string { return strings.TrimPrefix(id, "stage.") }

func span(ms kernel.Time) string {
	return view.Span(max(0, time.Duration(ms)*time.Millisecond).Truncate(tenth))
}

const tenth = 100 * time.Millisecond
