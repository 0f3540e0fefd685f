package drive

import (
	"fmt"

	"github.com/runner-pipelines/runner/core/diagnostics"
	"github.com/runner-pipelines/runner/core/kernel"
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
