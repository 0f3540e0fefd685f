package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/lock"
	"github.com/runner-pipelines/runner/sdk/sdktest/fake"
	"github.com/runner-pipelines/runner/sdk/strategy"
	"github.com/runner-pipelines/runner/sdk/target"
)

// trial is one run to which something happens.
type trial struct {
	y *yard
	// dir is the pipeline's folder, marks where the processes leave their files.
	dir, marks string
	said       bytes.Buffer
	// passed are the places of the last process that ran.
	passed []string
	// struck: the order was carried out.
	struck  bool
	resumes int
	// doubts are the stages that people were asked about.
	doubts []string
}

// ended is how a run ended, without what differs between any two runs.
type ended struct {
	Exit    int
	Outcome kernel.Outcome
	Nodes   map[string]node
	Target  site
	// Effects are the operations that had one, by stage.
	Effects map[string][]string
	// Locks are the environments that are still locked.
	Locks []string
}

type node struct {
	Status  string
	Outcome kernel.Outcome
	Phase   string
	Step    string
	Harm    string
	Targets []kernel.TargetView
}

// site is the target as it stands in the world. Every effect counts up Changes.
type site struct {
	Stable   string
	Weights  map[string]target.Weight
	Releases []string
	Changes  int
}

// killed is the exit code of a process that was.
const killed = -1

// patience is far more than a run takes on a busy machine.
const patience = 2 * time.Minute

func encoded(o Order) string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// run runs the program to its end and returns its exit code.
func (tr *trial) run(ctx context.Context, order Order, args ...string) int {
	code, err := tr.wait(ctx, tr.start(order, args...))
	if err != nil {
		fmt.Fprintln(&tr.said, err)
		return -2
	}
	return code
}

type process struct {
	done chan error
	kill func() error
	code func() int
}

func (tr *trial) start(order Order, args ...string) *process {
	fmt.Fprintf(&tr.said, "\n$ runner %s\n", strings.Join(args, " "))
	cmd := tr.command(order, args...)
	cmd.Stdout, cmd.Stderr = &tr.said, &tr.said
	// What a killed plugin has left behind may hold the output open.
	cmd.WaitDelay = time.Second
	p := &process{done: make(chan error, 1), code: func() int { return cmd.ProcessState.ExitCode() }, kill: func() error { return cmd.Process.Kill() }}
	if err := cmd.Start(); err != nil {
		p.done <- err
		p.code, p.kill = func() int { return -2 }, func() error { return nil }
		return p
	}
	go func() { p.done <- cmd.Wait() }()
	return p
}

// wait waits for the end of a process and gathers what it has left.
func (tr *trial) wait(ctx context.Context, p *process) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var late error
	select {
	case <-p.done: //nolint:errcheck // the exit code is read below
	case <-ctx.Done():
		late = errors.New("the process does not end")
		_ = p.kill()
		<-p.done //nolint:errcheck // it was killed
	}
	tr.passed = tr.passed[:0]
	if b, err := os.ReadFile(filepath.Join(tr.marks, TraceFile)); err == nil {
		tr.passed = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	_ = os.Remove(filepath.Join(tr.marks, TraceFile))
	if b, err := os.ReadFile(filepath.Join(tr.marks, StruckFile)); err == nil {
		tr.struck = true
		fmt.Fprintf(&tr.said, "(struck: %s)\n", b)
	}
	return p.code(), late
}

// newest is the newest run.
type newest struct {
	id     string
	closed bool
	state  *kernel.State
	locks  []string
}

func (tr *trial) newest(ctx context.Context) (newest, error) {
	w, err := workspace.OpenRuns(ctx, &command.Env{Dir: tr.dir, Version: testVersion, Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		return newest{}, err
	}
	defer w.Close()
	rec, err := w.Runs.Find(ctx, "latest")
	if err != nil {
		return newest{}, err
	}
	past, err := drive.Whole(ctx, w, rec)
	if err != nil {
		return newest{}, err
	}
	held, err := lock.Held(ctx, w.Store)
	out := newest{id: rec.ID, closed: !rec.Closed.IsZero(), state: past.State}
	for _, h := range held {
		out.locks = append(out.locks, h.Environment)
	}
	return out, err
}

// end carries the run on to its end as people would: they resume it, answer what
// they are asked, and begin anew where nothing had begun.
func (tr *trial) end(ctx context.Context, exit int) (ended, error) {
	for try := 0; ; try++ {
		run, err := tr.newest(ctx)
		switch {
		case err != nil:
			return ended{}, err
		case run.id != tr.y.first && run.closed:
			return tr.ended(run, exit)
		case try == 8:
			return ended{}, errors.New("the run does not end")
		case run.id == tr.y.first:
			if err := tr.untouched(); err != nil {
				return ended{}, err
			}
			exit = tr.run(ctx, Order{}, tr.y.apply()...)
			continue
		}
		if err := tr.answer(ctx, run.state); err != nil {
			return ended{}, err
		}
		tr.resumes++
		exit = tr.run(ctx, Order{}, "resume")
	}
}

// untouched holds that without a run nothing has happened.
func (tr *trial) untouched() error {
	effects, err := tr.effects()
	if err != nil || len(effects) > 0 {
		return fmt.Errorf("there is no run, and yet there are effects: %v %w", effects, err)
	}
	return nil
}

// answer tells what became of operations in doubt, having looked.
func (tr *trial) answer(ctx context.Context, state *kernel.State) error {
	for _, n := range state.Nodes() {
		for _, g := range n.Gates {
			if !g.Open {
				continue
			}
			if g.Kind != kernel.DoubtGate || !tr.y.doubtful[n.ID] {
				return fmt.Errorf("people are asked about %s (%s) without need", n.ID, g.Kind)
			}
			tr.doubts = append(tr.doubts, n.ID)
			effects, err := tr.effects()
			if err != nil {
				return err
			}
			outcome := "again"
			if len(effects[strings.TrimPrefix(n.ID, "stage.")]) > 0 {
				outcome = "happened"
			}
			if code := tr.run(ctx, Order{}, "approve", "-input", "outcome="+outcome, "latest", n.ID, g.Name); code != 0 {
				return fmt.Errorf("the answer is not taken: exit code %d", code)
			}
		}
	}
	return nil
}

// effects reads the files of the second version.
func (tr *trial) effects() (map[string][]string, error) {
	files, err := filepath.Glob(filepath.Join(tr.dir, "*.two"))
	out := map[string][]string{}
	for _, path := range files {
		b, rerr := os.ReadFile(path)
		err = errors.Join(err, rerr)
		stage := strings.TrimSuffix(filepath.Base(path), ".two")
		for line := range strings.Lines(string(b)) {
			what, _, _ := strings.Cut(line, " ")
			out[stage] = append(out[stage], what)
		}
	}
	return out, err
}

func (tr *trial) ended(run newest, exit int) (ended, error) {
	out := ended{Exit: exit, Outcome: run.state.Outcome(), Nodes: map[string]node{}, Locks: run.locks}
	if exit == killed {
		// Everything was over when it was killed.
		out.Exit = tr.y.exit
	}
	for _, v := range run.state.Nodes() {
		n := node{Status: v.Status, Outcome: v.Outcome}
		if r := v.Rollout; r != nil {
			n.Phase, n.Harm, n.Targets = r.Phase, string(r.Harm.Value), r.Targets
			if r.Harm.Value != strategy.Fail {
				// How far a step had come when harm was found is up to the clock.
				n.Step = r.Step
			}
		}
		out.Nodes[v.ID] = n
	}
	s, err := fake.ReadState(filepath.Join(tr.dir, "web.json"))
	if err != nil {
		return out, err
	}
	out.Target = site{Stable: s.Stable, Weights: s.Weights, Changes: s.World}
	for _, r := range s.Releases {
		out.Target.Releases = append(out.Target.Releases, r.ID)
	}
	if out.Effects, err = tr.effects(); err != nil {
		return out, err
	}
	if b, err := os.ReadFile(filepath.Join(tr.marks, ComplaintsFile)); err == nil {
		return out, fmt.Errorf("two incarnations acted at the same time: %s", b)
	}
	return out, nil
}
