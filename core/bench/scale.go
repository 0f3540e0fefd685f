package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What is measured at a size at which anything that is not linear shows.
const (
	manyStages  = 10_000
	manyEvents  = 10_000
	manyPlugins = 50
	// eventsPerStage is how many events a stage without anything to it has: it is
	// started, its command issued, the command succeeds, it is settled.
	eventsPerStage = 4
)

// wide is the shape whose apply shows whether the work grows with the stages.
var wide = shape{stages: manyStages}

func resumeCell(events int) string {
	return fmt.Sprintf("runner resume of a run with %s events", count(events))
}

func pluginsCell(plugins int) string {
	return fmt.Sprintf("runner apply, %d plugin processes", plugins)
}

// addScale prepares what is measured of the runner alone. The small form is for
// trying the benchmark itself.
func (b *bench) addScale(ctx context.Context, dir string, small bool) error {
	events, plugins := manyEvents, manyPlugins
	if small {
		events, plugins = 100, 5
	} else {
		sub, err := b.folder(dir)
		if err != nil {
			return err
		}
		w, err := b.tools[0].prepare(ctx, sub, wide)
		if err != nil {
			return err
		}
		b.add(shapeCell(runnerTool, wide), w)
	}
	if err := b.addResume(ctx, dir, events); err != nil {
		return err
	}
	return b.addPlugins(ctx, dir, plugins)
}

// addResume makes a run with so many events that waits for people. Resuming it
// reads them, decides that nothing can be done, and leaves.
func (b *bench) addResume(ctx context.Context, dir string, events int) error {
	sub, err := b.folder(dir)
	if err != nil {
		return err
	}
	text := shape{stages: events / eventsPerStage}.pipeline() + `
stage "last" {
  approval "people" {}
  use "local_noop" {}
}
`
	if err := initialised(ctx, b.programs, sub, text); err != nil {
		return err
	}
	const waits = 3
	p := program{dir: sub, path: b.programs.runner(), args: []string{"apply", "-auto-approve"}, exit: waits}
	if _, err := p.run(ctx); err != nil {
		return err
	}
	p.args = []string{"resume"}
	b.add(resumeCell(events), p.run)
	return nil
}

// addPlugins makes a pipeline whose stages have each a configuration of the
// plugin, and so a process, of their own.
func (b *bench) addPlugins(ctx context.Context, dir string, plugins int) error {
	sub, err := b.folder(dir)
	if err != nil {
		return err
	}
	if err := initialised(ctx, b.programs, sub, manyConfigurations(plugins)); err != nil {
		return err
	}
	b.add(pluginsCell(plugins), program{
		dir: sub, path: b.programs.runner(), args: []string{"apply", "-auto-approve", "-parallelism=" + strconv.Itoa(plugins)},
	}.run)
	return nil
}

func manyConfigurations(plugins int) string {
	var b strings.Builder
	b.WriteString(pipelineHead)
	for i := range plugins {
		fmt.Fprintf(&b, `
plugin "local" {
  alias = "p%[1]d"
}

environment "e%[1]d" {
  plugins = { local = plugin.local.p%[1]d }
}

stage "s%[1]d" {
  environment = environment.e%[1]d
  use "local_noop" {}
}
`, i)
	}
	return b.String()
}

// scaleAims compare with what was asked for at these sizes.
func (b *bench) scaleAims() []aim {
	const second = time.Second
	one, thousand, ten := shapeCell(runnerTool, shape{stages: 1}), shapeCell(runnerTool, shape{stages: 1000}), shapeCell(runnerTool, wide)
	return []aim{
		b.within("validate of 10,000 stages: under 2 s", commandCell("validate", manyStages), 2*second),
		b.within("plan of 10,000 stages: under 2 s", commandCell("plan", manyStages), 2*second),
		b.peakBelow("memory of validate and plan of 10,000 stages: under 300 MB", 300e6, commandCell("validate", manyStages), commandCell("plan", manyStages)),
		b.ratio("apply grows linearly: a stage of 10,000 beside one of 1,000", func(r float64) bool { return r <= linear },
			func(w walls) float64 { return (w[ten] - w[one]) / (manyStages - 1) / ((w[thousand] - w[one]) / 999) }, ten, thousand, one),
		b.within("resume of a run with 10,000 events: under 1 s", resumeCell(manyEvents), second),
		b.within("50 plugin processes, from the start of the run to its end: under 1.5 s", pluginsCell(manyPlugins), 3*second/2),
	}
}
