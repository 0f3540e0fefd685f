package report

import (
	"bytes"
	"fmt"
	"html"
	"time"

	"github.com/wcharczuk/go-chart/v2"
	"github.com/wcharczuk/go-chart/v2/drawing"

	"github.com/runner-pipelines/runner/core/cli/view"
)

// Colours that can be read on light and on dark paper.
var (
	axis = drawing.ColorFromHex("8c959f")
	harm = drawing.ColorFromHex("e5484d")
	pass = drawing.ColorFromHex("2da44e")
	step = drawing.ColorFromHex("9a6700")
	line = []drawing.Color{
		drawing.ColorFromHex("3b82f6"), drawing.ColorFromHex("d97706"), drawing.ColorFromHex("8b5cf6"), drawing.ColorFromHex("0d9488"), drawing.ColorFromHex("db2777"),
	}
)

// drawn is how many targets get a line of their own.
const drawn = 12

// weights draws the share of the candidates over the time of a rollout, as SVG.
func weights(r *Rollout) (string, error) {
	c := chart.Chart{
		Width: 900, Height: 240,
		Background: chart.Style{FillColor: drawing.ColorTransparent, Padding: chart.Box{Top: 12, Left: 8, Right: 12, Bottom: 4}},
		Canvas:     chart.Style{FillColor: drawing.ColorTransparent},
		XAxis: chart.XAxis{
			Style: chart.Style{FontColor: axis, StrokeColor: axis, FontSize: 9}, ValueFormatter: seconds,
			Range: &chart.ContinuousRange{Min: 0, Max: max(r.End.Sub(r.Start).Seconds(), 0.001)},
		},
		YAxis: chart.YAxis{
			AxisType: chart.YAxisSecondary, Style: chart.Style{FontColor: axis, StrokeColor: axis, FontSize: 9},
			Range: &chart.ContinuousRange{Min: 0, Max: 100}, Ticks: percent(0, 25, 50, 75, 100),
			GridMajorStyle: chart.Style{StrokeColor: axis.WithAlpha(60), StrokeWidth: 1},
		},
	}
	for i, t := range r.Targets {
		if i == drawn {
			break
		}
		s := chart.ContinuousSeries{Name: html.EscapeString(t.Name), Style: chart.Style{StrokeColor: line[i%len(line)], StrokeWidth: 2.5}}
		for j, p := range t.Points {
			x := p.At.Sub(r.Start).Seconds()
			if j > 0 {
				s.XValues, s.YValues = append(s.XValues, x), append(s.YValues, t.Points[j-1].Percent)
			}
			s.XValues, s.YValues = append(s.XValues, x), append(s.YValues, p.Percent)
		}
		last := t.Points[len(t.Points)-1]
		s.XValues, s.YValues = append(s.XValues, r.End.Sub(r.Start).Seconds()), append(s.YValues, last.Percent)
		c.Series = append(c.Series, s)
	}
	for _, v := range r.Verdicts {
		colour := map[string]drawing.Color{"harm": harm, "pass": pass}[v.Word]
		if colour.IsZero() {
			colour = step
		}
		x := v.At.Sub(r.Start).Seconds()
		c.Series = append(c.Series, chart.ContinuousSeries{
			Style: chart.Style{StrokeColor: colour, StrokeWidth: 1.2, StrokeDashArray: []float64{4, 3}}, XValues: []float64{x, x + 1e-9}, YValues: []float64{0, 100},
		})
	}
	var out bytes.Buffer
	if err := c.Render(chart.SVG, &out); err != nil {
		return "", fmt.Errorf("draw the weights: %w", err)
	}
	return out.String(), nil
}

func seconds(v any) string {
	s, _ := v.(float64)
	return view.Span(time.Duration(s * float64(time.Second)))
}

func percent(values ...float64) []chart.Tick {
	var out []chart.Tick
	for _, v := range values {
		out = append(out, chart.Tick{Value: v, Label: fmt.Sprintf("%g %%", v)})
	}
	return out
}
