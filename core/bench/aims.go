package main

import (
	"fmt"
	"os"
	"time"
)

// aim is what we want to be so, beside what is.
type aim struct {
	what     string
	measured string
	// met is meaningful only when something was measured.
	met bool
}

const (
	mib = 1 << 20
	// linear is how much dearer a link of the long chain may be than one of the
	// short chain to call the growth linear: less than noise on a busy machine.
	linear = 1.25
)

// aims compares with what was asked for. A figure that is missing, because a
// tool is not installed or the size was left out, says so.
func (b *bench) aims() ([]aim, error) {
	thousand, chain := shape{stages: 1000}, shape{stages: 1000, chain: true}
	one, ours, link := shapeCell(runnerTool, shape{stages: 1}), shapeCell(runnerTool, thousand), shapeCell(runnerTool, chain)
	theirs, makes := shapeCell(terraformTool, thousand), shapeCell(makeTool, thousand)
	calls, short := shapeCell(bareTool, chain), shapeCell(runnerTool, shape{stages: 100, chain: true})
	out := []aim{
		b.ratio("1,000 stages in parallel: at least 14× faster than Terraform", func(r float64) bool { return r >= 14 },
			func(w walls) float64 { return w[theirs] / w[ours] }, theirs, ours),
		b.ratio("1,000 stages in parallel: ahead of make -j2, as make's time over ours", func(r float64) bool { return r > 1 },
			func(w walls) float64 { return w[makes] / w[ours] }, makes, ours),
		b.ratio("a chain of 1,000: within 3× of 1,000 fsyncs and 1,000 bare calls", func(r float64) bool { return r <= 3 },
			func(w walls) float64 { return w[link] / (w[fsyncCell] + w[calls]) }, link, fsyncCell, calls),
		b.ratio("a chain grows linearly: a link of 1,000 beside one of 100", func(r float64) bool { return r <= linear },
			func(w walls) float64 { return (w[link] - w[one]) / 999 / ((w[short] - w[one]) / 99) }, link, short, one),
		b.within("one stage, cold: under 0.1 s", one, 100*time.Millisecond),
		b.memory(),
		b.within("validate of 1,000 stages: under 0.15 s", commandCell("validate", 1000), 150*time.Millisecond),
		b.within("plan of 1,000 stages: under 0.5 s", commandCell("plan", 1000), 500*time.Millisecond),
	}
	out = append(out, b.scaleAims()...)
	out = append(out, b.viewAims()...)
	file, err := os.Stat(b.programs.runner())
	if err != nil {
		return nil, err
	}
	return append(out, aim{what: "the core's program: under 40 MB", measured: fmt.Sprintf("%.1f MB", float64(file.Size())/1e6), met: file.Size() < 40e6}), nil
}

// ratio compares cells within each round.
func (b *bench) ratio(what string, met func(float64) bool, of func(walls) float64, names ...string) aim {
	r, ok := b.perRound(of, names...)
	if !ok {
		return aim{what: what, measured: notMeasured}
	}
	return aim{what: what, measured: fmt.Sprintf("%.2f×", r), met: met(r)}
}

// within asks that a cell takes less than a limit.
func (b *bench) within(what, name string, limit time.Duration) aim {
	s, ok := b.cell(name).median()
	if !ok {
		return aim{what: what, measured: notMeasured}
	}
	return aim{what: what, measured: seconds(s.wall), met: s.wall < limit}
}

// memory is the largest peak of all applies beside other tools.
func (b *bench) memory() aim {
	var names []string
	for _, s := range b.shapes {
		names = append(names, shapeCell(runnerTool, s))
	}
	return b.peakBelow("memory of the runner's process at its peak: under 64 MiB", 64*mib, names...)
}

// peakBelow asks that the largest peak of all cells is below a limit.
func (b *bench) peakBelow(what string, limit int64, names ...string) aim {
	var most int64
	for _, name := range names {
		if c := b.cell(name); c != nil {
			for _, one := range c.samples {
				most = max(most, one.peak)
			}
		}
	}
	if most == 0 {
		return aim{what: what, measured: notMeasured}
	}
	return aim{what: what, measured: bytesText(most), met: most < limit}
}
