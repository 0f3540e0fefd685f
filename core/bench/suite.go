package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/runner-pipelines/runner/core/internal/page"
)

// cell is one thing that is measured, again and again.
type cell struct {
	name    string
	work    work
	samples []sample
	// late: it did not end within processTimeout.
	late bool
}

// due reports whether to measure once more.
func (c *cell) due(reps int, spend time.Duration) bool {
	var spent time.Duration
	for _, s := range c.samples {
		spent += s.wall
	}
	return len(c.samples) < reps && !c.late && (len(c.samples) == 0 || spent < spend)
}

func (c *cell) measure(ctx context.Context) error {
	s, err := c.work(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil || err != nil && s.wall >= processTimeout {
		c.late = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	c.samples = append(c.samples, s)
	return nil
}

// median of each figure by itself; false when there is no sample.
func (c *cell) median() (sample, bool) {
	if c == nil || len(c.samples) == 0 {
		return sample{}, false
	}
	middle := func(of func(sample) int64) int64 {
		var all []int64
		for _, s := range c.samples {
			all = append(all, of(s))
		}
		slices.Sort(all)
		return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	}
	return sample{
		wall: time.Duration(middle(func(s sample) int64 { return int64(s.wall) })),
		cpu:  time.Duration(middle(func(s sample) int64 { return int64(s.cpu) })),
		peak: middle(func(s sample) int64 { return s.peak }),
	}, true
}

// bench is all that is measured in one run.
type bench struct {
	programs programs
	tools    []tool
	shapes   []shape
	one      plugin
	// cells in the order in which they are measured, neighbours side by side.
	cells []*cell

	question, operation quantiles
	load                [2]string
}

// Names of the cells that no shape has.
const (
	fsyncCell  = "fsyncs"
	launchCell = "plugin launch to first answer"
)

func shapeCell(t string, s shape) string { return t + ", " + s.String() }

func commandCell(command string, stages int) string {
	return fmt.Sprintf("runner %s of %s stages", command, count(stages))
}

// checked are the sizes whose validate and plan are measured.
func checked(small bool) []int {
	if small {
		return []int{100}
	}
	return []int{1000, 10000}
}

func prepare(ctx context.Context, p programs, dir string, small bool) (*bench, error) {
	b := &bench{programs: p}
	for _, s := range []shape{{stages: 1}, {stages: 10}, {stages: 100}, {stages: 1000}, {stages: 100, chain: true}, {stages: 1000, chain: true}} {
		if !small || s.stages <= 100 {
			b.shapes = append(b.shapes, s)
		}
	}
	if err := b.install(ctx, dir); err != nil {
		return nil, err
	}
	for _, s := range b.shapes {
		for _, t := range b.tools {
			if !t.installed() {
				continue
			}
			sub, err := b.folder(dir)
			if err != nil {
				return nil, err
			}
			w, err := t.prepare(ctx, sub, s)
			if err != nil {
				return nil, err
			}
			b.add(shapeCell(t.name, s), w)
		}
	}
	b.add(fsyncCell, func(ctx context.Context) (sample, error) { return fsyncs(ctx, dir) })
	b.add(launchCell, b.one.launch)
	for _, n := range checked(small) {
		sub, err := b.folder(dir)
		if err != nil {
			return nil, err
		}
		if err := initialised(ctx, p, sub, shape{stages: n}.pipeline()); err != nil {
			return nil, err
		}
		for _, command := range []string{"validate", "plan"} {
			b.add(commandCell(command, n), program{dir: sub, path: p.runner(), args: []string{command}}.run)
		}
	}
	if err := b.addViews(ctx, dir, small); err != nil {
		return nil, err
	}
	return b, b.addScale(ctx, dir, small)
}

func (b *bench) install(ctx context.Context, dir string) error {
	runner, err := runnerOf(ctx, b.programs)
	if err != nil {
		return err
	}
	tf, err := terraform(ctx, dir)
	if err != nil {
		return err
	}
	mk, err := gnuMake(ctx)
	if err != nil {
		return err
	}
	loop, one, err := bare(b.programs, dir)
	if err != nil {
		return err
	}
	b.tools, b.one = []tool{runner, tf, mk, loop}, one
	return nil
}

// folder makes an empty folder for the next cell.
func (b *bench) folder(dir string) (string, error) {
	sub := filepath.Join(dir, fmt.Sprint(len(b.cells)))
	return sub, os.Mkdir(sub, 0o700)
}

func (b *bench) add(name string, w work) { b.cells = append(b.cells, &cell{name: name, work: w}) }

// cell finds one by its name; nil for a tool that is not installed.
func (b *bench) cell(name string) *cell {
	for _, c := range b.cells {
		if c.name == name {
			return c
		}
	}
	return nil
}

// walls are the seconds that cells took in one round.
type walls map[string]float64

// perRound compares the cells named within each round by the time they took.
func (b *bench) perRound(compare func(walls) float64, names ...string) (float64, bool) {
	return b.rounds(func(round map[string]sample) float64 {
		w := walls{}
		for name, s := range round {
			w[name] = s.wall.Seconds()
		}
		return compare(w)
	}, names...)
}

// rounds compares the cells named within each round, and gives the median of all
// rounds in which each of them was measured; false when there is none. What was
// measured while the machine was busy is so compared with its like.
func (b *bench) rounds(compare func(map[string]sample) float64, names ...string) (float64, bool) {
	var all []float64
	for round := 0; ; round++ {
		samples := map[string]sample{}
		for _, name := range names {
			if c := b.cell(name); c != nil && round < len(c.samples) {
				samples[name] = c.samples[round]
			}
		}
		if len(samples) < len(names) {
			break
		}
		all = append(all, compare(samples))
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2, true
}

// measure goes through all cells in rounds, so that what disturbs the machine for
// a while disturbs all that is compared.
func (b *bench) measure(ctx context.Context, reps int, spend time.Duration, progress io.Writer) error {
	b.load[0] = page.Load()
	for round := range reps {
		for _, c := range b.cells {
			if !c.due(reps, spend) {
				continue
			}
			if err := c.measure(ctx); err != nil {
				return err
			}
			took := "too long"
			if !c.late {
				took = seconds(c.samples[len(c.samples)-1].wall)
			}
			if _, err := fmt.Fprintf(progress, "%d  %-40s %s\n", round+1, c.name, took); err != nil {
				return err
			}
		}
	}
	var err error
	b.question, b.operation, err = b.one.latency(ctx)
	b.load[1] = page.Load()
	return err
}
