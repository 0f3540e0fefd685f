package completion

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/drive"
	"github.com/runner-pipelines/runner/core/cli/newplugin"
	"github.com/runner-pipelines/runner/core/cli/view"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/config"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/plan"
	"github.com/runner-pipelines/runner/core/runs"
)

// maxRuns is how many runs are offered, newest first.
const maxRuns = 30

// source looks up what there is.
type source struct {
	env *command.Env
	// open and gated say that only runs and stages of this sort are of use.
	open, gated bool
	// args are those before the one that is completed.
	args []string
}

// offer lists what a kind of argument may be. A kind in lower case is itself the
// only choice.
func (s *source) offer(ctx context.Context, kind string) []Candidate {
	switch kind {
	case "RUN":
		return s.runs(ctx)
	case "STAGE":
		return s.stages(ctx)
	case "GATE":
		return s.gates(ctx)
	case "ENVIRONMENT":
		return s.environments()
	case "OUTPUT":
		return s.outputs()
	case "NAME=VALUE":
		return s.variables()
	case "OUTCOME":
		return outcomes()
	case "KIND":
		return kinds()
	case "PLAN":
		return append(s.plans(), Candidate{Value: Files})
	case "FILE":
		return []Candidate{{Value: Files}}
	case "DIR":
		return []Candidate{{Value: Dirs}}
	}
	if kind != "" && strings.ToLower(kind) == kind {
		return []Candidate{{Value: kind}}
	}
	return nil
}

func kinds() []Candidate {
	var out []Candidate
	for _, k := range newplugin.Kinds {
		out = append(out, Candidate{Value: k})
	}
	return out
}

func outcomes() []Candidate {
	var out []Candidate
	for _, o := range []kernel.Outcome{kernel.Succeeded, kernel.Failed, kernel.Rejected, kernel.RolledBack, kernel.RollbackFailed, kernel.Cancelled} {
		out = append(out, Candidate{Value: string(o)})
	}
	return out
}

// pipeline is what could be read of the files; never nil.
func (s *source) pipeline() *config.Pipeline {
	p, _ := config.Load(s.env.Dir, config.Options{})
	return p
}

// state opens the state where there is one. It makes none.
func (s *source) state(ctx context.Context) *workspace.Workspace {
	quiet := *s.env
	quiet.Stderr = io.Discard
	w, _ := workspace.Open(&quiet)
	if w.Dir == "" || !w.HasState() || w.OpenState(ctx) != nil {
		return nil
	}
	return w
}

func (s *source) runs(ctx context.Context) []Candidate {
	w := s.state(ctx)
	if w == nil {
		return nil
	}
	defer w.Close()
	var out []Candidate
	for rec, err := range w.Runs.List(ctx, runs.Filter{Open: s.open, Limit: maxRuns}) {
		if err != nil {
			continue
		}
		about := "open"
		if !rec.Closed.IsZero() {
			about = view.Words(rec.Outcome)
		}
		out = append(out, Candidate{rec.ID, about + ", opened " + rec.Opened.Local().Format(time.DateTime) + " by " + rec.Initiator})
	}
	return out
}

// nodes are those of the run that stands before on the line, else of the newest.
func (s *source) nodes(ctx context.Context) []kernel.NodeView {
	w := s.state(ctx)
	if w == nil {
		return nil
	}
	defer w.Close()
	ref := runs.Latest
	if len(s.args) > 0 {
		ref = s.args[0]
	}
	rec, err := w.Runs.Find(ctx, ref)
	if err != nil {
		return nil
	}
	past, err := drive.Past(ctx, w, rec)
	if err != nil {
		return nil
	}
	return past.State.Nodes()
}

func (s *source) stages(ctx context.Context) []Candidate {
	var out []Candidate
	nodes := s.nodes(ctx)
	for _, n := range nodes {
		if n.Kind == kernel.BarrierNode || s.gated && len(openGates(n)) == 0 {
			continue
		}
		out = append(out, Candidate{n.ID, view.Words(string(n.Outcome))})
	}
	if len(nodes) == 0 && !s.gated {
		for _, st := range s.pipeline().Root.Stages {
			out = append(out, Candidate{Value: "stage." + st.Name})
		}
	}
	return out
}

func (s *source) gates(ctx context.Context) []Candidate {
	if len(s.args) < 2 {
		return nil
	}
	var out []Candidate
	for _, n := range s.nodes(ctx) {
		if n.ID != s.args[1] && n.ID != "stage."+s.args[1] {
			continue
		}
		for _, g := range openGates(n) {
			out = append(out, Candidate{g.Name, string(g.Kind)})
		}
	}
	return out
}

func openGates(n kernel.NodeView) []kernel.GateView {
	var out []kernel.GateView
	for _, g := range n.Gates {
		if g.Open {
			out = append(out, g)
		}
	}
	return out
}

func (s *source) environments() []Candidate {
	var out []Candidate
	for _, e := range s.pipeline().Environments {
		out = append(out, Candidate{Value: e.Name})
	}
	return out
}

func (s *source) outputs() []Candidate {
	var out []Candidate
	for _, o := range s.pipeline().Root.Outputs {
		out = append(out, Candidate{o.Name, o.Description})
	}
	return out
}

func (s *source) variables() []Candidate {
	var out []Candidate
	for _, v := range s.pipeline().Root.Variables {
		out = append(out, Candidate{v.Name + "=", v.Description})
	}
	return out
}

// plans are the kept plans in the working directory.
func (s *source) plans() []Candidate {
	entries, err := os.ReadDir(s.env.Dir)
	if err != nil {
		return nil
	}
	var out []Candidate
	for _, e := range entries {
		if e.Type().IsRegular() && isPlan(filepath.Join(s.env.Dir, e.Name())) {
			out = append(out, Candidate{e.Name(), "a kept plan"})
		}
	}
	return out
}

func isPlan(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(plan.Magic))
	_, err = io.ReadFull(f, head)
	return err == nil && bytes.Equal(head, []byte(plan.Magic))
}
