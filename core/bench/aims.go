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
	wall := func(name string) (time.Duration, bool) {
		s, ok := b.cell(name).median()
		return s.wall, ok
	}
	ratio := func(what string, of, to time.Duration, ok bool, met func(float64) bool) aim {
		if !ok || to <= 0 {
			return aim{what: what, measured: notMeasured}
		}
		r := float64(of) / float64(to)
		return aim{what: what, measured: fmt.Sprintf("%.2f×", r), met: met(r)}
	}
	within := func(what, name string, limit time.Duration) aim {
		d, ok := wall(name)
		if !ok {
			return aim{what: what, measured: notMeasured}
		}
		return aim{what: what, measured: seconds(d), met: d < limit}
	}

	ours, ok := wall(shapeCell(runnerTool, wide))
	theirs, ok2 := wall(shapeCell(terraformTool, wide))
	makes, ok3 := wall(shapeCell(makeTool, wide))
	link, ok4 := wall(shapeCell(runnerTool, chain))
	calls, ok5 := wall(shapeCell(bareTool, chain))
	disk, ok6 := wall(fsyncCell)
	short, ok7 := wall(shapeCell(runnerTool, shape{stages: 100, chain: true}))
	single, ok8 := wall(shapeCell(runnerTool, shape{stages: 1}))
	out := []aim{
		ratio("1,000 stages in parallel: at least 14× faster than Terraform", theirs, ours, ok && ok2, func(r float64) bool { return r >= 14 }),
		ratio("1,000 stages in parallel: ahead of make -j2, as make's time over ours", makes, ours, ok && ok3, func(r float64) bool { return r > 1 }),
		ratio("a chain of 1,000: within 3× of 1,000 fsyncs and 1,000 bare calls", link, disk+calls, ok4 && ok5 && ok6, func(r float64) bool { return r <= 3 }),
		ratio("a chain grows linearly: a link of 1,000 beside one of 100", (link-single)/999, (short-single)/99, ok4 && ok7 && ok8, func(r float64) bool { return r <= linear }),
		within("one stage, cold: under 0.1 s", shapeCell(runnerTool, shape{stages: 1}), 100*time.Millisecond),
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
