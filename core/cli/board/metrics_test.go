package board_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/runner-pipelines/runner/core/cli/board"
	"github.com/runner-pipelines/runner/core/cli/series/seriestest"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/sdk/analysis"
)

// analysed is the recorded run as if n metrics had been compared in it, the
// sixth of which gets worse, the fourth has lost its data, and the last has a
// limit.
func analysed(t testing.TB, n int) (recorded, kernel.Time) {
	t.Helper()
	r := load(t)
	most := 0.5
	var rules []analysis.Metric
	for i := range n {
		rules = append(rules, seriestest.Independent(fmt.Sprintf("metric %d", i)))
	}
	rules[3].Name = "payments\x1b[2J that were refused"
	rules[n-1] = analysis.Metric{Name: rules[n-1].Name, Max: &most}
	judged := seriestest.New(t, "", rules...)
	minute, last := 0, kernel.Time(0)
	for i, e := range r.events {
		f, ok := e.Fact.(kernel.Judged)
		if !ok || minute == 6 {
			continue
		}
		minute++
		last = e.At - r.events[0].At
		var looks []analysis.Look
		for k, rule := range rules {
			bad := int64(10 + (minute+k)%3)
			switch {
			case k == 5:
				bad += int64(4 * minute)
			case k == 3 && minute > 3:
				looks = append(looks, seriestest.Nothing(60*minute, rule.Name, "main", "late"))
				continue
			}
			looks = append(looks, seriestest.Counts(60*minute, rule.Name, "main", 1000, bad, 9000, 95))
		}
		told := judged.Look(60*minute, looks...)
		f.Looks, f.State, f.Shown = told.Looks, told.State, told.Shown
		f.Harm, f.Step = told.Harm, told.Step
		r.events[i].Fact = f
	}
	if minute < 4 {
		t.Fatalf("the recorded run was judged %d times", minute)
	}
	return r, last
}

func TestMetricRows(t *testing.T) {
	for _, tt := range []struct {
		name          string
		metrics       int
		width, height int
		style         board.Style
	}{
		{name: "metrics", metrics: 10, width: 80, height: 24},
		{name: "metrics-ascii", metrics: 10, width: 80, height: 24, style: board.Style{ASCII: true}},
		{name: "metrics-low", metrics: 10, width: 80, height: 12},
		{name: "metrics-wide", metrics: 10, width: 120, height: 30},
		{name: "metrics-narrow", metrics: 10, width: 44, height: 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, ms := analysed(t, tt.metrics)
			b, now := r.at(t, ms)
			lines := b.Lines(now, tt.width, tt.height, tt.style)
			for _, line := range lines {
				if ansi.StringWidth(line) > tt.width {
					t.Errorf("%d cells: %q", ansi.StringWidth(line), line)
				}
				if tt.style.ASCII && strings.ContainsAny(line, "▁▂▃▄▅▆▇█░×–≥▸") {
					t.Errorf("not ASCII: %q", line)
				}
			}
			if len(lines) > tt.height {
				t.Errorf("%d lines", len(lines))
			}
			golden(t, tt.name, strings.Join(lines, "\n")+"\n")
		})
	}
}

// The metric that decides keeps its row when there is room for no other.
func TestTheDecidingMetricStays(t *testing.T) {
	r, ms := analysed(t, 10)
	b, now := r.at(t, ms)
	for height := 24; height > 11; height-- {
		lines := strings.Join(b.Lines(now, 80, height, board.Style{}), "\n")
		if strings.Contains(lines, " more metrics") && !strings.Contains(lines, "▸ metric 5") {
			t.Errorf("at height %d the deciding metric is gone:\n%s", height, lines)
		}
	}
	rows := 0
	for _, line := range b.Lines(now, 80, 24, board.Style{}) {
		if name := strings.TrimLeft(line, " ▸"); strings.HasPrefix(name, "metric ") || strings.HasPrefix(name, "payments ") {
			rows++
		}
	}
	if rows != 10 {
		t.Errorf("%d of 10 metrics have a row", rows)
	}
}

func BenchmarkMetricRows(b *testing.B) {
	r, ms := analysed(b, 10)
	bd, now := r.at(b, ms)
	for b.Loop() {
		bd.Lines(now.Add(time.Second), 80, 24, board.Style{})
	}
}
