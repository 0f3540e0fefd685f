package main

import (
	"context"
	"fmt"
	"strings"
)

// What the live view on a terminal may cost beside the same run as JSON.
const (
	viewTime  = 1.05
	viewShare = 0.05
)

// look is a run that somebody looks at.
type look struct {
	shape
	// slow are stages beside the shape that take some seconds each, so that the
	// view has something to draw for longer than the rest takes.
	slow int
}

// slowTime is how long a slow stage takes, in seconds.
const slowTime = 3

// looks are the runs that are measured. In the first everything happens as fast as
// it can, in the second most of the time nothing happens but time.
func looks(small bool) []look {
	chain := shape{stages: 1000, chain: true}
	if small {
		chain.stages = 20
	}
	const slow = 10
	return []look{{shape: chain}, {shape: shape{stages: chain.stages - slow, chain: true}, slow: slow}}
}

func (l look) String() string {
	if l.slow == 0 {
		return l.shape.String()
	}
	return fmt.Sprintf("%s of which %d take %d s", count(l.stages+l.slow), l.slow, slowTime)
}

func (l look) pipeline() string {
	var b strings.Builder
	b.WriteString(l.shape.pipeline())
	for i := range l.slow {
		fmt.Fprintf(&b, "\nstage \"slow%d\" {\n  use \"local_exec\" {\n    command = [\"sleep\", \"%d\"]\n  }\n}\n", i, slowTime)
	}
	return b.String()
}

// Names of the ways to show a run, as they stand in the report.
const (
	asJSON     = "runner apply -json"
	onTerminal = "runner apply on a terminal"
)

func lookCell(way string, l look) string { return way + ", " + l.String() }

// addViews prepares each run shown in two ways.
func (b *bench) addViews(ctx context.Context, dir string, small bool) error {
	for _, l := range looks(small) {
		sub, err := b.folder(dir)
		if err != nil {
			return err
		}
		if err := initialised(ctx, b.programs, sub, l.pipeline()); err != nil {
			return err
		}
		apply := program{dir: sub, path: b.programs.runner(), args: []string{"apply", "-auto-approve", fmt.Sprintf("-parallelism=%d", parallelism+l.slow)}}
		plain := apply
		plain.args = append(plain.args, "-json")
		apply.terminal = true
		b.add(lookCell(asJSON, l), stateless(plain))
		b.add(lookCell(onTerminal, l), stateless(apply))
	}
	return nil
}

func (b *bench) viewAims() []aim {
	var out []aim
	for _, l := range looks(false) {
		plain, drawn := lookCell(asJSON, l), lookCell(onTerminal, l)
		out = append(out,
			b.ratio(fmt.Sprintf("%s, on a terminal: within 5 %% of the time of -json", l), func(r float64) bool { return r <= viewTime },
				func(s walls) float64 { return s[drawn] / s[plain] }, drawn, plain),
			b.share(fmt.Sprintf("%s, on a terminal: under 5 %% of one core more than -json", l), drawn, plain))
	}
	return out
}

// share is how much of one core a run takes more than another.
func (b *bench) share(what, more, less string) aim {
	r, ok := b.rounds(func(s map[string]sample) float64 {
		return (s[more].cpu - s[less].cpu).Seconds() / s[more].wall.Seconds()
	}, more, less)
	if !ok {
		return aim{what: what, measured: notMeasured}
	}
	return aim{what: what, measured: fmt.Sprintf("%.1f %%", 100*r), met: r < viewShare}
}
