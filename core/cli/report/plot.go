package report

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"

	"github.com/runner-pipelines/runner/core/cli/series"
)

// Sizes of a plot in its own units; two are side by side on a wide screen.
const (
	plotWidth, plotHeight = 460, 220
	letter                = 6.2
)

// Classes of what is drawn; the page gives them colours for light, dark and paper.
const (
	candidateClass = "can"
	stableClass    = "sta"
	harmClass      = "hrm"
	passClass      = "pas"
	unsureClass    = "uns"
	axisClass      = "axs"
	gridClass      = "grd"
	limitClass     = "lim"
	gapClass       = "gap"
	stepClass      = "stp"
)

// plot is a drawing over the time of a rollout.
type plot struct {
	// title and desc are read to those who cannot see it. The id is the plot's own on
	// the page.
	id, title, desc string
	start, end      time.Time
	low, high       float64
	ticks           []chart.Tick
	series          []chart.Series
	marks           []mark
	// bands are spans without data.
	bands [][2]time.Time
	// levels are lines at a height, with their names.
	levels []level
}

// mark is a moment with a word.
type mark struct {
	at          time.Time
	word, class string
}

type level struct {
	at          float64
	word, class string
}

func (p *plot) x(at time.Time) float64 {
	return min(max(at.Sub(p.start).Seconds(), 0), p.long())
}

func (p *plot) long() float64 { return max(p.end.Sub(p.start).Seconds(), 0.001) }

// styled has a class instead of colours; the library draws nothing without one.
func styled(class string) chart.Style {
	return chart.Style{ClassName: class, StrokeColor: drawing.ColorBlack, StrokeWidth: 1}
}

// line draws a line with its gaps; a value between two gaps is a dot.
func (p *plot) line(class string, points []series.Point, value func(float64) float64) {
	var xs, ys []float64
	flush := func() {
		if len(xs) == 0 {
			return
		}
		style := styled(class)
		if len(xs) == 1 {
			style.DotWidth, style.DotColor = 3, drawing.ColorBlack
		}
		p.series = append(p.series, chart.ContinuousSeries{Style: style, XValues: xs, YValues: ys})
		xs, ys = nil, nil
	}
	for _, point := range points {
		if point.Gap {
			flush()
			continue
		}
		xs, ys = append(xs, p.x(point.At)), append(ys, min(max(value(point.Value), p.low), p.high))
	}
	flush()
}

// gaps are the spans between what is there.
func gaps(points []series.Point) [][2]time.Time {
	var out [][2]time.Time
	open := false
	for i, point := range points {
		switch {
		case point.Gap && !open:
			from := point.At
			if i > 0 {
				from = points[i-1].At
			}
			out, open = append(out, [2]time.Time{from, point.At}), true
		case open:
			out[len(out)-1][1] = point.At
			open = point.Gap
		}
	}
	return out
}

// svg draws it.
func (p *plot) svg() (string, error) {
	axis := styled(axisClass)
	axis.FontSize = 8.5
	// The library gives its grid no class, and draws no chart without a series.
	var grid []chart.Series
	for _, t := range p.ticks {
		grid = append(grid, chart.ContinuousSeries{Style: styled(gridClass), XValues: []float64{0, p.long()}, YValues: []float64{t.Value, t.Value}})
	}
	c := chart.Chart{
		Width: plotWidth, Height: plotHeight,
		Background: chart.Style{FillColor: drawing.ColorTransparent, Padding: chart.Box{Top: 20, Left: 6, Right: 14, Bottom: 4}},
		Canvas:     chart.Style{FillColor: drawing.ColorTransparent},
		XAxis:      chart.XAxis{Style: axis, Ticks: p.moments(), Range: &chart.ContinuousRange{Min: 0, Max: p.long()}},
		YAxis: chart.YAxis{
			AxisType: chart.YAxisSecondary, Style: axis, Ticks: p.ticks,
			Range: &chart.ContinuousRange{Min: p.low, Max: p.high},
		},
		Series:   append(grid, p.series...),
		Elements: []chart.Renderable{p.marked},
	}
	var out bytes.Buffer
	if err := c.Render(chart.SVG, &out); err != nil {
		return "", fmt.Errorf("draw %s: %w", p.title, err)
	}
	head := fmt.Sprintf(`<svg role="img" aria-labelledby="%s-t %s-d" `, p.id, p.id)
	text := strings.Replace(out.String(), "<svg ", head, 1)
	at := strings.Index(text, ">") + 1
	return text[:at] + fmt.Sprintf(`<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, p.id, safe(p.title), p.id, safe(p.desc)) + text[at:], nil
}

// safe is a text as XML: the library writes what it is given.
func safe(text string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r < ' ' || r == utf8.RuneError || r == 0x7f || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, text))
}

// marked draws what lies over the lines: spans without data, levels, and moments
// with their words where there is room.
func (p *plot) marked(r chart.Renderer, box chart.Box, _ chart.Style) {
	x := func(at time.Time) int { return box.Left + int(p.x(at)/p.long()*float64(box.Width())) }
	y := func(v float64) int {
		return box.Bottom - int((min(max(v, p.low), p.high)-p.low)/(p.high-p.low)*float64(box.Height()))
	}
	path := func(class string, points ...[2]int) {
		styled(class).WriteDrawingOptionsToRenderer(r)
		r.MoveTo(points[0][0], points[0][1])
		for _, point := range points[1:] {
			r.LineTo(point[0], point[1])
		}
		r.Stroke()
	}
	write := func(class, word string, x, y int) {
		chart.Style{ClassName: class, FontSize: 8}.WriteTextOptionsToRenderer(r)
		r.Text(safe(word), x, y)
	}
	wide := func(word string) int { return int(letter * float64(utf8.RuneCountInString(word))) }
	for _, b := range p.bands {
		from, to := x(b[0]), x(b[1])
		path(gapClass, [2]int{from, box.Top}, [2]int{to, box.Top}, [2]int{to, box.Bottom}, [2]int{from, box.Bottom}, [2]int{from, box.Top})
		if word := "no data"; to-from > wide(word) {
			write(axisClass, word, (from+to-wide(word))/2, box.Bottom-6)
		}
	}
	for _, l := range p.levels {
		path(l.class+" lvl", [2]int{box.Left, y(l.at)}, [2]int{box.Right, y(l.at)})
		at := y(l.at) - 4
		if at < box.Top+8 || slices.ContainsFunc(p.levels, func(o level) bool { return o.at > l.at }) {
			at = y(l.at) + 12
		}
		write(l.class, l.word, box.Left+4, at)
	}
	free := -1
	for _, m := range p.marks {
		at := x(m.at)
		path(m.class+" mrk", [2]int{at, box.Top - 4}, [2]int{at, box.Bottom})
		if word := short(m.word, 14); word != "" {
			left := min(max(at-wide(word)/2, 0), plotWidth-wide(word)-2)
			if left > free {
				write(m.class, word, left, box.Top-8)
				free = left + wide(word) + 4
			}
		}
	}
}

func short(text string, most int) string {
	if letters := []rune(text); len(letters) > most {
		return string(letters[:most-1]) + "…"
	}
	return text
}

// moments are the ticks of the time.
func (p *plot) moments() []chart.Tick {
	long := p.long()
	step := even(long / 4)
	if long > 30 {
		const day = 86400
		step = math.Ceil(long/5/day) * day
		for _, s := range []float64{10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600} {
			if long/s <= 5 {
				step = s
				break
			}
		}
	}
	out := []chart.Tick{{Value: 0, Label: "0"}}
	for v := step; v < long-step/3; v += step {
		out = append(out, chart.Tick{Value: v, Label: seconds(v)})
	}
	return append(out, chart.Tick{Value: long, Label: seconds(long)})
}

// even is the next of 1, 2 and 5 with zeroes that is not smaller.
func even(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= v*0.999 {
			return n * power
		}
	}
	return 10 * power
}

// scale makes the ticks of values between low and high, which it moves to ticks.
func (p *plot) scale(low, high float64, name func(float64) string) {
	// Beyond these, what is between two ticks is no number.
	const least, most = 1e-100, 1e100
	low, high = max(low, -most), min(high, most)
	if !(high-low > least) {
		low, high = low-math.Abs(low)/2, low+max(math.Abs(low)/2, 1e-9)
	}
	step := even((high - low) / 4)
	p.low, p.high = math.Floor(low/step+1e-9)*step, math.Ceil(high/step-1e-9)*step
	for i := 0; ; i++ {
		v := p.low + float64(i)*step
		if v > p.high+step/2 || i > 20 {
			break
		}
		p.ticks = append(p.ticks, chart.Tick{Value: v, Label: name(v)})
	}
}

// powers makes the ticks of logarithms to the base 10.
func (p *plot) powers(low, high float64) {
	p.low, p.high = math.Floor(low), math.Ceil(high)
	step := max(math.Ceil((p.high-p.low)/6), 1)
	for v := p.low; v <= p.high; v += step {
		p.ticks = append(p.ticks, chart.Tick{Value: v, Label: series.Number(math.Pow(10, v))})
	}
	if last := p.ticks[len(p.ticks)-1].Value; last < p.high {
		p.high = last + step
		p.ticks = append(p.ticks, chart.Tick{Value: p.high, Label: series.Number(math.Pow(10, p.high))})
	}
}

func percents(v float64) string { return series.Number(100*v) + " %" }
