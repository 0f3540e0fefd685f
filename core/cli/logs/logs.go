// Package logs is runner logs: it shows what the commands of a run wrote.
package logs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/journal/logs"
	"github.com/runner-pipelines/runner/core/kernel"
)

// Options of the command.
type Options struct {
	Env   *command.Env
	Run   string
	Stage string
	JSON  bool
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
Without an argument it takes the newest run.`,
	}
	c.Flags.StringVar(&opts.Stage, "stage", "", "only of this `stage`, such as stage.build")
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
	w, err := workspace.OpenRuns(ctx, opts.Env)
	if err != nil {
		return err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, opts.Run)
	if err != nil {
		return err
	}
	past, err := drive.Whole(ctx, w, rec)
	if err != nil {
		return err
	}
	if opts.Stage != "" && !known(past, opts.Stage) {
		return fmt.Errorf("run %s has no stage %s", rec.ID, opts.Stage)
	}
	enc := json.NewEncoder(opts.Env.Stdout)
	for _, ev := range past.Events {
		issued, ok := ev.Fact.(kernel.CommandIssued)
		if !ok || opts.Stage != "" && issued.Node != opts.Stage && issued.Node != "stage."+opts.Stage {
			continue
		}
		for l, err := range logs.Read(ctx, w.Store, rec.ID, strconv.FormatInt(issued.ID, 10)) {
			if err != nil {
				return err
			}
			if opts.JSON {
				err = enc.Encode(struct {
					Node    string `json:"node"`
					Target  string `json:"target,omitempty"`
					Command int64  `json:"command"`
					logs.Line
				}{issued.Node, issued.Target, issued.ID, l})
			} else {
				_, err = fmt.Fprintf(opts.Env.Stdout, "%s  %s  %s%s\n", l.Time.Local().Format("15:04:05"), strings.TrimSpace(issued.Node+" "+issued.Target), l.Message, attrs(l.Attrs))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func known(past *drive.History, stage string) bool {
	for _, id := range []string{stage, "stage." + stage} {
		if _, ok := past.State.Node(id); ok {
			return true
		}
	}
	return false
}

func attrs(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, " %s=%s", k, m[k])
	}
	return b.String()
}
