// Package report is runner report: it writes all that is known of a run into one
// HTML file, which needs nothing else to be read, sent and printed.
package report

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Options of the command.
type Options struct {
	Env *command.Env
	Run string
	Out string
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "report", Args: "[RUN]", Short: "Write a run as one HTML page", Flags: command.NewFlags("report"),
		Long: `Writes what is known of a run into one HTML file: how it ended and why, the graph, when
each stage ran, how traffic moved and what the judge said, who approved what, and the
logs. The file needs no network and prints well. Without an argument it takes the newest run.`,
	}
	c.Flags.StringVar(&opts.Out, "out", "", "write to `file`; - for the standard output; by default runner-RUN.html")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			return c.Usage("runner report takes at most one run.")
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
	in := Input{Record: rec, Plan: past.Plan, Events: past.Events, Nodes: past.State.Nodes(), Idle: drive.Standing(past.State), Now: time.Now()}
	if rec.Closed.IsZero() {
		if in.Live, err = drive.Live(ctx, w, rec); err != nil {
			return err
		}
	}
	if in.Logs, err = logsOf(ctx, w, rec, past); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := Write(&b, in); err != nil {
		return err
	}
	return keep(opts, rec, b.Bytes())
}

func keep(opts *Options, rec runs.Record, b []byte) error {
	if opts.Out == "-" {
		_, err := opts.Env.Stdout.Write(b)
		return err
	}
	name := opts.Out
	if name == "" {
		name = "runner-" + rec.ID + ".html"
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(opts.Env.Dir, path)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	fmt.Fprintf(opts.Env.Stdout, "Run %s is told in %s (%d KiB).\n", rec.ID, name, (len(b)+1023)/1024)
	return nil
}

const (
	// perStage is how many of a stage's last lines are on the page.
	perStage = 500
	// most is how many bytes of logs are on the page.
	most = 8 << 20
)

// logsOf reads what the stages wrote.
func logsOf(ctx context.Context, w *workspace.Workspace, rec runs.Record, past *drive.History) ([]Log, error) {
	byStage := map[string]*Log{}
	for _, ev := range past.Events {
		issued, ok := ev.Fact.(kernel.CommandIssued)
		if !ok || issued.Node == "" {
			continue
		}
		log := byStage[issued.Node]
		if log == nil {
			log = &Log{Stage: issued.Node}
			byStage[issued.Node] = log
		}
		for l, err := range logs.Read(ctx, w.Store, rec.ID, strconv.FormatInt(issued.ID, 10)) {
			if err != nil {
				return nil, err
			}
			log.add(issued.Target, l)
		}
	}
	var out []Log
	size := 0
	for _, n := range past.Plan.Nodes {
		log := byStage[n.ID]
		if log == nil || len(log.Lines) == 0 {
			continue
		}
		log.cut()
		for i := len(log.Lines) - 1; i >= 0; i-- {
			if size += len(log.Lines[i].Text) + 16; size > most {
				log.Left += i + 1
				log.Lines = log.Lines[i+1:]
				break
			}
		}
		out = append(out, *log)
	}
	return out, nil
}

func (l *Log) add(target string, line logs.Line) {
	if target != "" && target != "main" {
		target += ": "
	} else {
		target = ""
	}
	if len(l.Lines) >= 2*perStage {
		l.cut()
	}
	l.Lines = append(l.Lines, Line{line.Time, target + strings.ToValidUTF8(line.Message, "�")})
}

// cut keeps the last lines.
func (l *Log) cut() {
	if left := len(l.Lines) - perStage; left > 0 {
		l.Left += left
		l.Lines = append([]Line{}, l.Lines[left:]...)
	}
}
