package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/internal/page"
)

const (
	notMeasured  = "not measured"
	notInstalled = "not installed"
)

// seconds writes a span with three digits that say something.
func seconds(d time.Duration) string {
	switch s := d.Seconds(); {
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 10:
		return fmt.Sprintf("%.1f s", s)
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	case s >= 0.1:
		return fmt.Sprintf("%.3f s", s)
	case s >= 0.001:
		return fmt.Sprintf("%.1f ms", s*1e3)
	}
	return fmt.Sprintf("%.0f µs", d.Seconds()*1e6)
}

func bytesText(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/mib)
}

// report is the part of the page that the benchmark writes.
func (b *bench) report() ([]byte, error) {
	var out bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("Measured on: %s.", page.Machine())
	if b.load[0] != "" {
		line("Load average of the machine before and after: %s and %s.", b.load[0], b.load[1])
	}
	line("")
	for _, t := range b.tools {
		if t.installed() {
			line("- %s: %s", t.name, t.version)
		} else {
			line("- %s: %s", t.name, notInstalled)
		}
	}
	line("\n### Aims\n")
	aims, err := b.aims()
	if err != nil {
		return nil, err
	}
	page.Table(&out, []string{"aim", "measured", ""}, aimRows(aims))
	line("\n### Side by side\n")
	page.Table(&out, b.sideHead(), b.sideRows())
	line("\nTimes are medians, with the number of measurements behind them where it is below five. The factors are times that of `runner apply` in the same round; of several rounds, the median.")
	line("\n### The runner by itself\n")
	page.Table(&out, []string{"", "wall", "CPU, plugins included", "peak memory"}, b.ownRows())
	line("\n### One plugin process\n")
	launch, _ := b.cell(launchCell).median()
	disk, _ := b.cell(fsyncCell).median()
	page.Table(&out, []string{"", ""}, [][]string{
		{"launch to first answer", seconds(launch.wall)},
		{"a unary call: p50, p99", seconds(b.question.p50) + ", " + seconds(b.question.p99)},
		{"an action, which streams its events: p50, p99", seconds(b.operation.p50) + ", " + seconds(b.operation.p99)},
		{fmt.Sprintf("%s fsyncs of this disk, for comparison", count(synced)), seconds(disk.wall)},
	})
	return out.Bytes(), nil
}

func aimRows(aims []aim) [][]string {
	var rows [][]string
	for _, a := range aims {
		verdict := "met"
		switch {
		case a.measured == notMeasured:
			verdict = ""
		case !a.met:
			verdict = "**not met**"
		}
		rows = append(rows, []string{a.what, a.measured, verdict})
	}
	return rows
}

func (b *bench) sideHead() []string {
	head := []string{""}
	for _, t := range b.tools {
		head = append(head, t.name)
	}
	return head
}

func (b *bench) sideRows() [][]string {
	var rows [][]string
	for _, s := range b.shapes {
		row := []string{s.String()}
		for _, t := range b.tools {
			row = append(row, b.side(t, s))
		}
		rows = append(rows, row)
	}
	return rows
}

// side is one tool's time and how many times that of the runner it is.
func (b *bench) side(t tool, s shape) string {
	if !t.installed() {
		return notInstalled
	}
	ours, theirs := shapeCell(runnerTool, s), shapeCell(t.name, s)
	c := b.cell(theirs)
	m, ok := c.median()
	if !ok {
		return "more than " + seconds(processTimeout)
	}
	text := seconds(m.wall)
	if r, ok := b.perRound(func(w walls) float64 { return w[theirs] / w[ours] }, theirs, ours); ok && theirs != ours {
		text += fmt.Sprintf(" (%.2f×)", r)
	}
	if len(c.samples) < 5 {
		text += fmt.Sprintf(", n = %d", len(c.samples))
	}
	return text
}

func (b *bench) ownRows() [][]string {
	var rows [][]string
	for _, c := range b.cells {
		if m, ok := c.median(); ok && strings.HasPrefix(c.name, "runner ") {
			rows = append(rows, []string{c.name, seconds(m.wall), seconds(m.cpu), bytesText(m.peak)})
		}
	}
	return rows
}
