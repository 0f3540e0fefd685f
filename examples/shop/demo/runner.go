package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// All that the demo knows of runner's and the local plugin's command lines, and
// of the event stream, is in this file.

// exe ends the name of a program.
var exe = map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]

// Runner calls the runner program in one folder.
type Runner struct {
	Program, Dir string
	Env          []string
}

// Outcome is how an apply ended, by its exit code.
type Outcome int

// Outcomes of an apply.
const (
	Promoted   Outcome = 0
	Failed     Outcome = 1
	RolledBack Outcome = 4
)

func (o Outcome) String() string {
	switch o {
	case Promoted:
		return "promoted"
	case RolledBack:
		return "rolled back"
	}
	return "ended with exit code " + strconv.Itoa(int(o))
}

// EventKind is what happened.
type EventKind int

// What the demo looks for in the stream.
const (
	// WeightSet: the candidate's weight was set and read back.
	WeightSet EventKind = iota + 1
	// HarmFound: the verdict over the whole rollout is that the candidate does harm.
	HarmFound
	// Aborting: the way back begins.
	Aborting
)

// Event of a run.
type Event struct {
	Kind EventKind
	Time time.Time
	// Weight is set with WeightSet, such as 5%.
	Weight string
	// Text is for people.
	Text string
}

// Init finds the plugins.
func (r *Runner) Init(ctx context.Context) error {
	out, err := r.command(ctx, "init").CombinedOutput()
	if err != nil {
		return fmt.Errorf("runner init: %w\n%s", err, out)
	}
	return nil
}

// Apply runs the pipeline and tells what happens while it happens. An error
// means that it was not carried to an end.
func (r *Runner) Apply(ctx context.Context, vars map[string]string, tell func(Event)) (Outcome, error) {
	args := []string{"apply", "-auto-approve", "-json"}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		args = append(args, "-var", name+"="+vars[name])
	}
	cmd := r.command(ctx, args...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return Failed, err
	}
	if err := cmd.Start(); err != nil {
		return Failed, err
	}
	readErr := read(lines, tell)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return Failed, context.Cause(ctx)
	case readErr != nil:
		return Failed, readErr
	case waitErr == nil:
		return Promoted, nil
	case errors.As(waitErr, &exit) && Outcome(exit.ExitCode()) == RolledBack:
		return RolledBack, nil
	}
	return Failed, fmt.Errorf("runner apply: %w\n%s", waitErr, problems.Bytes())
}

// command is stopped with an interrupt, so that the run is left in order.
func (r *Runner) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, r.Program, args...)
	cmd.Dir, cmd.Env = r.Dir, r.Env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// read tells the events of a stream of JSON lines.
func read(lines io.Reader, tell func(Event)) error {
	scan := bufio.NewScanner(lines)
	scan.Buffer(nil, 1<<20)
	commands := map[int64]command{}
	for scan.Scan() {
		var l struct {
			Time time.Time       `json:"time"`
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		err := json.Unmarshal(scan.Bytes(), &l)
		if err == nil {
			err = understand(l.Type, l.Time, l.Data, commands, tell)
		}
		if err != nil {
			return fmt.Errorf("line of the event stream: %w: %s", err, scan.Bytes())
		}
	}
	return scan.Err()
}

// command is what runner asked a plugin to do.
type command struct {
	ID   int64  `json:"id"`
	Kind string `json:"kind"`
	// Weight is in thousandths of a percent.
	Weight int64 `json:"weight"`
	// Back: the command gives the traffic back to the stable release.
	Back bool `json:"back"`
}

// understand reads one line. Commands are kept until their end is told.
func understand(kind string, at time.Time, data json.RawMessage, commands map[int64]command, tell func(Event)) error {
	switch kind {
	case "command.issued":
		var c command
		err := json.Unmarshal(data, &c)
		commands[c.ID] = c
		return err
	case "command.succeeded":
		var end struct {
			Command int64 `json:"command"`
		}
		if err := json.Unmarshal(data, &end); err != nil {
			return err
		}
		c := commands[end.Command]
		if c.Kind != "set_weight" {
			return nil
		}
		weight := strconv.FormatFloat(float64(c.Weight)/1000, 'f', -1, 64) + "%"
		if c.Back {
			weight = "0%"
		}
		tell(Event{Kind: WeightSet, Time: at, Weight: weight})
	case "verdict.reached":
		var v struct {
			Harm struct {
				Value, Why string
			} `json:"harm"`
		}
		if err := json.Unmarshal(data, &v); err != nil {
			return err
		}
		if v.Harm.Value == "fail" {
			tell(Event{Kind: HarmFound, Time: at, Text: v.Harm.Why})
		}
	case "rollout.aborting":
		var a struct {
			Why string `json:"why"`
		}
		if err := json.Unmarshal(data, &a); err != nil {
			return err
		}
		tell(Event{Kind: Aborting, Time: at, Text: a.Why})
	}
	return nil
}

// Local calls the local plugin's own program.
type Local struct {
	Program string
	Env     []string
}

// StopAll stops every service that it installed.
func (l *Local) StopAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.Program, "stop", "-all")
	cmd.Env = l.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s stop -all: %w\n%s", l.Program, err, out)
	}
	return nil
}

// environment is this process's without what would steer runner, and more.
func environment(more ...string) []string {
	return append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "RUNNER_")
	}), more...)
}
