package board

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/runner-pipelines/runner/core/cli/series"
)

// metricRow is a metric under analysis: its name, the releases beside each other,
// how much worse the candidate is, and which evidence is closest to enough.
type metricRow struct {
	name              string
	candidate, stable []float64
	effect            string
	word              string
	share             float64
	numbers           string
	decides           bool
	// rank is by how much it matters where there is no room for all.
	rank float64
}

type metricRows []metricRow

// rowsOf makes the rows of a stage; there are none before something was measured.
func rowsOf(p painter, st *series.Stage) metricRows {
	if st == nil {
		return nil
	}
	decides := ""
	if last := st.Last(); last != nil {
		decides = last.Metric
	}
	var out metricRows
	for _, m := range st.Metrics {
		row := metricRow{name: clean(m.Name), decides: m.Name == decides}
		var candidate, stable []*series.Line
		missing := ""
		for _, t := range m.Targets {
			candidate, stable = append(candidate, &t.Candidate), append(stable, &t.Stable)
			missing = cmp.Or(missing, t.Reason)
		}
		cells := series.Cells(p.cells(), candidate, stable)
		row.candidate, row.stable = cells[0], cells[1]
		switch {
		case m.Last != nil:
			row.effect = p.times(m.Last.Whole.Effect, m.Last.Whole.Low, m.Last.Whole.High)
			row.evidence(m.Last.Harm, m.Last.HarmNeeded, m.Last.Show, m.Last.ShowNeeded)
			row.rank = toward(m.Last.Harm, m.Last.HarmNeeded)
		case missing == "":
			row.effect = p.limited(m)
		}
		if missing != "" {
			row.effect = "no data"
		}
		if row.decides {
			row.rank = math.Inf(1)
		}
		out = append(out, row)
	}
	return out
}

// evidence chooses the one that is closest to what is needed of it.
func (r *metricRow) evidence(harm, harmNeeded, show, showNeeded float64) {
	e, needed := show, showNeeded
	if r.word, r.share = "pass", toward(show, showNeeded); toward(harm, harmNeeded) > r.share {
		r.word, r.share, e, needed = "harm", toward(harm, harmNeeded), harm, harmNeeded
	}
	r.numbers = brief(e) + "/" + brief(needed)
}

// toward is how far evidence has come, as a share of what is needed, by its logarithm.
func toward(e, needed float64) float64 {
	if e <= 1 || needed <= 1 {
		return 0
	}
	return min(1, math.Log(e)/math.Log(needed))
}

// cells is how wide the drawing of one release is.
func (p painter) cells() int {
	switch {
	case p.width >= 100:
		return 16
	case p.width >= 72:
		return 8
	case p.width >= 56:
		return 5
	}
	return 0
}

// times is an effect with its interval.
func (p painter) times(effect, low, high float64) string {
	times, least, to := "×", "≥", "–"
	if p.ASCII {
		times, least, to = "x", ">=", "-"
	}
	span := ""
	switch {
	case low <= 0 && high <= 0:
	case high <= 0:
		span = least + brief(low)
	default:
		span = brief(low) + to + brief(high)
	}
	switch {
	case effect <= 0 && span != "":
		return times + span
	case effect <= 0:
		return ""
	case span == "", p.width < 50:
		return times + brief(effect)
	}
	return times + brief(effect) + " (" + span + ")"
}

// limited is the latest value of a metric that has limits only.
func (p painter) limited(m *series.Metric) string {
	text, limits := "", ""
	for _, t := range m.Targets {
		if points := t.Candidate.Points(); len(points) > 0 {
			text = valueOf(m, points[len(points)-1].Value)
		}
	}
	if m.Rule.Max != nil {
		limits = ", max " + valueOf(m, *m.Rule.Max)
	}
	if m.Rule.Min != nil {
		limits += ", min " + valueOf(m, *m.Rule.Min)
	}
	return text + limits
}

func valueOf(m *series.Metric, v float64) string {
	if m.Percent {
		return brief(100*v) + "%"
	}
	return brief(v)
}

// brief is a number in few letters.
func brief(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e4:
		return strings.Replace(strconv.FormatFloat(v, 'e', 0, 64), "e+", "e", 1)
	case a >= 10 || a == math.Trunc(a):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a < 0.005:
		return strconv.FormatFloat(v, 'g', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// spark draws values by their height below most; what is not there is a space.
func (p painter) spark(values []float64, most float64, wide int) string {
	levels := []rune("▁▂▃▄▅▆▇█")
	if p.ASCII {
		levels = []rune("_.:-=+*#")
	}
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v):
			b.WriteByte(' ')
		case !(v > 0) || most <= 0:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(int(v/most*float64(len(levels))), len(levels)-1)])
		}
	}
	return b.String() + strings.Repeat(" ", max(0, wide-len(values)))
}

// longestName is how wide a name may be before it is cut.
const longestName = 18

// lines draws the rows into the room. Where there is too little, what matters most
// stays, and the others are counted.
func (rows metricRows) lines(p painter, room int) []string {
	if len(rows) == 0 || room < 1 {
		return nil
	}
	shown := slices.Clone(rows)
	if len(rows) > room {
		by := slices.Clone(rows)
		slices.SortStableFunc(by, func(a, b metricRow) int { return cmp.Compare(b.rank, a.rank) })
		keep := map[string]bool{}
		for _, r := range by[:max(room-1, 1)] {
			keep[r.name] = true
		}
		shown = slices.DeleteFunc(shown, func(r metricRow) bool { return !keep[r.name] })
	}
	name, effect, cells := 0, 0, 0
	for _, r := range shown {
		name, effect = max(name, ansi.StringWidth(r.name)), max(effect, ansi.StringWidth(r.effect))
		cells = max(cells, len(r.candidate))
	}
	name = min(name, longestName)
	if p.width < 50 {
		name = min(name, 12)
	}
	var out []string
	for _, r := range shown {
		out = append(out, p.row(r, name, effect, cells))
	}
	if left := len(rows) - len(shown); left > 0 && len(out) < room {
		dots := "…"
		if p.ASCII {
			dots = "..."
		}
		out = append(out, p.Dim.Render(fmt.Sprintf("    %s and %d more metrics", dots, left)))
	}
	return out
}

func (p painter) row(r metricRow, name, effect, cells int) string {
	text := "    "
	if r.decides {
		sign := "▸"
		if p.ASCII {
			sign = ">"
		}
		text = "  " + p.Bold.Render(sign) + " "
	}
	title := p.cut(r.name, name)
	text += title + strings.Repeat(" ", name-ansi.StringWidth(title))
	if cells > 0 {
		most := 0.0
		for _, v := range slices.Concat(r.candidate, r.stable) {
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
		text += " " + p.Info.Render(p.spark(r.candidate, most, cells)) + " " + p.Dim.Render(p.spark(r.stable, most, cells))
	}
	if effect > 0 {
		text += "  " + r.effect + strings.Repeat(" ", effect-ansi.StringWidth(r.effect))
	}
	if r.word == "" {
		return strings.TrimRight(text, " ")
	}
	paint := p.Good
	if r.word == "harm" {
		paint = p.Bad
	}
	text += "  " + paint.Render(r.word) + " "
	if p.width >= 50 {
		wide := 6
		if p.width >= 100 {
			wide = 16
		}
		text += p.gauge(r.share, wide, paint) + " "
	}
	return text + r.numbers
}
