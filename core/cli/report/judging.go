package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/series"
)

// How much of an analysis is drawn; what is left out is counted.
const (
	drawnMetrics = 12
	drawnTargets = 4
)

// Analysis is what the judge saw of a rollout.
type Analysis struct {
	// Together is the evidence of all metrics; empty where one decides alone.
	Together template.HTML
	Metrics  []Judged
	// More counts the metrics that are not drawn.
	More int
}

// Judged is one metric with its plots.
type Judged struct {
	Name string
	// Decides says of which verdict this metric is what it rests on.
	Decides string
	// Seen is the judge's sentence on what it has seen over the whole rollout.
	Seen  string
	Plots []Plot
	// More counts the targets that are not drawn.
	More int
}

// Plot is a drawing with its caption.
type Plot struct {
	SVG     template.HTML
	Caption string
	// Lines name what is drawn.
	Lines []Key
}

// Key is a line of a legend.
type Key struct{ Class, Text string }

// drawer makes the plots of one stage.
type drawer struct {
	stage      *series.Stage
	start, end time.Time
	id         string
	count      int
}

// analysed makes what is shown of an analysis; nil where there was none.
func analysed(st *series.Stage, id string, start, end time.Time) (*Analysis, error) {
	if st == nil || len(st.Metrics) == 0 {
		return nil, nil
	}
	d := &drawer{stage: st, start: start, end: end, id: id}
	out := &Analysis{More: st.More}
	if !st.Together.Empty() {
		p := d.plot("Evidence of harm, all metrics together")
		p.evidence(&st.Together, st.Needed, nil, 0)
		svg, err := p.svg()
		if err != nil {
			return nil, err
		}
		out.Together = template.HTML(svg) //nolint:gosec // our own drawing, texts escaped
	}
	metrics := st.Metrics
	if len(metrics) > drawnMetrics {
		out.More += len(metrics) - drawnMetrics
		metrics = d.closest(metrics)
	}
	for _, m := range metrics {
		one, err := d.metric(m)
		if err != nil {
			return nil, err
		}
		out.Metrics = append(out.Metrics, one)
	}
	return out, nil
}

// closest are the metrics that are drawn where there are too many: what decided,
// then those with the most evidence of harm, in their order.
func (d *drawer) closest(all []*series.Metric) []*series.Metric {
	rank := func(m *series.Metric) float64 {
		switch {
		case d.decides(m) != "":
			return math.Inf(1)
		case m.Last == nil:
			return 0
		}
		return m.Last.Harm / m.Last.HarmNeeded
	}
	return foremost(all, drawnMetrics, rank)
}

// foremost are those with the highest ranks, in the order of all.
func foremost[T any](all []*T, most int, rank func(*T) float64) []*T {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *T) int { return cmp.Compare(rank(b), rank(a)) })
	return slices.DeleteFunc(slices.Clone(all), func(x *T) bool { return !slices.Contains(sorted[:most], x) })
}

// decides names the verdicts that rest on a metric.
func (d *drawer) decides(m *series.Metric) string {
	var words []string
	for i, v := range d.stage.Decisions {
		word := "decided: " + string(v.Word)
		if v.Word == series.Unsure {
			if word = "not decided: " + string(v.Word); i < len(d.stage.Decisions)-1 {
				continue
			}
		}
		if v.Metric == m.Name && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

func (d *drawer) metric(m *series.Metric) (Judged, error) {
	out := Judged{Name: m.Name, Decides: d.decides(m)}
	targets := m.Targets
	if len(targets) > drawnTargets {
		out.More = len(targets) - drawnTargets
		targets = furthest(targets)
	}
	add := func(p *plot, keys ...Key) error {
		svg, err := p.svg()
		if err == nil {
			out.Plots = append(out.Plots, Plot{SVG: template.HTML(svg), Caption: p.title, Lines: keys}) //nolint:gosec // our own drawing, texts escaped
		}
		return err
	}
	for _, t := range targets {
		title := m.Name + ": " + unit(m)
		if t.Name != "main" || len(m.Targets) > 1 {
			title += ", " + t.Name
		}
		p := d.plot(title)
		keys := p.values(m, t)
		if err := add(p, keys...); err != nil {
			return out, err
		}
	}
	if m.Last == nil {
		return out, nil
	}
	out.Seen = m.Last.Whole.Why
	p := d.plot(m.Name + ": evidence")
	p.evidence(&m.Harm, m.Last.HarmNeeded, &m.Show, m.Last.ShowNeeded)
	return out, add(p, Key{harmClass, "of harm, over the whole rollout"}, Key{passClass, "of being as good, since the step began"})
}

// furthest are the targets at which candidate and stable differ most, in their order.
func furthest(all []*series.Target) []*series.Target {
	apart := func(t *series.Target) float64 {
		cells := series.Cells(1, []*series.Line{&t.Candidate}, []*series.Line{&t.Stable})
		if len(cells[0]) == 0 || math.IsNaN(cells[0][0]) || math.IsNaN(cells[1][0]) {
			return 0
		}
		return math.Abs(cells[0][0] - cells[1][0])
	}
	return foremost(all, drawnTargets, apart)
}

// unit says what the values are.
func unit(m *series.Metric) string {
	rule := m.Rule
	switch {
	case m.Percent && rule.Compare != nil && rule.Better == "higher":
		return "share that failed"
	case m.Percent:
		return "share"
	case rule.Compare != nil && rule.Compare.Rate:
		return "a second, at all of the traffic"
	case rule.Quantile > 0:
		return fmt.Sprintf("the %s quantile", series.Number(rule.Quantile))
	}
	return "value"
}

// plot begins one with the steps and the decisions of the stage.
func (d *drawer) plot(title string) *plot {
	d.count++
	p := &plot{id: fmt.Sprintf("%s-%d", d.id, d.count), title: title, start: d.start, end: d.end}
	for _, v := range d.stage.Decisions {
		switch v.Word {
		case series.Harm:
			p.marks = append(p.marks, mark{v.At, "abort", harmClass})
		case series.Fail:
			p.marks = append(p.marks, mark{v.At, "fail", harmClass})
		case series.Pass:
			p.marks = append(p.marks, mark{v.At, "pass", passClass})
		}
	}
	for _, s := range d.stage.Steps {
		p.marks = append(p.marks, mark{s.At, s.Title, stepClass})
	}
	slices.SortStableFunc(p.marks, func(a, b mark) int { return a.at.Compare(b.at) })
	return p
}

// values draws what was measured at one target.
func (p *plot) values(m *series.Metric, t *series.Target) []Key {
	candidate, stable := t.Candidate.Points(), t.Stable.Points()
	low, high, seen := 0.0, 0.0, false
	for _, points := range [][]series.Point{candidate, stable} {
		for _, point := range points {
			if !point.Gap {
				low, high, seen = min(low, point.Value), max(high, point.Value), true
			}
		}
	}
	name := series.Number
	if m.Percent {
		name = percents
	}
	type limit struct {
		at   float64
		word string
	}
	var limits []limit
	if m.Rule.Max != nil {
		limits = append(limits, limit{*m.Rule.Max, "max"})
	}
	if m.Rule.Min != nil {
		limits = append(limits, limit{*m.Rule.Min, "min"})
	}
	for _, l := range limits {
		// A limit far away would press the lines flat.
		if l.at <= 4*high && l.at >= 0 || !seen {
			high = max(high, l.at)
		}
	}
	if high == 0 && low == 0 {
		high = 1
		if m.Percent {
			high = 0.01
		}
	}
	p.scale(low, high, name)
	keys := []Key{{candidateClass, "candidate"}, {stableClass, "stable"}}
	for _, l := range limits {
		text := l.word + " " + name(l.at)
		if l.at < p.low || l.at > p.high {
			keys = append(keys, Key{limitClass, text + " (outside)"})
			continue
		}
		p.levels = append(p.levels, level{l.at, text, limitClass})
	}
	same := func(v float64) float64 { return v }
	p.line(stableClass, stable, same)
	p.line(candidateClass, candidate, same)
	p.bands = gaps(candidate)
	p.desc = "Candidate " + told(candidate, name) + "; stable " + told(stable, name) + "." + p.moved()
	return keys
}

// evidence draws how evidence climbs to what is needed of it.
func (p *plot) evidence(harm *series.Line, harmNeeded float64, show *series.Line, showNeeded float64) {
	// What is below a hundredth or far above enough says no more than that.
	const least, beyond = -2.0, 3.0
	low, high := 0.0, math.Log10(max(harmNeeded, showNeeded, 1))+0.3
	ceiling := high + beyond
	all := [][]series.Point{harm.Points()}
	if show != nil {
		all = append(all, show.Points())
	}
	log := func(v float64) float64 { return math.Log10(max(v, 1e-300)) }
	for _, points := range all {
		for _, point := range points {
			if !point.Gap {
				low, high = min(low, max(log(point.Value), least)), max(high, min(log(point.Value), ceiling))
			}
		}
	}
	p.powers(low, high)
	switch {
	case show == nil:
		p.levels = append(p.levels, level{log(harmNeeded), series.Number(harmNeeded) + " aborts", harmClass})
	case harmNeeded == showNeeded:
		p.levels = append(p.levels, level{log(showNeeded), series.Number(showNeeded) + " decides", unsureClass})
	default:
		p.levels = append(p.levels,
			level{log(harmNeeded), series.Number(harmNeeded) + " aborts by itself", harmClass}, level{log(showNeeded), series.Number(showNeeded) + " passes", passClass})
	}
	if show != nil {
		p.line(passClass, all[1], log)
	}
	p.line(harmClass, all[0], log)
	p.desc = fmt.Sprintf("Evidence of harm %s, of %s needed", told(all[0], series.Number), series.Number(harmNeeded))
	if show != nil {
		p.desc += fmt.Sprintf("; of being as good %s, of %s needed", told(all[1], series.Number), series.Number(showNeeded))
	}
	p.desc += "." + p.moved()
}

// told says a line in words.
func told(points []series.Point, name func(float64) string) string {
	first, last, most := -1, -1, -1
	missing := 0
	for i, point := range points {
		if point.Gap {
			missing++
			continue
		}
		if first < 0 {
			first = i
		}
		if last = i; most < 0 || point.Value > points[most].Value {
			most = i
		}
	}
	if first < 0 {
		return "had no data"
	}
	text := fmt.Sprintf("began at %s, was at most %s and ended at %s", name(points[first].Value), name(points[most].Value), name(points[last].Value))
	if missing > 0 {
		text += ", with times without data"
	}
	return text
}

// moved says the marks in words.
func (p *plot) moved() string {
	var b strings.Builder
	for i, m := range p.marks {
		if i == 20 {
			fmt.Fprintf(&b, " And %d more moments.", len(p.marks)-i)
			break
		}
		kind := "Verdict"
		if m.class == stepClass {
			kind = "Step"
		}
		fmt.Fprintf(&b, " %s %s after %s.", kind, m.word, seconds(p.x(m.at)))
	}
	return b.String()
}
