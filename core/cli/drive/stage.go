package drive

import (
	"context"
	"fmt"

	"github.com/runner-pipelines/runner/core/cli/command"
	"github.com/runner-pipelines/runner/core/cli/workspace"
	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
	"github.com/runner-pipelines/runner/core/runs"
)

// Stage is the address of a stage of a run, from what people type: stage.web or
// web. It is an error with a suggestion when there is none.
func Stage(past *History, name string) (string, error) {
	for _, id := range []string{name, "stage." + name} {
		if n, ok := past.State.Node(id); ok && n.Kind != kernel.BarrierNode {
			return id, nil
		}
	}
	var names []string
	for _, n := range past.State.Nodes() {
		if n.Kind != kernel.BarrierNode {
			names = append(names, n.ID)
		}
	}
	hint := diagnostics.Suggest(name, names)
	if hint == "" {
		hint = diagnostics.Suggest("stage."+name, names)
	}
	return "", fmt.Errorf("run %s has no stage %q.%s", past.State.Run(), name, hint)
}

// Told is a run with its whole history, for commands that only read; the caller
// closes the workspace.
func Told(ctx context.Context, env *command.Env, ref string) (w *workspace.Workspace, rec runs.Record, past *History, err error) {
	if w, err = workspace.OpenRuns(ctx, env); err != nil {
		return nil, rec, nil, err
	}
	if rec, err = w.Runs.Find(ctx, ref); err == nil {
		past, err = Whole(ctx, w, rec)
	}
	if err != nil {
		w.Close()
		return nil, rec, nil, err
	}
	return w, rec, past, nil
}
