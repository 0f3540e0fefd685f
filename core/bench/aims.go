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
	wide, chain := shape{stages: 1000}, shape{stages: 1000, chain: true}
	ratio := func(what string, met func(float64) bool, of func(walls) float64, names ...string) aim {
		r, ok := b.perRound(of, names...)
		if !ok {
			return aim{what: what, measured: notMeasured}
		}
		return aim{what: what, measured: fmt.Sprintf("%.2f×", r), met: met(r)}
	}
	within := func(what, name string, limit time.Duration) aim {
		s, ok := b.cell(name).median()
		if !ok {
			return aim{what: what, measured: notMeasured}
		}
		return aim{what: what, measured: seconds(s.wall), met: s.wall < limit}
	}

	one, ours, link := shapeCell(runnerTool, shape{stages: 1}), shapeCell(runnerTool, wide), shapeCell(runnerTool, chain)
	theirs, makes := shapeCell(terraformTool, wide), shapeCell(makeTool, wide)
	calls, short := shapeCell(bareTool, chain), shapeCell(runnerTool, shape{stages: 100, chain: true})
	out := []aim{
		ratio("1,000 stages in parallel: at least 14× faster than Terraform", func(r float64) bool { return r >= 14 },
			func(w walls) float64 { return w[theirs] / w[ours] }, theirs, ours),
		ratio("1,000 stages in parallel: ahead of make -j2, as make's time over ours", func(r float64) bool { return r > 1 },
			func(w walls) float64 { return w[makes] / w[ours] }, makes, ours),
		ratio("a chain of 1,000: within 3× of 1,000 fsyncs and 1,000 bare calls", func(r float64) bool { return r <= 3 },
			func(w walls) float64 { return w[link] / (w[fsyncCell] + w[calls]) }, link, fsyncCell, calls),
		ratio("a chain grows linearly: a link of 1,000 beside one of 100", func(r float64) bool { return r <= linear },
			func(w walls) float64 { return (w[link] - w[one]) / 999 / ((w[short] - w[one]) / 99) }, link, short, one),
		within("one stage, cold: under 0.1 s", one, 100*time.Millisecond),
		b.memory(),
		within("validate of 1,000 stages: under 0.15 s", commandCell("validate", 1000), 150*time.Millisecond),
		within("plan of 1,000 stages: under 0.5 s", commandCell("plan", 1000), 500*time.Millisecond),
	}
	file, err := os.Stat(b.programs.runner())
	if err != nil {
		return nil, err
	}
	return append(out, aim{what: "the core's program: under 40 MB", measured: fmt.Sprintf("%.1f MB", float64(file.Size())/1e6), met: file.Size() < 40e6}), nil
}

// memory is the largest peak of all applies.
func (b *bench) memory() aim {
	a := aim{what: "memory of the runner's process at its peak: under 64 MiB", measured: notMeasured}
	var most int64
	for _, s := range b.shapes {
		if c := b.cell(shapeCell(runnerTool, s)); c != nil {
			for _, one := range c.samples {
				most = max(most, one.peak)
			}
		}
	}
	if most > 0 {
		a.measured, a.met = bytesText(most), most < 64*mib
	}
	return a
}
