package drive

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/program"
	"github.com/runner-pipelines/runner/sdk/diag"
)

// sources are the plugins that the rest of a run needs. The way back needs those that
// have done something: no strategy, and nothing that measures.
func sources(prog *program.Program, state *kernel.State, back bool) []string {
	var out []string
	add := func(slots ...*program.Slot) {
		for _, s := range slots {
			if s != nil {
				out = append(out, s.Entry.Source)
			}
		}
	}
	for _, n := range prog.Nodes {
		view, ok := state.Node(n.ID)
		settled := ok && view.Outcome != ""
		if !back && settled || back && (!ok || view.Started == 0) {
			continue
		}
		add(n.Action, n.Rollback)
		add(n.Targets...)
		if !back {
			add(n.Strategy)
			add(n.Verifies...)
			add(n.Metrics...)
			add(n.SLOs...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unpinned shows why a run cannot go on with the plugins that are here.
func unpinned(err error) error {
	var p *diag.Problem
	if !errors.As(err, &p) {
		return err
	}
	var b strings.Builder
	for i, d := range p.Diagnostics {
		if i > 0 {
			b.WriteString("\n\n")
		}
		fmt.Fprintf(&b, "Error: %s\n\n%s", d.Summary, d.Detail)
	}
	return &command.ExitError{Code: command.Failed, Message: b.String()}
}
