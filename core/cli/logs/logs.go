// Package logs is runner logs: it shows what the commands of a run wrote.
package logs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/follow"
	"github.com/runner-pipelines/runner/core/cli/since"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env        *command.Env
	Run        string
	Stage      string
	JSON       bool
	Follow     bool
	Timestamps bool
	Since      since.Flag
	// Tail is how many of the last lines are shown; negative for all.
	Tail int
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "logs", Args: "[RUN]", Short: "Show what the stages of a run wrote", Flags: command.NewFlags("logs"),
		Long: `Shows the log lines of a run's commands, in the order in which the commands began.
Without an argument it takes the newest run. With -f it goes on with what comes, until the
run ends or its process leaves; Ctrl-C ends it before.`,
	}
	c.Flags.StringVar(&opts.Stage, "stage", "", "only of this `stage`, such as stage.build")
	c.Flags.BoolVar(&opts.Follow, "f", false, "go on with what the run writes from now on")
	c.Flags.Var(&opts.Since, "since", "only lines since a `time`: 10m, 2h, 3d, or such as 2026-11-23T06:30:00Z")
	c.Flags.IntVar(&opts.Tail, "tail", -1, "only the last `n` lines")
	c.Flags.BoolVar(&opts.Timestamps, "timestamps", false, "the whole time, in RFC 3339 with milliseconds")
	c.Flags.BoolVar(&opts.JSON, "json", false, "one JSON object a line")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner logs takes at most one run.")
		}
		opts.Run = "latest"
		if len(args) == 1 {
			opts.Run = args[0]
		}
		return runF(ctx, opts)
	}
	return c
}

func run(ctx context.Context, opts *Options) error {
	w, rec, past, err := drive.Told(ctx, opts.Env, opts.Run)
	if err != nil {
		return err
	}
	defer w.Close()
	p := &printer{opts: opts, enc: json.NewEncoder(opts.Env.Stdout)}
	if opts.Stage != "" {
		if p.stage, err = drive.Stage(past, opts.Stage); err != nil {
			return err
		}
	}
	if opts.Follow && rec.Closed.IsZero() {
		return followed(ctx, w, rec, past, p)
	}
	if err := p.past(ctx, w, rec, past, nil); err != nil {
		return err
	}
	return p.flush()
}

// followed shows what was written, and then what comes.
func followed(ctx context.Context, w *workspace.Workspace, rec runs.Record, past *drive.History, p *printer) error {
	open := map[int64]bool{}
	for _, c := range past.State.InFlight() {
		open[c.ID] = true
	}
	if err := p.past(ctx, w, rec, past, open); err != nil {
		return err
	}
	r := follow.From(w, rec, past)
	if err := r.Poll(ctx, func(kernel.Event) {}, p.line); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	_, err := r.Watch(ctx, p.opts.Env.Interrupts, func(kernel.Event) {}, p.line)
	return errors.Join(err, p.err)
}

// printer shows lines: the last of them once it is flushed, and all that come later.
type printer struct {
	opts  *Options
	enc   *json.Encoder
	stage string
	// kept are the last lines until flush.
	kept    []kept
	flushed bool
	err     error
}

type kept struct {
	kernel.Command
	logs.Line
}

// past tells the lines of the commands of a history, without some.
func (p *printer) past(ctx context.Context, w *workspace.Workspace, rec runs.Record, past *drive.History, without map[int64]bool) error {
	for _, ev := range past.Events {
		issued, ok := ev.Fact.(kernel.CommandIssued)
		if !ok || p.stage != "" && issued.Node != p.stage || without[issued.ID] {
			continue
		}
		for l, err := range logs.Read(ctx, w.Store, rec.ID, strconv.FormatInt(issued.ID, 10)) {
			if err != nil {
				return err
			}
			p.line(issued.Command, l)
		}
	}
	return p.err
}

func (p *printer) line(c kernel.Command, l logs.Line) {
	switch {
	case p.stage != "" && c.Node != p.stage, l.Time.Before(p.opts.Since.Time):
	case p.flushed || p.opts.Tail < 0:
		p.print(c, l)
	case p.opts.Tail > 0:
		if len(p.kept) == p.opts.Tail {
			p.kept = slices.Delete(p.kept, 0, 1)
		}
		p.kept = append(p.kept, kept{c, l})
	}
}

func (p *printer) flush() error {
	p.flushed = true
	for _, k := range p.kept {
		p.print(k.Command, k.Line)
	}
	p.kept = nil
	return p.err
}

func (p *printer) print(c kernel.Command, l logs.Line) {
	if p.err != nil {
		return
	}
	if p.opts.JSON {
		p.err = p.enc.Encode(view.LogLine{Node: c.Node, Target: c.Target, Command: c.ID, Line: l})
		return
	}
	at := l.Time.Local().Format("15:04:05")
	if p.opts.Timestamps {
		at = l.Time.Local().Format("2006-01-02T15:04:05.000Z07:00")
	}
	_, p.err = fmt.Fprintf(p.opts.Env.Stdout, "%s  %s  %s%s\n", at, strings.TrimSpace(c.Node+" "+c.Target), l.Message, attrs(l.Attrs))
}

func attrs(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s=%s", k, m[k])
	}
	return b.String()
}
