package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// measured is a benchmark whose figures are given.
func measured(t *testing.T, walls map[string]time.Duration) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{programs: programs{dir}, shapes: []shape{{stages: 1}, {stages: 1000}}, tools: []tool{
		{name: runnerTool, version: "runner 1"}, {name: terraformTool, version: "v1"}, {name: makeTool}, {name: bareTool, version: "x"},
	}}
	if err := os.WriteFile(filepath.Clean(b.programs.runner()), make([]byte, 1<<20), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, wall := range walls {
		b.add(name, func(context.Context) (sample, error) {
			return sample{wall: wall, cpu: wall * 35 / 100, peak: 70 * mib}, nil
		})
		for range 5 {
			if err := b.cell(name).measure(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

func TestAimsSayWhetherTheyAreMet(t *testing.T) {
	chain, slow := looks(false)[0], looks(false)[1]
	b := measured(t, map[string]time.Duration{
		shapeCell(runnerTool, shape{stages: 1}):                 40 * time.Millisecond,
		shapeCell(runnerTool, shape{stages: 1000}):              time.Second,
		shapeCell(terraformTool, shape{stages: 1000}):           13 * time.Second,
		shapeCell(runnerTool, shape{stages: 100, chain: true}):  139 * time.Millisecond,
		shapeCell(runnerTool, shape{stages: 1000, chain: true}): 1039 * time.Millisecond,
		shapeCell(bareTool, shape{stages: 1000, chain: true}):   200 * time.Millisecond,
		fsyncCell:                     200 * time.Millisecond,
		commandCell("validate", 1000): 200 * time.Millisecond,
		commandCell("plan", 10000):    3 * time.Second,
		shapeCell(runnerTool, wide):   9640 * time.Millisecond,
		resumeCell(10000):             300 * time.Millisecond,
		pluginsCell(50):               1600 * time.Millisecond,
		lookCell(asJSON, chain):       time.Second,
		lookCell(onTerminal, chain):   1100 * time.Millisecond,
		lookCell(asJSON, slow):        3 * time.Second,
		lookCell(onTerminal, slow):    3 * time.Second,
	})
	aims, err := b.aims()
	if err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for _, row := range aimRows(aims) {
		got = append(got, row[1:])
	}
	want := [][]string{
		{"13.00×", "**not met**"},
		{notMeasured, ""},
		{"2.60×", "met"},
		{"1.00×", "met"},
		{"40.0 ms", "met"},
		{"70.0 MiB", "**not met**"},
		{"0.200 s", "**not met**"},
		{notMeasured, ""},
		{notMeasured, ""},
		{"3.00 s", "**not met**"},
		{"70.0 MiB", "met"},
		{"1.00×", "met"},
		{"0.300 s", "met"},
		{"1.60 s", "**not met**"},
		{"1.10×", "**not met**"},
		{"3.2 %", "met"},
		{"1.00×", "met"},
		{"0.0 %", "met"},
		{"1.0 MB", "met"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotInstalledHasNoFigures(t *testing.T) {
	b := measured(t, map[string]time.Duration{
		shapeCell(runnerTool, shape{stages: 1}):    40 * time.Millisecond,
		shapeCell(runnerTool, shape{stages: 1000}): time.Second,
		shapeCell(bareTool, shape{stages: 1}):      20 * time.Millisecond,
		shapeCell(bareTool, shape{stages: 1000}):   250 * time.Millisecond,
		shapeCell(terraformTool, shape{stages: 1}): 0,
	})
	b.cell(shapeCell(terraformTool, shape{stages: 1})).samples = []sample{{wall: 80 * time.Millisecond}}
	want := [][]string{
		{"1 stage", "40.0 ms", "80.0 ms (2.00×), n = 1", notInstalled, "20.0 ms (0.50×)"},
		{"1,000 in parallel", "1.00 s", "more than 600 s", notInstalled, "0.250 s (0.25×)"},
	}
	if diff := cmp.Diff(want, b.sideRows()); diff != "" {
		t.Error(diff)
	}
}
