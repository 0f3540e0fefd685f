// Package analyze is runner analyze: what the judge says of data that were
// recorded, and what a policy would do at a given traffic. No rollout is needed.
package analyze

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/since"
	"github.com/runner-pipelines/runner/core/diagnostics"
)

// The two things that the command does.
const (
	doReplay   = "replay"
	doSimulate = "simulate"
)

// Options of the command.
type Options struct {
	Env    *command.Env
	What   string
	JSON   bool
	Policy policy
	// Bake is the least time that a step takes.
	Bake time.Duration
	// Interval between looks; 0 is each time that was recorded, and a minute where
	// one simulates.
	Interval time.Duration
	// Requests and Errors are files or queries of a replay, and the traffic that is
	// simulated.
	Requests, Errors string
	// Stage has the policy; empty is none.
	Stage          string
	Vars, VarFiles command.Repeated
	// given are the options that were written on the command line.
	given map[string]bool

	// Of a replay.
	Files             []string
	Metrics           command.Repeated
	History           command.Repeated
	Candidate, Stable string
	Series, Label     string
	Began             command.Repeated
	Prometheus        string
	Buckets, Values   string
	From, To          since.Flag
	Step              time.Duration

	// Of a simulation.
	Times, Dispersion float64
	For, Past         time.Duration
	Runs              int
	Seed              int64
}

const long = `Asks the judge of the analysis, without a rollout. docs/analysis.md tells how it judges.

  runner analyze replay errors.csv
  runner analyze replay -history=yesterday.csv -metric errors=a.csv -metric latency=b.csv
  runner analyze simulate -requests=100/min -share=5 -errors=0.5% -times=3

replay judges what was recorded as if it were live, look by look. Each FILE is one
metric, named like the file. A table (CSV) names its columns in its first line:

  t_seconds,release,requests,errors   requests, and how many of them were bad
  t_seconds,release,errors            bad events without a number of requests
  t_seconds,release,le,count          a histogram: the cumulative buckets of Prometheus
  t_seconds,release,value             single values

A time is the end of the interval that the numbers were counted in, which began at
the time before; with -series=counter they are readings of counters that only grow.
An empty cell was not measured. Rows may be in any order; those that are in the
order of time are not held in memory. A FILE may also be what Prometheus answers to
a range query: buckets, or single values; with -requests and -errors it is counts.
Instead of a file Prometheus itself can be asked, with -prometheus. FILE - is the
standard input.

It ends with harm at once, as a rollout would: exit code 4. At the end of the data
it ends with 0 when the step was passed, else with 3: there was not enough evidence.

simulate makes up services with this traffic, as often as -runs says, and tells how
often the policy aborts, passes, and comes to no decision. The same seed gives the
same figures.

Options of a metric hold for all metrics, or for one: -tolerance=0.2,
-tolerance=errors=0.2. With -stage the metrics are judged as the analysis of that stage
of the pipeline in this folder says, and files are named like its metrics.`

// New is the command; runF replaces what it does, for tests.
func New(env *command.Env, runF func(context.Context, *Options) error) *command.Command {
	opts := &Options{Env: env}
	if runF == nil {
		runF = run
	}
	c := &command.Command{
		Name: "analyze", Args: "replay or simulate [FILE]...", Short: "Judge recorded data, or try a policy", Long: long, Flags: command.NewFlags("analyze"),
	}
	f := c.Flags
	f.BoolVar(&opts.JSON, "json", false, "one JSON object a line")
	opts.Policy.flags(f)
	f.DurationVar(&opts.Interval, "interval", 0, "look once in this `time`; all times that were recorded, or a minute, unless given")
	f.Var((*span)(&opts.Bake), "bake", "do not pass before this `time` of a step")
	f.StringVar(&opts.Requests, "requests", "", "replay: the `file` or query of the requests; simulate: how many, such as 100/min")
	f.StringVar(&opts.Errors, "errors", "", "replay: the `file` or query of the bad ones; simulate: their share in stable, such as 0.5%")

	f.StringVar(&opts.Stage, "stage", "", "judge as this `stage` of the pipeline says; other options go before it")
	f.Var(&opts.Vars, "var", "with -stage: give a variable a value, as `name=value`")
	f.Var(&opts.VarFiles, "var-file", "with -stage: read values of variables from `file`")

	f.Var(&opts.Metrics, "metric", "replay: read a metric from a file, as name=`file`; simulate: the metric of the stage")
	f.Var(&opts.History, "history", "replay: the past of stable, as `file` or name=file; with -prometheus a time, such as 24h")
	f.StringVar(&opts.Candidate, "candidate", "", "replay: the `name` of the candidate; candidate or canary unless given")
	f.StringVar(&opts.Stable, "stable", "", "replay: the `name` of the stable release; stable, baseline or primary unless given")
	f.StringVar(&opts.Series, "series", "delta", "replay: the numbers are delta or counter, as this `form` says")
	f.StringVar(&opts.Label, "label", "release", "replay: the `label` that names the release in an answer of Prometheus")
	f.Var(&opts.Began, "began", "replay: a step of the rollout began at this `second` of the data; may be repeated")
	f.StringVar(&opts.Prometheus, "prometheus", "", "replay: ask the Prometheus at this `address`")
	f.StringVar(&opts.Buckets, "buckets", "", "replay: the `query` of a histogram's buckets")
	f.StringVar(&opts.Values, "values", "", "replay: the `query` of single values")
	f.Var(&opts.From, "from", "replay: ask from this `time` on: 2h, or such as 2026-11-23T06:30:00Z")
	f.Var(&opts.To, "to", "replay: ask up to this `time`; now unless given")
	f.DurationVar(&opts.Step, "step", time.Minute, "replay: ask for a value each time this `time` has passed")

	f.Float64Var(&opts.Times, "times", 1, "simulate: the candidate fails this `number` of times as often as stable")
	f.Float64Var(&opts.Dispersion, "dispersion", 1, "simulate: errors of a minute vary this `number` of times as much as independent ones")
	opts.For, opts.Past = time.Hour, 24*time.Hour
	f.Var((*span)(&opts.For), "for", "simulate: give up after this `time`; 60m unless given")
	f.Var((*span)(&opts.Past), "past", "simulate: know this `time` of stable's past; 24h unless given")
	f.IntVar(&opts.Runs, "runs", 1000, "simulate: play this `number` of rollouts")
	f.Int64Var(&opts.Seed, "seed", 1, "simulate: draw from this `number` on")
	c.Run = func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			return c.Usage("runner analyze needs to be told what to do: replay or simulate.")
		}
		opts.What, opts.Files = args[0], args[1:]
		if opts.What != doReplay && opts.What != doSimulate {
			return c.Usage("runner analyze has no command %q.%s", opts.What, diagnostics.Suggest(opts.What, []string{doReplay, doSimulate}))
		}
		if err := opts.check(c); err != nil {
			return err
		}
		return runF(ctx, opts)
	}
	return c
}

// only are the options that one of the two knows alone.
var only = map[string][]string{
	doReplay:   {"history", "candidate", "stable", "series", "label", "began", "prometheus", "buckets", "values", "from", "to", "step", "min", "max", "quantile"},
	doSimulate: {"times", "dispersion", "for", "past", "runs", "seed"},
}

func (o *Options) check(c *command.Command) error {
	o.given = command.Given(c.Flags)
	for what, names := range only {
		for _, name := range names {
			if o.given[name] && what != o.What {
				return c.Usage("-%s is of runner analyze %s.", name, what)
			}
		}
	}
	if o.Interval < 0 {
		return c.Usage("-interval must not be negative.")
	}
	if o.Stage == "" && len(o.Vars)+len(o.VarFiles) > 0 {
		return c.Usage("-var and -var-file are of the pipeline; -stage says of which stage of it.")
	}
	if o.What == doSimulate {
		return o.checkSimulation(c)
	}
	return o.checkReplay(c)
}

func run(ctx context.Context, opts *Options) error {
	if err := opts.ofStage(); err != nil {
		return err
	}
	if opts.What == doSimulate {
		return simulate(ctx, opts)
	}
	return replay(ctx, opts)
}

// failed is Usage for what is found later than the command line.
func failed(summary, detail string, args ...any) error {
	return command.Failure(summary, detail, args...)
}

// names joins them for people.
func names(all []string) string {
	quoted := make([]string, len(all))
	for i, n := range all {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}
