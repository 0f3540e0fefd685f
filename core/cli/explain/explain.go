// Package explain is runner explain: it tells from the journal of a run what
// happened, why, what that led to, and which command is safe next.
package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/display"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/paint"
)

// Options of the command.
type Options struct {
	Env        *command.Env
	Run, Stage string
	JSON       bool
	NoColor    bool
}

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "explain", Args: "[RUN [STAGE]]", Short: "Tell why a run is as it is", Flags: command.NewFlags("explain"),
		Long: `Tells from the journal what happened in a run, why, what that led to, where things
stand, and which command is safe next. With a stage it tells of that stage; of one that
was not run, it tells why. Without an argument it takes the newest run. RUN/STAGE means
the same as the two words.

  runner explain latest stage.release`,
	}
	c.Flags.BoolVar(&opts.JSON, "json", false, "as one JSON object")
	c.Flags.BoolVar(&opts.NoColor, "no-color", false, "no colours; so does the environment variable NO_COLOR")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) > 2 {
			return c.Usage("runner explain takes one run, and a stage of it.")
		}
		opts.Run = "latest"
		if len(args) > 0 {
			opts.Run, opts.Stage, _ = strings.Cut(args[0], "/")
		}
		if len(args) == 2 {
			opts.Stage = args[1]
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
	in := Input{Record: rec, Graph: &past.Plan.Graph, Events: past.Events, Nodes: past.State.Nodes(), Idle: drive.Standing(past.State)}
	if opts.Stage != "" {
		id, err := drive.Stage(past, opts.Stage)
		if err != nil {
			return err
		}
		in.Stage = id
	}
	if rec.Closed.IsZero() {
		if in.Live, err = drive.Live(ctx, w, rec); err != nil {
			return err
		}
	}
	x := Of(in)
	if opts.JSON {
		enc := json.NewEncoder(opts.Env.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(x)
	}
	Write(opts.Env.Stdout, x, display.Paint(opts.Env, opts.NoColor), time.Local)
	return nil
}

// Write tells an explanation to people.
func Write(out io.Writer, x *Explanation, style paint.Style, zone *time.Location) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	of := "Run " + x.Run
	if x.Stage != "" {
		of = x.Stage + " in run " + x.Run
	}
	say("%s", style.Bold.Render(of+": "+x.Standing))
	if x.Why != "" {
		say("Why: %s", x.Why)
	}
	if len(x.Chain) > 0 {
		say("\n%s", style.Bold.Render("What happened"))
	}
	for _, block := range blocks(x.Chain) {
		indent := "  "
		if node := block[0].Node; node != "" {
			say("  %s", node)
			indent = "    "
		}
		for _, l := range block {
			sign := map[Role]string{Event: " ", Fault: style.Bad.Render("!"), Answer: style.Info.Render(">")}[l.Role]
			text := strings.ReplaceAll(l.Text, "\n", "\n"+indent+"           ")
			say("%s%s %s %s", indent, style.Dim.Render(l.At.In(zone).Format("15:04:05")), sign, text)
		}
	}
	writeJudged(out, x, style, zone)
	if len(x.Led) > 0 {
		say("\n%s", style.Bold.Render("What that led to"))
		for _, l := range x.Led {
			say("  %s", l)
		}
	}
	if len(x.Stands) > 0 {
		say("\n%s", style.Bold.Render("How it is now"))
		for _, l := range x.Stands {
			say("  %s", l)
		}
	}
	if len(x.Next) > 0 {
		say("\nNext:")
	}
	for _, n := range x.Next {
		say("  %s\n      %s", n.Line, style.Dim.Render(n.Does))
	}
}

// blocks are the links of the run, and then those of each stage.
func blocks(chain []Link) [][]Link {
	var out [][]Link
	index := map[string]int{}
	for _, l := range chain {
		at, ok := index[l.Node]
		if !ok {
			at = len(out)
			index[l.Node] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], l)
	}
	return out
}
